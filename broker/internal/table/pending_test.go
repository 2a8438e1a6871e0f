package table

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type testCall struct{ id int64 }

// TestPendingModel compares the table with a map. Some calls stay pending while the ids go round several times.
func TestPendingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Pending[testCall]
		model := map[int64]*testCall{}
		anyID := func() int64 {
			ids := slices.Sorted(maps.Keys(model))
			if len(ids) == 0 {
				return rapid.Int64().Draw(t, "unknown id")
			}
			return rapid.SampledFrom(ids).Draw(t, "id")
		}
		newest := func() int64 {
			if len(model) == 0 {
				return -1
			}
			return slices.Max(slices.Collect(maps.Keys(model)))
		}
		remove := func(id int64) {
			want, known := model[id]
			got, ok := p.Remove(id)
			require.Equal(t, known, ok)
			require.Same(t, want, got)
			delete(model, id)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(*rapid.T) {
				call := &testCall{p.Next()}
				p.Add(call.id, call)
				model[call.id] = call
			},
			"skip ids": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "how many") {
					p.Next()
				}
			},
			"remove":        func(*rapid.T) { remove(anyID()) },
			"remove newest": func(*rapid.T) { remove(newest()) },
			"forget": func(*rapid.T) {
				id := anyID()
				p.Forget(id)
				if model[id] != nil {
					model[id] = nil
				}
				p.Forget(0)
			},
			"clear": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "whether") > 0 {
					return
				}
				want := map[*testCall]int{}
				for _, call := range model {
					want[call]++
				}
				got := map[*testCall]int{}
				p.Clear(func(call *testCall) { got[call]++ })
				require.Equal(t, want, got)
				clear(model)
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), p.Len())
				oldest := int64(math.MaxInt64)
				for id := range model {
					oldest = min(oldest, id)
				}
				require.Equal(t, oldest, p.Oldest())
			},
		})
	})
}

// TestPendingShrinks checks that a table does not stay large when it is empty.
func TestPendingShrinks(t *testing.T) {
	var p Pending[testCall]
	const calls = 10_000
	for range calls {
		p.Add(p.Next(), &testCall{})
	}
	for id := int64(1); id <= calls; id++ {
		_, ok := p.Remove(id)
		require.True(t, ok)
	}
	assert.Nil(t, p.slots)
	assert.Nil(t, p.rest)
}
