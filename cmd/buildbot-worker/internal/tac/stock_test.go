package tac

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/internal/stock"
)

// job is what worker.py does for one file.
type job struct {
	Flags []string `json:"flags"` // of create-worker; without any the file is there
	Dir   string   `json:"dir"`
}

// python returns the settings of the arguments with which Python calls Worker in each file.
func python(t testing.TB, jobs ...job) []*Settings {
	t.Helper()
	in, err := json.Marshal(jobs)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), stock.Python, "testdata/worker.py")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err)
	var found []map[string]any
	require.NoError(t, json.Unmarshal(out, &found))
	require.Len(t, found, len(jobs))
	var all []*Settings
	for i, args := range found {
		all = append(all, settingsOf(args, jobs[i].Dir))
	}
	return all
}

func settingsOf(args map[string]any, dir string) *Settings {
	text := func(name string) string { s, _ := args[name].(string); return s }
	number := func(name string) float64 { n, _ := args[name].(float64); return n }
	seconds := func(name string) time.Duration { return time.Duration(number(name) * float64(time.Second)) }
	s := &Settings{
		Host: text("buildmaster_host"), Port: int(number("port")), Connection: text("connection_string"),
		Proxy: text("proxy_connection_string"), UseTLS: number("useTls") != 0 || args["useTls"] == true,
		Name: text("name"), Password: text("passwd"), Basedir: join(dir, text("basedir")),
		Keepalive: seconds("keepalive"), MaxDelay: seconds("maxdelay"), MaxRetries: int(number("maxRetries")),
		NumCPUs: int(number("numcpus")), AllowShutdown: text("allow_shutdown"),
		DeleteLeftoverDirs: number("delete_leftover_dirs") != 0 || args["delete_leftover_dirs"] == true,
	}
	if n, ok := args["umask"].(float64); ok {
		umask := int(n)
		s.Umask = &umask
	}
	return s
}

// read reads the file of a directory as the worker does.
func read(t testing.TB, dir string) *Settings {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "buildbot.tac"))
	require.NoError(t, err)
	s, err := Read(text, Surroundings{Dir: dir, Getenv: os.LookupEnv, Hostname: os.Hostname, Home: os.Getenv("HOME")})
	require.NoError(t, err)
	s.Log, s.Notes = Log{}, nil
	return s
}

// TestStockFiles reads what the stock create-worker writes, and compares it with what Python reads.
func TestStockFiles(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	var names []string
	var jobs []job
	for name, flags := range map[string][]string{
		"defaults":    nil,
		"relocatable": {"--relocatable"},
		"no rotation": {"--no-logrotate", "--log-count=None"},
		"numbers":     {"--keepalive=5", "--umask=0o22", "--maxdelay=7", "--maxretries=3", "--numcpus=9", "--log-size=5"},
		"decimal":     {"--umask=18"},
		"signal":      {"--allow-shutdown=signal", "--use-tls", "--delete-leftover-dirs"},
		"file":        {"--allow-shutdown=file", "--proxy-connection-string='tcp:proxy:3128'"},
	} {
		dir := filepath.Join(t.TempDir(), `it's "here" \ü`)
		names = append(names, name)
		jobs = append(jobs, job{
			append(append([]string{"create-worker", "--quiet"}, flags...), dir, "[::1]:9990", `n'ü"`, `p\'"ü$x`), dir,
		})
	}
	for i, want := range python(t, jobs...) {
		got := read(t, jobs[i].Dir)
		assert.Equal(t, want, got, names[i])
		assert.Equal(t, "::1", got.Host)
		assert.Equal(t, `p\'"ü$x`, got.Password)
	}
}

// TestStockReads lets Python read what Write writes.
func TestStockReads(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	var jobs []job
	var wanted []*Settings
	for i := range 50 {
		want := rapid.Custom(drawSettings).Example(i)
		dir := t.TempDir()
		want.Basedir = filepath.Join(dir, want.Basedir)
		require.NoError(t, os.MkdirAll(want.Basedir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "buildbot.tac"), Write(want), 0o600))
		jobs, wanted = append(jobs, job{Dir: dir}), append(wanted, &want)
	}
	for i, got := range python(t, jobs...) {
		assert.Equal(t, wanted[i], got)
		assert.Equal(t, wanted[i], read(t, jobs[i].Dir))
	}
}

// TestPythonAgrees runs files with what people write in Python and here.
func TestPythonAgrees(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	t.Setenv("TAC_NAME", "from the environment")
	var names []string
	var jobs []job
	for name, lines := range map[string]string{
		"literals": `name = "\x41\101\u00fc\U0001F600\t\q" r'\n' 'a\
b'`,
		"paths": "import os.path as p\nbasedir = p.join(p.dirname(p.abspath(__file__)), 'x', '..', 'y')",
		"more paths": "name = os.path.dirname('/a/b/') + os.path.dirname('/a') + os.path.dirname('a') +" +
			" os.path.basename('/x/y') + os.path.normpath('a//b/../c') + os.path.join('a', '/b', 'c/', 'd') +" +
			" os.path.join('', 'x')",
		"environment": "name = os.environ['TAC_NAME'].strip().upper() + os.getenv('NOT_SET', 'no')\nport = int(' 12 ')",
		"conditions": "if basedir == '.' and not name != 'w' or 0:\n" +
			"  name = 'yes' if 'a' in 'cat' and 2 in [1, 2] else 'no'\n" +
			"elif True:\n  name = 'x'\nelse:\n  pass",
		"numbers": "port = 0x10 + 0o17 * 2 - -3\nkeepalive = 1.5e2",
		"bytes":   `passwd = b'a\x62\'' + b"c"` + "\nname = b'n'.decode('ascii') + str(5)",
		"split":   "name = ' a  b '.split()[1] + 'x,y'.split(',')[-2]",
		"tuples":  "(name, passwd), port = ('n', 'p'), 7\nx = y = [1, (2,), ()]",
		"try": "try:\n    name = 'a'\nexcept ImportError:\n    name = 'b'\nelse:\n    name += 'c'\n" +
			"finally:\n    port += 1",
		"skipped": "@staticmethod\ndef f(a, *b, **c): return {'a': [1]}\nclass C(object):\n\n  def g(self):\n    pass\n\n" +
			"x = {1: {2: 3}}\nz = [i for i in (1, 2)]\ny = lambda q: q\nprint('hello', file=__import__('sys').stderr)",
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "buildbot.tac"), with(lines, ", umask=0o22"), 0o600))
		names, jobs = append(names, name), append(jobs, job{Dir: dir})
	}
	for i, want := range python(t, jobs...) {
		assert.Equal(t, want, read(t, jobs[i].Dir), names[i])
	}
}
