//go:build unix

package main

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// file is the master's end of a transfer.
type file struct {
	flavors.Referenceable
	content bytes.Buffer
	said    []string
	times   jelly.Tuple
	refuse  bool
}

func (f *file) RemoteWrite(block []byte) error {
	if f.refuse {
		return errors.New("the disk is full")
	}
	f.content.Write(block)
	return nil
}

func (f *file) RemoteRead(n int) []byte       { return f.content.Next(n) }
func (f *file) RemoteClose()                  { f.said = append(f.said, "close") }
func (f *file) RemoteUnpack()                 { f.said = append(f.said, "unpack") }
func (f *file) RemoteUtime(times jelly.Tuple) { f.said, f.times = append(f.said, "utime"), times }

func TestUploadFile(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	text := bytes.Repeat([]byte("0123456789"), 200_000)
	require.NoError(t, os.WriteFile(filepath.Join(m.base, "dir-one", "f"), text, 0o600))
	for name, c := range map[string]struct {
		source  string
		maxsize any
		refuse  bool
		want    int
		rc      int64
		stderr  string
		said    []string
	}{
		"whole": {source: "f", want: len(text), said: []string{"close", "utime"}},
		"cut": {source: "f", maxsize: 1000, want: 1000, rc: 1, stderr: "Maximum filesize reached, truncating file",
			said: []string{"close", "utime"}},
		"enough":   {source: "f", maxsize: len(text) + 1, want: len(text), said: []string{"close", "utime"}},
		"missing":  {source: "no", rc: 1, stderr: "Cannot open file", said: []string{"close"}},
		"a dir":    {source: "..", rc: 1, stderr: "Cannot open file", said: []string{"close"}},
		"disk ful": {source: "f", refuse: true, rc: 1, said: []string{"close"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &file{refuse: c.refuse}
			o, err := a.do(
				t,
				"uploadFile",
				map[string]any{"workdir": ".", "workersrc": c.source, "writer": w, "maxsize": c.maxsize,
					"blocksize": 1 << 20, "keepstamp": true},
			)
			assert.Equal(t, c.refuse, err != nil, "%v", err)
			assert.Equal(t, c.rc, o.facts["rc"])
			assert.Contains(t, o.text("stderr"), c.stderr)
			assert.Equal(t, c.said, w.said)
			assert.True(t, bytes.Equal(text[:c.want], w.content.Bytes()))
		})
	}
}

func TestDownloadFile(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	for name, c := range map[string]struct {
		dest    string
		maxsize any
		want    string
		rc      int64
		stderr  string
	}{
		"whole":      {dest: "new/f", want: "from the master"},
		"cut":        {dest: "cut", maxsize: 4, want: "from", rc: 1, stderr: "Maximum filesize reached"},
		"impossible": {dest: "..", rc: 1, stderr: "Cannot open file"},
		"in a file":  {dest: "occupied/f", rc: 1, stderr: "Cannot open file"},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.MkdirAll(filepath.Join(m.base, "dir-one", "d"), 0o777))
			require.NoError(t, os.WriteFile(filepath.Join(m.base, "dir-one", "d", "occupied"), nil, 0o600))
			r := &file{}
			r.content.WriteString("from the master")
			o, err := a.do(
				t,
				"downloadFile",
				map[string]any{"workdir": "d", "workerdest": c.dest, "reader": r, "maxsize": c.maxsize,
					"blocksize": 4, "mode": 0o640},
			)
			require.NoError(t, err)
			assert.Equal(t, c.rc, o.facts["rc"])
			assert.Contains(t, o.text("stderr"), c.stderr)
			assert.Equal(t, []string{"close"}, r.said)
			if c.want == "" {
				return
			}
			path := filepath.Join(m.base, "dir-one", "d", c.dest)
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, c.want, string(got))
			about, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o640), about.Mode())
		})
	}
}

func TestUploadDirectory(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	dir := filepath.Join(m.base, "dir-one", "tree", "sub")
	require.NoError(t, os.MkdirAll(dir, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), []byte("text"), 0o640))
	require.NoError(t, os.Symlink("f", filepath.Join(dir, "link")))
	for compress, open := range map[string]func(io.Reader) (io.Reader, error){
		"":    func(r io.Reader) (io.Reader, error) { return r, nil },
		"gz":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"bz2": func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
	} {
		t.Run("compress "+compress, func(t *testing.T) {
			w := &file{}
			args := map[string]any{
				"workdir":   "",
				"workersrc": "tree",
				"writer":    w,
				"maxsize":   nil,
				"blocksize": 100,
				"compress":  nil,
			}
			if compress != "" {
				args["compress"] = compress
			}
			o, err := a.do(t, "uploadDirectory", args)
			require.NoError(t, err)
			assert.Equal(t, int64(0), o.facts["rc"])
			assert.Equal(t, []string{"unpack"}, w.said)
			r, err := open(&w.content)
			require.NoError(t, err)
			archive := tar.NewReader(r)
			found := map[string]string{}
			for {
				h, err := archive.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				require.NoError(t, err)
				text, err := io.ReadAll(archive)
				require.NoError(t, err)
				found[h.Name] = h.Linkname + string(text)
			}
			assert.Equal(t, map[string]string{"./": "", "sub/": "", "sub/f": "text", "sub/link": "f"}, found)
		})
	}
	// As with the stock worker, a single file has an empty name.
	w := &file{}
	_, err := a.do(
		t,
		"uploadDirectory",
		map[string]any{"workdir": "tree/sub", "workersrc": "f", "writer": w, "maxsize": nil,
			"blocksize": 100, "compress": nil},
	)
	require.NoError(t, err)
	archive := tar.NewReader(&w.content)
	h, err := archive.Next()
	require.NoError(t, err)
	assert.Empty(t, h.Name)
	assert.Equal(t, byte(tar.TypeReg), h.Typeflag)
	text, err := io.ReadAll(archive)
	require.NoError(t, err)
	assert.Equal(t, "text", string(text))

	_, err = a.do(t, "uploadDirectory", map[string]any{"workdir": "", "workersrc": "no", "writer": &file{}, "maxsize": nil,
		"blocksize": 100, "compress": nil})
	assert.ErrorIs(t, err, fileNotFoundError)
}

