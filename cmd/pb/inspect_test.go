package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/broker/inspect"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// booth is an avatar with a method.
type booth struct{ flavors.Avatar }

func (*booth) PerspectiveAdd(a, b int) int { return a + b }

// inspected is a program with an inspector, a user who has called twice, and a refusal.
func inspected(t testing.TB) (rt *actor.Runtime, address string) {
	t.Helper()
	rt = pbtest.NewRuntime(t)
	users, err := cred.NewInMemory(map[string]cred.Entry{"ann\u202ea": cred.Plaintext("sesame")})
	require.NoError(t, err)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.Login(
		func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*booth, func(), error) {
			return &booth{}, nil, nil
		},
		users,
	))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), ln.URL())
	require.NoError(t, err)
	avatar, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "ann\u202ea", Password: "sesame"}, nil)
	require.NoError(t, err)
	for range 2 {
		_, err = flavors.Call[int](t.Context(), avatar, "add", 1, 2)
		require.NoError(t, err)
	}
	_, err = flavors.Call[any](t.Context(), conn.Published("vault"), "open")
	require.Error(t, err)
	server, err := inspect.Listen(rt, "127.0.0.1:0")
	require.NoError(t, err)
	return rt, strings.TrimPrefix(server.URL(), "http://")
}

func TestInspect(t *testing.T) {
	_, address := inspected(t)
	for _, target := range []string{
		address, "http://" + address, "http://" + address + "/", "http://" + address + "/json",
	} {
		r := pb(t, "inspect", target)
		require.Equal(t, 0, r.status, r.errors)
		assert.Regexp(t, `(?m)^1  from 127\.0\.0\.1:[0-9]+  ann\\u202ea  pb\+1 `, r.out)
		assert.Regexp(t, `(?m)^booth\.add +2 `, r.out)
		assert.Regexp(t, `(?m)^pb/objects/booth\$`, r.out)
		assert.Regexp(t, `(?m)^unknown object +1$`, r.out)
		assert.Regexp(t, `(?m)^  listeners$`, r.out)
		assert.NotContains(t, r.out, "\x1b")
	}
	r := pb(t, "inspect", "-json", address)
	require.Equal(t, 0, r.status, r.errors)
	var s inspect.Snapshot
	require.NoError(t, json.Unmarshal([]byte(r.out), &s))
	assert.Equal(t, 1, strings.Count(r.out, "\n"))
	assert.Equal(t, []string{`ann\u202ea`}, s.Connections[0].Users)
}

// TestInspectTerminal follows a program on a pseudo-terminal.
func TestInspectTerminal(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("script(1) is missing; it is in the package bsdutils")
	}
	rt, address := inspected(t)
	in, writer := io.Pipe()
	defer writer.Close()
	inspector := program(t.Context(), "inspect", "-interval", "100ms", address)
	cmd := exec.CommandContext(t.Context(), "script", "-qec", strings.Join(append(
		[]string{inspector.Path}, inspector.Args[1:]...), " "), "/dev/null")
	cmd.Env = append(inspector.Env, "TERM=xterm")
	out := newWatched()
	cmd.Stdin, cmd.Stdout = in, out
	require.NoError(t, cmd.Start())
	assert.Contains(t, out.line(t, "connections 1 of 1"), "calls here")
	out.line(t, "from 127.0.0.1")
	// What happens afterwards shows up.
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &booths{})
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), ln.URL())
	require.NoError(t, err)
	out.line(t, "connections 2 of 2")
	require.NoError(t, conn.Close(t.Context()))
	out.line(t, "connections 1 of 2")
	_, _ = io.WriteString(writer, "\x03")
	writer.Close() // or Wait waits for the copy of standard input
	_ = cmd.Wait()
	assert.Equal(t, 130, cmd.ProcessState.ExitCode())
}

type booths struct{ flavors.Root }

