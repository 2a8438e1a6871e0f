package cluster_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// board is a Cacheable of a hall.
type board struct {
	flavors.Cacheable
	items []string
}

func (*board) TypeToCopy() string { return "test.Board" }

func (b *board) StateToCacheAndObserveFor(any, *flavors.Observer) any { return slices.Clone(b.items) }

func (b *board) add(text string) {
	flavors.Update(b, func(observers flavors.Observers) {
		b.items = append(b.items, text)
		_ = observers.CallRemote("add", text)
	})
}

// boardCopy is a client's copy.
type boardCopy struct {
	flavors.RemoteCache
	items []string
}

func (b *boardCopy) SetCopyableState(state any) (err error) {
	b.items, err = flavors.As[[]string](state, nil)
	return err
}

func (b *boardCopy) ObserveAdd(text string) { b.items = append(b.items, text) }

func (c *testCluster) loginWithBoards(url, name string) (*broker.Conn, *flavors.RemoteReference) {
	registry := jelly.NewRegistry()
	require.NoError(c.t, flavors.RegisterCache[boardCopy](registry, "test.Board"))
	return c.loginWith(registry, url, name)
}

func itemsOf(t *testing.T, b *flavors.Cached[boardCopy]) (items []string) {
	t.Helper()
	require.NoError(t, b.View(func(b *boardCopy) { items = slices.Clone(b.items) }))
	return items
}

// TestCachesAcrossGateways: copies at clients of all gateways follow an original that lives anywhere. Nothing is
// missed and nothing comes twice, however the clients come and go while it changes.
func TestCachesAcrossGateways(t *testing.T) {
	c := newCluster(t, "a", "b", "c")
	for name, n := range c.nodes {
		require.NoError(t, n.Kind("hall", func(string) *hall { return &hall{node: name, board: &board{}} }))
	}
	urls := []string{c.gateway("a"), c.gateway("b")}
	for _, home := range []string{"a", "b", "c"} {
		id := c.idOn("hall", home)
		var copies []*flavors.Cached[boardCopy]
		var want []string
		var first *flavors.RemoteReference
		for i := range 12 {
			conn, avatar := c.loginWithBoards(urls[i%2], []string{"ann", "bob"}[i%2])
			h := ask[*flavors.RemoteReference](t, avatar, "hall", id)
			if first == nil {
				first = h
			}
			for j := range 5 {
				text := fmt.Sprint(i, ".", j)
				require.NoError(t, first.CallRemoteNoAnswer("say", text))
				want = append(want, text)
			}
			copied := ask[*flavors.Cached[boardCopy]](t, h, "board")
			if i%4 == 3 { // This one leaves at once.
				require.NoError(t, conn.Close(testContext(t)))
				continue
			}
			assert.Same(t, copied, ask[*flavors.Cached[boardCopy]](t, h, "board"), "it is the same copy")
			copies = append(copies, copied)
		}
		for _, b := range copies {
			pbtest.Eventually(t, func() bool { return len(itemsOf(t, b)) >= len(want) })
			assert.Equal(t, want, itemsOf(t, b), "an object on %s", home)
		}
	}
}