func TestDirectories(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	dir := filepath.Join(m.base, "dir-one", "tree")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o777))
	o, err := a.do(t, "cpdir", map[string]any{"fromdir": "tree", "todir": "copies/tree", "logEnviron": false})
	require.NoError(t, err)
	assert.Equal(t, int64(0), o.facts["rc"])
	assert.DirExists(t, filepath.Join(m.base, "dir-one", "copies", "tree", "sub"))
	o, err = a.do(t, "cpdir", map[string]any{"fromdir": "nothing", "todir": "copies/x"})
	require.NoError(t, err)
	assert.Equal(t, int64(1), o.facts["rc"])
	o, err = a.do(t, "rmdir", map[string]any{"dir": []any{"tree", "copies", "nothing"}, "timeout": nil})
	require.NoError(t, err)
	assert.Equal(t, int64(0), o.facts["rc"])
	assert.NoDirExists(t, dir)
}

// slowFile blocks the first call until it is released.
type slowFile struct {
	file
	begun, release chan struct{}
}

func (f *slowFile) RemoteWrite(block []byte) error {
	if f.content.Len() == 0 {
		close(f.begun)
		<-f.release
	}
	return f.file.RemoteWrite(block)
}

// An interrupted upload ends within a few blocks, and half an archive is not unpacked.
func TestInterruptedUploads(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	dir := filepath.Join(m.base, "dir-one", "tree")
	require.NoError(t, os.MkdirAll(dir, 0o777))
	text := bytes.Repeat([]byte("text"), 1<<20)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), text, 0o600))
	for command, c := range map[string]struct {
		source string
		said   []string
	}{
		"uploadFile":      {"tree/f", []string{"close"}},
		"uploadDirectory": {"tree", nil},
	} {
		t.Run(command, func(t *testing.T) {
			w := &slowFile{begun: make(chan struct{}), release: make(chan struct{})}
			o, err := a.start(
				t,
				"one",
				command,
				map[string]any{"workdir": "", "workersrc": c.source, "writer": w, "maxsize": nil,
					"blocksize": 100, "compress": nil},
			)
			require.NoError(t, err)
			<-w.begun
			_, err = flavors.Call[any](t.Context(), a.builders["one"], "interruptCommand", "7", "enough")
			require.NoError(t, err)
			close(w.release)
			require.NoError(t, o.await(t))
			assert.Equal(t, int64(1), o.facts["rc"])
			assert.Less(t, w.content.Len(), len(text))
			assert.Equal(t, c.said, w.said)
		})
	}
}

// As with the stock worker, the exit code is the system's error number.
func TestDirectoryErrors(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	require.NoError(t, os.Mkdir(filepath.Join(m.base, "dir-one", "empty"), 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(m.base, "dir-one", "f"), nil, 0o600))
	isDirectory, ok := syscall.Unlink(filepath.Join(m.base, "dir-one", "empty")).(syscall.Errno) // systems differ
	require.True(t, ok)
	for name, c := range map[string]struct {
		command, argument, path string
		rc                      syscall.Errno
		header                  string
	}{
		"a directory is no file":    {"rmfile", "path", "empty", isDirectory, "rmfile: "},
		"nothing to remove":         {"rmfile", "path", "none", syscall.ENOENT, "rmfile: No such file or directory: "},
		"a file in the way":         {"mkdir", "dir", "f", syscall.EEXIST, "mkdir: File exists: "},
		"a file further up":         {"mkdir", "dir", "f/x/y", syscall.ENOTDIR, "mkdir: Not a directory: "},
		"a directory that is there": {"mkdir", "dir", "empty", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := a.do(t, c.command, map[string]any{c.argument: c.path})
			require.NoError(t, err)
			assert.Equal(t, int64(c.rc), o.facts["rc"])
			assert.Contains(t, o.text("header"), c.header)
			assert.DirExists(t, filepath.Join(m.base, "dir-one", "empty"))
		})
	}
}
