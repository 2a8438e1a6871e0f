package interop

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNoAnswerCalls(t *testing.T) {
	conn, server := dialStock(t)
	require.NoError(t, conn.Root().CallRemoteNoAnswer("note", "unanswered"))
	server.WaitLine("note unanswered")
	require.NoError(t, conn.Root().CallRemoteNoAnswer("fail", "error", "unheard"))
	require.NoError(t, conn.Root().CallRemoteNoAnswer("noSuchThing"))
	assert.Equal(t, 3, call[int](t, conn, "add", 1, 2), "nothing came back for them, or the connection would be gone")
}
