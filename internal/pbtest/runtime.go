package pbtest

import (
	"context"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// NewRuntime returns a Runtime that logs to t and is closed when the test ends. Closing it must leave nothing running.
func NewRuntime(t testing.TB, opts ...actor.Option) *actor.Runtime {
	t.Helper()
	log := zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel)
	rt, err := actor.NewRuntime(append([]actor.Option{actor.WithLogger(log)}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), wire.Timeout)
		defer cancel()
		require.NoError(t, rt.Close(ctx))
	})
	return rt
}

// Result waits for d and returns its result.
func Result(t testing.TB, d *actor.Deferred) (any, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wire.Timeout)
	defer cancel()
	v, err := d.Await(ctx)
	require.NoError(t, ctx.Err(), "the Deferred did not complete")
	return v, err
}

// Eventually calls condition until it returns true. It does not sleep: condition takes a round trip to the peer.
func Eventually(t testing.TB, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wire.Timeout)
	defer cancel()
	for !condition() {
		require.NoError(t, ctx.Err(), "the condition did not become true")
	}
}
