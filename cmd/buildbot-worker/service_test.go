//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/service"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// TestSystemd runs the worker as a service of Type=notify with a watchdog.
func TestSystemd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	defer manager.Close()
	// The socket has room for some ten messages, and the worker tells nobody twice.
	messages := make(chan string, 100_000)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := manager.Read(buf)
			if err != nil {
				return
			}
			messages <- string(buf[:n])
		}
	}()
	told := func(want string) {
		t.Helper()
		for timeout := after(t); ; {
			select {
			case message := <-messages:
				if strings.Contains(message, want) {
					return
				}
			case <-timeout:
				t.Fatalf("the worker does not say %q", want)
			}
		}
	}
	m := listenOnly(t)
	m.writeTac(m.settings())
	cmd := exec.Command(buildBinary(t), "run", m.base)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=100000")
	w := startCommand(t, cmd)
	told("READY=1\nSTATUS=connecting to pb://127.0.0.1")
	a := m.session()
	told("STATUS=attached to pb://127.0.0.1")
	told("WATCHDOG=1")
	told("WATCHDOG=1")
	o, err := a.do(t, "shell", sh("env"))
	require.NoError(t, err)
	assert.NotContains(t, o.text("stdout"), "NOTIFY_SOCKET")
	assert.NotContains(t, o.text("stdout"), "WATCHDOG")
	m.ln.Conns()[0].Abort(io.ErrUnexpectedEOF)
	told("STATUS=not attached: ")
	m.session()
	told("STATUS=attached to ")
	w.signal(syscall.SIGTERM)
	told("STOPPING=1")
	assert.NoError(t, w.exit())
}

// A worker whose actors are stuck gives no sign of life.
func TestWatchdogNoticesStuckBot(t *testing.T) {
	w := idleWorker(t)
	assert.True(t, w.isWorking(t.Context(), patience))
	release := make(chan struct{})
	t.Cleanup(func() { close(release) }) // before the runtime closes
	w.bot.Do(func() { <-release })
	assert.False(t, w.isWorking(t.Context(), 10*time.Millisecond))
}

// TestFirstProcess runs the worker as the first process of a PID namespace, as in a container.
func TestFirstProcess(t *testing.T) {
	enter := []string{"--pid", "--fork", "--mount-proc", "--kill-child"}
	if err := exec.CommandContext(t.Context(), "unshare", append(enter, "true")...).Run(); err != nil {
		t.Log("not checked: this user cannot make PID namespaces:", err)
		return
	}
	m := listenOnly(t)
	m.writeTac(m.settings())
	w := startBinary(t, "unshare", append(enter, buildBinary(t), "run", m.base)...)
	a := m.session()
	o, err := a.do(t, "shell", sh("echo $PPID; for i in 1 2 3 4 5; do (sleep 0.1 &); (exit 1) & done; exit 7"))
	require.NoError(t, err)
	assert.Equal(t, "1\n", o.text("stdout"))
	assert.Equal(t, int64(7), o.facts["rc"])
	assert.Eventually(t, func() bool {
		// Field 3 is the state. The shell itself and its cat are there, and neither is a zombie.
		o, err := a.do(t, "shell", sh("cat /proc/[0-9]*/stat | grep -c ') Z ' ; ls -d /proc/[0-9]* | wc -l"))
		require.NoError(t, err)
		return strings.HasPrefix(o.text("stdout"), "0\n")
	}, patience, 50*time.Millisecond, "a zombie is left")
	// A kill is what a container's manager sends to the first process; here it is unshare's child.
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", w.cmd.Process.Pid, w.cmd.Process.Pid))
	require.NoError(t, err)
	var first int
	_, err = fmt.Sscan(string(children), &first)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(first, syscall.SIGTERM))
	assert.NoError(t, w.exit())
}

func TestLogFile(t *testing.T) {
	m := listenOnly(t)
	m.writeTac(m.settings())
	path := filepath.Join(t.TempDir(), "worker.log")
	m.start("run", m.base, "-log-file", path)
	a := m.session()
	_, err := flavors.Call[any](t.Context(), a.mind, "print", "a message for the log")
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(text), "a message for the log")
}