// TestInspectorEnds is about an inspector that is gone while its table is shown.
func TestInspectorEnds(t *testing.T) {
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("script(1) is missing; it is in the package bsdutils")
	}
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	server, err := inspect.Listen(rt, "127.0.0.1:0")
	require.NoError(t, err)
	inspector := program(t.Context(), "inspect", "-interval", "100ms", server.URL())
	cmd := exec.CommandContext(t.Context(), "script", "-qec", strings.Join(append(
		[]string{inspector.Path}, inspector.Args[1:]...), " "), "/dev/null")
	cmd.Env = inspector.Env
	out := newWatched()
	cmd.Stdout = out
	require.NoError(t, cmd.Start())
	out.line(t, "connections 0 of 0")
	require.NoError(t, rt.Close(t.Context()))
	_ = cmd.Wait()
	assert.Equal(t, 3, cmd.ProcessState.ExitCode())
}

func TestInspectStatuses(t *testing.T) {
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	silent := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silent }))
	defer hanging.Close()
	defer close(silent)
	peer := fakePeer(t, func(sock net.Conn) { _, _ = io.WriteString(sock, "\x01\x80 I speak something else") })
	for _, test := range []struct {
		status int
		errors string
		args   []string
	}{
		{2, "a URL or an address is required", []string{}},
		{2, "a URL or an address is required", []string{"127.0.0.1:1", "127.0.0.1:2"}},
		{2, "speaks HTTP", []string{"pb://127.0.0.1:8800"}},
		{2, "speaks HTTP", []string{"pb+unix:///tmp/x"}},
		{2, "neither a URL nor HOST:PORT", []string{"nowhere"}},
		{2, "no URL that begins with http", []string{"ftp://127.0.0.1:1"}},
		{2, "use -u", []string{"http://ann:secret@127.0.0.1:1"}},
		{2, "-interval must be", []string{"-interval", "1ms", "127.0.0.1:1"}},
		{2, "-ca needs a URL that begins with https://", []string{"-ca", "x", "127.0.0.1:1"}},
		{2, "a password needs -u", []string{"-p", "x", "127.0.0.1:1"}},
		{3, "no connection to", []string{"127.0.0.1:1"}},
		{3, "the time ran out", []string{"-timeout", "200ms", hanging.URL}},
		{3, "no connection to", []string{strings.TrimPrefix(peer, "pb://")}},
		{3, "no login", []string{answer(401, "")}},
		{3, "no login", []string{answer(403, "")}},
		{3, "404 Not Found", []string{answer(404, "")}},
		{1, `503 Service Unavailable: clo\x1b[31msing`, []string{answer(503, "clo\x1b[31msing")}},
		{3, "is no inspector", []string{answer(200, "<html>")}},
		{3, "is no inspector", []string{answer(200, "{}")}},
		{3, "is no inspector", []string{answer(200, `{"time": "2026-01-01T00:00:00Z", "connections": 7}`)}},
		{3, "more than 16 MiB", []string{answer(200, strings.Repeat(" ", maxSnapshot+1))}},
	} {
		r := pb(t, append([]string{"inspect"}, test.args...)...)
		assert.Equal(t, test.status, r.status, "%v: %s", test.args, r.errors)
		assert.Contains(t, r.errors, test.errors, "%v", test.args)
		assert.Empty(t, r.out)
	}
}

func TestInspectInterrupted(t *testing.T) {
	asked, silent := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-silent }))
	defer s.Close()
	defer close(silent)
	r := start(t, "inspect", s.URL)
	<-asked
	assert.Equal(t, 130, r.interrupt())
}

// TestInspectLogin is about an inspector behind TLS and a password.
func TestInspectLogin(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	h := inspect.Handler(rt)
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "ann" || password != "sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer web.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	require.NoError(t, os.WriteFile(ca, text, 0o600))
	url := web.URL + "/debug/pb/"
	r := pb(t, "inspect", url)
	assert.Equal(t, 3, r.status)
	assert.Contains(t, r.errors, "certificate")
	assert.Equal(t, 3, pb(t, "inspect", "-ca", ca, url).status)
	assert.Equal(t, 3, pbWith(t, "", []string{"PB_PASSWORD=guess"}, "inspect", "-ca", ca, "-u", "ann", url).status)
	r = pbWith(t, "", []string{"PB_PASSWORD=sesame"}, "inspect", "-ca", ca, "-u", "ann", url)
	assert.Equal(t, 0, r.status, r.errors)
	assert.Contains(t, r.out, "connections 0 of 0")
}

