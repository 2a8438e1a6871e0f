//go:build unix

package main

import (
	"os"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// pollTime is how often files are looked at, as the stock worker has it.
const pollTime = 2 * time.Second

// maxLogfiles is how many files are followed for one command, and maxPath how long the path of a file can be.
const (
	maxLogfiles = 1000
	maxPath     = 4096
)

// logfile is a file that a command writes beside its output, and that is shown as it grows.
type logfile struct {
	name, path string
	follow     bool // only what is written from now on
}

// logfilesOf reads {name: path} or {name: {"filename": path, "follow": bool}}.
func logfilesOf(dir string, logs any) ([]logfile, error) {
	dict, ok := logs.(*jelly.Dict)
	if !ok {
		if logs == nil {
			return nil, nil
		}
		return nil, flavors.TypeError.Errorf("argument logfiles is a dictionary, not %s", jelly.TypeName(logs))
	}
	if dict.Len() > maxLogfiles {
		return nil, flavors.ValueError.Errorf("argument logfiles has %d files; at most %d are followed", dict.Len(), maxLogfiles)
	}
	var files []logfile
	for k, v := range dict.All() {
		var l logfile
		if options, ok := v.(*jelly.Dict); ok {
			a := arguments{options}
			v, _ = a.get("filename")
			l.follow = a.truth("follow", false)
		}
		if err := jelly.Assign(&l.name, k); err != nil {
			return nil, flavors.TypeError.Errorf("argument logfiles: %w", err)
		}
		if err := jelly.Assign(&l.path, v); err != nil {
			return nil, flavors.TypeError.Errorf("argument logfiles: %w", err)
		}
		if len(l.path) > maxPath || len(l.name) > maxPath {
			return nil, flavors.ValueError.Errorf("argument logfiles: a name of more than %d bytes", maxPath)
		}
		l.path = join(dir, l.path)
		files = append(files, l)
	}
	return files, nil
}

// follower reads log files until it is stopped.
type follower struct {
	files []*watched
	quit  chan struct{}
	done  sync.WaitGroup
}

// watched is one of them.
type watched struct {
	logfile
	before os.FileInfo // as it was when the command began; nil if it was not there
	f      *os.File    // once it has changed
	text   decoder
}

// newFollower notes what the files are before the command begins.
func newFollower(logs []logfile) *follower {
	f := &follower{quit: make(chan struct{})}
	for _, l := range logs {
		w := &watched{logfile: l}
		if about, err := os.Stat(l.path); err == nil {
			w.before = about
		}
		f.files = append(f.files, w)
	}
	return f
}

// begin has them read while the process runs.
func (f *follower) begin(out *report, p *process) {
	if len(f.files) > 0 {
		f.done.Go(func() { f.watch(out, p) })
	}
}

func (f *follower) watch(out *report, p *process) {
	ticker := time.NewTicker(pollTime)
	defer ticker.Stop()
	for last := false; !last; {
		select {
		case <-f.quit:
			last = true
		case <-ticker.C:
		}
		for _, w := range f.files {
			w.poll(out, p, last)
		}
	}
}

// stop reads what there is, for the last time.
func (f *follower) stop() {
	close(f.quit)
	f.done.Wait()
}

// poll sends what has been written since the last time.
func (w *watched) poll(out *report, p *process, last bool) {
	if w.f == nil && !w.open() {
		return
	}
	buf := make([]byte, chunk)
	for {
		n, err := w.f.Read(buf)
		if n > 0 {
			p.heard(func() { out.logfile(w.name, w.text.text(buf[:n])) })
		}
		if n == 0 || err != nil {
			break
		}
	}
	if last {
		if rest := w.text.end(); rest != "" {
			out.logfile(w.name, rest)
		}
		w.f.Close()
	}
}

// open opens the file once it is another than it was when the command began.
func (w *watched) open() bool {
	about, err := os.Stat(w.path)
	if err != nil {
		w.before = nil // the command has deleted it, to write it anew
		return false
	}
	if w.before != nil && os.SameFile(w.before, about) && w.before.Size() == about.Size() && w.before.ModTime().Equal(about.ModTime()) {
		return false
	}
	f, err := os.Open(w.path)
	if err != nil {
		return false
	}
	if w.follow && w.before != nil {
		// What was there before is not the command's.
		if _, err := f.Seek(w.before.Size(), 0); err != nil {
			f.Close()
			return false
		}
	}
	w.f = f
	return true
}
