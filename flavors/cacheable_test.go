package flavors_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type basin struct {
	flavors.Cacheable
	Depth int `pb:"depth"`
	n     int
}

type basinCopy struct {
	flavors.RemoteCache
	Depth int `pb:"depth"`
}

// TestUpdatesOfUnsentOriginal is for the race detector: there is no actor yet.
func TestUpdatesOfUnsentOriginal(t *testing.T) {
	var b basin
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 100 {
				_, err := flavors.Update(&b, func(observers flavors.Observers) {
					b.n++
					assert.Zero(t, observers.Len())
				}).Await(t.Context())
				assert.NoError(t, err)
			}
		})
	}
	group.Wait()
	require.Equal(t, 2000, b.n)
}

func TestNestedUpdate(t *testing.T) {
	var b basin
	var order []string
	outer := flavors.Update(&b, func(flavors.Observers) {
		inner := b.Do(func() { order = append(order, "inner") })
		_, _, over := inner.Result()
		assert.False(t, over)
		order = append(order, "outer")
	})
	_, err := outer.Await(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"outer", "inner"}, order)
}

func TestUpdateFails(t *testing.T) {
	var b basin
	_, err := flavors.Update(&b, func(flavors.Observers) { panic("no") }).Await(t.Context())
	var panicked *flavors.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "no", panicked.Value)
	t.Run("by ending its goroutine", func(t *testing.T) {
		var group sync.WaitGroup
		group.Go(func() { flavors.Update(&b, func(flavors.Observers) { runtime.Goexit() }) })
		group.Wait()
		_, err := flavors.Update(&b, func(flavors.Observers) { b.n = 7 }).Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, 7, b.n)
	})
}

// Encoding a Cacheable without a connection writes its class and state.
func TestCacheableWithoutConnection(t *testing.T) {
	fragment := jelly.NewFragment(jelly.Context{})
	defer fragment.Free()
	require.NoError(t, fragment.Jelly(&basin{Depth: 3}))
	b, err := fragment.Append(nil, nil)
	require.NoError(t, err)
	e, _, err := banana.DecodeExpr(b, banana.ProfileNone, banana.Limits{})
	require.NoError(t, err)
	require.Equal(t, `["flavors_test.basin" [dictionary [["unicode" "depth"] 3]]]`, banana.Format(e))
}

func TestRegisterCacheTwice(t *testing.T) {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[basinCopy](r, "test.Basin"))
	require.ErrorContains(t, flavors.RegisterCache[basinCopy](r, "test.Basin"), "registered already")
}
