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

// TestChangesOfAnUnsentOriginalRunOneAtATime needs the race detector to mean anything: there is no actor yet.
func TestChangesOfAnUnsentOriginalRunOneAtATime(t *testing.T) {
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

func TestAChangeWithinAChangeRunsBehindIt(t *testing.T) {
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

func TestAChangeThatFails(t *testing.T) {
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

// TestAnOriginalWithoutAConnection is what a program that stores one gets: its class and state.
func TestAnOriginalWithoutAConnection(t *testing.T) {
	fragment := jelly.NewFragment(jelly.Context{})
	defer fragment.Free()
	require.NoError(t, fragment.Jelly(&basin{Depth: 3}))
	b, err := fragment.Append(nil, nil)
	require.NoError(t, err)
	e, _, err := banana.DecodeExpr(b, banana.ProfileNone, banana.Limits{})
	require.NoError(t, err)
	require.Equal(t, `["flavors_test.basin" [dictionary [["unicode" "depth"] 3]]]`, banana.Format(e))
}

func TestACacheIsRegisteredOnce(t *testing.T) {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[basinCopy](r, "test.Basin"))
	require.ErrorContains(t, flavors.RegisterCache[basinCopy](r, "test.Basin"), "registered already")
}
