//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

func TestWorkerInfo(t *testing.T) {
	m := listenOnly(t)
	info := filepath.Join(m.base, infoDir)
	require.NoError(t, os.MkdirAll(filepath.Join(info, "no file"), 0o777))
	for name, text := range map[string]string{"admin": "Anna <anna@example.org>\n", "host": "gr\xc3\xbcn \xff",
		"long": strings.Repeat("x", maxInfoFile+1),
		"ends": "one\r\ntwo\rthree\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(info, name), []byte(text), 0o600))
	}
	require.NoError(t, syscall.Mkfifo(filepath.Join(info, "pipe"), 0o600))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(info, "zero")))
	t.Setenv("PB_OWN", "own \xff")
	m.attach(m.url)
	a := m.session()
	assert.Equal(t, "Anna <anna@example.org>\n", a.info["admin"])
	assert.Equal(t, "grün \uFFFD", a.info["host"])
	assert.Len(t, a.info["long"], maxInfoFile)
	for _, name := range []string{"no file", "pipe", "zero"} {
		assert.NotContains(t, a.info, name)
	}
	assert.Equal(t, "one\ntwo\nthree\n", a.info["ends"])
	environ, ok := a.info["environ"].(*jelly.Dict)
	require.True(t, ok)
	own, _ := environ.GetName("PB_OWN")
	assert.Equal(t, "own \uFFFD", own)
	assert.Equal(t, m.base, a.info["basedir"])
	assert.Equal(t, "posix", a.info["system"])
	assert.Equal(t, version, a.info["version"])
	assert.NotNil(t, a.info["numcpus"])
	versions, ok := a.info["worker_commands"].(*jelly.Dict)
	require.True(t, ok)
	got, _ := versions.GetName("shell")
	assert.Equal(t, commandVersion, got)
	assert.DirExists(t, filepath.Join(m.base, "dir-one"))
	assert.Len(t, a.builders, 2)
}

// heldTimers has the limits of programs begin when a test says so: their times are short, and a busy machine may take
// longer to get a program as far as the test wants.
type heldTimers struct{ begin atomic.Pointer[chan struct{}] }

// holdTimers must be called before the worker runs.
func holdTimers(t *testing.T) *heldTimers {
	h := &heldTimers{}
	h.hold()()
	before := newTimer
	newTimer = func(d time.Duration) *time.Timer {
		timer, begin := time.NewTimer(time.Hour), *h.begin.Load()
		go func() {
			<-begin
			timer.Reset(d)
		}()
		return timer
	}
	t.Cleanup(func() { newTimer = before })
	return h
}

// hold holds the limits until begin is called.
func (h *heldTimers) hold() (begin func()) {
	c := make(chan struct{})
	h.begin.Store(&c)
	return func() { close(c) }
}

