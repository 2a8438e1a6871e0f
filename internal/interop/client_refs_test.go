package interop

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/stock"
)

func TestNoAnswerCalls(t *testing.T) {
	conn, server := dialStock(t)
	require.NoError(t, conn.Root().CallRemoteNoAnswer("note", "unanswered"))
	server.WaitLine("note unanswered")
	require.NoError(t, conn.Root().CallRemoteNoAnswer("fail", "error", "unheard"))
	require.NoError(t, conn.Root().CallRemoteNoAnswer("noSuchThing"))
	assert.Equal(t, 3, call[int](t, conn, "add", 1, 2), "nothing came back for them, or the connection would be gone")
}

// eventually tries again until the condition holds or the patience is over; the condition itself takes a round trip.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stock.Patience)
	defer cancel()
	for !condition() {
		require.NoError(t, ctx.Err(), "it never came true")
	}
}
