package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary behave as the program, so that tests run what is built, in a process of its own.
const asProgram = "PB_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// result is how a run of the program ended.
type result struct {
	status      int
	out, errors string
}

// inProcess reports whether the program's code should run in this process, where its coverage is counted.
func inProcess() bool { return testing.CoverMode() != "" }

// pb runs the program to its end.
func pb(t testing.TB, args ...string) result {
	t.Helper()
	return pbWith(t, "", nil, args...)
}

// pbWith runs the program with a standard input and environment variables.
func pbWith(t testing.TB, stdin string, environ []string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	if inProcess() {
		e := &env{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, getenv: func(name string) string {
			for _, pair := range environ {
				if v, ok := strings.CutPrefix(pair, name+"="); ok {
					return v
				}
			}
			return ""
		}}
		return result{run(t.Context(), e, args), out.String(), errs.String()}
	}
	cmd := program(t.Context(), args...)
	cmd.Env = append(cmd.Env, environ...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// inTime runs something with a short time, and with twice as much until it gets far enough.
func inTime(run func(limit string) result, far func(result) bool) result {
	for short := 200 * time.Millisecond; ; short *= 2 {
		if r := run(short.String()); far(r) || short > patience {
			return r
		}
	}
}

// pbInTime runs a command with a -timeout that ends it. On a busy machine connecting may take longer than a short one.
func pbInTime(t testing.TB, far func(result) bool, command string, args ...string) result {
	t.Helper()
	run := func(limit string) result { return pb(t, append([]string{command, "-timeout", limit}, args...)...) }
	return inTime(run, far)
}

// hasConnected reports that the time of a call has not run out before.
func hasConnected(r result) bool { return r.status != statusConnection }

func program(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// running is a program that has not ended.
type running struct {
	t           testing.TB
	cmd         *exec.Cmd
	out, errors *watched
}

// start runs the program in the background.
func start(t testing.TB, args ...string) *running {
	t.Helper()
	r := &running{t, program(context.Background(), args...), newWatched(), newWatched()}
	r.cmd.Stdout, r.cmd.Stderr = r.out, r.errors
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() { _ = r.cmd.Process.Kill(); _ = r.cmd.Wait() })
	return r
}

// interrupt sends SIGINT and returns the exit status.
func (r *running) interrupt() int {
	r.t.Helper()
	require.NoError(r.t, r.cmd.Process.Signal(os.Interrupt))
	return r.wait()
}

func (r *running) wait() int {
	_ = r.cmd.Wait()
	return r.cmd.ProcessState.ExitCode()
}

// watched is output that tests wait for.
type watched struct {
	lines   chan string
	partial []byte
}

func newWatched() *watched { return &watched{lines: make(chan string, 10_000)} }

func (w *watched) Write(p []byte) (int, error) {
	w.partial = append(w.partial, p...)
	for {
		i := bytes.IndexByte(w.partial, '\n')
		if i < 0 {
			return len(p), nil
		}
		w.lines <- string(w.partial[:i])
		w.partial = w.partial[i+1:]
	}
}

// line waits for a line that contains text.
func (w *watched) line(t testing.TB, text string) string {
	t.Helper()
	timeout := time.After(stock.Timeout)
	for {
		select {
		case line := <-w.lines:
			if strings.Contains(line, text) {
				return line
			}
		case <-timeout:
			require.FailNow(t, "the program did not print "+text)
		}
	}
}

// server is a stock server or one of this module, with the methods of examples/conformance.
type server struct {
	name string
	url  string
	proc *stock.Process // nil for this module's
}

// servers starts a stock server and examples/conformance.
func servers(t testing.TB) []server {
	t.Helper()
	return []server{stockServer(t), {name: "conformance", url: conformance(t, "-listen", "pb://127.0.0.1:0")}}
}

func stockServer(t testing.TB, args ...string) server {
	t.Helper()
	stock.Require(t)
	script, err := filepath.Abs("../../internal/interop/python/stock_server.py")
	require.NoError(t, err)
	p := stock.Start(t, script, args...)
	return server{"stock", "pb://" + p.Addr(), p}
}

func conformance(t testing.TB, args ...string) string { return goProgram(t, "conformance", args...) }

// goProgram starts one of the examples, and returns the URL at which it listens.
func goProgram(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(stock.Build(t, name), args...)
	out := newWatched()
	cmd.Stdout = out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return strings.Fields(out.line(t, "listening"))[1]
}

// fakePeer serves each connection with a function, for peers that misbehave.
func fakePeer(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			sock, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { sock.Close() })
			go serve(sock)
		}
	}()
	return "pb://" + l.Addr().String()
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"nothing"}, {"call"}, {"call", "pb://127.0.0.1:1"}, {"call", "-x", "pb://h:1", "m"}, {"help", "nothing"},
		{"call", "http://h:1", "m"}, {"call", "-ca", "x", "pb://h:1", "m"}, {"call", "-p", "x", "pb://h:1", "m"},
		{"call", "-u", "x", "-anonymous", "pb://h:1", "m"}, {"call", "-n", "0", "pb://h:1", "m"},
		{"call", "-u", "x", "pb://h:1", "m"}, {"completion"}, {"completion", "tcsh"}, {"call", "pb://u:p@h:1", "m"},
		{"call", "pb://h:1", "m", "@/does/not/exist"}, {"call", "pb://h:1", "m", "a=1", "a=2"},
		{"call", "pb://h:1", "m", "@-", "@-"}, {"call", "pb://h:1", "m", "@/dev/zero"},
		{"call", "-cert", "x", "pbs://h:1", "m"}, {"call", "-ca", "/does/not/exist", "pbs://h:1", "m"},
		{"call", "-u", "x", "-password-file", "/does/not/exist", "pb://h:1", "m"},
	} {
		r := pb(t, args...)
		assert.Equal(t, statusUsage, r.status, "%q: %s", args, r.errors)
		assert.Empty(t, r.out, "%q", args)
		assert.NotEmpty(t, r.errors, "%q", args)
	}
	r := pb(t, "call", "pb://h:1", "m", "[1, 2")
	assert.Equal(t, statusUsage, r.status)
	assert.Contains(t, r.errors, "at character 6")
}

