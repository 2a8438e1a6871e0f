package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

// try runs "buildbot try" and returns it.
func try(t *testing.T, address string, args ...string) *stock.Process {
	return stock.Start(t, stock.BuildbotProgram, append([]string{"try", "--connect=pb", "--master=" + address,
		"--username=anna", "--passwd=trypw", "--vc=none"}, args...)...)
}

// writePatch writes a file for --diff.
func writePatch(t *testing.T, patch []byte) string {
	path := filepath.Join(t.TempDir(), "a.patch")
	require.NoError(t, os.WriteFile(path, patch, 0o600))
	return path
}

func TestStockTry(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	patch := []byte("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-gr\xfc\xdfe\x00\n+\xff\n" + strings.Repeat("+line\n", 50_000))
	saved := filepath.Join(t.TempDir(), "saved")
	address, printed, _ := begin(t, "-worker", "w1=sesame", "-worker", "w2=other", "-try", "anna=trypw",
		"-command", "cp .try.patch "+saved+"; wc -c <.try.patch; grep -q fail .try.patch && exit 7; true")
	names := try(t, address, "--get-builder-names")
	assert.Equal(t, 0, names.Exit())
	names.WaitLine("w2")

	attach(t, address, "w1", "sesame")
	attach(t, address, "w2", "other")
	both := try(t, address, "--wait", "--diff="+writePatch(t, patch), "--who=Anna <anna@example.org>", "--comment=a\nb")
	assert.Equal(t, 0, both.Exit())
	assert.Subset(t, both.Lines(), []string{
		"job has been delivered", "All Builds Complete",
		"w1: success (build successful)", "w2: success (build successful)",
	})
	printed.await(t, "try: Anna <anna@example.org>: a b: w1 w2\n")
	for _, worker := range []string{"w1", "w2"} {
		printed.awaitOf(t, worker, fmt.Sprintf("%[1]s: %d\n%[1]s: exit 0\n", worker, len(patch)))
	}
	got, err := os.ReadFile(saved)
	require.NoError(t, err)
	assert.Equal(t, patch, got, "the patch's bytes")

	one := try(t, address, "--wait", "--diff="+writePatch(t, []byte("fail")), "-b", "w2", "--property=a=b")
	assert.Equal(t, 1, one.Exit())
	one.WaitLine("w2: failure (failed 'cp .try.patch ...' (failure))")
	assert.NotContains(t, strings.Join(one.Lines(), "\n"), "w1")
	printed.await(t, "w2: 4\nw2: exit 7\n")

	empty := try(t, address, "--wait", "-b", "w1")
	assert.Equal(t, 0, empty.Exit(), "without a patch")
	printed.await(t, "w1: 0\nw1: exit 0\n")

	unknown := try(t, address, "--wait", "-b", "w3", "--diff="+writePatch(t, patch))
	unknown.WaitLine("try scheduler on the master does not have the builder configured")
	assert.Equal(t, 0, unknown.Exit(), "as with a stock master")
}

// TestStockTryWaits tries before a worker has attached, and loses a worker during its build.
func TestStockTryWaits(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	release := filepath.Join(t.TempDir(), "release")
	address, printed, ended := begin(t, "-worker", "w1=sesame", "-worker", "w2=other", "-try", "anna=trypw", "-once",
		"-command", "cat .try.patch; echo; while [ ! -e "+release+" ]; do sleep 0.1; done; echo whole")
	p := try(t, address, "--wait", "--diff="+writePatch(t, []byte("diff")))
	p.WaitLine("job has been delivered")
	p.WaitLine("w1: no build")
	one, _ := attach(t, address, "w1", "sesame")
	attach(t, address, "w2", "other")
	p.WaitLine("w1: shell")
	printed.await(t, "w1: diff\n")
	printed.await(t, "w2: diff\n")
	one.Kill()
	printed.await(t, "w1: lost before the command has ended\n")
	p.WaitLine("w1: retry (retry lost connection 'cat .try.patch; ...' (retry))")
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	p.WaitLine("w2: success (build successful)")
	assert.Equal(t, 1, p.Exit())
	select {
	case <-ended:
		t.Fatal("the request of w1 has not ended yet")
	default:
	}
	attach(t, address, "w1", "sesame")
	printed.await(t, "w1: whole\nw1: exit 0\n")
	select {
	case err := <-ended:
		assert.NoError(t, err, "with -once the master ends after the user's tries")
	case <-time.After(stock.Timeout):
		t.Fatalf("the master does not end; it has printed:\n%s", printed)
	}
}

//go:embed testdata/try_watch.py
var tryWatch []byte

// TestWatchedSteps has a stock watcher print what it is told, which is compared with what a stock master told it.
func TestWatchedSteps(t *testing.T) {
	stock.Require(t, stock.Buildbot)
	address, _, _ := begin(t, "-worker", "w1=sesame", "-try", "anna=trypw", "-command",
		"if grep -q fail .try.patch; then exit 3; fi")
	attach(t, address, "w1", "sesame")
	for patch, want := range map[string]string{
		"diff": "newbuild w1\nstepStarted w1 worker_preparation None\nstepFinished w1 worker_preparation None 0\n" +
			"stepStarted w1 string_download None\nstepFinished w1 string_download None 0\n" +
			"stepStarted w1 shell None\nstepFinished w1 shell None 0\nfinished True 0 ['build successful']",
		"fail": "newbuild w1\nstepStarted w1 worker_preparation None\nstepFinished w1 worker_preparation None 0\n" +
			"stepStarted w1 string_download None\nstepFinished w1 string_download None 0\n" +
			"stepStarted w1 shell None\nstepFinished w1 shell None 2\n" +
			"finished True 2 [\"failed 'if grep ...' (failure)\"]",
	} {
		p := stock.StartSource(t, "try_watch.py", tryWatch, address, "anna", "trypw", patch)
		assert.Equal(t, 0, p.Exit())
		assert.Equal(t, want, strings.Join(p.Lines(), "\n"))
	}
}
