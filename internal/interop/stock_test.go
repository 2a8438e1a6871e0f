package interop

import (
	"path/filepath"
	"testing"

	"github.com/perspectivebroker/pb/internal/stock"
)

// TestStockMeetsStock shows that the checks pass between two stock programs.
func TestStockMeetsStock(t *testing.T) {
	t.Run("tcp", func(t *testing.T) {
		Check(t, "pb://"+Server(t).Addr())
	})
	t.Run("unix", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		Server(t, "--unix", path).WaitLine("listening")
		Check(t, "pb+unix://"+path, "calls")
	})
	t.Run("login", func(t *testing.T) {
		server := Server(t, "--cred", "moe=secret", "--anonymous")
		Check(t, "pb://"+server.Addr(), "login")
		server.WaitLine("logout moe")
	})
}

// TestStockClientReportsFailures tests the checks: against a server without the methods they fail.
func TestStockClientReportsFailures(t *testing.T) {
	stock.Require(t, stock.Docs)
	server := stock.StartListing(t, filepath.Join(stock.Examples, "pbsimple.py"), "")
	client := Client(t, "pb://"+server.Addr(), "--only", "positional", "--only", "echo_scalars")
	client.WaitLine("FAIL positional")
	client.WaitLine("ok echo_scalars")
	client.WaitLine("1 ok, 1 failed")
	if code := client.Exit(); code != 1 {
		t.Errorf("the exit code is %d, not 1", code)
	}
}
