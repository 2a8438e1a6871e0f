package broker

import (
	"errors"
	"slices"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// A message that mentions a Cacheable for the first time carries the Cacheable's state. The broker requests the state
// and holds the message back until it arrives. Incoming messages go on meanwhile, and so do outgoing ones that do not
// depend on a held one.

const (
	// maxRequesting is how many messages may request states at a time. States take memory until they are sent.
	maxRequesting = 16
	// maxHeld is how many messages may be held before everything that follows waits behind them.
	maxHeld = 1024
)

// errStateTimeout fails a message whose states were not supplied in time.
var errStateTimeout = errors.New(
	"broker: a Cacheable did not give its state in time; StateToCacheAndObserveFor must not wait",
)

// originalsIn returns the originals that a fragment mentions.
func originalsIn(f *jelly.Fragment) (originals []seam.Cache) {
	if f == nil || f.Holes() == 0 {
		return nil
	}
	for payload := range f.AllHoles() {
		if hole, ok := payload.(seam.Cache); ok {
			originals = append(originals, hole)
		}
	}
	return originals
}

// outgoing sends a message, or keeps it until it can be sent. Messages arrive in the order in which they were handed
// over.
func (b *broker) outgoing(message any) {
	size := sizeOf(message)
	switch b.c.now() {
	case stateNegotiating:
		b.waiting = append(b.waiting, message)
		return
	case stateFlushing, stateLingering, stateClosed:
		b.refuse(message, b.c.lost(ErrClosed))
	case stateOpen, stateDraining:
		if call, ok := message.(*seam.OutgoingCall); ok && hasPromises(call) && b.awaitPromises(call) {
			break
		}
		if b.holdBack(message) {
			return
		}
		b.reserved = size
		b.transmit(message)
		size, b.reserved = b.reserved, 0
	}
	if size > 0 {
		b.c.out.Release(size)
	}
	b.c.queued.Add(-1)
}

// holdBack holds a message back if it has to wait, and reports whether it does.
func (b *broker) holdBack(message any) bool {
	f := fragmentOf(message)
	if len(b.held) == 0 && (f == nil || f.Holes() == 0) {
		return false
	}
	return b.holdForStates(message, f)
}

// holdForStates is holdBack for a message that may have to wait. It is not inlined, because its stack frame would cost
// every message cache lines.
//
//go:noinline
func (b *broker) holdForStates(message any, f *jelly.Fragment) bool {
	originals := originalsIn(f)
	needsStates := slices.ContainsFunc(originals, func(hole seam.Cache) bool {
		return b.caches.Held(hole.Core) == nil
	})
	if len(b.held) == 0 && !needsStates {
		return false
	}
	h := &heldMessage{message: message, size: sizeOf(message), serial: b.deliveries}
	h.add(originals)
	blocked := len(b.held) >= maxHeld
	for i := 0; i < len(b.held) && !blocked; i++ {
		blocked = b.dependsOn(h, b.held[i])
	}
	if !blocked && !needsStates {
		return false
	}
	b.held = append(b.held, h)
	if !blocked {
		b.requestStates(h)
	}
	return true
}

// add adds originals that the message or one of its states mentions.
func (h *heldMessage) add(originals []seam.Cache) {
	for _, hole := range originals {
		if _, known := h.states[hole.Core]; known {
			continue
		}
		if h.states == nil {
			h.states = map[seam.Core]*cacheState{}
		}
		h.states[hole.Core] = nil
		h.originals = append(h.originals, hole)
	}
}

// isMissing reports whether the peer does not have an original whose state was not requested for the message.
func (b *broker) isMissing(h *heldMessage, core seam.Core) bool {
	return b.caches.Held(core) == nil && h.states[core] == nil
}

func (b *broker) needsStates(h *heldMessage) bool {
	return slices.ContainsFunc(h.originals, func(hole seam.Cache) bool { return b.isMissing(h, hole.Core) })
}

// dependsOn reports whether a message must not be sent before an earlier one. The order is kept between the state of an
// original, its other mentions and its updates; between calls to one object, and updates of one cache; between updates
// and later calls; and between what a method sent and its answer. A message counts as sent by the method if it was
// handed over after the method's call had arrived.
func (b *broker) dependsOn(h, earlier *heldMessage) bool {
	for i := range h.originals {
		core := h.originals[i].Core
		if _, shared := earlier.states[core]; shared && b.caches.Held(core) == nil {
			return true
		}
	}
	if _, revokes := earlier.message.(*revoke); revokes {
		return true
	}
	first, firstIsCall := earlier.message.(*seam.OutgoingCall)
	switch m := h.message.(type) {
	case *seam.OutgoingCall:
		if m.Observer != nil && m.Observer.Luid() == 0 {
			return true
		}
		return firstIsCall && (first.Cache || sameTarget(m, first) || first.Promise != nil && m.Object == first.Promise)
	case *outgoingAnswer:
		return firstIsCall && m.inv.Serial() <= earlier.serial
	case *revoke:
		return true
	}
	return false
}

func sameTarget(a, b *seam.OutgoingCall) bool {
	return a.Cache == b.Cache && a.Observer == b.Observer && a.ID == b.ID && a.Name == b.Name && a.Object == b.Object
}

// requestStates requests the states that a message needs, unless too many messages do so already.
func (b *broker) requestStates(h *heldMessage) {
	if h.requested || b.requesting >= maxRequesting || !b.needsStates(h) {
		return
	}
	h.requested = true
	b.requesting++
	h.timer = b.afterWaiting(b.c.limits.StateTimeout, stateTimeout{h})
	b.requestMissing(h, h.originals)
}

// requestMissing requests the states of those originals that are missing, and reports whether there are any.
func (b *broker) requestMissing(h *heldMessage, originals []seam.Cache) (requested bool) {
	for _, hole := range originals {
		if b.isMissing(h, hole.Core) {
			b.requestState(h, hole)
			requested = true
		}
	}
	return requested
}

func (b *broker) requestState(h *heldMessage, hole seam.Cache) {
	c := b.c
	hole.Core.Hold(c.rt)
	s := &cacheState{core: hole.Core, observer: internal.NewObserver(c, hole)}
	h.states[hole.Core] = s
	h.missing++
	hole.Core.Observe(s.observer, func(state *jelly.Fragment, err error) {
		c.post(&stateReply{held: h, state: s, fragment: state, err: err})
	})
}

// stateArrived handles a reply. The state may mention further originals. When no state is missing any more, the message
// is sent.
func (b *broker) stateArrived(m *stateReply) {
	h := m.held
	if h.err != nil || b.c.ended() {
		m.abandon()
		return
	}
	h.missing--
	if m.err != nil {
		core := m.state.core
		h.states[core] = nil
		core.Release()
		b.failHeld(h, usercode.Wrap(m.err, "the state of a %v cannot be had", core))
		return
	}
	m.state.fragment = m.fragment
	h.size += m.fragment.Len()
	b.c.out.Reserve(m.fragment.Len())
	known := len(h.originals)
	h.add(originalsIn(m.fragment))
	b.requestMissing(h, h.originals[known:])
	if h.missing == 0 && !b.requestMissing(h, h.originals) { // The peer may have released some meanwhile.
		b.sendHeld()
	}
}

// stateTimedOut fails a message whose states were not supplied in time.
func (b *broker) stateTimedOut(h *heldMessage) {
	if h.err == nil && h.missing > 0 {
		b.c.countRejection(rejectState)
		b.failHeld(h, errStateTimeout)
	}
}

// failHeld fails a message whose states are not available. States that arrive later are dropped.
func (b *broker) failHeld(h *heldMessage, err error) {
	h.err = err
	b.sendHeld()
}

// sendHeld sends, in order, the messages that need not wait any more.
func (b *broker) sendHeld() {
	for again := true; again && b.c.sends(); {
		again = false // A message that is sent makes room for an earlier one to request states.
		var waiting []*heldMessage
		for _, h := range b.held {
			if b.isReady(h, waiting) {
				b.sendOrFail(h)
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

// isReady reports whether a message can be sent, or has failed, while those before it wait. It requests the states that
// are missing.
func (b *broker) isReady(h *heldMessage, before []*heldMessage) bool {
	if h.err != nil {
		return true
	}
	if h.missing > 0 {
		return false
	}
	for _, earlier := range before {
		if b.dependsOn(h, earlier) {
			return false
		}
	}
	if h.requested {
		return !b.requestMissing(h, h.originals)
	}
	if len(before) >= maxHeld {
		return false
	}
	b.requestStates(h)
	return !h.requested && !b.needsStates(h)
}

// sendOrFail ends the wait of a message.
func (b *broker) sendOrFail(h *heldMessage) {
	if h.requested {
		h.timer.Stop()
		b.requesting--
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
	for core, s := range h.states {
		if e := b.caches.Held(core); s != nil && e != nil && e.Value == s.observer {
			s.fragment.Free()
		} else {
			s.abandon() // The message failed, or another one brought the state.
		}
	}
}

// dropHeld fails the messages that were held when the connection ended.
func (b *broker) dropHeld(cause error) {
	for _, h := range b.held {
		if h.requested {
			h.timer.Stop()
		}
		b.refuse(h.message, cause)
		for _, s := range h.states {
			s.abandon()
		}
		h.states = nil
	}
	b.held = nil
}

// failWaiting fails the unsent messages when the connection has ended.
func (b *broker) failWaiting(cause error) {
	for _, m := range b.waiting {
		b.refuse(m, cause)
	}
	b.waiting = nil
	b.dropHeld(cause)
}
