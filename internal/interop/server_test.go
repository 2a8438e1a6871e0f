package interop

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestStockClientMeetsOurs runs the checks of stock Twisted against the Go service.
func TestStockClientMeetsOurs(t *testing.T) {
	_, ln := startService(t)
	Check(t, ln.URL(), append(CallGroups(), "copies", "caches", "paging", "home")...)
}
