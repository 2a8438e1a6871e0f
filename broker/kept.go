package broker

import (
	"errors"
	"math/big"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/table"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/seam"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// This file has the results that this side keeps for the peer in dialect pb+1, because the peer may name them as
// [promise id] until it says [settled id]. A call that names a result which is not there waits in the broker, and
// counts against the limits of unanswered calls. Objects of ours that it mentions are looked up when it arrives,
// because the peer may release them afterwards. References to objects of the peer's, and copies, are made when the call
// is carried out, because references belong to the perspective of its object, which is not known before.

// keptSize is what a kept result counts for in the account, in bytes.
const keptSize = 512

// kept has the results kept for the peer. It belongs to the broker actor.
type kept struct {
	results  map[int64]*keptResult
	waits    table.Waits[*parkedCall]
	parked   map[*parkedCall]*inWait // the calls that wait
	runnable []*parkedCall           // those that need not wait any more, in order
}

type (
	inPromise = table.Promise[*parkedCall]
	inWait    = table.Wait[*parkedCall]
)

// keptResult is the result of a request with answerRequired 2. Its table.Promise is done once the request has been
// answered.
type keptResult struct {
	inPromise

	id      int64
	export  *export // the answer, if it was a reference to an object of ours; a mention of it is counted
	err     error   // why calls cannot use the result; export is nil then
	settled bool    // the peer will not name it any more; it is kept until the request has been answered
}

// parkedCall is a call of the peer that names results.
type parkedCall struct {
	cmd      incoming
	inv      seam.Call   // nil until the call has to wait
	object   *keptResult // nil if the call is on an object that it names otherwise
	args     []promisedArg
	received []seam.Handle // bound when the call arrived
	read     time.Duration // as in a delivery
	many     bool
}

// promisedArg is a promise in the arguments of a call.
type promisedArg struct {
	unbound *jelly.Unbound
	result  *keptResult
}

// tooLarge stands for an id of more than 64 bits.
var tooLarge = new(big.Int)

var errNoPromise = flavors.PBError.New("Invalid Promise ID: no result is kept under this id")

// keep begins to keep the result of a request if that may be named, or fails the command.
func (b *broker) keep(cmd *incoming) {
	id := cmd.ID.Int
	switch {
	case !cmd.Keep:
	case cmd.ID.Big != nil:
		noteError(cmd, flavors.PBError.New("a result can be kept only if the id of its request has at most 64 bits"))
	case b.kept.results[id] != nil:
		noteError(cmd, flavors.PBError.Errorf("the result of another request %d is kept", id))
	case len(b.kept.results) >= maxPromises:
		b.c.countRejection(rejectPromises)
		noteError(cmd, Busy.Errorf("the results of %d requests are kept, more are not", maxPromises))
	default:
		if b.kept.results == nil {
			b.kept.results = map[int64]*keptResult{}
		}
		cmd.kept = &keptResult{id: id}
		b.kept.results[id] = cmd.kept
		b.tablesChanged()
	}
}

// namesPromises reports whether a call names results.
func namesPromises(cmd *incoming) bool {
	if cmd.Object.Promise {
		return true
	}
	for _, u := range cmd.unbound {
		if isPromise(u) {
			return true
		}
	}
	return false
}

func isPromise(u *jelly.Unbound) bool {
	return u.Tag == "promise" && !u.IsInstance() && !u.IsReference()
}

// resultOf returns the result that the peer names.
func (b *broker) resultOf(id command.Number) (*keptResult, error) {
	if id.Big == nil {
		if r := b.kept.results[id.Int]; r != nil && !r.settled {
			return r, nil
		}
	}
	b.c.countRejection(rejectUnknownObject)
	return nil, errNoPromise
}

// messageOnPromises delivers a call that names results, or parks it until they are there.
func (b *broker) messageOnPromises(ctx protoactor.Context, cmd *incoming) {
	p := &parkedCall{read: b.backlog[0].read, many: b.backlog[0].hasMany()}
	var line *inPromise
	var pending []*inPromise
	if cmd.Object.Promise {
		r, err := b.resultOf(cmd.Object.ID)
		if noteError(cmd, err); err == nil {
			p.object, line = r, &r.inPromise
		}
	}
	for _, u := range cmd.unbound {
		switch {
		case isPromise(u):
			r, err := b.resultOf(promiseID(u))
			if noteError(cmd, err); err == nil {
				p.args, pending = append(p.args, promisedArg{u, r}), append(pending, &r.inPromise)
			}
		case u.IsInstance() && u.Entry().Kind == jelly.RemoteCache:
			// Updates of the copy may come while the call waits.
			noteError(cmd, flavors.PBError.New("a call that names promises cannot bring a new Cacheable"))
		}
	}
	b.keep(cmd) // It cannot name itself.
	if cmd.err == nil && b.kept.waits.MustWait(line, pending) {
		noteError(cmd, b.overloaded())
		if cmd.err == nil && b.park(cmd, p, line, pending) {
			return
		}
	}
	b.aimAt(ctx, cmd, p)
}

// promiseID returns the id in [promise id].
func promiseID(u *jelly.Unbound) command.Number {
	if u.Name != nil {
		return command.Number{Big: tooLarge}
	}
	return command.Number{Int: u.ID}
}

// park keeps a call until its results are there, and begins its invocation. It reports false, with cmd.err set, if the
// call fails at once.
func (b *broker) park(cmd *incoming, p *parkedCall, line *inPromise, pending []*inPromise) bool {
	p.received = b.bindNow(cmd)
	if cmd.err != nil {
		return false
	}
	p.cmd = *cmd
	p.cmd.parked = p
	p.inv = b.begin(&delivery{cmd: cmd, read: p.read, many: p.many}, &seam.IncomingCall{Args: cmd.call.Args})
	if b.kept.parked == nil {
		b.kept.parked = map[*parkedCall]*inWait{}
	}
	b.kept.parked[p] = b.kept.waits.Add(p, line, pending)
	b.mayCancel(p.inv)
	p.inv.Wait(p)
	return true
}

// bindNow binds what the peer may release before the call is carried out.
func (b *broker) bindNow(cmd *incoming) (received []seam.Handle) {
	all := cmd.unbound
	defer func() { cmd.unbound = all }()
	cmd.unbound = nil
	for _, u := range all {
		if !isPromise(u) && !u.IsReference() && !u.IsInstance() {
			cmd.unbound = append(cmd.unbound, u)
		}
	}
	refused := cmd.refused
	cmd.refused = nil
	received = b.bind(cmd, nil)
	cmd.refused = refused
	return received
}

// aimAt carries out a call whose results are there, or fails it.
func (b *broker) aimAt(ctx protoactor.Context, cmd *incoming, p *parkedCall) {
	noteError(cmd, p.failure())
	var target *export
	switch {
	case p.object != nil && cmd.err == nil:
		target, cmd.err = p.object.use()
	case !cmd.Object.Promise && cmd.Object.ID.Big == nil:
		target = b.exports.Lookup(cmd.Object.ID.Int, cmd.Object.Name)
	}
	for _, a := range p.args {
		if cmd.err != nil {
			break
		}
		var e *export
		if e, cmd.err = a.result.use(); cmd.err == nil {
			var v any
			v, p.received = b.comesHome(e, p.received)
			a.unbound.Bind(v)
		}
	}
	var perspective any
	if target != nil {
		perspective = perspectiveOf(target)
	}
	b.at.cmd, b.at.read, b.at.many, b.at.export, b.at.received = cmd, p.read, p.many, target, p.received
	b.deliver(ctx, perspective)
}

// failure returns the error of a result that a call names, if one is known. Others may not be there then.
func (p *parkedCall) failure() error {
	if p.object != nil && p.object.err != nil {
		return p.object.err
	}
	for _, a := range p.args {
		if a.result.err != nil {
			return a.result.err
		}
	}
	return nil
}

// use returns the object that a result is. A result that is there has either an object or an error.
func (r *keptResult) use() (*export, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case !r.export.IsHeld(): // It was revoked, or the peer has given back more than it counted.
		return nil, flavors.PBError.Errorf("Invalid Object ID: the result of request %d was taken back", r.id)
	}
	return r.export, nil
}

