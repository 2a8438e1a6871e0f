package main

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// pollTime is the interval between two looks at a log file, as in the stock worker.
const pollTime = 2 * time.Second

// Limits of the logfiles argument.
const (
	maxLogfiles = 1000
	maxPath     = 4096
)

// logfile is a file that a command writes. The worker reports it while it grows.
type logfile struct {
	name, path string
	follow     bool // skip what was there before the command
}

// logfilesOf parses {name: path} or {name: {"filename": path, "follow": bool}}.
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
			"argument logfiles has %d files; the limit is %d",
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
	done  chan struct{} // closed when reading has ended; nil without files
	left  atomic.Bool   // discard what is still read

	handing atomic.Int32 // number of readers that wait for the master
}

// lastLookTime limits the last read of the log files. Only a file system that does not answer takes that long.
const lastLookTime = backupTime

// lastLook limits the last read of a file that is not regular, in bytes. A pipe holds no more, and a device has no end.
const lastLook = 1 << 20

// watched is a log file that is followed.
type watched struct {
	logfile
	before os.FileInfo // before the command; nil if the file did not exist
	f      *os.File    // nil until the file changes
	at     int64       // read offset
	text   decoder
}

// newFollower records the state of the files before the command begins.
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

// begin reads the files while the process runs.
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

// stop reads the files for the last time.
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
				// The master is slow to take what was read; keep waiting.
				patience.Reset(lastLookTime)
				continue
			}
			f.left.Store(true)
			return
		}
	}
}

// over reports whether the command has ended.
func (f *follower) over() bool {
	select {
	case <-f.quit:
		return true
	default:
		return false
	}
}

// poll reports what was written since the last time, until there is no more or the command has ended.
func (w *watched) poll(f *follower, out *report, p *process) {
	if w.f == nil && !w.open() {
		return
	}
	buf := make([]byte, chunk)
	for !f.over() && w.read(buf, f, out, p) > 0 {
	}
}

// finish reports the rest of the file when the command has ended. It stops at the present size, because other programs
// may go on writing.
func (w *watched) finish(f *follower, out *report, p *process) {
	if w.f == nil && !w.open() {
		return
	}
	defer w.f.Close()
	left := int64(lastLook)
	if about, err := w.f.Stat(); err == nil && about.Mode().IsRegular() {
		left = max(0, about.Size()-w.at)
		if about.Size() == 0 {
			left = lastLook // as files of /proc have
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

// read reports one piece and returns its length.
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

// open opens the file once it differs from its state before the command.
func (w *watched) open() bool {
	about, err := os.Stat(w.path)
	if err != nil {
		w.before = nil // deleted; a new file is the command's
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
		// Skip what was there before the command.
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
