//go:build unix

package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

// pipeSite is a master and a worker whose builder "one" has a named pipe "pipe" in its directory.
type pipeSite struct {
	*testMaster
	a    *testAvatar
	dir  string
	pipe string
}

func newPipeSite(t *testing.T) *pipeSite {
	m := newTestMaster(t)
	s := &pipeSite{testMaster: m, a: m.session(), dir: filepath.Join(m.base, "dir-one")}
	s.pipe = filepath.Join(s.dir, "pipe")
	require.NoError(t, syscall.Mkfifo(s.pipe, 0o600))
	past := time.Unix(1e9, 0) // Kernels have coarse times, and what is written changes the pipe's.
	require.NoError(t, os.Chtimes(s.pipe, past, past))
	return s
}

// hold opens the pipe at both ends.
func (s *pipeSite) hold(t *testing.T) *os.File {
	f, err := os.OpenFile(s.pipe, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// interrupt interrupts the command of builder "one".
func (s *pipeSite) interrupt(t *testing.T) {
	t.Helper()
	_, err := flavors.Call[any](t.Context(), s.a.builders["one"], "interruptCommand", "7", "enough")
	require.NoError(t, err)
}

func upload(source string, w *file) map[string]any {
	return map[string]any{
		"workdir":   "",
		"workersrc": source,
		"writer":    w,
		"maxsize":   nil,
		"blocksize": 3,
		"keepstamp": true,
	}
}

func download(target string, r any) map[string]any {
	return map[string]any{
		"workdir":    "",
		"workerdest": target,
		"reader":     r,
		"maxsize":    nil,
		"blocksize":  16 << 10,
		"mode":       nil,
	}
}

// endless is an endless file on the master.
type endless struct{ flavors.Referenceable }

func (*endless) RemoteRead(n int) []byte { return make([]byte, n) }
func (*endless) RemoteClose()            {}

// TestNamedPipes wants commands on named pipes to end, and to be interruptible.
func TestNamedPipes(t *testing.T) {
	t.Run("upload without a writer", func(t *testing.T) {
		s, w := newPipeSite(t), &file{}
		o, err := s.a.do(t, "uploadFile", upload("pipe", w))
		require.NoError(t, err)
		assert.Equal(t, int64(1), o.facts["rc"])
		assert.Contains(t, o.text("stderr"), "Cannot open file '"+s.pipe+"' for upload: it is a named pipe")
		assert.Equal(t, []string{"close"}, w.said)
	})
	t.Run("upload without a writer, interrupted", func(t *testing.T) {
		s, w := newPipeSite(t), &file{}
		o, err := s.a.start(t, "one", "uploadFile", upload("pipe", w))
		require.NoError(t, err)
		s.interrupt(t)
		require.NoError(t, o.await(t))
		assert.Equal(t, int64(1), o.facts["rc"])
	})
	t.Run("upload from a writer", func(t *testing.T) {
		before := pipePatience
		pipePatience = patience
		t.Cleanup(func() { pipePatience = before }) // when the worker has ended
		s, w := newPipeSite(t), &file{}
		o, err := s.a.start(t, "one", "uploadFile", upload("pipe", w))
		require.NoError(t, err)
		out, err := os.OpenFile(s.pipe, os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = out.WriteString("some text")
		require.NoError(t, err)
		require.NoError(t, out.Close())
		require.NoError(t, o.await(t))
		assert.Equal(t, int64(0), o.facts["rc"])
		assert.Equal(t, "some text", w.content.String())
	})
	t.Run("upload from a writer that says nothing more", func(t *testing.T) {
		s, w := newPipeSite(t), &slowFile{begun: make(chan struct{}), release: make(chan struct{})}
		_, err := s.hold(t).WriteString("begun")
		require.NoError(t, err)
		args := upload("pipe", nil)
		args["writer"] = w
		o, err := s.a.start(t, "one", "uploadFile", args)
		require.NoError(t, err)
		<-w.begun
		close(w.release)
		s.interrupt(t)
		require.NoError(t, o.await(t))
		assert.Equal(t, int64(1), o.facts["rc"])
		assert.Equal(t, []string{"close"}, w.said[:1])
	})
	t.Run("download without a reader", func(t *testing.T) {
		s := newPipeSite(t)
		o, err := s.a.do(t, "downloadFile", download("pipe", &endless{}))
		require.NoError(t, err)
		assert.Equal(t, int64(1), o.facts["rc"])
		assert.Contains(t, o.text("stderr"), "for download: it is a named pipe")
	})
	t.Run("download to a reader that takes nothing", func(t *testing.T) {
		s := newPipeSite(t)
		s.hold(t)
		o, err := s.a.start(t, "one", "downloadFile", download("pipe", &endless{}))
		require.NoError(t, err)
		s.interrupt(t)
		require.NoError(t, o.await(t))
		assert.Equal(t, int64(1), o.facts["rc"])
	})
	t.Run("upload of a directory with a pipe in it", func(t *testing.T) {
		s, w := newPipeSite(t), &file{}
		args := upload(".", w)
		args["compress"] = nil
		o, err := s.a.do(t, "uploadDirectory", args)
		require.NoError(t, err)
		assert.Equal(t, int64(0), o.facts["rc"])
		assert.Equal(t, []string{"unpack"}, w.said)
	})
	t.Run("commands for files", func(t *testing.T) {
		s := newPipeSite(t)
		for _, c := range []struct {
			command string
			args    map[string]any
			rc      int64
		}{
			{"stat", map[string]any{"file": "pipe"}, 0},
			{"glob", map[string]any{"path": "**/p*"}, 0},
			{"listdir", map[string]any{"dir": "pipe"}, int64(syscall.ENOTDIR)},
			{"mkdir", map[string]any{"dir": "pipe"}, int64(syscall.EEXIST)},
			{"mkdir", map[string]any{"dir": "pipe/x"}, int64(syscall.ENOTDIR)},
			{"cpdir", map[string]any{"fromdir": "pipe", "todir": "copy"}, 0},
			{"rmdir", map[string]any{"dir": "copy"}, 0},
			{"rmfile", map[string]any{"path": "pipe"}, 0},
		} {
			o, err := s.a.do(t, c.command, c.args)
			require.NoError(t, err, c.command)
			assert.Equal(t, c.rc, o.facts["rc"], c.command)
		}
	})
}

// TestOddLogFiles follows pipes, devices and other files that are not regular.
func TestOddLogFiles(t *testing.T) {
	s := newPipeSite(t)
	s.hold(t)
	ln, err := net.Listen("unix", filepath.Join(s.dir, "socket"))
	require.NoError(t, err)
	defer ln.Close()
	for name, c := range map[string]struct {
		path, line string
		rc         int64
		logged     string
	}{
		"a pipe with a writer": {path: "../pipe", line: "echo through the pipe >../pipe",
			logged: "through the pipe\n"},
		"a pipe without a writer": {path: "none", line: "rm -f none; mkfifo none; sleep 0.1"},
		"a socket":                {path: "../socket", line: "true"},
		"a directory":             {path: "..", line: "touch ../new"},
		"a device without an end": {path: "/dev/zero", line: "sleep 600", rc: -1},
		"a file of /proc":         {path: "/proc/kmsg", line: "true"},
	} {
		t.Run(name, func(t *testing.T) {
			args := sh(c.line, "logfiles", map[string]any{"l": c.path})
			if c.rc != 0 {
				args["maxTime"] = 5
			}
			o, err := s.a.do(t, "shell", args)
			require.NoError(t, err)
			assert.Equal(t, c.rc, o.facts["rc"])
			if c.rc == 0 {
				assert.Equal(t, c.logged, o.text("l"))
			}
		})
	}
}

// mute is a file on the master that never answers.
type mute struct {
	flavors.Referenceable
	begun chan struct{}
}

func (m *mute) RemoteWrite([]byte) *actor.Deferred {
	close(m.begun)
	return actor.NewDeferred(nil)
}

// TestInterruptBlockedJob interrupts jobs that cannot end, because the master does not answer or the system blocks.
func TestInterruptBlockedJob(t *testing.T) {
	before := overdueTime
	overdueTime = 100 * time.Millisecond
	defer func() { overdueTime = before }()
	m := newTestMaster(t)
	a := m.session()
	require.NoError(t, os.WriteFile(filepath.Join(m.base, "dir-one", "f"), []byte("text"), 0o600))
	w := &mute{begun: make(chan struct{})}
	args := upload("f", nil)
	args["writer"] = w
	o, err := a.start(t, "one", "uploadFile", args)
	require.NoError(t, err)
	<-w.begun
	for range 2 {
		_, err = flavors.Call[any](t.Context(), a.builders["one"], "interruptCommand", "7", "enough")
		require.NoError(t, err)
	}
	require.NoError(t, o.await(t))
	assert.Equal(t, int64(-1), o.facts["rc"])
	assert.Contains(t, o.text("header"), "giving it up")
	next, err := a.do(t, "shell", sh("echo next"))
	require.NoError(t, err)
	assert.Equal(t, "next\n", next.text("stdout"))
}

func TestInterruptGlob(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	_, err := glob(ctx, dir+"/**/**")
	require.ErrorIs(t, err, errInterrupted)
}

func TestGlobWithManyStars(t *testing.T) {
	dir := t.TempDir()
	for _, a := range "abc" {
		for _, b := range "abc" {
			require.NoError(t, os.MkdirAll(filepath.Join(dir, string(a), string(b), "c", "d"), 0o777))
		}
	}
	once := globbed(t, dir+"/**/**")
	many := globbed(t, dir+strings.Repeat("/**", 40))
	assert.Equal(t, once, many)
}