// runParked carries out the calls that need not wait any more.
func (b *broker) runParked(ctx protoactor.Context) {
	p := b.kept.runnable[0]
	b.kept.runnable[0] = nil
	if b.kept.runnable = b.kept.runnable[1:]; len(b.kept.runnable) == 0 {
		b.kept.runnable = nil
	}
	b.aimAt(ctx, &p.cmd, p)
}

// errWaitOver keeps a call from being carried out that was answered while it waited.
var errWaitOver = errors.New("broker: the call was answered while it waited for a promise")

// unpark ends the wait of a call that was answered meanwhile. What it mentions is given back.
func (b *broker) unpark(p *parkedCall) {
	w := b.kept.parked[p]
	if w == nil {
		return
	}
	ready := b.kept.waits.Remove(w)
	noteError(&p.cmd, errWaitOver)
	b.runLater(append(ready, w))
}

// invokeParked hands a call that has waited to its object.
func (b *broker) invokeParked(d *delivery) {
	cmd, target, inv := d.cmd, d.export, d.cmd.parked.inv
	err := b.admitTarget(cmd, target)
	var args jelly.Tuple
	var kw *jelly.Dict
	if err == nil {
		if args, kw, err = arguments(cmd); err != nil {
			b.c.countRejection(rejectValue)
		}
	}
	if err != nil {
		release(d.received)
		b.refuses()
		b.countFailed(cmd)
		inv.Refuse(err)
		return
	}
	b.deliveries++
	b.reach(target)
	inv.Aim(seam.Target{
		Args: args, Kw: kw, RawArgs: cmd.rawArgs, RawKw: cmd.rawKw,
		Prefix: target.Key.prefix, Caller: target.Value.caller, Perspective: perspectiveOf(target),
		Serial: b.deliveries, Received: d.received,
	})
	target.Key.core.Deliver(inv)
}

