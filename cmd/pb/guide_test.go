package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/internal/freeport"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const guidePage = "../../docs/guide/command.md"

// guideSession matches a session of the page, with the comment before it.
var guideSession = regexp.MustCompile("(?ms)(?:^<!-- ([^\n]+) -->\n)?^```console\n(.*?)^```$")

// TestGuide runs the sessions of the page docs/guide/command.md and compares what they print.
//
// A line that begins with "$ " is a command, the lines behind it are its output, and a line … stands for any number
// of lines. A command whose output ends in ^C runs during the next session and is then interrupted. Its comment may
// name what happens meanwhile instead.
func TestGuide(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	g := newGuide(t)
	page, err := os.ReadFile(guidePage)
	require.NoError(t, err)
	sessions := guideSession.FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(sessions), 8)
	finish := func() {}
	for _, s := range sessions {
		meanwhile, text := s[1], s[2]
		if !strings.HasSuffix(text, "^C\n") {
			for _, c := range commandsOf(text) {
				g.compare(c, g.run(c.line))
			}
			finish()
			finish = func() {}
			continue
		}
		c := commandsOf(strings.TrimSuffix(text, "^C\n"))[0]
		end := g.begin(c)
		finish = func() { g.compare(c, end("")) }
		if meanwhile == "buildbot" {
			g.build()
			g.compare(c, end(" complete "))
			finish = func() {}
		}
	}
	finish()
}

// guideCommand is a command with its output.
type guideCommand struct {
	line string
	want []string
}

func commandsOf(text string) (commands []guideCommand) {
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			commands = append(commands, guideCommand{line: command})
		} else if n := len(commands); n > 0 {
			commands[n-1].want = append(commands[n-1].want, line)
		}
	}
	return commands
}

// guide is what the sessions of the page have around them.
type guide struct {
	t         *testing.T
	dir       string
	env       []string
	addresses map[string]string // by those of the page
}

func newGuide(t *testing.T) *guide {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	g := &guide{t: t, dir: t.TempDir(), addresses: map[string]string{}}
	bin := t.TempDir()
	program, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(program, filepath.Join(bin, "pb")))
	require.NoError(t, os.Symlink(stock.Build(t, "quickstart"), filepath.Join(bin, "quickstart")))
	require.NoError(t, os.Symlink(filepath.Join(root, "examples", "shop"), filepath.Join(g.dir, "shop")))
	g.env = append(os.Environ(), asProgram+"=1", "PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8")
	g.addresses["127.0.0.1:8800"] = strings.TrimPrefix(shop(t), "pb://")
	g.addresses["127.0.0.1:8801"] = stock.Start(t, filepath.Join(root, "docs/guide/code/pond.py"), "0").Addr()
	for _, port := range []string{"8802", "8803", "8804", "9989", "9990"} {
		g.addresses["127.0.0.1:"+port] = freeport.Address(t)
	}
	return g
}

// command returns a command in the directory of the sessions, with the addresses of the programs that run.
func (g *guide) command(line string) *exec.Cmd {
	for name, actual := range g.addresses {
		line = strings.ReplaceAll(line, name, actual)
	}
	cmd := exec.CommandContext(g.t.Context(), "bash", "-c", line)
	cmd.Dir, cmd.Env = g.dir, g.env
	return cmd
}

// run runs a command to its end.
func (g *guide) run(line string) string {
	cmd := g.command(line)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(g.t, err, &exit)
	}
	return string(out)
}

// transcript is output that grows.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// begin starts a command and waits until it listens. end waits for a text, interrupts it, and returns its output.
func (g *guide) begin(c guideCommand) (end func(await string) string) {
	out := &transcript{}
	cmd := g.command("exec " + c.line)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(g.t, cmd.Start())
	g.t.Cleanup(func() { _ = cmd.Process.Kill() })
	has := func(text string) {
		said := func() bool { return strings.Contains(out.String(), text) }
		require.Eventually(g.t, said, patience, tick, "no %s", text)
	}
	has("listening ")
	if slices.ContainsFunc(c.want, func(line string) bool { return strings.HasPrefix(line, "inspector ") }) {
		has("inspector ")
	}
	return func(await string) string {
		has(await)
		require.NoError(g.t, cmd.Process.Signal(os.Interrupt))
		require.NoError(g.t, cmd.Wait(), "what is interrupted ends with status 0")
		return out.String()
	}
}

