package contextkey_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/contextkey"
)

type hidden struct{}

func TestOf(t *testing.T) {
	require.Equal(t, hidden{}, contextkey.Of(func(ctx context.Context) { require.Nil(t, ctx.Value(hidden{})) }))
	require.Nil(t, contextkey.Of(func(context.Context) {}), "nothing was asked")
}

// The keys that this module looks for are found, with this version of Go too.
func TestOfPackageContext(t *testing.T) {
	key := contextkey.Of(func(ctx context.Context) { _ = context.Cause(ctx) })
	require.NotNil(t, key)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NotNil(t, ctx.Value(key), "what package context keeps")
}
