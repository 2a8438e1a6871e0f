package flavors

import (
	"context"
	"errors"
	"math/big"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Invocation is one call from a peer. A method with an Invocation parameter learns who calls and over which connection;
// an actor of the application receives the Invocation as a message. It is answered exactly once.
type Invocation struct {
	// Method is the wire name of the method, without prefix.
	Method string
	// Args are the positional arguments as Jelly decoded them.
	Args jelly.Tuple
	// Kw are the keyword arguments; nil when there are none.
	Kw *jelly.Dict

	conn        seam.Conn
	caller      *peerCaller // nil for updates
	core        *objectCore
	perspective any
	prefix      Prefix
	requestID   int64
	longID      *big.Int
	size        int
	weight      int
	serial      uint64
	incarnation uint64

	state       atomic.Uint32  // what has happened to it: a set of call… bits
	handled     atomic.Bool    // the handler to which it was forwarded has returned
	passed      atomic.Bool    // it was forwarded, and has been carried out
	wantsAnswer bool           // the peer asked for an answer
	keep        bool           // the result is kept, because the peer may name it
	began       bool           // its object has started it
	timed       figures.Weight // how it is counted
	many        bool           // others were read with it
	counted     bool           // as ended
	extended    bool           // the peer may cancel it, and it may have a deadline
	limited     bool           // its answer is one of few that are being encoded

	onAnswer     func(*Invocation) // set within the object's turn; may be nil
	failure      error             // the answer, if it is a failure and keep is set
	parked       any               // the broker's, if the call had to wait for a promise
	received     []*seam.Refcount  // of the handles in the arguments: the answer may contain them
	turn         seam.Turn
	arrivals     *seam.Arrivals                 // counts it until it has been carried out
	read         time.Duration                  // when it was read, by figures.Now
	series       *figures.Series                // where it is counted; nil until that is known
	metadata     *receivedMetadata              // what it carried; nil if nothing
	deadline     time.Time                      // zero if it has none
	timer        atomic.Pointer[time.Timer]     // has it expire at the deadline; nil if it does not
	context      atomic.Pointer[callContext]    // nil until needed
	entry        seam.CallEntry                 // its place among the unanswered calls of the peer
	passedOn     atomic.Pointer[actor.Deferred] // the answer of the peer that it was passed on to
	interception *interception                  // nil unless interceptors may see the call
	relay        *relaying                      // nil for most

	direct *directCall // of arguments that are not in Args; nil until there are any

	room [4]any // for Args, so that most calls need one allocation
}

// errAnswersLater is returned by a handler that has arranged for the invocation's answer.
var errAnswersLater = errors.New("flavors: answered later")

// invocations pools answered ones that no user code has seen, so that a call costs no memory that must be collected.
var invocations = sync.Pool{New: func() any { return new(Invocation) }}

// newInvocation makes the message that carries a call to its object. Args has capacity but no elements.
func newInvocation() *Invocation {
	inv := invocations.Get().(*Invocation)
	inv.Args = inv.room[:0]
	return inv
}

// free pools an answered invocation to which there is no other reference.
func (inv *Invocation) free() {
	if !inv.deadline.IsZero() {
		if inv.state.Load()&callUntimed == 0 {
			return // What waits for the deadline may be about to run.
		}
		inv.timer.Store(nil)
	}
	inv.Method, inv.Args, inv.Kw = "", nil, nil
	inv.conn, inv.caller, inv.core, inv.perspective, inv.prefix = nil, nil, nil, nil, ""
	inv.longID = nil
	inv.requestID, inv.wantsAnswer, inv.size, inv.weight, inv.serial, inv.incarnation = 0, false, 0, 0, 0, 0
	inv.received, inv.arrivals, inv.began = nil, nil, false
	inv.keep, inv.failure, inv.parked = false, nil, nil
	inv.metadata, inv.deadline, inv.extended = nil, time.Time{}, false
	if inv.context.Load() != nil {
		inv.context.Store(nil)
	}
	inv.interception.clear()
	inv.relay.clear()
	inv.entry = seam.CallEntry{}
	if inv.passedOn.Load() != nil {
		inv.passedOn.Store(nil)
	}
	inv.read, inv.series, inv.timed, inv.many, inv.counted = 0, nil, 0, false, false
	inv.state.Store(0) // Handled and passed are not set: a forwarded invocation is not pooled.
	inv.direct.drop()
	clear(inv.room[:])
	invocations.Put(inv)
}

// incoming is the part of an Invocation that is for package broker only. It implements seam.Call.
type incoming Invocation

// invocationOf returns the invocation of a call that package broker has.
func invocationOf(call seam.Call) *Invocation { return (*Invocation)(call.(*incoming)) }

// Begin implements seam.Call.
func (inv *incoming) Begin(call *seam.IncomingCall) {
	inv.Method, inv.Args, inv.Kw = call.Method, call.Args, call.Kw
	inv.conn, inv.perspective, inv.prefix = call.Conn, call.Perspective, Prefix(call.Prefix)
	inv.caller, _ = call.Caller.(*peerCaller)
	inv.longID = call.LongRequestID
	inv.requestID, inv.wantsAnswer, inv.size, inv.weight = call.RequestID, call.WantsAnswer, call.Size, call.Weight
	inv.serial, inv.read, inv.many = call.Serial, call.Read, call.Many
	inv.extended, inv.entry.Call = call.Extended, inv
	inv.setRaw(call.RawArgs, call.RawKw)
	if inv.interception == nil && call.Conn.Interceptor() != nil {
		inv.interception = new(interception) // It is pooled with the invocation.
	}
	if call.Arrivals != nil {
		call.Arrivals.Add()
		inv.arrivals = call.Arrivals
	}
	inv.keep = call.Keep
	if len(call.Received) > 0 {
		inv.receive(call.Received)
	}
}

// receive notes the handles that came in the arguments.
func (inv *incoming) receive(handles []seam.Handle) {
	inv.received = slices.Grow(inv.received, len(handles))
	for _, h := range handles {
		count := h.(counted).count()
		count.AwaitAnswer()
		inv.received = append(inv.received, count)
	}
}

// Wait implements seam.Call.
func (inv *incoming) Wait(parked any) {
	inv.parked = parked
	(*Invocation)(inv).limitTime()
}

// Aim implements seam.Call.
func (inv *incoming) Aim(t seam.Target) {
	if c := inv.context.Swap(nil); c != nil {
		c.callOver(nil) // Another one belongs to the caller.
	}
	inv.Args, inv.Kw = t.Args, t.Kw
	inv.setRaw(t.RawArgs, t.RawKw)
	inv.prefix, inv.perspective, inv.serial = Prefix(t.Prefix), t.Perspective, t.Serial
	inv.caller, _ = t.Caller.(*peerCaller)
	inv.receive(t.Received)
}

// Abandon implements seam.Call.
func (inv *incoming) Abandon() { (*Invocation)(inv).abandon() }

// Failure implements seam.Call.
func (inv *incoming) Failure() error {
	if (*Invocation)(inv).hasExpired() {
		return (*Invocation)(inv).expiry()
	}
	return inv.failure
}

// Keep implements seam.Call.
func (inv *incoming) Keep() bool { return inv.keep }

// counted is a handle that came from the peer: a *RemoteReference or a *Cached.
type counted interface{ count() *seam.Refcount }

// Refuse implements seam.Call.
func (inv *incoming) Refuse(err error) { (*Invocation)(inv).drop(err) }

// ReplaceAnswer implements seam.Call.
func (inv *incoming) ReplaceAnswer(err error) { (*Invocation)(inv).sendFailure(err) }

// Entry implements seam.Call.
func (inv *incoming) Entry() *seam.CallEntry { return &inv.entry }

// WantsAnswer implements seam.Call.
func (inv *incoming) WantsAnswer() bool { return inv.wantsAnswer }

// String implements seam.Call.
func (inv *incoming) String() string { return (*Invocation)(inv).String() }

// RequestID implements seam.Call.
func (inv *incoming) RequestID() int64 { return inv.requestID }

// LongRequestID implements seam.Call.
func (inv *incoming) LongRequestID() *big.Int { return inv.longID }

// Size implements seam.Call.
func (inv *incoming) Size() int { return inv.size }

// Weight implements seam.Call.
func (inv *incoming) Weight() int { return inv.weight }

// Serial implements seam.Call.
func (inv *incoming) Serial() uint64 { return inv.serial }

// carriedOut is called when the method has returned, or will not run. A forwarded call has been carried out when its
// actor has handled or answered it.
func (inv *Invocation) carriedOut() {
	if inv.onAnswer != nil && !inv.passed.CompareAndSwap(false, true) {
		return // A forwarded call may end in several ways at once.
	}
	inv.arrived()
	if inv.extended {
		if before := inv.state.Or(callOver); before&callOver == 0 {
			inv.isOver(before | callOver)
		}
	}
}

// arrived no longer counts the call among those that have not been carried out.
func (inv *Invocation) arrived() {
	if a := inv.arrivals; a != nil {
		inv.arrivals = nil
		a.Done()
	}
}

// encoded is called when the answer has been encoded, or there is none. From now on what the answer mentions is in use.
// Other handles that were released meanwhile are given back before the answer goes out.
func (inv *Invocation) encoded() {
	received := inv.received
	inv.received = nil
	for _, h := range received {
		h.Answered()
	}
	inv.conn.Turns().Leave(&inv.turn)
}

// Conn returns the connection over which the call came.
func (inv *Invocation) Conn() Conn { return publicConn(inv.conn) }

// Context returns a context that ends with the connection over which the call came, and when the calling user logs out.
// A long method should return when its context ends, because the user's logout waits for it.
//
// Under dialect pb+1 the context also ends when the caller cancels the call, with [context.Canceled], and at the call's
// deadline, with [context.DeadlineExceeded]. Calls made with it have what is left of that time. What the method returns
// then is dropped: the caller has been answered. Under other dialects the peer can do neither.
//
// A context that is kept goes on after the call has been answered, until the connection ends or the user logs out. When
// more than 4,096 contexts of past calls are kept for a caller, those end of which only the Done channel is in use.
func (inv *Invocation) Context() context.Context {
	switch {
	case inv == nil || inv.conn == nil:
		return context.Background() // It came over no connection.
	case inv.interception.hasContext():
		return inv.interception.ctx
	case inv.extended:
		return inv.callContext(true)
	}
	return inv.callerContext()
}

// callerContext returns the context of the caller: that of the connection or of the user's login.
func (inv *Invocation) callerContext() context.Context {
	if inv.caller != nil {
		return inv.caller.ctx
	}
	return inv.conn.Context()
}

// Perspective returns the avatar on whose behalf the call is made, nil without a login.
func (inv *Invocation) Perspective() any {
	switch {
	case inv == nil:
		return nil
	case inv.relay.isViewed():
		return inv.relay.viewer
	}
	return inv.perspective
}

// RequestID returns the caller's number of this call; 0 if the number has more than 64 bits.
func (inv *Invocation) RequestID() int64 { return inv.requestID }

// WantsAnswer reports whether the caller has asked for an answer. If not, neither a result nor an error is sent.
func (inv *Invocation) WantsAnswer() bool { return inv.wantsAnswer }

// String names the call in logs, as Type.method. The peer chooses the name of the method: it is clipped, and escaped
// where it is not printable.
func (inv *Invocation) String() string {
	if inv == nil {
		return "<no call>"
	}
	method := strconv.Quote(clipText(inv.Method, maxQuotedName))
	method = method[1 : len(method)-1]
	if inv.core == nil {
		return method
	}
	return inv.core.typeName() + "." + method
}

// GoString implements [fmt.GoStringer] by String: %#v would walk the arguments, which may contain themselves.
func (inv *Invocation) GoString() string { return inv.String() }

// isIntercepted reports whether interceptors get what the method answers.
func (inv *Invocation) isIntercepted() bool { return inv.interception.current() != nil }

// Answer completes the call with a value or, if err is not nil, with a failure. If the value is a *actor.Deferred, the
// call is answered when that completes. The first Answer counts; later ones report false. Answer may be called from any
// goroutine.
func (inv *Invocation) Answer(v any, err error) bool {
	if inv == nil || inv.conn == nil {
		return false // It came over no connection.
	}
	if inv.isIntercepted() {
		return inv.deferred().Complete(v, err) // For the interceptors.
	}
	return inv.reply(v, err)
}

// reply is Answer without interceptors.
func (inv *Invocation) reply(v any, err error) bool {
	if err != nil {
		return inv.fail(err)
	}
	if d, ok := v.(*actor.Deferred); ok && d != nil {
		if !inv.claim(callClaimed) {
			return false
		}
		d.OnComplete(func(v any, err error) {
			if inv.decide() {
				inv.send(v, err)
			}
		})
		return true
	}
	if !inv.claim(callClaimed | callDecided) {
		return false
	}
	inv.send(v, nil)
	return true
}

// answerFrom is Answer with a method's results, when the turn of the object's mailbox is about to end. It reports
// whether the answer has been sent, so that the connection no longer uses the invocation.
func (inv *Invocation) answerFrom(v any, err error) (gone bool) {
	if err != nil {
		inv.fail(err)
		return false
	}
	if _, later := v.(*actor.Deferred); later {
		inv.Answer(v, nil)
		return false
	}
	return inv.claim(callClaimed|callDecided) && inv.send(v, nil)
}

// answerIntercepted answers with what the interceptors have returned, when the method has returned. It reports what
// answerFrom reports.
func (inv *Invocation) answerIntercepted(v any, err error) (gone bool) {
	if err != nil {
		inv.failNow(err)
		return false
	}
	if _, later := v.(*actor.Deferred); later {
		inv.reply(v, nil)
		return false
	}
	return inv.claim(callClaimed|callDecided) && inv.send(v, nil)
}

// fail answers with an error, unless the method has answered. Interceptors that wait for the method's answer get the
// error first.
func (inv *Invocation) fail(err error) bool {
	if inv.isIntercepted() && !inv.deferred().Complete(nil, err) {
		return false
	}
	return inv.failNow(err)
}

func (inv *Invocation) failNow(err error) bool {
	if inv.conn == nil || !inv.claim(callClaimed|callDecided) {
		return false
	}
	inv.send(nil, err)
	return true
}

// drop is fail for a call that will not be carried out any more.
func (inv *Invocation) drop(err error) {
	if how := inv.relay.how(); how != nil && how.Failed != nil && inv.core != nil && errors.Is(err, ErrObjectStopped) {
		err = how.Failed(err)
	}
	if !inv.fail(err) && inv.hasExpired() {
		inv.carriedOut()
	}
}

// Deliver implements seam.Core.
func (c *objectCore) Deliver(call seam.Call) {
	inv := invocationOf(call)
	inv.core = c
	inv.limitTime()
	if c.forward != nil {
		if err := inv.decodeAll(); err != nil {
			inv.drop(err)
			return
		}
		if c.passesOn(inv) {
			c.forward.pass(inv)
			return
		}
	}
	if err := c.deliver(inv); err != nil {
		inv.drop(err)
	}
}

// passesOn reports whether a forwarder passes the call on at once, without a turn of its own. Otherwise a later answer,
// which the broker gives to the actor at once, could overtake the call. It does not if earlier calls wait, or if this
// one must wait because its peer does not read.
func (c *objectCore) passesOn(inv *Invocation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == coreRunning && (c.active == nil || c.active.inFlight == 0) &&
		(!inv.wantsAnswer || !inv.conn.Congested()) && chainOf(inv.conn) == nil
}

func (c *objectCore) deliver(inv *Invocation) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state != coreRunning:
		return stoppedError(c.value)
	case inv.caller.IsOver(): // Checked under the lock: a caller ends before it looks for calls here.
		return errCallDropped
	}
	c.postLocked(inv)
	return nil
}

