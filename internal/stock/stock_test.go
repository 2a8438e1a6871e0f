package stock

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hello = `
import sys, time
print("port 4711")
print("hello", *sys.argv[1:])
print("warning", file=sys.stderr)
print("tick"); print("tick")
if "stay" in sys.argv:
    time.sleep(600)
sys.exit(3)
`

func TestProcess(t *testing.T) {
	Require(t)
	p := StartSource(t, "hello.py", []byte(hello), "a", "b")
	assert.Equal(t, "hello a b", p.WaitLine("hello"))
	assert.Equal(t, 4711, p.Port())
	assert.Equal(t, "127.0.0.1:4711", p.Addr())
	assert.Len(t, p.WaitLines("tick", 2), 2)
	assert.Equal(t, "warning", p.WaitLine("warn"))
	assert.Equal(t, 3, p.Exit())
	assert.Contains(t, p.Lines(), "hello a b")
}

func TestKillAndStop(t *testing.T) {
	Require(t)
	for name, end := range map[string]func(*Process) int{
		"kill": func(p *Process) int { p.Kill(); return p.Exit() },
		"stop": (*Process).Stop,
	} {
		t.Run(name, func(t *testing.T) {
			p := StartSource(t, "hello.py", []byte(hello), "stay")
			p.WaitLine("hello stay")
			assert.Equal(t, -1, end(p), "no exit code after a signal")
			<-p.Ended()
			assert.ErrorIs(t, syscall.Kill(p.Pid(), 0), syscall.ESRCH)
		})
	}
}

func TestProgramExitsWithTest(t *testing.T) {
	Require(t)
	p := StartSource(t, "hello.py", []byte(hello), "stay")
	p.WaitLine("hello stay")
	require.NoError(t, p.stdin.Close(), "as if the test binary had been killed")
	assert.Equal(t, 143, p.Exit())
}

// TestListings also tests the port map: both unmodified programs use port 8789.
func TestListings(t *testing.T) {
	Require(t, Docs)
	server := StartListing(t, filepath.Join(Examples, "pbsimple.py"), "")
	client := StartListing(t, filepath.Join(Examples, "pbsimpleclient.py"), server.Addr())
	client.WaitLine("server echoed: hello network")
	assert.Equal(t, 0, client.Exit())
	server.WaitLine("echoing: hello network")
	conn, err := net.DialTimeout("tcp", server.Addr(), Timeout)
	require.NoError(t, err)
	conn.Close()
}

// fakeTB records how the code under test ends the test.
type fakeTB struct {
	testing.TB
	fatal, skipped string
}

func (v *fakeTB) Helper()                   {}
func (v *fakeTB) Fatalf(f string, a ...any) { v.fatal = fmt.Sprintf(f, a...); panic(v) }
func (v *fakeTB) Skipf(f string, a ...any)  { v.skipped = fmt.Sprintf(f, a...); panic(v) }
func (v *fakeTB) run(f func(testing.TB)) *fakeTB {
	defer func() {
		if r := recover(); r != nil && r != any(v) {
			panic(r)
		}
	}()
	f(v)
	return v
}

func TestMissingStock(t *testing.T) {
	reason := "no twisted; run: apt-get install python3-twisted"
	skipped := &fakeTB{TB: t}
	skipped.run(func(t testing.TB) { skipOrFail(t, false, reason) })
	assert.Contains(t, skipped.skipped, reason)
	assert.Empty(t, skipped.fatal)
	failed := &fakeTB{TB: t}
	failed.run(func(t testing.TB) { skipOrFail(t, true, reason) })
	assert.Contains(t, failed.fatal, reason)
}

func TestMandatory(t *testing.T) {
	for _, test := range []struct {
		ci, own string
		want    bool
	}{
		{"", "", false}, {"true", "", true}, {"1", "", true}, {"false", "", false},
		{"", "1", true}, {"", "0", false}, {"false", "yes", true},
	} {
		t.Setenv("CI", test.ci)
		t.Setenv("PB_REQUIRE_STOCK", test.own)
		assert.Equal(t, test.want, Mandatory(), "CI=%q PB_REQUIRE_STOCK=%q", test.ci, test.own)
	}
}

func TestWaitLineFailsAtExit(t *testing.T) {
	Require(t)
	v := &fakeTB{TB: t}
	p := StartSource(t, "hello.py", []byte(hello))
	p.Exit()
	p.t = v
	v.run(func(testing.TB) { p.WaitLine("goodbye") })
	assert.Contains(t, v.fatal, `hello.py ended (exit code 3) and printed 0 of 1 lines with "goodbye"`)
	p.t = t
}

func TestBuild(t *testing.T) {
	coverage := t.TempDir()
	t.Setenv(coverDir, coverage)
	program := Build(t, "quickstart")
	out, err := exec.CommandContext(t.Context(), program).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "addition complete, result is 3")
	files, err := os.ReadDir(coverage)
	require.NoError(t, err)
	assert.NotEmpty(t, files, "the program writes coverage data")

	v := &fakeTB{TB: t}
	v.run(func(t testing.TB) { Build(t, "nonsense") })
	assert.Contains(t, v.fatal, "cannot build github.com/perspectivebroker/pb/examples/nonsense")
}

func TestLastLine(t *testing.T) {
	assert.Equal(t, "ImportError: no", lastLine("Traceback\n  line 1\nImportError: no\n"))
	assert.Equal(t, "one", lastLine("one"))
}

func TestVersion(t *testing.T) {
	Require(t)
	version, err := Version()
	require.NoError(t, err)
	assert.Regexp(t, `^\d+\.\d+`, version)
}

func TestOutputKeepsNewestLines(t *testing.T) {
	o := newOutput()
	w := o.writer("out")
	var text strings.Builder
	for i := range maxLines + 10 {
		fmt.Fprintf(&text, "line %d\r\n", i)
	}
	n, err := w.Write([]byte(text.String()))
	require.NoError(t, err)
	require.Equal(t, text.Len(), n)
	lines, changed, closed := o.snapshot()
	assert.False(t, closed)
	assert.Equal(t, fmt.Sprintf("line %d", maxLines+9), lines[len(lines)-1].Text)
	assert.Less(t, len(lines), maxLines)
	o.close()
	select {
	case <-changed:
	case <-time.After(Timeout):
		t.Fatal("close does not wake waiters")
	}
	assert.Contains(t, o.dump(), "out| line")
}

func TestScriptMode(t *testing.T) {
	info, err := os.Stat(WriteScript(t, "x.py", []byte("pass")))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestStatus(t *testing.T) {
	status, err := Status(os.Getpid())
	if os.IsNotExist(err) {
		t.Skip("no /proc")
	}
	require.NoError(t, err)
	require.Greater(t, status["VmRSS"], 1000, "KiB")
	require.GreaterOrEqual(t, status["VmHWM"], status["VmRSS"])
	require.Equal(t, os.Getpid(), status["Pid"])
}
