package interop

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/flavors"
)

// TestStockPromises calls results of a stock server, which are sent when they are there (P-11.1).
func TestStockPromises(t *testing.T) {
	conn, _ := dialStock(t)
	require.Equal(t, "pb", conn.Dialect())
	counter := conn.Root().Begin("counter")
	first, second := counter.CallRemote("incr", 5), counter.CallRemote("incr", 2)
	self := counter.Begin("self")
	n, err := flavors.Call[int](t.Context(), self, "value")
	require.NoError(t, err)
	assert.Equal(t, 7, n)
	n, err = flavors.As[int](first.Await(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, 5, n)
	n, err = flavors.As[int](second.Await(t.Context()))
	require.NoError(t, err)
	assert.Equal(t, 7, n)

	echoed, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "echo", self)
	require.NoError(t, err)
	n, err = flavors.Call[int](t.Context(), echoed, "value")
	require.NoError(t, err)
	assert.Equal(t, 7, n)

	_, err = flavors.Call[int](t.Context(), conn.Root().Begin("add", 1, 2), "value")
	require.ErrorIs(t, err, flavors.NotAReference)
	_, err = flavors.Call[int](t.Context(), conn.Root().Begin("noSuchThing"), "value")
	require.ErrorIs(t, err, flavors.NoSuchMethod)
}
