package interop

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/internal/stock"
)

//go:embed python/*.py
var scripts embed.FS

// Server starts the conformance server on stock Twisted, and returns its address.
func Server(t testing.TB, args ...string) *stock.Process {
	t.Helper()
	stock.Require(t)
	return stock.Start(t, filepath.Join(unpack(t), "stock_server.py"), args...)
}

// Client starts the stock checks against the server at url.
func Client(t testing.TB, url string, args ...string) *stock.Process {
	t.Helper()
	stock.Require(t)
	return stock.Start(t, filepath.Join(unpack(t), "stock_client.py"), append([]string{url}, args...)...)
}

// Check runs groups of checks, by default all that need no login, against the server at url, and reports each as a
// subtest. TestConformance also checks what only the whole contract promises.
func Check(t *testing.T, url string, groups ...string) {
	t.Helper()
	args := []string{"--plain"}
	for _, group := range groups {
		args = append(args, "--group", group)
	}
	client := Client(t, url, args...)
	code := client.ExitWithin(5 * stock.Timeout)
	ran := 0
	for _, line := range client.Lines() {
		verdict, rest, _ := strings.Cut(line, " ")
		if verdict != "ok" && verdict != "FAIL" {
			continue
		}
		ran++
		name, reason, _ := strings.Cut(rest, " ")
		t.Run(name, func(t *testing.T) {
			if verdict == "FAIL" {
				t.Error(reason)
			}
		})
	}
	if code != 0 || ran == 0 {
		t.Errorf("stock_client.py ended with exit code %d after %d checks", code, ran)
	}
}

// unpack writes the scripts to one directory, because they import each other.
func unpack(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	python, err := fs.Sub(scripts, "python")
	if err != nil {
		t.Fatalf("interop: the scripts are not embedded: %v", err)
	}
	if err := os.CopyFS(dir, python); err != nil {
		t.Fatalf("interop: cannot unpack the scripts: %v", err)
	}
	return dir
}
