package flavors

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestQueue compares the queue with a slice.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var q queue
		var model []any
		next := 0
		rt.Repeat(map[string]func(*rapid.T){
			"push": func(rt *rapid.T) {
				for range rapid.IntRange(1, 200).Draw(rt, "n") {
					next++
					q.push(next)
					model = append(model, next)
				}
			},
			"pop": func(rt *rapid.T) {
				for range rapid.IntRange(1, 200).Draw(rt, "n") {
					got := q.pop()
					if len(model) == 0 {
						require.Nil(rt, got)
						return
					}
					require.Equal(rt, model[0], got)
					model = model[1:]
				}
			},
			"remove": func(rt *rapid.T) {
				d := rapid.IntRange(1, 5).Draw(rt, "divisor")
				q.remove(func(m any) bool { return m.(int)%d == 0 })
				var kept []any
				for _, m := range model {
					if m.(int)%d != 0 {
						kept = append(kept, m)
					}
				}
				model = kept
			},
			"all": func(rt *rapid.T) {
				require.Len(rt, q.all(), len(model))
				model = nil
			},
			"": func(rt *rapid.T) {
				require.Equal(rt, len(model), q.len())
				for _, m := range model {
					require.True(rt, q.has(func(x any) bool { return x == m }))
				}
				require.False(rt, q.has(func(x any) bool { return x == -1 }))
				if len(model) == 0 {
					require.LessOrEqual(rt, cap(q.rest), idleRest)
				}
			},
		})
	})
}

func TestQueueOfOneDoesNotAllocate(t *testing.T) {
	var q queue
	m := any(&turn{})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		q.push(m)
		q.pop()
	}))
}