// page reads a status page.
func page(t *testing.T, address, path string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestStatusPages(t *testing.T) {
	m := listenOnly(t)
	m.writeTac(m.settings())
	wrong := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(wrong, []byte("wrong"), 0o600))
	refused := startBinary(t, buildBinary(t), "run", m.base, "-password-file", wrong, "-inspect", "127.0.0.1:0")
	address := addressOf(refused.said("serving the status pages", 1))
	refused.said("login refused", 1)
	refused.said("no session", 1)
	status, text := page(t, address, "/healthz")
	assert.Equal(t, http.StatusOK, status, text)
	shows(t, address, "/readyz", "not attached: ", "UnauthorizedLogin")
	status, _ = page(t, address, "/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	_, text = page(t, address, "/")
	assert.Contains(t, text, "not attached to pb://127.0.0.1")
	refused.signal(syscall.SIGTERM)
	require.NoError(t, refused.exit())

	w := startBinary(t, buildBinary(t), "run", m.base, "-inspect", "127.0.0.1:0")
	address = addressOf(w.said("serving the status pages", 1))
	a := m.session()
	w.said("attached", 1)
	_, err := flavors.Call[any](t.Context(), a.builders["two"], "startBuild")
	require.NoError(t, err)
	_, err = a.do(t, "shell", sh("echo; exit 3"))
	require.NoError(t, err)
	running, pid := m.aProcess(a, "two")
	shows(t, address, "/metrics",
		"buildbot_worker_attached 1\n", "buildbot_worker_commands_running 1\n",
		`buildbot_worker_builds_total{builder="two"} 1`+"\n",
		`buildbot_worker_commands_total{command="shell",outcome="done"} 1`+"\n")
	shows(t, address, "/readyz", "attached")
	shows(t, address, "/", "attached     to pb://127.0.0.1", "two", "shell 7 since", "done 1")
	_, text = page(t, address, "/status")
	var now snapshot
	require.NoError(t, json.Unmarshal([]byte(text), &now))
	assert.Equal(t, map[string]int{"two": 1}, now.Builds)
	assert.Equal(t, 1, now.Attachments)
	require.Len(t, now.Running, 1)
	assert.Equal(t, "two", now.Running[0].Builder)
	for _, path := range []string{"/", "/status", "/metrics"} {
		_, text = page(t, address, path)
		assert.NotContains(t, text, "sesame")
		assert.NotContains(t, text, "sleep", "arguments")
	}
	status, _ = page(t, address, "/nothing")
	assert.Equal(t, http.StatusNotFound, status)
	_, text = page(t, address, "/connections/json")
	assert.Contains(t, text, strings.TrimPrefix(m.url, "pb://"), "the connection to the master")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	require.NoError(t, err)
	request.Host = "evil.example.org"
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	assert.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusForbidden, response.StatusCode)
	_, err = flavors.Call[any](t.Context(), a.builders["two"], "interruptCommand", "7", "enough")
	require.NoError(t, err)
	require.NoError(t, running.await(t))
	assertKilled(t, pid)
}

// shows waits until a page contains texts: a session and a command count when their messages have arrived.
func shows(t *testing.T, address, path string, want ...string) {
	t.Helper()
	assert.Eventually(t, func() bool {
		_, text := page(t, address, path)
		for _, one := range want {
			if !strings.Contains(text, one) {
				return false
			}
		}
		return true
	}, patience, 10*time.Millisecond, "%s does not show %q", path, want)
}

func addressOf(line string) string {
	_, address, _ := strings.Cut(line, "address=")
	address, _, _ = strings.Cut(address, " ")
	return address
}

func TestMetricLabels(t *testing.T) {
	assert.Equal(t, `{a="x\"\\\ny",b="�"}`, labelsOf([]string{"a", "x\"\\\ny", "b", "\xff"}))
	assert.Empty(t, labelsOf(nil))
}

// idleWorker is a worker that does not connect.
func idleWorker(t *testing.T) *worker {
	w, err := newWorker(pbtest.NewRuntime(t), config{}, service.NewNotifier())
	require.NoError(t, err)
	return w
}
