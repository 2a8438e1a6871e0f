package stock

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// coverDir is the environment variable with the directory for the coverage data of the programs that Build builds; see
// .ci/cover.sh. It is not GOCOVERDIR, because the tools that go build runs would use that too.
const coverDir = "PB_GOCOVERDIR"

// Build builds one of the example programs in a temporary directory of the test and returns its path. If PB_GOCOVERDIR
// names a directory, the program writes its coverage data there when it exits normally.
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
