package broker

import (
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/table"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/seam"
)

// This file has the promises of this side: results of calls of ours that further calls name. In dialect pb+1 a request
// with answerRequired 2 can be named until this side says settled, which it does when it has the answer (P-11.6). From
// then on calls use the reference itself. In the other dialects, and beyond maxPromises, calls that use a promise wait
// here until it is answered.

// maxPromises is how many results one side keeps for the other in dialect pb+1, until it says that they are settled.
const maxPromises = 1024

// promises has the promises of this side. It belongs to the broker actor.
type promises struct {
	byID    map[int64]*sentPromise // those that are not answered, or can be named
	named   int                    // how many can be named
	waits   table.Waits[*seam.OutgoingCall]
	waiting map[*seam.OutgoingCall]*outWait // calls that cannot be written yet
	bytes   int                             // of these calls
}

type (
	outPromise = table.Promise[*seam.OutgoingCall]
	outWait    = table.Wait[*seam.OutgoingCall]
)

// sentPromise is a promise of this side. Its table.Promise is done once calls that use it can be written.
type sentPromise struct {
	table.Promise[*seam.OutgoingCall]

	id       int64
	canName  bool // the peer keeps the result
	answered bool
	ref      *flavors.RemoteReference // the result, once answered
	err      error                    // why there is no reference, once answered

	// open is how many promises that are not answered stand in the arguments of calls on this one. The peer runs a
	// later call behind those only if it names the promise too.
	open   int
	opened []*sentPromise // whose open counts this one
}

// entryOf returns the broker's entry of a promise. One without an entry was not sent: its call failed before it got
// here, or interceptors answer it.
func (b *broker) entryOf(p *seam.Promise) *sentPromise {
	e, ok := p.Entry.(*sentPromise)
	if ok {
		return e
	}
	e = &sentPromise{}
	p.Entry = e
	if v, err, over := p.Result.Result(); over {
		b.promiseIs(e, v, err)
	} else {
		c := b.c
		p.Result.OnComplete(func(v any, err error) { c.post(promiseDone{e, v, err}) })
	}
	return e
}

// usesOf returns the promises that a call uses: the one that it is on, or nil, and those in its arguments.
func (b *broker) usesOf(call *seam.OutgoingCall) (object *sentPromise, args []*sentPromise) {
	if call.Object != nil {
		object = b.entryOf(call.Object)
	}
	if f := call.Fragment; f != nil && f.Holes() > 0 {
		for payload := range f.AllHoles() {
			if hole, ok := payload.(seam.PromiseHole); ok {
				args = append(args, b.entryOf(hole.Promise))
			}
		}
	}
	return object, args
}

// errorOf returns why a call cannot use its promises, nil if it can, as far as that is known.
func errorOf(object *sentPromise, args []*sentPromise) error {
	if object != nil && object.err != nil {
		return object.err
	}
	for _, a := range args {
		if a.err != nil {
			return a.err
		}
	}
	return nil
}

// hasPromises reports whether a call may have or use promises. Most have no placeholders.
func hasPromises(call *seam.OutgoingCall) bool {
	return call.Promise != nil || call.Object != nil || call.Fragment != nil && call.Fragment.Holes() > 0
}

// awaitPromises keeps a call whose promises cannot be named yet, and reports whether it does. The call must not have
// waited before.
func (b *broker) awaitPromises(call *seam.OutgoingCall) bool {
	if p := call.Promise; p != nil && p.Entry == nil {
		p.Entry = &sentPromise{} // Even if it was cancelled, the call is sent.
	}
	object, args := b.usesOf(call)
	if object == nil && args == nil || errorOf(object, args) != nil {
		return false // It fails when it is sent.
	}
	line, pending := tablePromises(object, args)
	if !b.promises.waits.MustWait(line, pending) {
		return false
	}
	size := sizeOf(call)
	if limit := b.c.account.MaxWriteBacklog(); b.promises.bytes+size > limit {
		b.c.countRejection(rejectWriteHighWater)
		b.refuse(call, fmt.Errorf("calling %s: calls of %d bytes wait for promises: %w", call.Method, b.promises.bytes,
			ErrBackedUp))
		return true
	}
	if b.promises.waiting == nil {
		b.promises.waiting = map[*seam.OutgoingCall]*outWait{}
	}
	b.promises.waiting[call] = b.promises.waits.Add(call, line, pending)
	b.promises.bytes += size
	return true
}

