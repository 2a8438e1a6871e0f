package broker

import (
	"sync"
	"time"
	"unsafe"

	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/seam"
)

// This file has the messages between the actors of a connection, and what they carry.

// Messages to the broker, beside *seam.OutgoingCall, *batch and those of the codec actors.
type (
	outgoingAnswer struct {
		inv      seam.Call
		fragment *jelly.Fragment
		isError  bool
	}
	cancelCall struct{ call *seam.OutgoingCall }
	// promiseDone says what a promise is that was not sent.
	promiseDone struct {
		promise *sentPromise
		value   any
		err     error
	}
	// waitOver says that a call was answered while it waited for a promise.
	waitOver struct{ parked *parkedCall }
	// closedCall says that a call whose result is kept will not be answered.
	closedCall struct {
		id  int64
		err error
	}
	flushDecrefs struct{}
	// rootsMade has the objects to be published, by name.
	rootsMade struct {
		objects map[string]any
		err     error
	}
	// drain closes the connection after the calls in progress were answered.
	drain struct{}
	// reached is closed when it arrives, after everything that was posted before.
	reached       chan struct{}
	drainCheck    struct{}
	graceOver     struct{}
	handshakeOver struct{}
	closeNow      struct {
		cause error
		flush bool
	}
)

// Messages to the encoder and back to the broker.
type (
	// flush asks for a write. It is sent with the first bytes in an empty outbox; others may join them before it
	// arrives.
	flush struct{}
	// flushNow asks for a write that must not block, since its turn may run on the sender's goroutine. It is for a
	// connection with at most one call in progress, where no other bytes would join.
	flushNow struct{}
	// flushAndReport asks for a write of everything and is answered with flushed.
	flushAndReport struct{}
	// flushed reports that everything has been written. half means that the peer has been told that nothing more will
	// come.
	flushed     struct{ half bool }
	writeFailed struct{ cause error }
)

// incoming is a command from the peer. Its values are decoded as far as possible without the tables.
type incoming struct {
	command.Command
	word string // the unknown command, or the one that the peer did not understand

	call    *flavors.Invocation // of a call: the invocation to be. Its Args are set if tuple is
	tuple   bool                // of a call: the arguments were a plain tuple, as in nearly all calls
	args    any                 // of a call, otherwise: a jelly.Tuple once bound
	noKw    bool                // of a call: the keywords were an empty dictionary, as in nearly all calls
	rawArgs *jelly.Raw          // of a call that is not decoded: the arguments; then args and kw are not set
	rawKw   *jelly.Raw          // of such a call: the keywords, nil if there are none
	kw      any                 // of a call, otherwise: a *jelly.Dict once bound
	known   bool                // of a call: the decoder knew how the arguments are decoded
	value   any                 // of an answer or error
	cost    flow.Cost           // of a call: what the account counts until the call is answered
	unbound []*jelly.Unbound
	refused []jelly.Mention // what the peer counted in values that were not decoded
	err     error           // what was wrong with the values; the rest of the command is good
	kept    *keptResult     // of a call: where its result is kept, or nil
	parked  *parkedCall     // of a call that has waited for a promise
}

// keeps is how many bytes a command takes whose values were not decoded.
func (cmd *incoming) keeps() int { return cap(cmd.refused) * int(unsafe.Sizeof(jelly.Mention{})) }

// needsInstantiator reports whether values are left that application code must make.
func (cmd *incoming) needsInstantiator() bool {
	for _, u := range cmd.unbound {
		if !u.Bound() {
			return true
		}
	}
	return false
}

// noteError keeps the first error of a command, nil being none.
func noteError(cmd *incoming, err error) {
	if cmd.err == nil {
		cmd.err = err
	}
}

// batchFrames is the most commands in a batch.
const batchFrames = 64

// batch is the commands of one read, or a part of them. The slice never grows, because values that are bound later are
// known by their addresses.
type batch struct {
	commands []incoming
	costs    flow.Batch
	read     time.Duration     // when, by figures.Now
	call     seam.IncomingCall // what begins next; empty otherwise
}

var batches = sync.Pool{New: func() any { return &batch{commands: make([]incoming, 0, batchFrames)} }}

// many is how many commands make the clock worth saving.
const many = 8

func (b *batch) hasMany() bool { return len(b.commands) >= many }

func (b *batch) free() {
	clear(b.commands)
	b.commands, b.costs, b.read = b.commands[:0], flow.Batch{}, 0
	batches.Put(b)
}

// Messages to the instantiator and back.
type (
	instantiate struct {
		cmd    *incoming
		caches func(more int) error // fails when there are too many
	}
	instantiated struct {
		cmd      *incoming
		caches   []madeCache     // for the broker's table
		received []seam.Handle   // that were made
		unmade   []jelly.Mention // what is left when an instance could not be made
	}
	madeCache struct {
		luid  int64
		cache seam.LocalCache
	}
)

func (done *instantiated) receive(local seam.LocalCache) any {
	h := local.Receive()
	done.received = append(done.received, h)
	return h
}

// abandon disconnects the caches, if the connection has ended meanwhile.
func (done *instantiated) abandon() {
	for _, m := range done.caches {
		m.cache.Disconnected()
	}
}

// heldMessage is a message that waits for the states of originals (our Cacheables), or for a message in front of it.
type heldMessage struct {
	message   any
	serial    uint64                    // how many of the peer's calls had been delivered before
	size      int                       // what the message and its states count for in the outbox
	originals []seam.Cache              // what the message and its states mention, each original once
	states    map[seam.Core]*cacheState // by original; nil if not requested
	missing   int                       // how many requested states have not arrived
	requested bool                      // states have been requested
	timer     *patience.Timer           // runs once states have been requested
	err       error                     // why the message cannot be sent
}

// cacheState is the state of an original, on its way into a message. The observer is registered already.
type cacheState struct {
	core     seam.Core
	observer seam.Observer
	fragment *jelly.Fragment // nil until the state arrives
}

// abandon drops the state, if it has arrived, and removes the observer.
func (s *cacheState) abandon() {
	if s == nil || s.fragment == nil {
		return
	}
	s.fragment.Free()
	s.core.Unobserve(s.observer, nil)
	s.core.Release()
}

type (
	// stateReply is a state, or the error in its place.
	stateReply struct {
		held     *heldMessage
		state    *cacheState
		fragment *jelly.Fragment
		err      error
	}
	// stateTimeout says that states were not supplied in time.
	stateTimeout struct{ held *heldMessage }
)

// abandon drops a state that no message needs any more.
func (m *stateReply) abandon() {
	if m.err != nil {
		m.state.core.Release()
		return
	}
	m.state.fragment = m.fragment
	m.state.abandon()
}

// fragmentOf returns the fragment of a message that has placeholders, or nil.
func fragmentOf(message any) *jelly.Fragment {
	switch m := message.(type) {
	case *seam.OutgoingCall:
		return m.Fragment
	case *outgoingAnswer:
		return m.fragment
	}
	return nil
}

// sizeOf returns what a message that was handed to the broker counts for among the bytes that wait to be written.
func sizeOf(message any) int {
	const overhead = 128 // the message, its Deferred and its place in queues, roughly
	n := overhead
	if f := fragmentOf(message); f != nil {
		n += f.Len()
	}
	if call, ok := message.(*seam.OutgoingCall); ok {
		n += len(call.Encoded) + len(call.Metadata)
	}
	return n
}