// build has a stock master run a build on a stock worker, which connects to the tap.
func (g *guide) build() {
	master := filepath.Join(g.t.TempDir(), "master")
	worker := filepath.Join(g.t.TempDir(), "worker")
	require.NoError(g.t, os.Mkdir(master, 0o700))
	config, err := os.ReadFile("testdata/master.cfg")
	require.NoError(g.t, err)
	require.NoError(g.t, os.WriteFile(filepath.Join(master, "master.cfg"), config, 0o600))
	_, port, err := net.SplitHostPort(g.addresses["127.0.0.1:9989"])
	require.NoError(g.t, err)
	g.t.Setenv("PB_PORT", port)
	run := func(program string, args ...string) {
		out, err := exec.CommandContext(g.t.Context(), program, args...).CombinedOutput()
		require.NoError(g.t, err, "%s", out)
	}
	run(stock.BuildbotProgram, "create-master", master)
	stock.Start(g.t, stock.BuildbotProgram, "start", "--nodaemon", master)
	require.Eventually(g.t, func() bool {
		log, _ := os.ReadFile(filepath.Join(master, "twistd.log"))
		return bytes.Contains(log, []byte("BuildMaster is running"))
	}, patience, tick, "the master does not start")
	run(stock.WorkerProgram, "create-worker", worker, g.addresses["127.0.0.1:9990"], "w1", "sesame")
	stock.Start(g.t, stock.WorkerProgram, "start", "--nodaemon", worker)
}

// What varies from run to run.
var varying = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{6}`), "TIME"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ns|µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`\b\d+ calls/s`), "RATE"},
	{regexp.MustCompile(`in \d+\.\d+ s:`), "in TIME:"},
	{regexp.MustCompile(`\[(message|answer|error) \d+( \d+)?`), "[$1 N"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`\b\d+(\.\d+)? [kM]?B\b`), "SIZE"},
	{regexp.MustCompile(`\b\d+ goroutines`), "GOROUTINES"},
	{regexp.MustCompile(`<?\b\d+\.\d\b`), "RATE"},
	{regexp.MustCompile(`connections \d of \d`), "connections N"},
	{regexp.MustCompile(`argon2id\$[^ ]+`), "HASH"},
	{regexp.MustCompile(` +`), " "},
}

func masked(lines []string) []string {
	var result []string
	for _, line := range lines {
		for _, v := range varying {
			line = v.pattern.ReplaceAllString(line, v.mask)
		}
		result = append(result, strings.TrimRight(line, " "))
	}
	return result
}

// compare compares the output of a command with what the page shows.
func (g *guide) compare(c guideCommand, got string) {
	g.t.Helper()
	for name, actual := range g.addresses {
		got = strings.ReplaceAll(got, actual, name)
	}
	want, lines := masked(c.want), masked(strings.Split(strings.TrimSuffix(got, "\n"), "\n"))
	if got == "" {
		lines = nil
	}
	for len(want) > 0 {
		part := want
		i := slices.Index(want, "…")
		if i >= 0 {
			part = want[:i]
		}
		if len(lines) < len(part) || !assert.Equal(g.t, part, lines[:len(part)], "$ %s\n%s", c.line, got) {
			assert.GreaterOrEqual(g.t, len(lines), len(part), "$ %s\n%s", c.line, got)
			return
		}
		lines = lines[len(part):]
		if i < 0 {
			break
		}
		want = want[i+1:]
		if len(want) == 0 {
			return
		}
		at := slices.Index(lines, want[0])
		if !assert.GreaterOrEqual(g.t, at, 0, "$ %s: no line %q in\n%s", c.line, want[0], got) {
			return
		}
		lines = lines[at:]
	}
	assert.Empty(g.t, lines, "$ %s", c.line)
}
