//go:build unix

package main

import (
	"os"
	"sync/atomic"
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
		return nil, flavors.ValueError.Errorf(
			"argument logfiles has %d files; at most %d are followed",
			dict.Len(),
			maxLogfiles,
		)
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
	done  chan struct{} // closed when nothing is read any more; nil where nothing is
	left  atomic.Bool   // what is still read is for nobody

	handing atomic.Int32 // readers that wait for the master
}

// lastLookTime is how long the last look at the log files may take, which only a file system that does not answer makes
// long.
const lastLookTime = backupTime

// lastLook is how much is read in it of what is no ordinary file: a pipe holds no more, and a device has no end.
const lastLook = 1 << 20

// watched is one of them.
type watched struct {
	logfile
	before os.FileInfo // as it was when the command began; nil if it was not there
	f      *os.File    // once it has changed
	at     int64       // how far it has been read
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
		f.done = make(chan struct{})
		go func() {
			defer close(f.done)
			f.watch(out, p)
		}()
	}
}

func (f *follower) watch(out *report, p *process) {
	ticker := time.NewTicker(pollTime)
	defer ticker.Stop()
	for {
		select {
		case <-f.quit:
			for _, w := range f.files {
				w.finish(f, out, p)
			}
			return
		case <-ticker.C:
		}
		for _, w := range f.files {
			w.poll(f, out, p)
		}
	}
}

// stop reads what there is, for the last time.
func (f *follower) stop() {
	close(f.quit)
	if f.done == nil {
		return
	}
	patience := time.NewTimer(lastLookTime)
	defer patience.Stop()
	for {
		select {
		case <-f.done:
			return
		case <-patience.C:
			if f.handing.Load() > 0 {
				// The master is slow to take what was read. That is no reason to give up.
				patience.Reset(lastLookTime)
				continue
			}
			f.left.Store(true)
			return
		}
	}
}

// over reports that the command has ended.
func (f *follower) over() bool {
	select {
	case <-f.quit:
		return true
	default:
		return false
	}
}

// poll sends what has been written since the last time, until there is no more or the command has ended.
func (w *watched) poll(f *follower, out *report, p *process) {
	if w.f == nil && !w.open() {
		return
	}
	buf := make([]byte, chunk)
	for !f.over() && w.read(buf, f, out, p) > 0 {
	}
}

// finish sends what is there when the command has ended, and no more: something else may go on writing.
func (w *watched) finish(f *follower, out *report, p *process) {
	if w.f == nil && !w.open() {
		return
	}
	defer w.f.Close()
	left := int64(lastLook)
	if about, err := w.f.Stat(); err == nil && about.Mode().IsRegular() {
		left = max(0, about.Size()-w.at)
		if about.Size() == 0 {
			left = lastLook // as files of /proc say
		}
	}
	buf := make([]byte, chunk)
	for left > 0 {
		n := w.read(buf[:min(left, chunk)], f, out, p)
		if n == 0 {
			break
		}
		left -= int64(n)
	}
	if rest := w.text.end(); rest != "" && !f.left.Load() {
		out.logfile(w.name, rest)
	}
}

// read sends one piece and returns how long it was.
func (w *watched) read(buf []byte, f *follower, out *report, p *process) int {
	n, _ := readNow(w.f, buf)
	if n == 0 || f.left.Load() {
		return 0
	}
	w.at += int64(n)
	f.handing.Add(1)
	p.heard(func() { out.logfile(w.name, w.text.text(buf[:n])) })
	f.handing.Add(-1)
	return n
}

// open opens the file once it is another than it was when the command began.
func (w *watched) open() bool {
	about, err := os.Stat(w.path)
	if err != nil {
		w.before = nil // the command has deleted it, to write it anew
		return false
	}
	if w.before != nil && os.SameFile(w.before, about) && w.before.Size() == about.Size() &&
		w.before.ModTime().Equal(about.ModTime()) {
		return false
	}
	f, err := openFile(w.path, os.O_RDONLY)
	if err != nil {
		return false
	}
	if w.follow && w.before != nil {
		// What was there before is not the command's.
		if at, err := f.Seek(w.before.Size(), 0); err == nil {
			w.at = at
		} else if about.Mode().IsRegular() {
			f.Close()
			return false
		}
	}
	w.f = f
	return true
}
