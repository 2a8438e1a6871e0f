package flavors_test

import (
	"context"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newRuntime is closed when the test ends, and must then have nothing left running.
func newRuntime(t *testing.T) *actor.Runtime {
	t.Helper()
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel)))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wire.Patience)
		defer cancel()
		require.NoError(t, rt.Close(ctx))
	})
	return rt
}
