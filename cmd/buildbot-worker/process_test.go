//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
)

func TestTerminate(t *testing.T) {
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

// TestHangupLetsBuildsEnd sends SIGHUP: the worker asks the master, which lets the running builds end.
func TestHangupLetsBuildsEnd(t *testing.T) {
	m := listenOnly(t)
	w := startBinary(t, buildBinary(t), m.flags(m.url)...)
	a := m.session()
	w.said("attached", 1)
	release := m.base + "/release"
	o, err := a.start(t, "one", "shell", sh("while [ ! -e "+release+" ]; do sleep 0.05; done; echo whole"))
	require.NoError(t, err)
	w.signal(syscall.SIGHUP)
	require.NoError(t, a.await(t, a.asked))
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	require.NoError(t, o.await(t))
	assert.Equal(t, "whole\n", o.text("stdout"), "the command has gone on")
	_, err = flavors.Call[any](t.Context(), a.mind, "shutdown")
	assert.NoError(t, err, "the answer comes before the end")
	assert.NoError(t, w.exit())
}

// TestTerminateWhileAsking wants the worker to end while the master leaves its request for a shutdown unanswered.
func TestTerminateWhileAsking(t *testing.T) {
	m := listenOnly(t)
	w := startBinary(t, buildBinary(t), m.flags(m.url)...)
	a := m.session()
	a.mute.Store(true)
	w.said("attached", 1)
	w.signal(syscall.SIGHUP)
	require.NoError(t, a.await(t, a.asked))
	w.signal(syscall.SIGTERM)
	assert.NoError(t, w.exit())
}

// TestInheritedDescriptors wants commands without the worker's open descriptors. It also wants the info directory
// created.
func TestInheritedDescriptors(t *testing.T) {
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

// TestIgnoredSignals starts the worker with ignored signals: its commands do not ignore them, the worker does.
func TestIgnoredSignals(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc")
	}
	m := listenOnly(t)
	ignoring := "trap '' HUP INT QUIT USR2 PIPE ALRM TSTP TTIN TTOU CONT WINCH; exec \"$@\""
	w := startCommand(
		t,
		exec.Command("/bin/sh", append([]string{"-c", ignoring, "sh", buildBinary(t)}, m.flags(m.url)...)...),
	)
	a := m.session()
	o, err := a.do(t, "shell", sh("grep SigIgn /proc/self/status"))
	require.NoError(t, err)
	assert.Equal(t, "SigIgn:\t0000000000000000\n", o.text("stdout"))
	o, err = a.do(t, "shell", sh("kill -TSTP $$; kill -KILL $$", "maxTime", 1))
	require.NoError(t, err)
	assert.Contains(t, o.text("header"), "timed out", "the shell has stopped")
	for _, s := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
		w.signal(s)
	}
	o, err = a.do(t, "shell", sh("echo goes on"))
	require.NoError(t, err)
	assert.Equal(t, "goes on\n", o.text("stdout"))
}

func TestOldTLS(t *testing.T) {
	ca := authority.New(t)
	certificate := ca.Issue("localhost", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} })
	_, _, roots := ca.Files(certificate)
	m := listenOnly(
		t,
		broker.WithTLS(
			&tls.Config{
				Certificates: []tls.Certificate{certificate},
				MinVersion:   tls.VersionTLS12,
				MaxVersion:   tls.VersionTLS12,
			},
		),
	)
	program := buildBinary(t)
	start := func(more ...string) *binary {
		cmd := exec.Command(program, m.flags(strings.Replace(m.url, "127.0.0.1", "localhost", 1), more...)...)
		cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+roots)
		return startCommand(t, cmd)
	}
	strict := start("-tls-min", "1.3")
	strict.said("protocol version", 1)
	assert.NoError(t, strict.cmd.Process.Kill())
	assert.Error(t, strict.exit()) // and its lock on the directory is free
	start()
	m.session()
}

func TestMasterURL(t *testing.T) {
	for given, want := range map[string]string{
		"pb://master": "pb://master:9989", "pbs://master/": "pbs://master:9989/", "pb://[::1]": "pb://[::1]:9989",
		"pb://master:":  "pb://master:9989",
		"pb://10.0.0.1": "pb://10.0.0.1:9989", "pb://master:8787": "pb://master:8787", "pb://[::1]:1": "pb://[::1]:1",
		"pb+unix:///run/master": "pb+unix:///run/master", "http://master": "http://master", "pb://": "pb://", "%": "%",
	} {
		assert.Equal(t, want, withPort(given))
	}
	_, err := parse(
		[]string{"-master", "pb://m", "-name", "n", "-password", "p", "-basedir", t.TempDir(), "-tls-min", "1.1"},
	)
	assert.ErrorContains(t, err, "1.2 or 1.3")
}

// TestHangupWithoutMaster wants the worker to end at once.
func TestHangupWithoutMaster(t *testing.T) {
	const nobody = "pb://127.0.0.1:1"
	w := startBinary(t, buildBinary(t), "-master", nobody, "-name", "w", "-password", "x", "-basedir", t.TempDir())
	w.said("no session", 1)
	w.signal(syscall.SIGHUP)
	assert.NoError(t, w.exit())
}

// TestSilentMaster wants the worker to kill its commands, drop the connection and attach again.
func TestSilentMaster(t *testing.T) {
	m := listenOnly(t)
	h := newBlackHole(t, m.url)
	m.attach(h.url, "-keepalive", "100ms", "-patience", "1s")
	// With such a short timeout a busy machine may lose more connections.
	var pid int
	m.inSession(func(a *testAvatar) (err error) {
		_, pid, err = m.tryProcess(a, "one")
		return err
	})
	h.swallow()
	assertKilled(t, pid)
	m.works()
}

// counter counts output and discards it.
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

// TestOutputMemory runs a process that writes faster than the master reads. Stock workers keep the difference
// in memory.
func TestOutputMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the high water of a process's memory is read from /proc")
	}
	const most = 64 << 10 // KiB
	m := listenOnly(t)
	w := startBinary(t, buildBinary(t), m.flags(m.url)...)
	a := m.session()
	c := &counter{done: make(chan error, 1)}
	// No byte is valid UTF-8, so the output triples in size.
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
