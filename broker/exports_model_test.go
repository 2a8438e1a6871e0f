package broker_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// trio hands out three objects.
type trio struct {
	service
	things [3]two
}

func (r *trio) RemoteThing(i int) *two { return &r.things[i] }

// exportModel is what the table of exports should be: the object and count of each id that was given out.
type exportModel struct {
	p       *wire.Peer
	request int
	luids   []exportRow  // the id is the index plus one
	pending map[int]bool // our calls that the peer has not answered
	causes  map[int]int  // by call, the peer's request that caused it
	asked   int          // our last request id
}

type exportRow struct {
	thing   int
	count   int
	request int // our last request when count became zero
	dead    bool
}

func (m *exportModel) next() int { m.request++; return m.request }

// sweep drops entries for which no call is pending any more.
func (m *exportModel) sweep() {
	oldest := math.MaxInt
	for id := range m.pending {
		oldest = min(oldest, id)
	}
	for i := range m.luids {
		l := &m.luids[i]
		l.dead = l.dead || l.count == 0 && l.request < oldest
	}
}

func (m *exportModel) actions() map[string]func(*rapid.T) {
	thing, luid := rapid.IntRange(0, 2), func(t *rapid.T) int {
		if len(m.luids) == 0 {
			t.Skip("nothing was given out")
		}
		return rapid.IntRange(0, len(m.luids)-1).Draw(t, "luid")
	}
	return map[string]func(*rapid.T){
		"get": func(t *rapid.T) {
			which := thing.Draw(t, "thing")
			at := -1
			for i := range m.luids {
				if m.luids[i].thing == which && m.luids[i].count > 0 {
					at = i
				}
			}
			if at < 0 { // An id is not used a second time.
				m.luids = append(m.luids, exportRow{thing: which})
				at = len(m.luids) - 1
			}
			m.luids[at].count++
			r := m.next()
			m.p.Write(fmt.Sprintf(`[message %d root thing 1 [tuple %d] [dictionary]]`, r, which))
			m.p.Want(fmt.Sprintf(`[answer %d [remote %d]]`, r, at+1))
		},
		"decref": func(t *rapid.T) {
			at := luid(t)
			l := &m.luids[at]
			if l.count == 0 {
				t.Skip("that would end the connection")
			}
			m.p.Write(fmt.Sprintf(`[decref %d]`, at+1))
			l.count--
			l.request = m.asked
			m.sweep()
		},
		"call": func(t *rapid.T) {
			at, r := luid(t), m.next()
			m.p.Write(fmt.Sprintf(`[message %d %d three 1 [tuple 0] [dictionary]]`, r, at+1))
			if m.luids[at].dead {
				m.p.Want(fmt.Sprintf(`[error %d _]`, r))
			} else {
				m.p.Want(fmt.Sprintf(`[answer %d _]`, r))
			}
		},
		"ask": func(*rapid.T) {
			r := m.next()
			m.asked++
			m.p.Write(fmt.Sprintf(`[message %d root callback 1 [tuple [remote 5] [unicode f] [list]] [dictionary]]`, r))
			m.p.Want(fmt.Sprintf(`[message %d 5 f 1 [tuple] [dictionary]]`, m.asked))
			m.pending[m.asked], m.causes[m.asked] = true, r
		},
		"answer": func(t *rapid.T) {
			if len(m.pending) == 0 {
				t.Skip("nothing is pending")
			}
			var ids []int
			for id := range m.asked + 1 {
				if m.pending[id] {
					ids = append(ids, id)
				}
			}
			id := rapid.SampledFrom(ids).Draw(t, "id")
			if len(m.luids) == 0 {
				m.p.Write(fmt.Sprintf(`[answer %d 1]`, id))
				m.p.Want(fmt.Sprintf(`[answer %d 1]`, m.causes[id]))
			} else {
				// The answer mentions an object of ours, which the method sends again.
				at := luid(t)
				l := m.luids[at]
				m.p.Write(fmt.Sprintf(`[answer %d [local %d]]`, id, at+1))
				if l.dead {
					m.p.Want(fmt.Sprintf(`[error %d _]`, m.causes[id]))
				} else {
					m.expectAgain(m.causes[id], l.thing)
				}
			}
			delete(m.pending, id)
			m.sweep()
		},
	}
}

// expectAgain wants an object in an answer, with the id that it has or a new one.
func (m *exportModel) expectAgain(request, thing int) {
	for i := range m.luids {
		if m.luids[i].thing == thing && m.luids[i].count > 0 {
			m.luids[i].count++
			m.p.Want(fmt.Sprintf(`[answer %d [remote %d]]`, request, i+1))
			return
		}
	}
	m.luids = append(m.luids, exportRow{thing: thing, count: 1})
	m.p.Want(fmt.Sprintf(`[answer %d [remote %d]]`, request, len(m.luids)))
}

func TestExportsModel(t *testing.T) {
	root := &trio{}
	s := newServer(t, root)
	rapid.Check(t, func(rt *rapid.T) {
		m := &exportModel{p: s.peer(), pending: map[int]bool{}, causes: map[int]int{}}
		defer m.p.Close()
		m.p.Ignore(`[decref 5]`) // It may be collected.
		rt.Repeat(m.actions())
	})
	for i := range root.things {
		require.NoError(t, errorOf(root.things[i].Do(func() {})))
	}
}
