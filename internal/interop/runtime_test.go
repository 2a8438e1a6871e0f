package interop

import (
	"context"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/stock"
)

// newRuntime must have nothing left running when the test ends; TestMain would see it.
func newRuntime(t *testing.T) *actor.Runtime {
	t.Helper()
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel)))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stock.Patience)
		defer cancel()
		require.NoError(t, rt.Close(ctx))
	})
	return rt
}
