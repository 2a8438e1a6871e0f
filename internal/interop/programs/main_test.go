package programs

import (
	"embed"
	"path"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed python/*.py
var scripts embed.FS

// script writes an embedded script to a file and returns its path.
func script(t *testing.T, name string) string {
	t.Helper()
	source, err := scripts.ReadFile(path.Join("python", name))
	require.NoError(t, err)
	return stock.WriteScript(t, name, source)
}

var newRuntime = pbtest.NewRuntime