// A command that makes the file "ready" must get as far before its limits begin.
func TestShellCommands(t *testing.T) {
	timers := holdTimers(t)
	m := newTestMaster(t)
	a := m.session()
	t.Setenv("PB_OWN", "own")
	for name, c := range map[string]struct {
		args                   map[string]any
		stdout, stderr, header string
		rc                     int64
		reason                 any
	}{
		"streams": {args: sh("echo out; echo err >&2; exit 3"), stdout: "out\n", stderr: "err\n", rc: 3,
			header: "\nelapsedTime="},
		"secrets": {args: sh("", "command", []any{"echo", jelly.Tuple{"obfuscated", "real", "XXX"}}), stdout: "real\n",
			header: "echo XXX\n"},
		"no text": {args: sh("", "command", []any{"echo", 5, 2.5, nil, true, jelly.Tuple{"obfuscated", 17, "XXX"}}),
			stdout: "5 2.5 None True 17\n", header: "echo 5 2.5 None True XXX\n"},
		"environment": {args: sh("echo $A-$B-${PB_OWN-gone}", "env",
			map[string]any{"A": []any{"x", "y"}, "B": "<${PB_OWN}>", "PB_OWN": nil}), stdout: "x:y-<own>-gone\n"},
		"input":    {args: sh("cat", "initial_stdin", "typed\n"), stdout: "typed\n"},
		"no input": {args: sh("cat; echo done"), stdout: "done\n"},
		"terminal": {args: sh("test -t 0 && test -t 1 && echo yes", "usePTY", true), stdout: "yes\n",
			header: "using PTY: True"},
		"unwanted":  {args: sh("echo a; echo b >&2", "want_stderr", 0), stdout: "a\n"},
		"not there": {args: sh("", "command", []any{"no-such-program"}), stderr: "cannot run no-such-program", rc: 1},
		"silent": {args: sh("echo x; > ready; sleep 600", "timeout", 0.2), stdout: "x\n", rc: -1,
			header: "command timed out: 0.2 seconds without output running b'echo x; > ready; sleep 600', " +
				"attempting to kill",
			reason: "timeout_without_output"},
		"many lines": {args: sh("printf '1\\n2\\r\\n3\\n'; printf x >&2; sleep 600", "max_lines", 2),
			stdout: "1\n2\n3\n", rc: -1, header: "command exceeds max lines: 3/2 written/allowed running b",
			reason: "max_lines_failure"},
		"few lines": {args: sh("seq 1 5; exit 4", "max_lines", 5), stdout: "1\n2\n3\n4\n5\n", rc: 4},
		"no lines": {args: sh("echo x; sleep 600", "max_lines", 0), stdout: "x\n", rc: -1, header: "lines: 1/0",
			reason: "max_lines_failure"},
		"endless": {args: sh("yes", "max_lines", 1000), rc: -1, header: "written/allowed", reason: "max_lines_failure"},
		"too long": {args: sh("while true; do echo -n; sleep 0.05; done", "maxTime", 0.2), rc: -1,
			header: "command timed out: 0.2 seconds elapsed", reason: "timeout"},
		"stubborn": {args: sh("trap '' TERM; > ready; sleep 600; sleep 600", "maxTime", 0.2, "sigtermTime", 0.2),
			rc: -1, header: "process killed by signal 9", reason: "timeout"},
		"polite": {args: sh("trap 'echo bye; exit 0' TERM; > ready; while true; do sleep 0.05; done", "maxTime", 0.3,
			"sigtermTime", 600), stdout: "bye\n", rc: -1, reason: "timeout"},
		"outlived": {args: sh("setsid sleep 30 & echo $$", "timeout", 0.2), rc: -1, header: "attempting to kill",
			reason: "timeout_without_output"},
		"log file": {args: sh("echo logged > l.log", "logfiles",
			map[string]any{"l": map[string]any{"filename": "l.log", "follow": true}})},
	} {
		t.Run(name, func(t *testing.T) {
			begin := timers.hold()
			o, err := a.start(t, "one", "shell", c.args)
			require.NoError(t, err)
			if line, _ := c.args["command"].(string); strings.Contains(line, "> ready") {
				ready := filepath.Join(m.base, "dir-one", "build", "ready")
				require.NoError(t, a.awaitFile(t, ready))
				require.NoError(t, os.Remove(ready))
			}
			begin()
			require.NoError(t, o.await(t))
			assert.Equal(t, c.rc, o.facts["rc"])
			assert.Equal(t, c.reason, o.facts["failure_reason"])
			if c.stdout != "" {
				assert.Equal(t, c.stdout, o.text("stdout"))
			}
			assert.True(t, strings.HasPrefix(o.text("stderr"), c.stderr), o.text("stderr"))
			assert.Contains(t, o.text("header"), c.header)
			if name == "log file" {
				assert.Equal(t, "logged\n", o.text("l"))
			}
		})
	}
}

func TestInterrupt(t *testing.T) {
	a := newTestMaster(t).session()
	o, err := a.start(t, "one", "shell", sh("echo begun; sleep 600"))
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), a.builders["one"], "interruptCommand", "7", "enough")
	require.NoError(t, err)
	require.NoError(t, o.await(t))
	assert.Equal(t, int64(-1), o.facts["rc"])
	assert.Contains(t, o.text("header"), "command interrupted, attempting to kill")
	_, err = flavors.Call[any](t.Context(), a.builders["one"], "interruptCommand", "7", "there is none")
	assert.NoError(t, err)
}