func tablePromises(object *sentPromise, args []*sentPromise) (*outPromise, []*outPromise) {
	var line *outPromise
	if object != nil {
		line = &object.Promise
	}
	pending := make([]*outPromise, len(args))
	for i, a := range args {
		pending[i] = &a.Promise
	}
	return line, pending
}

// resume sends the calls that need not wait any more.
func (b *broker) resume(ready []*outWait) {
	for _, w := range ready {
		b.forgetWait(w.Call)
		b.c.out.Reserve(sizeOf(w.Call))
		b.c.queued.Add(1)
		b.dispatch(w.Call)
	}
}

// dispatch sends a call that need not wait for promises.
func (b *broker) dispatch(call *seam.OutgoingCall) {
	size := sizeOf(call)
	if !b.c.sends() {
		b.refuse(call, b.c.lost(ErrClosed))
	} else {
		if b.holdBack(call) {
			return
		}
		b.transmit(call)
	}
	b.c.out.Release(size)
	b.c.queued.Add(-1)
}

func (b *broker) forgetWait(call *seam.OutgoingCall) {
	delete(b.promises.waiting, call)
	b.promises.bytes -= sizeOf(call)
}

// begun notes that the call of a promise is about to be sent, and reports whether the peer shall keep the result.
func (b *broker) begun(call *seam.OutgoingCall) bool {
	if call.Promise == nil {
		return false
	}
	e, p := b.entryOf(call.Promise), &b.promises
	e.id = call.RequestID
	e.canName = b.c.profile.IsExtended() && p.named < maxPromises
	if e.canName {
		p.named++
	}
	if p.byID == nil {
		p.byID = map[int64]*sentPromise{}
	}
	p.byID[e.id] = e
	return e.canName
}

// promiseSent lets the calls that use a promise name it, once its own call has been written.
func (b *broker) promiseSent(call *seam.OutgoingCall) {
	if call.Promise == nil {
		return
	}
	if e := b.entryOf(call.Promise); e.canName {
		b.resume(b.promises.waits.Done(&e.Promise))
	}
}

// promiseFailed ends the promise of a call that is not sent, and fails the calls that wait for it.
func (b *broker) promiseFailed(call *seam.OutgoingCall, err error) {
	if call.Promise == nil {
		return
	}
	e := b.entryOf(call.Promise)
	if _, known := b.promises.byID[e.id]; known && e.id == call.RequestID {
		delete(b.promises.byID, e.id) // It was about to be sent.
		if e.canName {
			b.promises.named--
			e.canName = false
		}
	}
	b.settlePromise(e, nil, err)
}

// completePromise notes the answer to a request of ours, if it has a promise, before the call is completed: calls that
// wait for the promise use the result before its receiver can release it.
func (b *broker) completePromise(d *delivery) {
	cmd, id := d.cmd, d.cmd.ID.Int
	switch {
	case b.promises.byID[id] == nil:
	case d.call == nil:
		b.promiseAnswered(id, nil, actor.ErrCancelled)
	case cmd.err != nil:
		b.promiseAnswered(id, nil, unreadable(d.call, cmd))
	case cmd.Name == command.Error:
		b.promiseAnswered(id, nil, flavors.FailureFrom(cmd.value))
	default:
		b.promiseAnswered(id, cmd.value, nil)
	}
}

// promiseAnswered notes the answer to a request of ours, if it has a promise.
func (b *broker) promiseAnswered(id int64, value any, err error) {
	e := b.promises.byID[id]
	if e == nil {
		return
	}
	b.promiseIs(e, value, err)
}

// promiseIs sets the result of a promise.
func (b *broker) promiseIs(e *sentPromise, value any, err error) {
	ref, ok := value.(*flavors.RemoteReference)
	if err == nil && (!ok || internal.ConnOf(ref) != seam.Conn(b.c)) {
		err = flavors.NotAReference.Errorf(
			"the result is not a reference to an object of the peer's, but a %s", jelly.TypeName(value))
	}
	b.settlePromise(e, ref, err)
}

