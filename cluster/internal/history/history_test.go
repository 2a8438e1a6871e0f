package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// draw simulates a cluster that keeps its promises: callers call counters, which move between nodes, and some answers
// are lost.
func draw(t *rapid.T) *History {
	h := &History{}
	now := time.Unix(1000, 0)
	tick := func() time.Time { now = now.Add(time.Microsecond); return now }
	type counter struct {
		life  Life
		value int64
	}
	counters := map[string]*counter{}
	var token int64
	steps := rapid.IntRange(1, 40).Draw(t, "steps")
	for by := int64(1); by <= int64(steps); by++ {
		object := rapid.SampledFrom([]string{"r", "s"}).Draw(t, "object")
		c := counters[object]
		if c == nil || rapid.IntRange(0, 5).Draw(t, "move") == 0 {
			token++
			c = &counter{life: Life{Node: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "node"), Token: token, Number: token}}
			counters[object] = c
		}
		call := Call{
			Caller: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "caller"), Object: object, By: by, Begin: tick(),
			Outcome: rapid.SampledFrom([]Outcome{Answered, Refused, Lost}).Draw(t, "outcome"),
		}
		if call.Outcome == Answered || call.Outcome == Lost && rapid.Bool().Draw(t, "carried out") {
			c.value += by
			h.Runs = append(h.Runs, Run{Object: object, Life: c.life, By: by, Value: c.value, At: tick()})
			if call.Outcome == Answered {
				call.Value = c.value
			}
		}
		call.End = tick()
		h.Calls = append(h.Calls, call)
	}
	return h
}

func TestKeptPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { require.Empty(t, draw(t).Check()) })
}

// TestBrokenPromises breaks one promise of a good history at a time: at any place where that can be done, the check
// must find it.
func TestBrokenPromises(t *testing.T) {
	callOf := func(h *History, r Run) *Call { return &h.Calls[r.By-1] }
	breaks := map[string]func(h *History, i int) bool{ // i is a run; false if it cannot be done there
		"carried out twice": func(h *History, i int) bool {
			again := h.Runs[i]
			again.Life = Life{"c", 1000, 1000}
			again.Value, again.At = again.By, again.At.Add(time.Hour)
			h.Runs = append(h.Runs, again)
			return true
		},
		"carried out twice in one life": func(h *History, i int) bool {
			r := h.Runs[i]
			r.Value += r.By
			h.Runs = append(h.Runs, Run{})
			copy(h.Runs[i+1:], h.Runs[i:])
			h.Runs[i+1] = r
			for j := i + 2; j < len(h.Runs); j++ {
				if h.Runs[j].Object == r.Object && h.Runs[j].Life == r.Life {
					h.Runs[j].Value += r.By
					if call := callOf(h, h.Runs[j]); call.Outcome == Answered {
						call.Value += r.By
					}
				}
			}
			return true
		},
		"refused and carried out": func(h *History, i int) bool {
			callOf(h, h.Runs[i]).Outcome = Refused
			return true
		},
		"answered and not carried out": func(h *History, i int) bool {
			if callOf(h, h.Runs[i]).Outcome != Answered {
				return false
			}
			h.Runs = append(h.Runs[:i:i], h.Runs[i+1:]...)
			return true
		},
		"wrong answer": func(h *History, i int) bool {
			call := callOf(h, h.Runs[i])
			call.Value++
			return call.Outcome == Answered
		},
		"counter lost an increment": func(h *History, i int) bool {
			for j := i + 1; j < len(h.Runs); j++ {
				if r := &h.Runs[j]; r.Object == h.Runs[i].Object && r.Life == h.Runs[i].Life {
					r.Value -= h.Runs[i].By
					callOf(h, *r).Value = r.Value
					return true
				}
			}
			return false
		},
		"does not begin at 0": func(h *History, i int) bool {
			for j := range i {
				if h.Runs[j].Object == h.Runs[i].Object && h.Runs[j].Life == h.Runs[i].Life {
					return false
				}
			}
			h.Runs[i].Value++
			callOf(h, h.Runs[i]).Value++
			return true
		},
		"the old life goes on": func(h *History, i int) bool {
			for j := i + 1; j < len(h.Runs); j++ {
				if r := h.Runs[j]; r.Object == h.Runs[i].Object && r.Life != h.Runs[i].Life {
					// The last execution of the old life was late.
					for k := i + 1; k < len(h.Runs); k++ {
						if h.Runs[k].Object == h.Runs[i].Object && h.Runs[k].Life == h.Runs[i].Life {
							return false
						}
					}
					call := callOf(h, h.Runs[i])
					h.Runs[i].At = r.At.Add(time.Nanosecond)
					call.End = r.At.Add(time.Microsecond)
					return true
				}
			}
			return false
		},
		"nobody made it": func(h *History, i int) bool {
			h.Runs[i].By = 1000
			return true
		},
		"another object carried it out": func(h *History, i int) bool {
			h.Runs[i].Object = "other"
			return true
		},
		"before the call": func(h *History, i int) bool {
			h.Runs[i].At = callOf(h, h.Runs[i]).Begin.Add(-time.Nanosecond)
			return true
		},
		"after the answer": func(h *History, i int) bool {
			call := callOf(h, h.Runs[i])
			call.End = h.Runs[i].At.Add(-time.Nanosecond)
			return call.Outcome == Answered
		},
		"two nodes with one token": func(h *History, i int) bool {
			for j := i + 1; j < len(h.Runs); j++ {
				r := h.Runs[j]
				if r.Object != h.Runs[i].Object || r.Life == h.Runs[i].Life {
					continue
				}
				same := Life{"c", h.Runs[i].Life.Token, r.Life.Number}
				for k := range h.Runs {
					if h.Runs[k].Object == r.Object && h.Runs[k].Life == r.Life {
						h.Runs[k].Life = same
					}
				}
				return true
			}
			return false
		},
		"out of order": func(h *History, i int) bool {
			a := callOf(h, h.Runs[i])
			for j := i + 1; j < len(h.Runs); j++ {
				b := callOf(h, h.Runs[j])
				if a.Object != b.Object || a.Caller != b.Caller {
					continue
				}
				// The caller made them the other way round, and both took long.
				b.Begin, a.End = a.Begin, b.End
				h.Calls[a.By-1], h.Calls[b.By-1] = *b, *a
				return true
			}
			return false
		},
	}
	for name, breakIt := range breaks {
		t.Run(name, func(t *testing.T) {
			broken := 0
			rapid.Check(t, func(t *rapid.T) {
				h := draw(t)
				if len(h.Runs) == 0 {
					return
				}
				at := rapid.IntRange(0, len(h.Runs)-1).Draw(t, "at")
				if breakIt(h, at) {
					broken++
					require.NotEmpty(t, h.Check(), "calls %+v\nruns %+v", h.Calls, h.Runs)
				}
			})
			require.NotZero(t, broken, "the promise was never broken")
		})
	}
}

func TestFaultsSayWhatIsWrong(t *testing.T) {
	at := time.Unix(0, 0)
	h := &History{
		Calls: []Call{{Caller: "x", Object: "r", By: 7, Begin: at, End: at.Add(2), Outcome: Refused}},
		Runs:  []Run{{Object: "r", Life: Life{"a", 3, 1}, By: 7, Value: 7, At: at.Add(1)}},
	}
	want := "r: the call by 7 was carried out by a/3/1, and its caller was told that it was not"
	require.Equal(t, []string{want}, h.Check())
	h.Calls = append(h.Calls, h.Calls[0])
	require.Contains(t, fmt.Sprint(h.Check()), "two calls by 7")
}