// abandon closes a call without an answer, because its connection has ended.
func (inv *Invocation) abandon() {
	if !inv.claim(callClaimed | callDecided) {
		if inv.hasExpired() {
			inv.carriedOut()
		}
		return
	}
	inv.count(ConnectionLost.name)
	if inv.onAnswer != nil {
		inv.onAnswer(inv)
	}
	inv.carriedOut()
	inv.encoded()
	inv.conn.CloseCall((*incoming)(inv))
}

func (inv *Invocation) isOf(caller *peerCaller) bool { return inv.caller == caller }

// dropped ends a call that will not begin.
func (inv *Invocation) dropped() {
	if inv.conn.Context().Err() != nil {
		inv.abandon()
		return
	}
	inv.drop(errCallDropped)
}

// send encodes the answer on the caller's goroutine: it is a snapshot, and a value that cannot be sent fails only this
// call. turn, which may be nil, and the result are those of answerFrom.
func (inv *Invocation) send(v any, err error) (gone bool) {
	if inv.extended {
		inv.isOver(inv.state.Load())
	}
	if inv.onAnswer != nil {
		inv.onAnswer(inv)
		inv.carriedOut()
	} else if !inv.began {
		inv.carriedOut()
	}
	if err != nil && inv.prefix == PrefixObserve && inv.core != nil {
		inv.core.updateFailed(inv, err)
		defer inv.core.logUpdateFailed(inv, err)
	}
	if !inv.wantsAnswer {
		inv.countError(err)
		defer inv.conn.CloseCall((*incoming)(inv))
		if err != nil {
			usercode.Log(func() {
				inv.traced(inv.conn.Logger().Debug()).
					Err(usercode.LogError(err)).
					Stringer("call", inv).
					Msg("a call that wants no answer failed")
			})
		}
		inv.encoded()
		return inv.onAnswer == nil
	}
	switch {
	case inv.isLate():
		inv.sendFailure(errTooLate) // As if the call had expired before.
	case err == nil:
		return inv.sendValue(v)
	default:
		inv.sendFailure(err)
	}
	return false
}