// settlePromise sets what a promise has become. Calls that could name it have been sent; calls that wait for it are
// sent now, or fail.
func (b *broker) settlePromise(e *sentPromise, ref *flavors.RemoteReference, err error) {
	if e.answered {
		return
	}
	e.answered, e.ref, e.err = true, ref, err
	if err != nil {
		e.ref = nil
	}
	for _, on := range e.opened {
		on.open--
		b.letGo(on)
	}
	e.opened = nil
	b.letGo(e)
	if err == nil {
		b.resume(b.promises.waits.Done(&e.Promise))
		return
	}
	failed, ready := b.promises.waits.Fail(&e.Promise)
	for _, w := range failed {
		b.forgetWait(w.Call)
		b.refuse(w.Call, err)
	}
	b.resume(ready)
}

// letGo says that a promise will not be named any more, if that is so.
func (b *broker) letGo(e *sentPromise) {
	if !e.answered || e.open > 0 {
		return
	}
	if b.promises.byID[e.id] == e {
		delete(b.promises.byID, e.id)
	}
	if e.canName {
		e.canName = false
		b.promises.named--
		b.append(func(dst []byte) []byte { return command.AppendSettled(dst, b.c.profile, command.Number{Int: e.id}) })
	}
}

// aim checks the promises that a call uses, and sets the object of a call on one: the promise, or what it has become.
func (b *broker) aim(call *seam.OutgoingCall) (named bool, err error) {
	object, args := b.usesOf(call)
	if err := errorOf(object, args); err != nil {
		return false, err
	}
	if call.Object == nil {
		return false, nil
	}
	e := b.entryOf(call.Object)
	if e.canName {
		call.ID = e.id
		return true, nil
	}
	call.ID, err = internal.Mention(e.ref)
	return false, err
}

// fillPromise writes a promise in the arguments of a call, or what it has become.
func (b *broker) fillPromise(dst []byte, hole seam.PromiseHole) ([]byte, error) {
	if b.stamping == nil || b.stamping.Cache {
		return dst, flavors.InsecureJelly.New("a promise can be sent in the arguments of a call only, not in an " +
			"answer, an update or a state: send what it becomes")
	}
	e, p := b.entryOf(hole.Promise), b.c.profile
	switch {
	case e.err != nil:
		return dst, e.err
	case e.canName:
		return command.AppendPromise(dst, p, e.id), nil
	case !e.answered:
		return dst, flavors.PBError.New("the promise was not begun on this connection")
	}
	luid, err := internal.Mention(e.ref)
	if err != nil {
		return dst, err
	}
	return banana.AppendInt(banana.AppendSymbol(banana.AppendList(dst, 2), p, banana.SymLocal), luid), nil
}

// noteUses notes that a call on a promise was sent whose arguments name promises that are not answered.
func (b *broker) noteUses(call *seam.OutgoingCall) {
	if call.Object == nil {
		return
	}
	object, args := b.usesOf(call)
	if !object.canName {
		return
	}
	for _, a := range args {
		if !a.answered {
			object.open++
			a.opened = append(a.opened, object)
		}
	}
}

// cancelWaiting drops a call that waits for promises, and reports whether it did.
func (b *broker) cancelWaiting(call *seam.OutgoingCall) bool {
	w := b.promises.waiting[call]
	if w == nil {
		return false
	}
	ready := b.promises.waits.Remove(w)
	b.forgetWait(call)
	call.Free()
	b.c.metrics.cancelledOut.Add(1)
	b.c.pending.Add(-1)
	b.countCancelled(call)
	b.promiseFailed(call, actor.ErrCancelled)
	b.resume(ready)
	return true
}

// promiseCancelled ends the promise of a call that was cancelled, unless the peer keeps the result: then the answer
// does.
func (b *broker) promiseCancelled(call *seam.OutgoingCall) {
	e := b.entryOf(call.Promise)
	if e.canName || e.answered {
		return
	}
	delete(b.promises.byID, e.id)
	b.settlePromise(e, nil, actor.ErrCancelled)
}

// dropPromises fails the calls that wait for promises when the connection has ended.
func (b *broker) dropPromises(cause error) {
	for call := range b.promises.waiting {
		b.refuse(call, cause)
	}
	b.promises = promises{}
}