// TestInspectEscapes is about a server that sends what a terminal acts on.
func TestInspectEscapes(t *testing.T) {
	const hostile = "\x1b]0;owned\x07\x1b[31m\u009b2J\u202e\x00\r\n"
	s := inspect.Snapshot{
		Program: hostile, Time: time.Now(),
		Connections: []inspect.Connection{
			{Number: 1, Peer: hostile, Dialect: hostile, State: "open", Users: []string{hostile}},
		},
		Methods:  []inspect.Method{{Type: hostile, Method: hostile}},
		Objects:  []inspect.Object{{Actor: hostile, Running: hostile}},
		Refusals: []inspect.Count{{Reason: hostile, Count: 1}},
		Failures: []inspect.Failure{{Type: hostile, Method: hostile, Peer: hostile, Exception: hostile}},
		Tree:     inspect.Actors{Name: hostile, Detail: hostile},
	}
	body, err := json.Marshal(s)
	require.NoError(t, err)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer web.Close()
	for _, args := range [][]string{{"inspect", web.URL}, {"inspect", "-json", web.URL}} {
		r := pb(t, args...)
		require.Equal(t, 0, r.status, r.errors)
		for _, c := range r.out {
			require.True(t, c == '\n' || unicode.IsPrint(c), "%q in %q", c, r.out)
		}
	}
	var back inspect.Snapshot
	require.NoError(t, json.Unmarshal([]byte(pb(t, "inspect", "-json", web.URL).out), &back))
	assert.Equal(t, hostile, back.Program)
}

// TestTableFits never prints more than the terminal has room for.
func TestTableFits(t *testing.T) {
	s := &snapshot{Program: strings.Repeat("p", 300), MoreConns: 9900, Tree: actors{Name: "pb"}}
	for i := range 100 {
		s.Connections = append(s.Connections, connection{Number: uint64(i), Users: []string{strings.Repeat("ü", 100)}})
		s.Methods = append(s.Methods, method{Method: "m"})
		s.Objects = append(s.Objects, object{Actor: "o"})
		s.Failures = append(s.Failures, failure{})
		s.Tree.Below = append(s.Tree.Below, actors{Name: "a"})
	}
	for _, size := range []layout{
		{80, 24, true}, {20, 5, false}, {200, 60, true}, {40, 100, false}, {500, 1000, true},
	} {
		lines := s.lines(size)
		assert.LessOrEqual(t, len(lines), size.height)
		for _, line := range lines {
			line = strings.TrimSuffix(strings.TrimPrefix(line, boldOn), boldOff)
			assert.LessOrEqual(t, len([]rune(line)), size.width)
		}
	}
	assert.Contains(t, strings.Join(s.lines(layout{80, 60, false}), "\n"), "METHOD")
	assert.Contains(t, strings.Join(s.lines(layout{}), "\n"), "and 9900 more")
}

func TestUnits(t *testing.T) {
	for want, got := range map[string]string{
		"0 B": sizes(0), "999 B": sizes(999), "1.0 kB": sizes(1000), "150 kB": sizes(150_000), "2.5 GB": sizes(2.5e9),
		"0.0": rates(0), "<0.1": rates(0.01), "12.3": rates(12.34),
		"1.5µs": spans(1.5e-6), "1.2345ms": spans(1.2345e-3), "123.5ms": spans(0.12346), "2.35s": spans(2.345001),
		"42s": ages(42.9), "1m2s": ages(62), "3d4h": ages(3*86400 + 4*3600 + 5),
	} {
		assert.Equal(t, want, got)
	}
}
