package broker

import (
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// hold is a message that cannot be sent yet: it waits for the states of Cacheables that it mentions for the first time,
// or for a hold in front of it. Incoming messages, and outgoing ones that do not depend on a hold, go on meanwhile.
type hold struct {
	message any
	serial  uint64                     // how many calls of the peer had been delivered when the message was handed over
	size    int                        // what the message and the states count for in the outbox
	asked   bool                       // the originals have been asked
	wanted  map[*flavors.Core]struct{} // asked for their state, no reply yet
	states  map[*flavors.Core]*cacheState
	timer   *patience.Timer
	err     error // why the states cannot be had
}

const (
	// maxAsking is how many messages may ask for states at a time. What comes back takes memory until it is sent.
	maxAsking = 16
	// maxOvertaken is how many messages may be held before everything that follows waits behind them.
	maxOvertaken = 1024
)

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

// cacheState is what an original has said for its first mention: it is observed, its state waits to be stamped into a
// message.
type cacheState struct {
	core     *flavors.Core
	observer *flavors.Observer
	fragment *jelly.Fragment
}

// errStateTimeout fails a message whose Cacheables did not say their state in time.
var errStateTimeout = errors.New(
	"broker: a Cacheable did not give its state in time; StateToCacheAndObserveFor must not wait",
)

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

// holdFor reports whether a message has to wait, and queues it if so.
func (b *broker) holdFor(message any) bool {
	if len(b.held) == 0 && !b.needsStates(message) {
		return false
	}
	h := &hold{message: message, size: sizeOf(message), serial: b.deliveries}
	blocked := len(b.held) >= maxOvertaken
	for i := 0; i < len(b.held) && !blocked; i++ {
		blocked = b.dependsOn(h, b.held[i])
	}
	if !blocked && !b.needsStates(message) {
		return false
	}
	b.held = append(b.held, h)
	if !blocked {
		b.requestStates(h)
	}
	return true
}

// newOriginals calls yield with each Cacheable that a message mentions and the peer does not have.
func (b *broker) newOriginals(message any, yield func(*flavors.Core) bool) {
	f := fragmentOf(message)
	if f == nil || f.Holes() == 0 {
		return
	}
	for payload := range f.AllHoles() {
		if hole, ok := payload.(flavors.CacheHole); ok && b.caches.Held(hole.Core) == nil && !yield(hole.Core) {
			return
		}
	}
}

func (b *broker) needsStates(message any) (needs bool) {
	b.newOriginals(message, func(*flavors.Core) bool { needs = true; return false })
	return needs
}

// dependsOn reports whether a message must not be sent before an earlier one. These orders are kept: an original's
// state comes before its other mentions and its updates; calls to one object, and updates of one copy, stay in order;
// updates come before later calls; and what a method sent comes before its answer, for which every call counts that was
// handed over after the method's call had come.
func (b *broker) dependsOn(h, earlier *hold) bool {
	if b.sharesOriginal(h, earlier) {
		return true
	}
	first, firstIsCall := earlier.message.(*flavors.OutgoingCall)
	switch m := h.message.(type) {
	case *flavors.OutgoingCall:
		if m.Observer != nil && m.Observer.Luid() == 0 {
			return true
		}
		return firstIsCall && (first.Cache || sameTarget(m, first))
	case *outgoingAnswer:
		return firstIsCall && m.inv.Serial() <= earlier.serial
	}
	return false
}

func sameTarget(a, b *flavors.OutgoingCall) bool {
	return a.Cache == b.Cache && a.Observer == b.Observer && a.ID == b.ID && a.Name == b.Name
}

// sharesOriginal reports whether a message mentions an original that an earlier one brings.
func (b *broker) sharesOriginal(h, earlier *hold) (shares bool) {
	b.newOriginals(h.message, func(core *flavors.Core) bool {
		_, wanted := earlier.wanted[core]
		shares = wanted || earlier.states[core] != nil
		if !shares && !earlier.asked {
			b.newOriginals(earlier.message, func(other *flavors.Core) bool { shares = other == core; return !shares })
		}
		return !shares
	})
	return shares
}

// requestStates asks for the states that a message needs, unless too many messages ask already.
func (b *broker) requestStates(h *hold) {
	if h.asked || b.asking >= maxAsking || !b.needsStates(h.message) {
		return
	}
	h.asked = true
	b.asking++
	h.timer = b.afterWaiting(b.c.limits.StateTimeout, holdOver{h})
	b.askFor(h, fragmentOf(h.message))
}

// askFor asks the originals that a fragment mentions for the first time, and reports whether there are any.
func (b *broker) askFor(h *hold, f *jelly.Fragment) (asked bool) {
	for payload := range f.AllHoles() {
		hole, ok := payload.(flavors.CacheHole)
		if !ok || b.caches.Held(hole.Core) != nil || h.states[hole.Core] != nil {
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

// stated takes a reply. The state may mention further Cacheables; when there are no more to wait for, the message is
// sent.
func (b *broker) stated(m *stated) {
	h := m.hold
	_, wanted := h.wanted[m.state.core]
	if !wanted || b.c.ended() {
		m.abandon()
		return
	}
	delete(h.wanted, m.state.core)
	if m.err != nil {
		m.state.core.Release()
		b.failHold(h, usercode.Wrap(m.err, "the state of a %v cannot be had", m.state.core))
		return
	}
	h.states[m.state.core] = m.state
	h.size += m.state.fragment.Len()
	b.c.out.Reserve(m.state.fragment.Len())
	b.askFor(h, m.state.fragment)
	if len(h.wanted) == 0 && !b.askAgain(h) {
		b.sendHeld()
	}
}

// failHold ends a hold whose states cannot be had. Replies that come later are dropped.
func (b *broker) failHold(h *hold, err error) {
	h.err = err
	clear(h.wanted)
	b.sendHeld()
}

// askAgain asks the originals that the peer had when the message came to be held, and has let go of since. It reports
// whether there are any.
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

// sendHeld sends the messages that need not wait any more, in order.
func (b *broker) sendHeld() {
	for again := true; again && b.c.sends(); {
		again = false // One that ends may make room for one before it to ask.
		var waiting []*hold
		for _, h := range b.held {
			if b.mayEnd(h, waiting) {
				b.endHold(h)
				again = true
			} else {
				waiting = append(waiting, h)
			}
		}
		b.held = waiting
	}
	if len(b.held) == 0 && b.closing != nil {
		m := *b.closing
		b.closing = nil
		b.c.post(m)
	}
}

// mayEnd reports whether a message can be sent, or has failed, while those before it wait. It asks for the states that
// are missing.
func (b *broker) mayEnd(h *hold, before []*hold) bool {
	if h.err != nil {
		return true
	}
	if len(h.wanted) > 0 {
		return false
	}
	for _, earlier := range before {
		if b.dependsOn(h, earlier) {
			return false
		}
	}
	if h.asked {
		return !b.askAgain(h)
	}
	if len(before) >= maxOvertaken {
		return false
	}
	b.requestStates(h)
	return !h.asked && !b.needsStates(h.message)
}

// endHold sends a message that was held, or fails it.
func (b *broker) endHold(h *hold) {
	if h.asked {
		h.timer.Stop()
		b.asking--
	}
	if h.err != nil {
		b.fail(h.message, h.err)
	} else {
		b.states = h.states
		b.transmit(h.message)
		b.states = nil
	}
	b.c.queued.Add(-1)
	b.c.out.Release(h.size)
	// What the message did not use, because it failed, is not observed.
	for core, s := range h.states {
		if e := b.caches.Held(core); e == nil || e.Value != s.observer {
			s.abandon()
		} else {
			s.fragment.Free()
		}
	}
}

// dropHeld fails the messages that were held when the connection ended.
func (b *broker) dropHeld(cause error) {
	for _, h := range b.held {
		if h.asked {
			h.timer.Stop()
		}
		b.refuse(h.message, cause)
		for _, s := range h.states {
			s.abandon()
		}
		h.wanted, h.states = nil, nil
	}
	b.held = nil
}

// fillCache writes [cached luid], or the state of an original that goes out for the first time.
func (b *broker) fillCache(dst []byte, hole flavors.CacheHole) ([]byte, error) {
	p := b.c.profile
	if e := b.caches.Held(hole.Core); e != nil {
		e.Mention()
		b.undo = append(b.undo, e.Unmention)
		dst = banana.AppendSymbol(banana.AppendList(dst, 2), p, banana.SymCached)
		return banana.AppendInt(dst, e.ID), nil
	}
	s := b.states[hole.Core]
	if s == nil {
		return dst, fmt.Errorf("broker: the state of a %v was not asked for", hole.Core)
	}
	e, err := b.addCache(s)
	if err != nil {
		return dst, err
	}
	b.undo = append(b.undo, e.Remove)
	dst = banana.AppendString(banana.AppendList(dst, 3), p, hole.Class)
	dst = banana.AppendInt(dst, e.ID)
	// The state is an island: its reference ids come behind all others of the message.
	base := b.refBase
	b.refBase += s.fragment.MaxRef()
	return s.fragment.AppendRebased(dst, base, b.fill)
}
