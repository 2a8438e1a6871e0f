package report

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCurrentHost(t *testing.T) {
	t.Chdir(t.TempDir())
	h := CurrentHost()
	_, err := time.Parse(time.RFC3339, h.Date)
	require.NoError(t, err)
	assert.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, h.OS)
	assert.Equal(t, runtime.NumCPU(), h.Cores)
	assert.Equal(t, runtime.Version(), h.Go)
	assert.NotContains(t, h.CPU+h.Kernel+h.Load, "\n")
	if runtime.GOOS == "linux" {
		assert.NotEmpty(t, h.Kernel)
		assert.Regexp(t, `^\d+\.\d+ `, h.Load)
	}
	want, err := stock.Version()
	if err != nil {
		want = ""
	}
	assert.Equal(t, want, h.Versions["twisted"])
}

func TestCommit(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir)) // The temporary directory may be inside a git tree.
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org"}, args...)
		out, err := exec.Command("git", args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	write := func(text string) { require.NoError(t, os.WriteFile("file", []byte(text), 0o666)) }

	h := CurrentHost()
	assert.Empty(t, h.Commit)
	assert.False(t, h.Modified)

	git("init", "-q")
	write("one")
	git("add", "file")
	git("commit", "-q", "-m", "one")
	h = CurrentHost()
	assert.Regexp(t, "^[0-9a-f]{12}$", h.Commit)
	assert.False(t, h.Modified)

	require.NoError(t, os.WriteFile("results.json", nil, 0o666))
	assert.False(t, CurrentHost().Modified, "untracked files such as results do not count")
	write("two")
	again := CurrentHost()
	assert.True(t, again.Modified)
	assert.Equal(t, h.Commit, again.Commit)
}

func TestMissingInformation(t *testing.T) {
	assert.Empty(t, firstLine(filepath.Join(t.TempDir(), "missing")))
	assert.Empty(t, output(filepath.Join(t.TempDir(), "missing")))
	assert.Empty(t, output("/bin/sh", "-c", "echo half; exit 1"), "the output of a failed command is ignored")
}
