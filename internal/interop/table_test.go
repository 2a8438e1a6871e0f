package interop

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// table is the result of one direction of the suite: a row for each group and transport.
type table struct {
	title string
	rows  []*row
}

type row struct {
	group, transport string
	checks, passed   int
}

// note counts a check.
func (results *table) note(group, transport string, passed bool) {
	var r *row
	for _, known := range results.rows {
		if known.group == group && known.transport == transport {
			r = known
		}
	}
	if r == nil {
		r = &row{group: group, transport: transport}
		results.rows = append(results.rows, r)
	}
	r.checks++
	if passed {
		r.passed++
	}
}

// publish logs the table. It also appends it to the file PB_INTEROP_TABLE.
func (results *table) publish(t *testing.T) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-48s %6s %6s\n", results.title, "checks", "passed")
	sum := row{group: "sum"}
	for _, r := range results.rows {
		fmt.Fprintf(&b, "%-48s %6d %6d\n", r.group+", "+r.transport, r.checks, r.passed)
		sum.checks += r.checks
		sum.passed += r.passed
	}
	fmt.Fprintf(&b, "%-48s %6d %6d\n", sum.group, sum.checks, sum.passed)
	t.Log(b.String())
	if path := os.Getenv("PB_INTEROP_TABLE"); path != "" {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = file.WriteString(b.String())
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
}
