package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/bzip2"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// maxBlock limits a block, whatever the master asks for: it is Banana's limit for a string.
const maxBlock = 640 << 10

// transfer is the common part of the commands that move files.
type transfer struct {
	path      string
	blocksize int64
	remaining *int64 // limit of the size; nil for none
	rc        int
	stderr    string
}

func (t *transfer) setup(at place, args arguments, file string) error {
	var workdir, name string
	var maxsize *int64
	if err := args.fill(map[string]any{"workdir": &workdir, file: &name, "blocksize": &t.blocksize,
		"maxsize": &maxsize}); err != nil {
		return err
	}
	if t.blocksize < 1 {
		return flavors.ValueError.Errorf("argument blocksize is %d; it must be at least 1", t.blocksize)
	}
	t.path = join(at.builder, workdir, home(name))
	t.blocksize, t.remaining = min(t.blocksize, maxBlock), maxsize
	return nil
}

// next returns how many bytes to move next; 0 at the end.
func (t *transfer) next() int64 {
	if t.remaining != nil && *t.remaining < t.blocksize {
		if *t.remaining <= 0 && t.stderr == "" {
			t.stderr = fmt.Sprintf("Maximum filesize reached, truncating file '%s'", t.path)
			t.rc = 1
		}
		return max(0, *t.remaining)
	}
	return t.blocksize
}

func (t *transfer) moved(n int) {
	if t.remaining != nil {
		*t.remaining -= int64(n)
	}
}

// fail records that the file cannot be opened. The text is the stock worker's, except for named pipes.
func (t *transfer) fail(what string, err error) {
	t.rc = 1
	t.stderr = fmt.Sprintf("Cannot open file '%s' for %s", t.path, what)
	if errors.Is(err, errNoOtherEnd) {
		t.stderr += ": " + err.Error()
	}
}

// finish reports the result, also after an interrupt.
func (t *transfer) finish(ctx context.Context, out *report) {
	if ctx.Err() != nil {
		t.rc = 1
	}
	out.rc(t.rc)
	if t.stderr != "" {
		out.text("stderr", t.stderr)
	}
}

// afterInterrupt returns a context for calls that an interrupt does not stop, such as closing the file. It ends with
// the connection, or when the command is abandoned. done also releases ref.
func afterInterrupt(ctx context.Context, ref *flavors.RemoteReference) (context.Context, context.CancelFunc) {
	calls, cancel := context.WithCancel(ref.Conn().Context())
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), errAbandoned) {
			cancel()
		}
	})
	return calls, func() { stop(); cancel(); ref.Release() }
}