// answerKept notes the answer to a call whose result is kept, after it has been written.
func (b *broker) answerKept(m *outgoingAnswer) {
	if m.isError {
		b.resultThere(m.inv.RequestID(), nil, m.inv.Failure())
		return
	}
	if hole, ok := m.fragment.Reference(); ok {
		if passed, ok := hole.(seam.Passed); ok {
			hole = passed.Export()
		}
		if x, ours := hole.(seam.Export); ours {
			if e := b.exports.Held(keyOf(x)); e != nil {
				b.resultThere(m.inv.RequestID(), e, nil)
				return
			}
		}
	}
	b.resultThere(m.inv.RequestID(), nil, flavors.NotAReference.New(
		"the result of the request is not a reference to an object of the side that answered it"))
}

// resultThere sets a result, and lets the calls run that wait for it.
func (b *broker) resultThere(id int64, e *export, err error) {
	r := b.kept.results[id]
	if r == nil || r.IsDone() {
		return
	}
	if r.export, r.err = e, err; err == nil && e == nil {
		r.err = flavors.PBError.New("the request was not answered")
	}
	if r.settled {
		delete(b.kept.results, id)
		b.tablesChanged()
	} else if e != nil {
		e.Mention()
	}
	var ready []*inWait
	if r.err != nil {
		var failed []*inWait
		failed, ready = b.kept.waits.Fail(&r.inPromise)
		ready = append(failed, ready...)
	} else {
		ready = b.kept.waits.Done(&r.inPromise)
	}
	b.runLater(ready)
}

// runLater has calls carried out, in order, in front of all commands that follow.
func (b *broker) runLater(ready []*inWait) {
	for _, w := range ready {
		delete(b.kept.parked, w.Call)
		b.kept.runnable = append(b.kept.runnable, w.Call)
	}
}

// settled handles [settled id]. It is ignored for an id under which nothing is kept.
func (b *broker) settled(id command.Number) {
	r := b.kept.results[id.Int]
	switch {
	case id.Big != nil, r == nil:
	case !r.IsDone():
		r.settled = true
	default:
		delete(b.kept.results, id.Int)
		if r.export != nil {
			_ = b.decref(r.export.ID) // It fails if the peer has given back more than it counted.
		}
		b.tablesChanged()
	}
}

// dropKept ends the calls that wait when the connection has ended.
func (b *broker) dropKept() {
	for p := range b.kept.parked {
		p.inv.Abandon()
	}
	for _, p := range b.kept.runnable {
		p.inv.Abandon()
	}
	b.kept = kept{}
}