// updateError is why a copy is stale if an update could not be applied.
type updateError struct {
	update string
	err    error
}

func (e *updateError) Error() string {
	return "flavors: the update " + e.update + " could not be applied: " + usercode.ErrorText(e.err)
}

func (e *updateError) Unwrap() error { return e.err }

// updateFailed marks the copy as stale because of an update. It runs no code of the application.
func (c *objectCore) updateFailed(inv *Invocation, err error) {
	if inv.conn.Context().Err() == nil { // Otherwise the broker marks it, with the end of the connection as the cause.
		c.stale(&updateError{inv.name(), err})
	}
}

// logUpdateFailed logs an update that could not be applied.
func (c *objectCore) logUpdateFailed(inv *Invocation, err error) {
	level, last := c.rarity().updates.level(supervision.TreeOf(inv.conn.Runtime()).ObjectLimit())
	if level == zerolog.ErrorLevel {
		level = zerolog.WarnLevel
	}
	usercode.Log(func() {
		inv.conn.Logger().WithLevel(level).Err(usercode.LogError(err)).Str("update", inv.name()).
			Msg("an update could not be applied; the copy is stale")
	})
	if last {
		usercode.Log(func() {
			inv.conn.Logger().Warn().Str("copy", c.typeName()).
				Msg("updates of this copy fail often; further failures within this time are logged at the debug level")
		})
	}
}