// push writes from's content to the master in blocks, one call at a time.
func (t *transfer) push(ctx, calls context.Context, writer *flavors.RemoteReference, from io.Reader) error {
	buf := make([]byte, t.blocksize)
	for ctx.Err() == nil {
		length := t.next()
		if length == 0 {
			return nil
		}
		n, err := nextBlock(ctx, from, buf[:length])
		if n == 0 {
			return err
		}
		t.moved(n)
		if _, err := flavors.Call[any](calls, writer, "write", buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// nextBlock reads a block; the last one may be short. It returns 0 at the end and after an interrupt.
func nextBlock(ctx context.Context, from io.Reader, buf []byte) (int, error) {
	n, err := io.ReadFull(from, buf)
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		err = nil
	}
	return n, failure(err)
}

// uploadFile sends a file to the master.
type uploadFile struct {
	transfer
	writer    *flavors.RemoteReference
	keepstamp bool
}

func newUploadFile(at place, args arguments) (job, error) {
	if err := args.need("workdir", "workersrc", "writer", "blocksize"); err != nil {
		return nil, err
	}
	u := &uploadFile{keepstamp: args.truth("keepstamp", false)}
	if err := args.fill(map[string]any{"writer": &u.writer}); err != nil {
		return nil, err
	}
	return u, u.setup(at, args, "workersrc")
}

func (u *uploadFile) run(ctx context.Context, out *report) error {
	calls, done := afterInterrupt(ctx, u.writer)
	defer done()
	f, times, err := u.open(ctx)
	if err != nil {
		u.fail("upload", err)
	}
	out.header(fmt.Sprintf("sending %s\n", u.path))
	if err == nil {
		undo := interruptible(ctx, f.File)
		err = u.push(ctx, calls, u.writer, f)
		undo()
		f.Close()
		if err != nil {
			u.rc = 1
		}
	} else {
		err = nil // fail has reported it; close the writer all the same
	}
	_, closing := flavors.Call[any](calls, u.writer, "close")
	if err == nil {
		err = closing
	}
	if err == nil && times != nil {
		_, err = flavors.Call[any](calls, u.writer, "utime", times)
	}
	u.finish(ctx, out)
	return err
}

// open opens the file, and returns its times if the master wants to keep them.
func (u *uploadFile) open(ctx context.Context) (*source, jelly.Tuple, error) {
	f, about, err := openToRead(ctx, u.path)
	if err != nil {
		return nil, nil, err
	}
	if !u.keepstamp {
		return f, nil, nil
	}
	accessed, modified := fileTimes(about)
	return f, jelly.Tuple{accessed, modified}, nil
}

// uploadDirectory sends a directory to the master as an archive.
type uploadDirectory struct {
	transfer
	writer   *flavors.RemoteReference
	compress string
}

func newUploadDirectory(at place, args arguments) (job, error) {
	if err := args.need("workdir", "workersrc", "writer", "blocksize"); err != nil {
		return nil, err
	}
	u := &uploadDirectory{}
	if err := args.fill(map[string]any{"writer": &u.writer, "compress": &u.compress}); err != nil {
		return nil, err
	}
	return u, u.setup(at, args, "workersrc")
}

func (u *uploadDirectory) run(ctx context.Context, out *report) error {
	archive, err := os.CreateTemp("", "buildbot-transfer-")
	if err != nil {
		return failure(err)
	}
	defer func() {
		archive.Close()
		if err := os.Remove(archive.Name()); err != nil {
			out.header(fmt.Sprintf("cannot remove %s: %v\n", archive.Name(), err))
		}
	}()
	if err := pack(ctx, archive, u.path, u.compress); err != nil {
		if ctx.Err() != nil {
			u.finish(ctx, out)
			return nil
		}
		return failure(err)
	}
	if _, err := archive.Seek(0, io.SeekStart); err != nil {
		return failure(err)
	}
	calls, done := afterInterrupt(ctx, u.writer)
	defer done()
	out.header(fmt.Sprintf("sending %s\n", u.path))
	err = u.push(ctx, calls, u.writer, archive)
	// The master discards an incomplete archive.
	if err == nil && ctx.Err() == nil {
		if _, err = flavors.Call[any](calls, u.writer, "unpack"); err != nil {
			u.rc = 1
		}
	}
	u.finish(ctx, out)
	return err
}

// pack writes a directory as a tar archive. Names are relative to the directory; symbolic links stay links.
func pack(ctx context.Context, w io.Writer, dir, compress string) error {
	var squeezed io.WriteCloser
	switch compress {
	case "":
	case "gz":
		squeezed = gzip.NewWriter(w)
	case "bz2":
		squeezed = bzip2.NewWriter(w)
	default:
		return flavors.ValueError.Errorf("argument compress is %s; it must be gz, bz2 or None", python(compress))
	}
	if squeezed != nil {
		w = squeezed
	}
	archive := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return add(ctx, archive, path, name, entry)
	})
	if err == nil {
		err = archive.Close()
	}
	if err == nil && squeezed != nil {
		err = squeezed.Close()
	}
	return err
}

func add(ctx context.Context, archive *tar.Writer, path, name string, entry fs.DirEntry) error {
	about, err := entry.Info()
	if err != nil {
		return err
	}
	if about.Mode()&fs.ModeSocket != 0 {
		return nil // tar has no sockets
	}
	target := ""
	if about.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	var f *os.File
	if about.Mode().IsRegular() {
		// The file may have changed since the directory was read.
		if f, err = openFile(path, os.O_RDONLY); err != nil {
			return err
		}
		defer f.Close()
		if about, err = f.Stat(); err != nil {
			return err
		}
		if about.IsDir() || about.Mode()&fs.ModeSocket != 0 {
			return nil
		}
	}
	header, err := tar.FileInfoHeader(about, target)
	if err != nil {
		return err
	}
	header.Name = name
	switch {
	case about.IsDir():
		header.Name += "/"
	case name == ".":
		header.Name = "" // a single file; the master names it
	}
	if err := archive.WriteHeader(header); err != nil || !about.Mode().IsRegular() {
		return err
	}
	// A file that grows meanwhile is cut at the announced size; one that shrinks is an error.
	_, err = io.CopyN(archive, untilDone{ctx, f}, header.Size)
	return err
}
