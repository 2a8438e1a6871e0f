//go:build unix

package main

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/flavors"
)

// fault is what a master does with one connection before it works.
type fault struct {
	name  string
	says  string // instead of the protocol
	mute  bool   // nothing arrives, and the connection stays
	bytes int64  // of the master's bytes that arrive before the connection is lost; -1 for all
}

// faulty is a listener in front of a master that applies one fault to each connection, and none to later ones.
func faulty(t *testing.T, master string, faults []fault) (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for n := 0; ; n++ {
			near, err := l.Accept()
			if err != nil {
				return
			}
			f := fault{bytes: -1}
			if n < len(faults) {
				f = faults[n]
			}
			go f.apply(near, strings.TrimPrefix(master, "pb://"))
		}
	}()
	return "pb://" + l.Addr().String()
}

func (f fault) apply(near net.Conn, master string) {
	defer near.Close()
	if f.mute {
		_, _ = io.Copy(io.Discard, near)
		return
	}
	if f.says != "" {
		_, _ = io.WriteString(near, f.says)
		return
	}
	far, err := net.Dial("tcp", master)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		_, _ = io.Copy(far, near)
		far.Close()
	}()
	var from io.Reader = far
	if f.bytes >= 0 {
		from = io.LimitReader(far, f.bytes)
	}
	_, _ = io.Copy(near, from)
}

// TestFaultyMasters wants the worker to attach to a master that vanishes in every phase of the login, or does not speak
// the protocol, once it works.
func TestFaultyMasters(t *testing.T) {
	m := listenOnly(t)
	faults := []fault{
		{name: "HTTP", says: "HTTP/1.1 400 Bad Request\r\n\r\n"},
		{name: "SSH", says: "SSH-2.0-OpenSSH_9.2\r\n"},
		{name: "high bits", says: strings.Repeat("\xff", 100)},
		{name: "endless number", says: strings.Repeat("\x01", 10_000)},
		{name: "another dialect", says: "\x04\x82none"},
		{name: "silence", mute: true},
	}
	for _, bytes := range []int64{0, 1, 5, 20, 60, 120, 200, 300, 400, 500} {
		faults = append(faults, fault{name: fmt.Sprint("lost after ", bytes, " bytes"), bytes: bytes})
	}
	m.attach(faulty(t, m.url, faults), "-maxdelay", "10ms")
	m.works()
}

// TestMasterLies calls the worker with what no master sends. Each lie is an error, and the worker works on.
func TestMasterLies(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	for name, lie := range map[string]struct {
		to     *flavors.RemoteReference
		method string
		args   []any
	}{
		"no list":      {a.mind, "setBuilderList", []any{7}},
		"no pairs":     {a.mind, "setBuilderList", []any{[]any{"one", "two"}}},
		"no text":      {a.mind, "setBuilderList", []any{[]any{[]any{nil, nil}}}},
		"NUL":          {a.mind, "setBuilderList", []any{[]any{[]any{"x", "a\x00b"}}}},
		"a file":       {a.mind, "setBuilderList", []any{[]any{[]any{"x", "/dev/null/x"}}}},
		"no method":    {a.mind, "reboot", nil},
		"too many":     {a.mind, "shutdown", []any{1, 2, 3}},
		"no arguments": {a.builders["one"], "startCommand", nil},
		"no observer":  {a.builders["one"], "startCommand", []any{nil, "7", "shell", sh("true")}},
		"no dict":      {a.builders["one"], "startCommand", []any{newObserver(), "7", "shell", []any{}}},
		"no name":      {a.builders["one"], "startCommand", []any{newObserver(), "7", []any{}, sh("true")}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := flavors.Call[any](t.Context(), lie.to, lie.method, lie.args...)
			assert.Error(t, err)
		})
	}
	o, err := a.do(t, "shell", sh("echo works"))
	require.NoError(t, err)
	assert.Equal(t, "works\n", o.text("stdout"))
}

// TestFullDisk fills the file system of the base directory. Commands fail, the worker works on, and its log goes to
// standard error.
func TestFullDisk(t *testing.T) {
	m := listenOnly(t)
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=256k", "none", m.base).
		CombinedOutput(); err != nil {
		t.Logf("not checked: this user cannot mount a small file system: %s", out)
		return
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", m.base).Run() })
	m.writeTac(m.settings())
	log := filepath.Join(m.base, "worker.log")
	w := startBinary(t, buildBinary(t), "run", "-log-file", log, m.base)
	a := m.session()
	o, err := a.do(t, "shell", sh("cat /dev/zero > full"))
	require.NoError(t, err)
	assert.NotEqual(t, int64(0), o.facts["rc"])
	assert.Contains(t, o.text("stderr"), "No space left on device")
	_, err = flavors.Call[any](t.Context(), a.mind, "print", strings.Repeat("long", 2000))
	require.NoError(t, err)
	w.said("longlong", 1) // on standard error, since the log file cannot grow

	content := &file{}
	content.content.Write(make([]byte, 100_000))
	_, err = a.do(t, "downloadFile", map[string]any{
		"workdir": "", "workerdest": "got", "reader": content, "maxsize": nil, "blocksize": 10_000, "mode": nil,
	})
	assert.ErrorContains(t, err, "no space left on device") // in stock it is an exception of the step, too
	o, err = a.do(t, "shell", sh("rm full; echo small > small && cat small"))
	require.NoError(t, err)
	assert.Equal(t, "small\n", o.text("stdout"))
}

// TestManyLines has commands write short lines as fast as they can: seq some thousand in a millisecond, yes many more.
func TestManyLines(t *testing.T) {
	m := listenOnly(t)
	w := startBinary(t, buildBinary(t), m.flags(m.url)...)
	a := m.session()
	numbers, same := sha256.New(), sha256.New()
	for i := 1; i <= 1_000_000; i++ {
		_, _ = numbers.Write(append(strconv.AppendInt(nil, int64(i), 10), '\n'))
	}
	for range 500 {
		_, _ = io.WriteString(same, strings.Repeat("y\n", 20_000))
	}
	for line, want := range map[string]hash.Hash{"seq 1000000": numbers, "yes | head -n 10000000": same} {
		o, err := a.do(t, "shell", sh(line))
		require.NoError(t, err)
		assert.Equal(t, int64(0), o.facts["rc"])
		got := sha256.Sum256(o.texts["stdout"].Bytes())
		assert.Equal(t, want.Sum(nil), got[:], line)
	}
	var f footprint
	f.system(t, w.cmd.Process.Pid)
	assert.Less(t, f.peak, 48<<10, "KiB of memory")
	t.Logf("%d KiB of memory at the peak", f.peak)
}

// TestForkBomb kills a process group that keeps making processes.
func TestForkBomb(t *testing.T) {
	m := newTestMaster(t)
	a := m.session()
	mark := filepath.Join(m.base, "bomb")
	// Two hundred shells replace their children.
	line := "i=0; while [ $i -lt 200 ]; do (while :; do sleep 0.1; done) & i=$((i+1)); done; echo $$ > " + mark + "; wait"
	o, err := a.start(t, "one", "shell", sh(line))
	require.NoError(t, err)
	var pid int
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(mark)
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	}, patience, pipeLook)
	_, err = flavors.Call[any](t.Context(), a.builders["one"], "interruptCommand", "7", "enough")
	require.NoError(t, err)
	require.NoError(t, o.await(t))
	assert.Equal(t, int64(-1), o.facts["rc"])
	assertKilled(t, pid)
}
