package table

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// modelWait is a call of the model: it names promises by their index, -1 is none.
type modelWait struct {
	id     int
	object int
	args   []int
}

// waitsModel is what Waits should be: the calls that wait in one list, which is searched again and again.
type waitsModel struct {
	done    []bool
	waiting []modelWait
}

func (m *waitsModel) blocked(i int) bool {
	x := m.waiting[i]
	if x.object >= 0 {
		if !m.done[x.object] {
			return true
		}
		for _, earlier := range m.waiting[:i] {
			if earlier.object == x.object {
				return true
			}
		}
	}
	return slices.ContainsFunc(x.args, func(a int) bool { return !m.done[a] })
}

// ready removes the calls that need not wait.
func (m *waitsModel) ready() (ids []int) {
	for again := true; again; {
		again = false
		for i := range m.waiting {
			if !m.blocked(i) {
				ids = append(ids, m.waiting[i].id)
				m.waiting = slices.Delete(m.waiting, i, i+1)
				again = true
				break
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// TestWaitsModel plays random scripts with promises that are done or fail, and calls that wait, are run, or removed.
func TestWaitsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var (
			w        Waits[int]
			promises []*Promise[int]
			waits    = map[int]*Wait[int]{}
			m        waitsModel
			next     int
		)
		calls := func(waits []*Wait[int]) (ids []int) {
			for _, x := range waits {
				ids = append(ids, x.Call)
			}
			return ids
		}
		anyPromise := func(t *rapid.T) int {
			if len(promises) == 0 {
				t.Skip("no promise")
			}
			return rapid.IntRange(0, len(promises)-1).Draw(t, "promise")
		}
		anyPending := func(t *rapid.T) int {
			i := anyPromise(t)
			if m.done[i] {
				t.Skip("done")
			}
			return i
		}
		t.Repeat(map[string]func(*rapid.T){
			"promise": func(*rapid.T) {
				promises = append(promises, &Promise[int]{})
				m.done = append(m.done, false)
			},
			"call": func(t *rapid.T) {
				x := modelWait{id: next, object: -1}
				next++
				var object *Promise[int]
				if rapid.Bool().Draw(t, "on a promise") {
					x.object = anyPromise(t)
					object = promises[x.object]
				}
				var args []*Promise[int]
				for range rapid.IntRange(0, 3).Draw(t, "arguments") {
					i := anyPromise(t)
					x.args = append(x.args, i)
					args = append(args, promises[i])
				}
				m.waiting = append(m.waiting, x)
				must := m.blocked(len(m.waiting) - 1)
				require.Equal(t, must, w.MustWait(object, args))
				if !must {
					m.waiting = m.waiting[:len(m.waiting)-1]
					return
				}
				waits[x.id] = w.Add(x.id, object, args)
			},
			"done": func(t *rapid.T) {
				i := anyPending(t)
				m.done[i] = true
				require.Equal(t, m.ready(), calls(w.Done(promises[i])))
				require.Empty(t, w.Done(promises[i]))
			},
			"fail": func(t *rapid.T) {
				i := anyPending(t)
				m.done[i] = true
				var failed []int
				m.waiting = slices.DeleteFunc(m.waiting, func(x modelWait) bool {
					names := x.object == i || slices.Contains(x.args, i)
					if names {
						failed = append(failed, x.id)
					}
					return names
				})
				gotFailed, gotReady := w.Fail(promises[i])
				require.Equal(t, failed, calls(gotFailed))
				require.Equal(t, m.ready(), calls(gotReady))
			},
			"remove": func(t *rapid.T) {
				if next == 0 {
					t.Skip("no call")
				}
				id := rapid.IntRange(0, next-1).Draw(t, "call")
				if waits[id] == nil {
					t.Skip("it did not wait")
				}
				m.waiting = slices.DeleteFunc(m.waiting, func(x modelWait) bool { return x.id == id })
				require.Equal(t, m.ready(), calls(w.Remove(waits[id])))
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(m.waiting), w.Len())
				for i, p := range promises {
					require.Equal(t, m.done[i], p.IsDone())
				}
			},
		})
	})
}
