package broker

import (
	"context"
	"sync/atomic"
)

// state is a stage in the life of a connection.
type state int32

const (
	// stateNegotiating: the sides agree on a profile. Messages to send wait.
	stateNegotiating state = iota
	// stateOpen: calls and answers go in both directions.
	stateOpen
	// stateDraining: the runtime is closing. Further calls of the peer are rejected; those in progress are answered.
	stateDraining
	// stateFlushing: this side closes in good order. Nothing more is sent but what is in the outbox.
	stateFlushing
	// stateLingering: the connection has ended. The reader discards what the peer still sends, so that the kernel does not
	// drop what is not delivered yet; see [netio.Linger].
	stateLingering
	// stateClosed: the connection has ended, and its socket is closed.
	stateClosed
)

func (s state) String() string {
	return [...]string{"negotiating", "open", "draining", "flushing", "lingering", "closed"}[s]
}

// mayBecome reports whether a connection may go from s to next.
func (s state) mayBecome(next state) bool {
	switch next {
	case stateOpen:
		return s == stateNegotiating
	case stateDraining:
		return s == stateOpen
	case stateFlushing:
		return s == stateOpen || s == stateDraining
	case stateLingering:
		return s == stateFlushing
	case stateClosed:
		return s != stateClosed
	}
	return false
}

// lifecycle is the state of a connection:
//
//	negotiating → open → draining → flushing → lingering → closed
//
// A connection may skip draining and lingering, and goes to closed from every state. It never goes back. The broker's
// turn changes the state; only the reader's goroutine goes from lingering to closed. Any goroutine may read it.
type lifecycle struct {
	state   atomic.Int32
	ctx     context.Context // canceled with the cause when the connection ends
	cancel  context.CancelCauseFunc
	opened  chan struct{} // closed when the negotiation has succeeded
	stopped chan struct{} // closed when the broker actor has stopped
	gone    chan struct{} // closed when the socket is closed
	goaway  chan struct{} // closed when the peer has said that it goes away
	onGone  func()        // called when the socket is closed; nil if there is nothing to do
}

func (l *lifecycle) init(ctx context.Context) {
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.opened, l.stopped, l.gone = make(chan struct{}), make(chan struct{}), make(chan struct{})
	l.goaway = make(chan struct{})
}

func (l *lifecycle) now() state { return state(l.state.Load()) }

// advance goes to the next state, and reports whether the transition is allowed.
func (l *lifecycle) advance(next state) bool {
	for {
		now := l.now()
		if !now.mayBecome(next) {
			return false
		}
		if l.state.CompareAndSwap(int32(now), int32(next)) {
			switch next {
			case stateOpen:
				close(l.opened)
			case stateClosed:
				l.isGone()
			}
			return true
		}
	}
}

// lingered ends lingering: the socket is closed.
func (l *lifecycle) lingered() {
	if l.state.CompareAndSwap(int32(stateLingering), int32(stateClosed)) {
		l.isGone()
	}
}

func (l *lifecycle) isGone() {
	close(l.gone)
	if l.onGone != nil {
		l.onGone()
	}
}

// sends reports whether calls and answers may be sent.
func (l *lifecycle) sends() bool { s := l.now(); return s == stateOpen || s == stateDraining }

// ended reports whether the connection has ended. Nothing is owed to the peer then.
func (l *lifecycle) ended() bool { return l.now() >= stateLingering }

// wasOpened reports whether the negotiation has succeeded, also after the end.
func (l *lifecycle) wasOpened() bool {
	select {
	case <-l.opened:
		return true
	default:
		return false
	}
}
