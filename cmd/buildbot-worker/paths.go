package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path"
	"strings"
	"syscall"
	"time"
)

// A path from the master may lead to anything: a named pipe without another end, an endless device, a file of /proc
// that blocks. So nothing is opened in blocking mode, and reads and writes can be interrupted.

// pipePatience is how long to wait for the other end of a named pipe. A stock worker waits forever and does nothing
// else meanwhile.
var pipePatience = 2 * time.Second

// pipeLook is the polling interval meanwhile.
const pipeLook = 20 * time.Millisecond

var errNoOtherEnd = errors.New("it is a named pipe that no program has opened at its other end")

// source is a file to read, and what was read from it when it was opened.
type source struct {
	*os.File
	first []byte
}

// Read implements io.Reader.
func (s *source) Read(b []byte) (int, error) {
	if len(s.first) > 0 {
		n := copy(b, s.first)
		s.first = s.first[n:]
		return n, nil
	}
	return s.File.Read(b)
}

// openToRead opens any file but a directory.
func openToRead(ctx context.Context, path string) (*source, fs.FileInfo, error) {
	f, err := openFile(path, os.O_RDONLY)
	if err != nil {
		return nil, nil, err
	}
	s := &source{File: f}
	about, err := f.Stat()
	switch {
	case err != nil:
	case about.IsDir():
		err = &os.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case about.Mode()&fs.ModeNamedPipe != 0:
		err = s.awaitWriter(ctx)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return s, about, nil
}

// awaitWriter waits until a program writes to the named pipe. Until one has opened it, a read returns EOF.
func (s *source) awaitWriter(ctx context.Context) error {
	first := make([]byte, 1)
	return awaitOtherEnd(ctx, func() (bool, error) {
		n, err := readNow(s.File, first)
		s.first = first[:n]
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return true, err
	})
}

// openToWrite creates or truncates any file but a directory.
func openToWrite(ctx context.Context, path string) (f *os.File, err error) {
	err = awaitOtherEnd(ctx, func() (bool, error) {
		f, err = openFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		if errors.Is(err, syscall.ENXIO) {
			return false, nil // a named pipe without a reader
		}
		return true, err
	})
	return f, err
}

// awaitOtherEnd polls ready until it returns true or an error.
func awaitOtherEnd(ctx context.Context, ready func() (bool, error)) error {
	ticker := time.NewTicker(pipeLook)
	defer ticker.Stop()
	patience := time.NewTimer(pipePatience)
	defer patience.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience.C:
			return errNoOtherEnd
		}
	}
}

// interruptible makes reads and writes of f return when ctx ends, for pipes, terminals and other files that the poller
// supports. undo undoes that.
func interruptible(ctx context.Context, f *os.File) (undo func() bool) {
	return context.AfterFunc(ctx, func() { _ = f.SetDeadline(time.Unix(1, 0)) })
}

// untilDone is a reader that fails when ctx ends.
type untilDone struct {
	ctx  context.Context
	from io.Reader
}

func (r untilDone) Read(b []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.from.Read(b)
}

// readSmall returns up to most bytes of a regular file.
func readSmall(path string, most int) (string, error) {
	f, err := openFile(path, os.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !about.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	text := make([]byte, 0, min(most, int(about.Size())+512))
	for len(text) < most {
		if len(text) == cap(text) {
			text = append(text, 0)[:len(text)]
		}
		n, err := readNow(f, text[len(text):min(cap(text), most)])
		text = text[:len(text)+n]
		if errors.Is(err, io.EOF) || err == nil && n == 0 {
			break
		}
		if err != nil {
			return "", err
		}
	}
	return string(text), nil
}

// place is where a command works.
type place struct {
	builder string // the builder's directory
	base    string // the worker's
}

// home expands a leading ~ or ~user if that user exists.
func home(p string) string {
	if !strings.HasPrefix(p, "~") {
		return p
	}
	name, rest := p[1:], ""
	if slash := strings.IndexAny(name, separators); slash >= 0 {
		name, rest = name[:slash], name[slash+1:]
	}
	dir := os.Getenv(homeVariable)
	if name != "" || dir == "" {
		var u *user.User
		var err error
		if name == "" {
			u, err = user.Current()
		} else {
			u, err = user.Lookup(name)
		}
		if err != nil {
			return p
		}
		dir = u.HomeDir
	}
	if rest == "" && !strings.ContainsAny(p, separators) {
		return dir
	}
	return path.Join(dir, "/") + "/" + rest
}