func TestInvalidArguments(t *testing.T) {
	a := newTestMaster(t).session()
	for name, c := range map[string]struct {
		command string
		args    map[string]any
		want    *flavors.Exception
	}{
		"unknown":       {"dance", nil, errUnknownCommand},
		"missing":       {"shell", map[string]any{"command": "x"}, flavors.ValueError},
		"not a command": {"shell", map[string]any{"command": 5, "workdir": "x"}, flavors.TypeError},
		"empty":         {"shell", map[string]any{"command": []any{}, "workdir": "x"}, flavors.ValueError},
		"no signal":     {"shell", sh("x", "interruptSignal", "BOO"), flavors.ValueError},
		"no seconds":    {"shell", sh("x", "timeout", "long"), flavors.TypeError},
		"bad env":       {"shell", sh("x", "env", map[string]any{"A": 5}), flavors.RuntimeError},
		"no block size": {"uploadFile", map[string]any{"workdir": "x", "workersrc": "x", "writer": nil, "blocksize": 0},
			flavors.ValueError},
	} {
		t.Run(name, func(t *testing.T) {
			args := c.args
			if args == nil {
				args = map[string]any{}
			}
			_, err := a.start(t, "one", c.command, args)
			assert.ErrorIs(t, err, c.want)
		})
	}
	_, err := flavors.Call[any](t.Context(), a.builders["one"], "startCommand", 1)
	assert.ErrorIs(t, err, flavors.TypeError)
	_, err = flavors.Call[any](t.Context(), a.builders["one"], "fly")
	assert.ErrorIs(t, err, flavors.NoSuchMethod)
}

// A panic fails its command; the next one runs.
func TestPanic(t *testing.T) {
	a := newTestMaster(t).session()
	other, err := a.start(t, "two", "shell", sh("sleep 0.3; echo unharmed"))
	require.NoError(t, err)
	_, err = a.do(
		t,
		"uploadFile",
		map[string]any{"workdir": "x", "workersrc": "x", "writer": nil, "blocksize": 1},
	) // to nobody
	assert.ErrorIs(t, err, flavors.RuntimeError)
	o, err := a.do(t, "shell", sh("echo next"))
	require.NoError(t, err)
	assert.Equal(t, "next\n", o.text("stdout"))
	require.NoError(t, other.await(t))
	assert.Equal(t, "unharmed\n", other.text("stdout"))
}

// When the connection is lost the commands are killed, and the worker attaches again.
func TestConnectionLost(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	_, pid := m.aProcess(a, "one")
	for _, c := range m.ln.Conns() {
		c.Abort(errors.New("the test pulls the cable"))
	}
	assertKilled(t, pid)
	o, err := m.session().do(t, "shell", sh("echo again"))
	require.NoError(t, err)
	assert.Equal(t, "again\n", o.text("stdout"))
}

func TestShutdownByTheMaster(t *testing.T) {
	m := newTestMaster(t, "-keepalive", "10ms")
	a := m.session()
	select {
	case <-a.keepalives:
	case <-time.After(patience):
		t.Fatal("there is no sign of life")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := flavors.Call[any](ctx, a.mind, "shutdown")
	assert.NoError(t, err, "the answer comes before the end")
	select {
	case err := <-m.ended:
		assert.NoError(t, err)
	case <-ctx.Done():
		t.Fatal("the worker does not end")
	}
}

func TestBuilderList(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	o, err := a.start(t, "two", "shell", sh("echo begun; sleep 600"))
	require.NoError(t, err)
	list := func(wanted ...any) map[string]*flavors.RemoteReference {
		faces, err := flavors.Call[map[string]*flavors.RemoteReference](t.Context(), a.mind, "setBuilderList", wanted)
		require.NoError(t, err)
		return faces
	}
	faces := list(jelly.Tuple{"one", "dir-one"}, jelly.Tuple{"three", "dir-three"})
	assert.Same(t, a.builders["one"], faces["one"])
	assert.ErrorIs(t, o.await(t), flavors.RuntimeError, "a builder that goes gives up its command")
	assert.DirExists(t, filepath.Join(m.base, "dir-two"))
	_, err = a.start(t, "two", "shell", sh("true"))
	assert.Error(t, err, "a builder that has gone begins nothing")
}

// A builder whose directory changes stays the same object. Its running command stays in the old directory; the next one
// uses the new.
func TestBuilderMoves(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	goOn := filepath.Join(m.base, "go-on")
	first, err := a.start(t, "one", "shell", sh("pwd; until [ -e "+goOn+" ]; do sleep 0.1; done; pwd"))
	require.NoError(t, err)
	faces, err := flavors.Call[map[string]*flavors.RemoteReference](t.Context(), a.mind, "setBuilderList",
		[]any{jelly.Tuple{"one", "elsewhere"}, jelly.Tuple{"two", "dir-two"}})
	require.NoError(t, err)
	assert.Same(t, a.builders["one"], faces["one"])
	assert.DirExists(t, filepath.Join(m.base, "elsewhere"))
	require.NoError(t, os.WriteFile(goOn, nil, 0o600))
	require.NoError(t, first.await(t))
	old := filepath.Join(m.base, "dir-one", "build") + "\n"
	assert.Equal(t, old+old, first.text("stdout"))
	assert.Equal(t, int64(0), first.facts["rc"])
	second, err := a.do(t, "shell", sh("pwd"))
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(m.base, "elsewhere", "build")+"\n", second.text("stdout"))
}

