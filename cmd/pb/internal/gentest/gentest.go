package gentest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Source makes a package of Go files, by name, in a module that uses the one in root. It returns the package's folder.
func Source(t testing.TB, root string, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	root, err := filepath.Abs(root)
	require.NoError(t, err)
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		if name == "go.mod" {
			text = []byte(strings.Replace(string(text), "module github.com/perspectivebroker/pb\n",
				"module example.org/shop\n", 1) +
				"\nrequire github.com/perspectivebroker/pb v0.1.0\n\nreplace github.com/perspectivebroker/pb => " + root + "\n")
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}
