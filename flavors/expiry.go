package flavors

import (
	"context"
	"time"

	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// The bits of an invocation's state.
const (
	callClaimed   = 1 << iota // it has been answered, perhaps with a Deferred: later answers do not count
	callDecided               // its answer is on its way: what a Deferred brings does not count any more
	callExpired               // it was answered before it was carried out, because its time was over or its caller left
	callCancelled             // its caller left
	callTold                  // the answer of an expired call has been given to the connection
	callOver                  // its method has returned, or will not run
	callUntimed               // its timer has been stopped before it ran
)

var (
	errTooLate = DeadlineExceeded.New("the deadline of the call has passed")
	errLeft    = Canceled.New("the caller has cancelled the call")
)

// claim sets bits of an invocation that has not been answered, and reports whether it has set them.
func (inv *Invocation) claim(bits uint32) bool {
	for {
		s := inv.state.Load()
		if s&(callClaimed|callDecided) != 0 {
			return false
		}
		if inv.state.CompareAndSwap(s, s|bits) {
			return true
		}
	}
}

// finish is carriedOut, and a claim of the answer that is about to be given, in one step. It reports false, and does
// nothing, if the call needs more than that.
func (inv *Invocation) finish() bool {
	if !inv.extended || inv.onAnswer != nil || !inv.state.CompareAndSwap(0, callClaimed|callDecided|callOver) {
		return false
	}
	inv.arrived()
	return true
}

// decide reports whether the result of a Deferred is the answer.
func (inv *Invocation) decide() bool { return inv.state.Or(callDecided)&callDecided == 0 }

// expire answers a call before it is carried out. why is 0 or callCancelled. It may be called by any goroutine, at any
// time, also after the answer. The call counts against the peer's limits until its method has returned, or it is
// its turn and it is not run.
func (inv *Invocation) expire(why uint32) {
	for {
		s := inv.state.Load()
		if s&callDecided != 0 {
			return
		}
		if inv.state.CompareAndSwap(s, s|callDecided|callExpired|why) {
			break
		}
	}
	conn, parked := inv.conn, inv.parked // The invocation may be used again once it is over.
	inv.stopTimer()
	if c := inv.context.Load(); c != nil && why == callCancelled {
		c.end()
	}
	inv.tellExpired()
	if d := inv.passedOn.Load(); d != nil {
		d.Cancel()
	}
	if inv.isIntercepted() {
		inv.deferred().Complete(nil, inv.expiry()) // Interceptors may wait for a method that answers by itself.
	}
	inv.isOver(inv.state.Or(callTold) | callTold)
	if parked != nil {
		conn.WaitOver(parked)
	}
}

// tellExpired answers an expired call. Its method may be running, so what that changes must not be touched.
func (inv *Invocation) tellExpired() {
	for _, h := range inv.received {
		h.Forfeit()
	}
	inv.encoded()
	if !inv.wantsAnswer {
		return
	}
	err := inv.expiry()
	logFailure(inv, err)
	fragment := inv.conn.NewFragment(nil, "failure")        // Whose call it is may be about to change.
	if encodeErr := fragment.Jelly(err); encodeErr != nil { // It is a short text: only absurd limits refuse it.
		fragment.Free()
		usercode.Log(func() { inv.conn.Logger().Error().Err(encodeErr).Msg("a failure could not be encoded") })
		return
	}
	inv.conn.SendAnswer((*incoming)(inv), fragment, true)
}

// expiry returns the error of an expired call.
func (inv *Invocation) expiry() *Failure {
	if inv.state.Load()&callCancelled != 0 {
		return errLeft
	}
	return errTooLate
}

// isOver is called when a call has been carried out, and when the answer of one that has expired has been given to the
// connection. s is its state.
func (inv *Invocation) isOver(s uint32) {
	switch {
	case s&callOver == 0 || s&callDecided == 0:
		return
	case s&callExpired == 0:
	case s&callTold == 0:
		return
	default:
		if inv.onAnswer != nil {
			inv.onAnswer(inv)
		}
		inv.count(inv.expiry().Type)
		inv.conn.CloseCall((*incoming)(inv))
	}
	inv.endContext()
}

// endContext notes that the call cannot be cancelled any more.
func (inv *Invocation) endContext() {
	inv.stopTimer()
	if c := inv.context.Load(); c != nil {
		c.callOver(inv.caller)
	}
}

func (inv *Invocation) hasExpired() bool { return inv.state.Load()&callExpired != 0 }

// isTooLate reports whether a call has been answered before it began, or its time is over.
func (inv *Invocation) isTooLate() bool {
	if !inv.extended {
		return false
	}
	if inv.isLate() {
		inv.expire(0)
	}
	return inv.hasExpired()
}

// skip ends a call that has expired before it began.
func (inv *Invocation) skip() {
	if inv.prefix == PrefixObserve {
		err := inv.expiry()
		inv.core.updateFailed(inv, err)
		defer inv.core.logUpdateFailed(inv, err)
	}
	inv.Args, inv.Kw = nil, nil
	inv.direct.drop()
	clear(inv.room[:])
	inv.carriedOut()
}

// limitTime has a call expire at its deadline.
func (inv *Invocation) limitTime() {
	switch {
	case !inv.extended || inv.deadline.IsZero():
	case inv.wantsAnswer:
		inv.startTimer()
	default:
		inv.followContext()
	}
}

// startTimer has a call expire whose end the connection knows of. Its context has a timer of its own, because most
// calls are over before it is needed.
func (inv *Invocation) startTimer() {
	if inv.timer.Load() != nil {
		return
	}
	inv.timer.Store(time.AfterFunc(time.Until(inv.deadline), inv.timeOver))
	if inv.state.Load()&callDecided != 0 {
		inv.stopTimer() // There was none when the answer was decided.
	}
}

// followContext has a call expire with its context. Connections do not know the calls that want no answer, so a timer
// would keep them beyond the end of the connection.
func (inv *Invocation) followContext() {
	c := inv.callContext(false)
	ctx := c.base()
	unfollow := context.AfterFunc(ctx, func() {
		if context.Cause(ctx) == context.DeadlineExceeded {
			inv.expire(0)
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.more.unfollow != nil {
		unfollow()
		return
	}
	c.more.unfollow = unfollow
}

// timeOver is called at the deadline. The calls of a connection that has ended are ended by that.
func (inv *Invocation) timeOver() {
	if inv.conn.Context().Err() == nil {
		inv.expire(0)
	}
}

// stopTimer keeps a call from expiring.
func (inv *Invocation) stopTimer() {
	if t := inv.timer.Load(); t != nil && t.Stop() {
		inv.state.Or(callUntimed)
	}
}

// Lose implements seam.Call.
func (inv *incoming) Lose() { (*Invocation)(inv).stopTimer() }

// Cancel implements seam.Call.
func (inv *incoming) Cancel() { (*Invocation)(inv).expire(callCancelled) }

// Ended implements seam.Call.
func (inv *incoming) Ended() seam.CallEnd {
	switch s := inv.state.Load(); {
	case s&callExpired == 0:
		return seam.NotEnded
	case s&callCancelled != 0:
		return seam.CallerLeft
	}
	return seam.TimeOver
}

// callContext returns the context of the call. given says that the application gets it.
func (inv *Invocation) callContext(given bool) *callContext {
	if c := inv.context.Load(); c != nil {
		c.give(given)
		return c
	}
	return inv.contextIn(new(callContext), given)
}

// contextIn is callContext. If there is no context yet, it is made in room.
func (inv *Invocation) contextIn(room *callContext, given bool) *callContext {
	room.parent, room.metadata, room.given = inv.callerContext(), inv.metadata, given
	if !inv.deadline.IsZero() {
		room.more = &contextParts{deadline: inv.deadline}
	}
	if !inv.context.CompareAndSwap(nil, room) {
		c := inv.context.Load()
		c.give(given)
		return c
	}
	// The caller may have left before there was a context to end.
	if s := inv.state.Load(); s&callCancelled != 0 {
		room.end()
	}
	return room
}

// isLate reports whether the deadline of the call has come. The context of a call ends by a timer of its own, so a
// method that waits for it may answer before the call has expired.
func (inv *Invocation) isLate() bool {
	return !inv.deadline.IsZero() && !time.Now().Before(inv.deadline)
}