// A second command interrupts the first, which completes. The second can still be interrupted.
func TestSecondCommand(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	first, pid := m.aProcess(a, "one")
	second, other := m.aProcess(a, "one")
	require.NoError(t, first.await(t))
	assert.Equal(t, int64(-1), first.facts["rc"])
	assertKilled(t, pid)
	_, err := flavors.Call[any](t.Context(), a.builders["one"], "interruptCommand", "8", "enough")
	require.NoError(t, err)
	require.NoError(t, second.await(t))
	assert.Equal(t, int64(-1), second.facts["rc"])
	assertKilled(t, other)
}

func TestPrintAnything(t *testing.T) {
	a := newTestMaster(t).session()
	shared := []any{}
	for range 40 {
		shared = []any{shared, shared}
	}
	for _, v := range []any{"text", []byte("bytes\xff"), nil, true, 7, 2.5, []any{"l", 1}, jelly.Tuple{},
		map[string]any{"a": nil}, shared} {
		for _, to := range []*flavors.RemoteReference{a.mind, a.builders["one"]} {
			_, err := flavors.Call[any](t.Context(), to, "print", v)
			require.NoError(t, err)
		}
		_, err := flavors.Call[any](t.Context(), a.mind, "print", flavors.Kw{"message": v})
		require.NoError(t, err)
	}
}

func TestConcurrentFileCommands(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	require.NoError(t, os.WriteFile(filepath.Join(m.base, "dir-one", "f"), []byte("four"), 0o640))
	var asked []*observer
	for _, q := range []struct {
		command string
		args    map[string]any
	}{
		{"glob", map[string]any{"path": "*"}}, {"listdir", map[string]any{"dir": ""}},
		{"stat", map[string]any{"file": "f"}}, {"stat", map[string]any{"file": "nothing"}},
		{"mkdir", map[string]any{"dir": "f/x"}}, {"mkdir", map[string]any{"dir": "d/e"}},
		{"rmfile", map[string]any{"path": "nothing"}},
	} {
		o, err := a.start(t, "one", q.command, q.args)
		require.NoError(t, err)
		asked = append(asked, o)
	}
	for i, rc := range []syscall.Errno{0, 0, 0, syscall.ENOENT, syscall.ENOTDIR, 0, syscall.ENOENT} {
		require.NoError(t, asked[i].await(t))
		assert.Equal(t, int64(rc), asked[i].facts["rc"], i)
	}
	assert.Contains(t, asked[0].facts["files"], filepath.Join(m.base, "dir-one", "f"))
	assert.Contains(t, asked[1].facts["files"], "f")
	stat, ok := asked[2].facts["stat"].(jelly.Tuple)
	require.True(t, ok)
	assert.Len(t, stat, 10)
	assert.Equal(t, int64(4), stat[6])
	assert.Equal(
		t,
		"stat: No such file or directory: "+filepath.Join(m.base, "dir-one", "nothing")+"\n",
		asked[3].text("header"),
	)
	assert.DirExists(t, filepath.Join(m.base, "dir-one", "d", "e"))
}
