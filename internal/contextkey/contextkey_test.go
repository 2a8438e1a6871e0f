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
