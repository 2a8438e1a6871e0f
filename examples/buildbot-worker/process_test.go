//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// SIGTERM ends at once, and takes the commands with it.
func TestTermEndsAtOnce(t *testing.T) {
	m := listenOnly(t)
	w := startBinary(t, buildBinary(t), m.flags(m.url)...)
	a := m.session()
	_, one := m.aProcess(a, "one")
	_, two := m.aProcess(a, "two")
	w.signal(syscall.SIGTERM)
	assert.NoError(t, w.exit(), "it ends with 0")
	assertKilled(t, one)
	assertKilled(t, two)
}

// SIGHUP asks the master, which lets the running builds end first.
func TestHangupLetsBuildsEnd(t *testing.T) {
	m := listenOnly(t)
	w := startBinary(t, buildBinary(t), m.flags(m.url)...)
	a := m.session()
	release := m.base + "/release"
	o, err := a.start(t, "one", "shell", sh("while [ ! -e "+release+" ]; do sleep 0.05; done; echo whole"))
	require.NoError(t, err)
	w.signal(syscall.SIGHUP)
	select {
	case <-a.asked:
	case <-after(t):
		t.Fatal("the master is not asked")
	}
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	require.NoError(t, o.await(t))
	assert.Equal(t, "whole\n", o.text("stdout"), "the command has gone on")
	_, err = flavors.Call[any](t.Context(), a.mind, "shutdown")
	assert.NoError(t, err, "the answer comes before the end")
	assert.NoError(t, w.exit())
}

// What the worker was started with open is not the commands' business. The directory for what describes it is made with it.
func TestCommandsInheritNothing(t *testing.T) {
	m := listenOnly(t)
	lock, err := os.Create(m.base + "/lock")
	require.NoError(t, err)
	defer lock.Close()
	cmd := exec.Command(buildBinary(t), m.flags(m.url)...)
	cmd.ExtraFiles = []*os.File{lock}
	startCommand(t, cmd)
	a := m.session()
	assert.DirExists(t, m.base+"/"+infoDir)
	o, err := a.do(t, "shell", sh("if (echo x >&3) 2>/dev/null; then echo inherited; else echo nothing; fi"))
	require.NoError(t, err)
	assert.Equal(t, "nothing\n", o.text("stdout"))
}

// Where there is no master nobody has to be asked.
func TestHangupWithoutAMaster(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "pb://" + ln.Addr().String()
	ln.Close()
	w := startBinary(t, buildBinary(t), "-master", url, "-name", "w", "-password", "x", "-basedir", t.TempDir())
	w.said("no session", 1)
	w.signal(syscall.SIGHUP)
	assert.NoError(t, w.exit())
}

// A master that is silent is given up: what it had begun is killed, and the worker attaches anew.
func TestASilentMasterIsGivenUp(t *testing.T) {
	m := listenOnly(t)
	h := newHole(t, m.url)
	m.attach(h.url, "-keepalive", "100ms", "-patience", "1s")
	a := m.session()
	_, pid := m.aProcess(a, "one")
	h.swallow()
	assertKilled(t, pid)
	// Such a short patience may have cost a connection more on a machine that is busy.
	again := m.session()
	_, err := again.start(t, "one", "shell", sh("echo again"))
	assert.NoError(t, err)
}

// counter takes output without keeping it.
type counter struct {
	flavors.Referenceable
	bytes atomic.Int64
	done  chan error
}

func (c *counter) RemoteUpdate(updates [][]any) {
	for _, u := range updates {
		for _, value := range u[0].(*jelly.Dict).All() {
			if text, ok := value.(string); ok {
				c.bytes.Add(int64(len(text)))
			}
		}
	}
}

func (c *counter) RemoteComplete(failed any) {
	if failed == nil {
		c.done <- nil
		return
	}
	c.done <- flavors.FailureFrom(failed)
}

// A process writes faster than a master takes, above all under the race detector. Stock workers hold the difference in memory.
func TestOutputOfAnySizeInLittleMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the high water of a process's memory is read from /proc")
	}
	const most = 64 << 10 // KiB
	m := listenOnly(t)
	w := startBinary(t, buildBinary(t), m.flags(m.url)...)
	a := m.session()
	c := &counter{done: make(chan error, 1)}
	// No byte of it is valid UTF-8, so it is three times as much when it gets here.
	line := `yes "$(printf '\377\376\375\374\373\372\371\370')" | head -n 4000000`
	_, err := flavors.Call[any](t.Context(), a.builders["one"], "startCommand", c, "1", "shell", sh(line))
	require.NoError(t, err)
	select {
	case err := <-c.done:
		require.NoError(t, err)
	case <-after(t):
		t.Fatalf("the command does not end; %d bytes have come", c.bytes.Load())
	}
	assert.GreaterOrEqual(t, c.bytes.Load(), int64(4_000_000*25))
	var f footprint
	f.system(t, w.cmd.Process.Pid)
	assert.Less(t, f.peak, most, "KiB of memory at its peak")
	t.Logf("%d bytes of text, %d KiB of memory at its peak", c.bytes.Load(), f.peak)
}