func TestHelp(t *testing.T) {
	overview := pb(t, "help")
	require.Equal(t, statusDone, overview.status)
	for _, name := range commandNames() {
		assert.Contains(t, overview.out, "  "+name)
		r := pb(t, "help", name)
		assert.Equal(t, statusDone, r.status)
		assert.Contains(t, r.out, "usage: pb "+name)
	}
	for _, c := range commands() {
		r := pb(t, c.name, "-help")
		assert.Equal(t, statusDone, r.status)
		assert.Equal(t, pb(t, "help", c.name).out, r.out)
		for _, name := range c.flagNames() {
			assert.Contains(t, r.out, "  -"+name)
		}
	}
	r := pb(t, "version")
	assert.Equal(t, statusDone, r.status)
	assert.True(t, strings.HasPrefix(r.out, "pb "), r.out)
}

func TestCompletion(t *testing.T) {
	script := filepath.Join(t.TempDir(), "pb.bash")
	require.NoError(t, os.WriteFile(script, []byte(pb(t, "completion", "bash").out), 0o600))
	for words, want := range map[string]string{"pb ca": "call", "pb call -no": "-no-answer", "pb completion z": "zsh"} {
		out, err := exec.Command("bash", "-c", `. "$0"; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _pb
printf '%s\n' "${COMPREPLY[@]}"`, script, words).CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Equal(t, want+"\n", string(out))
	}
	for _, shell := range []string{"zsh", "fish"} {
		assert.Contains(t, pb(t, "completion", shell).out, "no-answer")
	}
}

// How often and how long a test asks for a state that no program reports.
const (
	tick     = 50 * time.Millisecond
	patience = stock.Timeout
)
