package broker

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The table of pending calls against a map, with calls that stay for long while the ids go round several times.
func TestPendingIsLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p pending
		model := map[int64]*flavors.OutgoingCall{}
		some := func() int64 {
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
			got, ok := p.remove(id)
			require.Equal(t, known, ok)
			require.Same(t, want, got)
			delete(model, id)
		}
		t.Repeat(map[string]func(*rapid.T){
			"call": func(*rapid.T) {
				call := &flavors.OutgoingCall{RequestID: p.number()}
				p.add(call)
				model[call.RequestID] = call
			},
			"ping": func(*rapid.T) {
				id := p.number()
				p.addPing(id)
				model[id] = ping
			},
			"many without answer": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "how many") {
					p.number()
				}
			},
			"answer":      func(*rapid.T) { remove(some()) },
			"answer soon": func(*rapid.T) { remove(newest()) },
			"cancel": func(*rapid.T) {
				id := some()
				if call := model[id]; call != nil && call != ping {
					p.forget(call)
					model[id] = nil
				}
				p.forget(&flavors.OutgoingCall{}) // one that has no number yet
			},
			"end": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "whether") > 0 {
					return
				}
				want := map[*flavors.OutgoingCall]int{}
				for _, call := range model {
					want[call]++
				}
				got := map[*flavors.OutgoingCall]int{}
				p.removeAll(func(call *flavors.OutgoingCall) { got[call]++ })
				require.Equal(t, want, got)
				clear(model)
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), p.count)
				oldest := int64(math.MaxInt64)
				for id := range model {
					oldest = min(oldest, id)
				}
				require.Equal(t, oldest, p.oldestID())
			},
		})
	})
}

// A connection that was busy once and is idle now does not keep a large table.
func TestPendingShrinks(t *testing.T) {
	var p pending
	for range 10_000 {
		p.add(&flavors.OutgoingCall{RequestID: p.number()})
	}
	assert.Greater(t, len(p.slots), idleSlots)
	for id := int64(1); id <= 10_000; id++ {
		_, ok := p.remove(id)
		require.True(t, ok)
	}
	assert.Empty(t, p.slots)
}
