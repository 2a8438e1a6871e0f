package broker

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// hold is a message that mentions Cacheables for the first time. It waits for their states, and everything that is to be sent after it
// waits behind it; what comes in is carried out meanwhile.
type hold struct {
	message any
	wanted  map[*flavors.Core]struct{} // asked for their state, no reply yet
	states  map[*flavors.Core]*cacheState
	timer   *patience.Timer
	size    int // what the message counts for in the outbox
}

// Messages about states.
type (
	// stated is an original's reply. hold says for which message it was asked.
	stated struct {
		hold  *hold
		state *cacheState
		err   error
	}
	// holdOver says that the originals took too long.
	holdOver struct{ hold *hold }
	// observerGone says that an original has been told that a peer has let go of it.
	observerGone struct{ entry *cached }
)

// errStateTimeout fails a message whose Cacheables did not say their state in time.
var errStateTimeout = errors.New("broker: a Cacheable did not give its state in time; StateToCacheAndObserveFor must not wait")

// fragmentOf is what a message has to be stamped; nil if nothing.
func fragmentOf(message any) *jelly.Fragment {
	switch m := message.(type) {
	case *flavors.OutgoingCall:
		return m.Fragment
	case *outgoingAnswer:
		return m.fragment
	}
	return nil
}

// sizeOf is what a message that was handed to the broker counts for among the bytes that wait to be written.
func sizeOf(message any) int {
	const itself = 128 // the message, its Deferred and its place in queues, roughly
	n := itself
	if f := fragmentOf(message); f != nil {
		n += f.Len()
	}
	if call, ok := message.(*flavors.OutgoingCall); ok {
		n += len(call.Encoded)
	}
	return n
}

// holdFor begins to wait if the message mentions Cacheables that the peer does not have yet.
func (b *broker) holdFor(message any) bool {
	f := fragmentOf(message)
	if f == nil || f.Holes() == 0 {
		return false
	}
	h := &hold{message: message, size: sizeOf(message)}
	if !b.askFor(h, f) {
		return false
	}
	b.holding = h
	h.timer = b.afterWaiting(b.c.limits.StateTimeout, holdOver{h})
	return true
}

// askFor asks the originals that a fragment mentions for the first time, and reports whether there are any.
func (b *broker) askFor(h *hold, f *jelly.Fragment) (asked bool) {
	for payload := range f.AllHoles() {
		hole, ok := payload.(flavors.CacheHole)
		if !ok || b.caches.byCore[hole.Core] != nil || h.states[hole.Core] != nil {
			continue
		}
		if _, ok := h.wanted[hole.Core]; ok {
			continue
		}
		if h.wanted == nil {
			h.wanted = map[*flavors.Core]struct{}{}
			h.states = map[*flavors.Core]*cacheState{}
		}
		h.wanted[hole.Core] = struct{}{}
		b.ask(h, hole)
		asked = true
	}
	return asked
}

func (b *broker) ask(h *hold, hole flavors.CacheHole) {
	c := b.c
	hole.Core.Hold(c.rt)
	s := &cacheState{core: hole.Core, observer: flavors.NewObserver(c, hole.Core, hole.Perspective)}
	hole.Core.Observe(s.observer, func(state *jelly.Fragment, err error) {
		s.fragment = state
		c.post(&stated{hold: h, state: s, err: err})
	})
}

// stated takes a reply. The state may mention further Cacheables; when there are no more to wait for, the message is sent.
func (b *broker) stated(m *stated) {
	h := m.hold
	if b.holding != h || b.state == brokerEnded {
		m.abandon()
		return
	}
	delete(h.wanted, m.state.core)
	if m.err != nil {
		m.state.core.Release()
		b.endHold(fmt.Errorf("the state of a %v cannot be had: %w", m.state.core, m.err))
		return
	}
	h.states[m.state.core] = m.state
	b.askFor(h, m.state.fragment)
	if len(h.wanted) == 0 && !b.askAgain(h) {
		b.endHold(nil)
	}
}

// askAgain asks the originals that the peer had when the message came to be held, and has let go of since. It reports whether there are any.
func (b *broker) askAgain(h *hold) bool {
	again := b.askFor(h, fragmentOf(h.message))
	for _, s := range h.states {
		again = b.askFor(h, s.fragment) || again
	}
	return again
}

// abandon undoes an observation that no message wants any more.
func (m *stated) abandon() {
	if m.err == nil {
		m.state.abandon()
		return
	}
	m.state.core.Release()
}

// abandon takes the observer out again.
func (s *cacheState) abandon() {
	s.fragment.Free()
	s.core.Unobserve(s.observer, nil)
	s.core.Release()
}

// endHold sends the message that was held, or fails it, and then those behind it.
func (b *broker) endHold(err error) {
	h := b.holding
	b.holding = nil
	h.timer.Stop()
	if err != nil {
		b.fail(h.message, err)
	} else {
		b.states = h.states
		b.transmit(h.message)
		b.states = nil
	}
	b.c.queued.Add(-1)
	b.c.out.hold(-h.size)
	// What the message did not use, because it failed, is not observed.
	for core, s := range h.states {
		if b.caches.byCore[core] == nil || b.caches.byCore[core].observer != s.observer {
			s.abandon()
		} else {
			s.fragment.Free()
		}
	}
	b.sendHeld()
}

// sendHeld sends what has waited, until a message has to be held again.
func (b *broker) sendHeld() {
	for len(b.held) > 0 && b.holding == nil && b.state == brokerOpen {
		m := b.held[0]
		b.held[0] = nil
		b.held = b.held[1:]
		b.outgoing(m)
	}
	if len(b.held) == 0 {
		b.held = nil
		if b.closing != nil && b.holding == nil {
			m := *b.closing
			b.closing = nil
			b.c.post(m)
		}
	}
}

// fillCache writes [cached luid], or the state of an original that goes out for the first time.
func (b *broker) fillCache(dst []byte, hole flavors.CacheHole) ([]byte, error) {
	p := b.c.profile
	if e := b.caches.byCore[hole.Core]; e != nil {
		e.count++
		b.undo = append(b.undo, func() { e.count-- })
		dst = banana.AppendSymbol(banana.AppendList(dst, 2), p, banana.SymCached)
		return banana.AppendInt(dst, e.luid), nil
	}
	s := b.states[hole.Core]
	if s == nil {
		return dst, fmt.Errorf("broker: the state of a %v was not asked for", hole.Core)
	}
	e, err := b.caches.add(b, s)
	if err != nil {
		return dst, err
	}
	b.undo = append(b.undo, func() {
		delete(b.caches.byLuid, e.luid)
		delete(b.caches.byCore, e.core)
		b.tellLengths()
	})
	dst = banana.AppendString(banana.AppendList(dst, 3), p, hole.Class)
	dst = banana.AppendInt(dst, e.luid)
	// The state is an island: its reference ids come behind all others of the message.
	base := b.refBase
	b.refBase += s.fragment.MaxRef()
	return s.fragment.AppendRebased(dst, base, b.fill)
}