// name returns the name of the method for logs and errors. A Handler takes any name that a peer makes up.
func (inv *Invocation) name() string { return clipText(inv.String(), maxQuotedName) }

// logPanic logs a panic of code that this call ran, with the method and, by the connection's logger, the peer.
func (inv *Invocation) logPanic(p *PanicError) {
	if inv.core == nil {
		return
	}
	inv.core.logPanic(inv.conn.Logger(), p, func(e *zerolog.Event) {
		inv.traced(e).Str("method", inv.name()).Int64("request", inv.requestID)
	})
}

// sendableError returns what is sent for an error: itself if its type is a Copyable, which the peer may have
// registered, otherwise a [Failure].
func (inv *Invocation) sendableError(err error) any {
	if own, ok := usercode.As[jellyableError](err); ok && !usercode.IsNilPointer(own) {
		if _, failure := own.(*Failure); !failure {
			return own
		}
	}
	return failureFor(err, inv.conn.UnsafeTracebacks())
}

// jellySafely encodes a value. A panic of the user code that encodes it fails only this value.
func jellySafely(fragment *jelly.Fragment, v any) error {
	if fragment.JellyPlain(v) {
		return nil
	}
	return encodeSafely(fragment, func() error { return fragment.Jelly(v) })
}

// encodeSafely calls f, which fills a fragment. If f ends the goroutine, the fragment is freed, so that what it
// mentions does not stay in use.
func encodeSafely(fragment *jelly.Fragment, f func() error) (err error) {
	returned := false
	defer func() {
		if r := recover(); r != nil {
			err = &PanicError{What: "the code that encodes a value", Value: r, Stack: debug.Stack()}
		} else if !returned {
			fragment.Free()
		}
	}()
	err = f()
	returned = true
	return err
}

