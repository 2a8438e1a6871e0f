package stock

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// coverDir names the variable with the directory where the programs that Build makes leave what they reached, for .ci/cover.sh. It is
// none of Go's own, which the tools that go build runs would heed as well.
const coverDir = "PB_GOCOVERDIR"

// Build makes a program of one of our examples, in a directory that goes with the test, and returns its path. Where PB_GOCOVERDIR names a
// directory, the program counts the statements that it reaches and writes them there when it ends in good order.
func Build(t testing.TB, example string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), example)
	pkg := "github.com/perspectivebroker/pb/examples/" + example
	args := []string{"build", "-o", program}
	if dir := os.Getenv(coverDir); dir != "" {
		args = append(args, "-cover", "-coverpkg="+pkg)
		t.Setenv("GOCOVERDIR", dir)
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, pkg)...).CombinedOutput()
	if err != nil {
		t.Fatalf("cannot build %s: %v\n%s", pkg, err, out)
	}
	return program
}
