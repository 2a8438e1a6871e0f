package interop

import (
	"testing"

	"github.com/perspectivebroker/pb/internal/stock"
)

// TestRelaying has stock clients pass objects to one another through examples/conformance.
func TestRelaying(t *testing.T) {
	stock.Require(t)
	with := makeOutfit(t)
	for _, transport := range []string{"tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			e := startOurs(t, with, transport, "-relaying")
			results := &table{title: "stock's clients, our relay"}
			results.check(t, e, "relaying", "references", "home", "copies", "caches", "values", "calls", "failures")
		})
	}
}