// newFragment returns an empty fragment. root is what errors call the value that will be in it.
func (inv *Invocation) newFragment(root string) *jelly.Fragment {
	if !inv.relay.isViewed() {
		return inv.conn.NewFragment(inv.perspective, root)
	}
	c := inv.conn.JellyContext(inv.perspective)
	c.Root, c.Viewer = root, inv.relay.viewer
	return jelly.NewFragment(c)
}

// sendFailure answers with a failure made of err. Whatever the methods of err do, one answer is sent.
func (inv *Invocation) sendFailure(err error) {
	sent := false
	defer func() {
		if !sent { // A method of the error ended the goroutine.
			inv.sendPlainFailure("its error cannot be read")
		}
	}()
	logFailure(inv, err)
	if inv.keep {
		inv.failure = err
	}
	fragment := inv.newFragment("failure")
	sendable := inv.sendableError(err)
	inv.count(kindOf(sendable))
	encodeErr := jellySafely(fragment, sendable)
	if encodeErr == nil {
		sent = true
		inv.encoded()
		inv.conn.SendAnswer((*incoming)(inv), fragment, true)
		return
	}
	fragment.Free()
	// A Failure consists of clipped strings; only a failure of a class of the user's gets here.
	usercode.Log(func() {
		inv.traced(inv.conn.Logger().Error()).
			Err(usercode.LogError(encodeErr)).
			Stringer("call", inv).
			Msg("a failure could not be encoded")
	})
	why := usercode.ErrorText(encodeErr)
	sent = true
	inv.sendPlainFailure(why)
}

