package cluster

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/flavors"
)

// queueModel drives a refQueue as a Ref does, with a place that has taken calls and may give them back, at any time.
type queueModel struct {
	rt       *rapid.T
	queue    refQueue
	calls    map[*flavors.Invocation]madeCall
	made     int
	open     bool // the place takes calls
	taken    []refCall
	began    []*flavors.Invocation
	answered map[*flavors.Invocation]struct{} // because they have waited for too long
}

// madeCall is a call of a connection, with its number among all.
type madeCall struct{ conn, number int }

func (m *queueModel) draw(what string) bool { return rapid.Bool().Draw(m.rt, what) }

func (m *queueModel) arrive() {
	c := m.queue.arrived(new(flavors.Invocation), User{})
	m.made++
	m.calls[c.inv] = madeCall{rapid.IntRange(0, 1).Draw(m.rt, "connection"), m.made}
	if m.queue.isEmpty() && m.pass(c) {
		return
	}
	require.True(m.rt, m.queue.add(c))
}

// pass is Ref.passLocked. Others may come back right before.
func (m *queueModel) pass(c refCall) bool {
	if m.draw("others come back before it") {
		m.giveBack()
	}
	if m.queue.takeIn() || !m.open {
		return false
	}
	m.taken = append(m.taken, c)
	return true
}

func (m *queueModel) giveUp(c refCall) bool {
	late := m.draw("has waited for too long")
	if late {
		m.answered[c.inv] = struct{}{}
	}
	return late
}

// giveBack has calls come back: all from a link, or those of a connection from an object, which does not know their
// numbers.
func (m *queueModel) giveBack() {
	if m.draw("from an object") {
		conn := rapid.IntRange(0, 1).Draw(m.rt, "whose")
		var back []slotCall
		m.taken = slices.DeleteFunc(m.taken, func(c refCall) bool {
			of := m.calls[c.inv].conn == conn
			if of {
				back = append(back, c.slotCall)
			}
			return of
		})
		waits := len(m.queue.back) > 0
		require.Equal(m.rt, !waits, m.queue.comeBackFirst(back))
		return
	}
	back := m.taken
	m.taken = nil
	for i, c := range back {
		require.Equal(m.rt, i == 0 && len(m.queue.back) == 0, m.queue.comesBack(c))
	}
}

// begin has the place carry out its first call.
func (m *queueModel) begin() {
	if len(m.taken) > 0 {
		m.began = append(m.began, m.taken[0].inv)
		m.taken = m.taken[1:]
	}
}

func (m *queueModel) drain() {
	m.queue.takeIn()
	m.queue.drain(m.pass, m.giveUp)
}

// check checks that each call is in one place, and that those of each connection have begun in order.
func (m *queueModel) check() {
	var all []*flavors.Invocation
	for _, calls := range [][]refCall{m.queue.calls, m.queue.back, m.taken} {
		for _, c := range calls {
			all = append(all, c.inv)
		}
	}
	all = append(append(all, m.began...), slices.Collect(maps.Keys(m.answered))...)
	require.Len(m.rt, all, m.made)
	latest := map[int]int{}
	for _, inv := range m.began {
		c := m.calls[inv]
		require.Greater(m.rt, c.number, latest[c.conn])
		latest[c.conn] = c.number
	}
	one := map[*flavors.Invocation]struct{}{}
	for _, inv := range all {
		one[inv] = struct{}{}
	}
	require.Len(m.rt, one, m.made)
}

// TestRefQueueModel plays random scripts: each call is carried out once, in the order of its connection, or answered.
func TestRefQueueModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &queueModel{
			rt: rt, calls: map[*flavors.Invocation]madeCall{}, answered: map[*flavors.Invocation]struct{}{},
		}
		steps := map[string]func(){
			"arrive": m.arrive, "drain": m.drain, "give back": m.giveBack, "begin": m.begin,
			"open": func() { m.open = true }, "close": func() { m.open = false },
		}
		names := slices.Sorted(maps.Keys(steps))
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			steps[rapid.SampledFrom(names).Draw(rt, "step")]()
			m.check()
		}
		m.open = true
		for len(m.began)+len(m.answered) < m.made {
			m.drain()
			m.begin()
			m.check()
		}
	})
}