// sendPlainFailure answers with a failure that runs no user code.
func (inv *Invocation) sendPlainFailure(why string) {
	if !inv.counted {
		inv.count(RuntimeError.name)
	}
	fragment := inv.newFragment("failure")
	plain := RuntimeError.New(clipText("the call failed, and so did sending its failure: "+why, MaxFailureText))
	if inv.keep {
		inv.failure = plain
	}
	if fragment.Jelly(plain) != nil {
		fragment.Free()
		inv.encoded()
		inv.conn.CloseCall((*incoming)(inv))
		return
	}
	inv.encoded()
	inv.conn.SendAnswer((*incoming)(inv), fragment, true)
}

// logFailure logs an error that the peer will get. It is a debug line, because a peer can cause errors at will.
func logFailure(inv *Invocation, err error) {
	usercode.Log(func() {
		inv.traced(inv.conn.Logger().Debug()).
			Err(usercode.LogError(err)).
			Stringer("call", inv).
			Int64("request", inv.requestID).
			Msg("the peer is answered with a failure")
	})
}

// Post queues a continuation in the turn of the object that was called. It implements the queue of
// [actor.Deferred.Then].
func (inv *Invocation) Post(run func(), drop func(error)) {
	if inv == nil || inv.core == nil || run == nil {
		if drop != nil {
			drop(ErrObjectStopped)
		}
		return
	}
	t := &turn{run: run, drop: drop, incarnation: inv.incarnation, bound: true, conn: inv.conn, turns: inv.conn.Turns()}
	t.turns.EnterBehind(&t.running)
	if err := inv.core.post(t); err != nil {
		t.Drop(err)
	}
}

// Self returns the PID of the object's actor.
func (inv *Invocation) Self() *protoactor.PID {
	if inv == nil || inv.core == nil {
		return nil
	}
	inv.core.mu.Lock()
	defer inv.core.mu.Unlock()
	return inv.core.active.pid
}

// Actor returns nil: Post queues continuations of an object's method. It implements actor.Turn.
func (inv *Invocation) Actor() protoactor.Actor { return nil }

// ActorSystem returns the system in which the object's actor runs.
func (inv *Invocation) ActorSystem() *protoactor.ActorSystem {
	if inv == nil || inv.conn == nil {
		return nil
	}
	return inv.conn.Runtime().System()
}

// GetAutoResponse implements protoactor.AutoRespond: the actor system calls it when the actor to which the call was
// forwarded has handled the message without a panic. It is not for applications.
func (inv *Invocation) GetAutoResponse(protoactor.Context) any {
	inv.handled.Store(true)
	inv.carriedOut()
	return nil
}

// Enter implements actor.Entrant for the actor to which the call was forwarded: it drops a call whose user has logged
// out. It is not for applications.
func (inv *Invocation) Enter() bool {
	if inv.isTooLate() {
		inv.carriedOut()
		return false
	}
	if inv.caller.enter() {
		return true
	}
	inv.dropped()
	return false
}

// Leave implements actor.Entrant. It is not for applications.
func (inv *Invocation) Leave() { inv.caller.leave() }

// Failed implements actor.Failable: the handler to which the call was forwarded panicked. The call fails unless it has
// been answered.
func (inv *Invocation) Failed(reason *actor.PanicError) { inv.drop(reason) }

// Drop implements actor.Droppable: a call that no actor will carry out fails with the cause.
func (inv *Invocation) Drop(cause error) { inv.drop(cause) }
