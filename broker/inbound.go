package broker

import (
	"fmt"

	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// maxUnknownLogged is how many unknown commands of one connection are logged as warnings.
const maxUnknownLogged = 3

// receive executes the commands of one read, in order, after those that still wait.
func (b *broker) receive(ctx protoactor.Context, in *batch) {
	if len(in.commands) > 1 && in.commands[0].Name == command.Answer {
		b.c.manyAnswered.Store(true)
	}
	b.backlog = append(b.backlog, in)
	b.work(ctx)
}

// work executes commands until none is left, or one waits for the instantiator or a garbage collection.
func (b *broker) work(ctx protoactor.Context) {
	for !b.instantiating && !b.paused && !b.c.ended() {
		if len(b.kept.runnable) > 0 {
			b.runParked(ctx)
			continue
		}
		if len(b.backlog) == 0 {
			return
		}
		in := b.backlog[0]
		if b.next == len(in.commands) {
			b.c.account.CarriedOut(&in.costs)
			in.free()
			b.backlog[0] = nil
			if len(b.backlog) > 1 {
				b.backlog = b.backlog[1:]
			} else {
				b.backlog = b.backlog[:0] // There is rarely more than one; reuse its place.
			}
			b.next = 0
			continue
		}
		cmd := &in.commands[b.next]
		if len(cmd.unbound) > 0 && b.mustWait(cmd) {
			return
		}
		b.next++
		err := b.command(ctx, cmd)
		if err == nil {
			err = b.fatal
		}
		if err == nil && b.local.Refused() > maxRefused {
			err = protocolErrorf(
				"",
				"the peer keeps more than %d caches that were given back",
				maxRefused,
			).as(rejectGivenBack)
		}
		if err != nil {
			b.end(ctx, err)
			return
		}
	}
}

// command executes one command. An error is a fault of the peer and ends the connection.
func (b *broker) command(ctx protoactor.Context, cmd *incoming) error {
	switch cmd.Name {
	case command.Message:
		b.message(ctx, cmd)
	case command.Answer, command.Error:
		return b.answer(ctx, cmd)
	case command.Decref:
		return b.decref(cmd.ID.Int)
	case command.Version:
		if cmd.ID.Int != command.ProtocolVersion {
			return protocolErrorf(
				"version", "the peer speaks version %d, this side %d", cmd.ID.Int, command.ProtocolVersion,
			).as(rejectVersion)
		}
	case command.CacheMessage:
		b.update(ctx, cmd)
	case command.Decache:
		b.refuses()
		return b.decache(cmd.ID.Int)
	case command.Uncache:
		return b.uncache(cmd.ID.Int)
	case command.Cancel:
		b.cancelled(cmd.ID)
	case command.Goaway:
		b.goaway(cmd.word)
	case command.Settled:
		b.settled(cmd.ID)
	default:
		b.other(cmd)
	}
	return nil
}

// other answers an unknown command (P-4.7), and logs the peer's answer to one of ours.
func (b *broker) other(cmd *incoming) {
	b.unknown++
	line := b.c.log.Debug()
	if b.unknown <= maxUnknownLogged {
		line = b.c.log.Warn()
	}
	if cmd.Name == command.DidNotUnderstand {
		usercode.Log(func() { line.Str("command", clip(cmd.word)).Msg("the peer did not understand a command") })
		return
	}
	b.refuses()
	b.c.countRejection(rejectUnknownCommand)
	usercode.Log(func() { line.Str("command", clip(cmd.word)).Msg("unknown command") })
	b.append(func(dst []byte) []byte {
		return command.AppendDidNotUnderstand(dst, b.c.profile, cmd.word)
	})
}

// clip shortens text of a peer for a log line or an error.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// message delivers a call to its object.
func (b *broker) message(ctx protoactor.Context, cmd *incoming) {
	if (cmd.Keep || cmd.Object.Promise || len(cmd.unbound) > 0) && b.c.profile.IsExtended() {
		if namesPromises(cmd) {
			b.messageOnPromises(ctx, cmd)
			return
		}
		b.keep(cmd)
	}
	var target *export
	if cmd.Object.ID.Big == nil {
		target = b.exports.Lookup(cmd.Object.ID.Int, cmd.Object.Name)
	}
	var perspective any
	if target != nil {
		perspective = perspectiveOf(target)
	}
	// Bind references even if the call is rejected: the peer has counted them.
	b.at.cmd, b.at.read, b.at.many, b.at.export = cmd, b.backlog[0].read, b.backlog[0].hasMany(), target
	b.deliver(ctx, perspective)
}

// invoke hands a bound call to its object, or answers it with an error.
func (b *broker) invoke(d *delivery) {
	cmd, target := d.cmd, d.export
	if cmd.parked != nil && cmd.parked.inv != nil {
		b.invokeParked(d)
		return
	}
	call := b.emptyCall()
	err := b.admit(cmd, target)
	if err == nil {
		call.Prefix, call.Perspective, call.Caller = target.Key.prefix, perspectiveOf(target), target.Value.caller
		b.reach(target)
		if !cmd.known {
			b.learn(cmd, target)
		}
	}
	if inv := b.take(d, call, err); inv != nil {
		target.Key.core.Deliver(inv)
	}
}

// emptyCall returns memory for what begins next. It is part of the batch, because a batch is used again while it is in
// the processor's cache, which the broker of one connection among many is not.
func (b *broker) emptyCall() *seam.IncomingCall {
	if len(b.backlog) == 0 {
		return new(seam.IncomingCall) // A call begins that waited for another one.
	}
	return &b.backlog[0].call
}

// reach notes that calls of an export's caller may wait for its object from now on.
func (b *broker) reach(target *export) {
	if !target.Value.reached {
		target.Value.reached = true
		target.Value.caller.Reaches(target.Key.core)
	}
}

// take counts a call and makes its invocation. If err is not nil it answers the call with err and returns nil.
func (b *broker) take(d *delivery, call *seam.IncomingCall, err error) seam.Call {
	cmd := d.cmd
	if err == nil {
		if call.Args, call.Kw, err = arguments(cmd); err != nil {
			b.c.countRejection(rejectValue)
		}
	}
	if err == nil {
		call.Received = d.received
		call.RawArgs, call.RawKw = cmd.rawArgs, cmd.rawKw
	}
	inv := b.begin(d, call)
	if err == nil {
		b.mayCancel(inv)
	}
	if err != nil {
		release(d.received)
		b.refuses()
		b.countFailed(cmd)
		inv.Refuse(err)
		return nil
	}
	return inv
}

// begin counts a call and begins its invocation.
func (b *broker) begin(d *delivery, call *seam.IncomingCall) seam.Call {
	cmd := d.cmd
	b.lastCall = d.read
	b.c.metrics.madeIn.Add(1)
	b.c.inbound.Add(1)
	b.c.account.Admit(cmd.cost)
	b.deliveries++
	call.Conn, call.RequestID, call.LongRequestID, call.Method = b.c, cmd.ID.Int, cmd.ID.Big, cmd.Method
	call.WantsAnswer, call.Keep = cmd.WantsAnswer, cmd.kept != nil
	call.Size, call.Weight = cmd.cost.Wire, cmd.cost.Memory
	call.Serial, call.Read, call.Many = b.deliveries, d.read, d.many
	call.Arrivals, call.Extended = b.c.arrivals.Load(), b.c.profile.IsExtended()
	inv := internal.Incoming(cmd.call)
	inv.Begin(call)
	*call = seam.IncomingCall{}
	return inv
}

// mayCancel has the peer cancel a call from now on.
func (b *broker) mayCancel(inv seam.Call) {
	if b.c.profile.IsExtended() && inv.WantsAnswer() {
		b.c.calls.Add(inv.Entry())
	}
}

// countFailed counts a call that is refused. One that wants an answer is counted with the answer.
func (b *broker) countFailed(cmd *incoming) {
	if !cmd.WantsAnswer {
		b.c.metrics.failedIn.Add(1)
	}
}

// cancelled handles [cancel id]. An id that is unknown, or answered, is ignored (P-9.12).
func (b *broker) cancelled(id command.Number) {
	if call := b.c.calls.Take(id.Int, id.Big); call != nil {
		b.refuses() // It is answered, as a rejection is.
		call.Cancel()
	}
}

// update delivers a cachemessage to its copy.
func (b *broker) update(ctx protoactor.Context, cmd *incoming) {
	b.at.cmd, b.at.read, b.at.many, b.at.copy = cmd, b.backlog[0].read, b.backlog[0].hasMany(), nil
	if cmd.Object.ID.Big == nil {
		b.at.copy, _ = b.local.Find(cmd.Object.ID.Int)
	}
	b.deliver(ctx, nil)
}

func (b *broker) invokeUpdate(d *delivery) {
	cmd, target := d.cmd, d.copy
	call := b.emptyCall()
	call.Prefix = string(flavors.PrefixObserve)
	err := cmd.err
	b.c.countRejection(rejectionOf(err))
	if err == nil && (target == nil || cmd.Object.Name != "") {
		b.c.countRejection(rejectUnknownObject)
		err = flavors.PBError.Errorf("Invalid Object ID: there is no cache %d here", cmd.Object.ID.Int)
	}
	if target != nil {
		target.Expect(internal.Incoming(cmd.call))
	}
	if inv := b.take(d, call, err); inv != nil {
		target.Deliver(inv)
	}
}

// arguments returns the tuple and dictionary of a call (P-4.1). It accepts a list for the tuple, as stock does.
func arguments(cmd *incoming) (args jelly.Tuple, kw *jelly.Dict, err error) {
	if cmd.rawArgs != nil {
		return nil, nil, checkRaw(cmd)
	}
	switch v := cmd.args.(type) {
	case jelly.Tuple:
		args = v
	case []any:
		args = v
	default:
		if !cmd.tuple {
			return nil, nil, flavors.TypeError.Errorf("the arguments of a call are a tuple, not %T", cmd.args)
		}
		args = cmd.call.Args
	}
	if cmd.noKw {
		return args, nil, nil
	}
	kw, ok := cmd.kw.(*jelly.Dict)
	if !ok {
		return nil, nil, flavors.TypeError.Errorf("the keyword arguments of a call are a dictionary, not %T", cmd.kw)
	}
	if kw.Len() == 0 {
		kw = nil
	}
	return args, kw, nil
}

// answer completes a call of ours.
func (b *broker) answer(ctx protoactor.Context, cmd *incoming) error {
	call, ok := b.pending.Remove(cmd.ID.Int)
	if !ok || cmd.ID.Big != nil {
		return protocolErrorf(cmd.Name.String(), "there is no call %d to be answered", cmd.ID.Int).as(rejectAnswer)
	}
	b.at.cmd, b.at.read, b.at.many, b.at.answers, b.at.call = cmd, b.backlog[0].read, b.backlog[0].hasMany(), true, call
	b.deliver(ctx, b.perspectiveOfAnswer(call))
	return nil
}

// completeWith completes a call of ours with a bound answer.
func (b *broker) completeWith(d *delivery) {
	defer b.sweep()
	cmd, call := d.cmd, d.call
	if len(b.promises.byID) > 0 {
		b.completePromise(d)
	}
	switch {
	case call == nil, call == ping:
		b.complete(call, 0, nil, nil)
		release(d.received) // The call was cancelled.
		internal.ReleaseLent(cmd.value)
	case cmd.err != nil:
		b.c.countRejection(rejectionOf(cmd.err))
		release(d.received)
		b.complete(call, d.read, nil, unreadable(call, cmd))
	case cmd.Name == command.Error:
		if call.Undecoded {
			release(d.received) // A failure has no use for them.
		}
		b.complete(call, d.read, nil, flavors.FailureFrom(cmd.value))
	case !b.complete(call, d.read, cmd.value, nil):
		release(d.received)
		internal.ReleaseLent(cmd.value)
	}
}

// unreadable returns the error of a call whose answer was rejected. If the answer was a failure, the call has failed at
// the peer too.
func unreadable(call *seam.OutgoingCall, cmd *incoming) error {
	err := internal.LocalFailure(cmd.err)
	if cmd.Name == command.Error {
		return flavors.FailureFrom(fmt.Errorf("the failure of %s cannot be decoded: %w", call.Method, err))
	}
	return fmt.Errorf("the answer of %s cannot be decoded: %w", call.Method, err)
}

// bind replaces the decoder's placeholders by references, in wire order, and returns the references. It leaves
// instances other than failures to the instantiator. After an error, which it puts into cmd.err, it goes on: the peer
// has counted all references.
func (b *broker) bind(cmd *incoming, perspective any) (received []seam.Handle) {
	if len(cmd.refused) > 0 {
		b.refuses() // Giving back writes as much as a rejection.
	}
	for _, m := range cmd.refused {
		received = b.receiveRefused(received, m)
	}
	for _, u := range cmd.unbound {
		if u.Bound() { // before the call had to wait
			continue
		}
		if u.IsReference() {
			h, err := b.receiveImport(u, perspective)
			if err != nil {
				noteError(cmd, err)
				u.Bind(nil)
				received = b.receiveRefused(received, jelly.Mention{Tag: "remote", ID: u.ID})
				continue
			}
			received = append(received, h)
			u.Bind(h)
			continue
		}
		if u.IsAddress() {
			v, err := b.c.resolve(u.Address())
			noteError(cmd, err)
			u.Bind(v)
			continue
		}
		switch u.Tag {
		case "local":
			e := b.exports.Lookup(u.ID, string(u.Name))
			if e == nil {
				noteError(
					cmd,
					flavors.PBError.Errorf(
						"a [local …] names nothing that this side has sent: %d%s", u.ID, clip(string(u.Name)),
					),
				)
				u.Bind(nil)
				continue
			}
			var v any
			v, received = b.comesHome(e, received)
			u.Bind(v)
		case "cached":
			// The instantiator binds caches whose state is in this command.
			if cache, ok := b.local.Receive(u.ID); ok {
				h := cache.Receive()
				received = append(received, h)
				u.Bind(h)
			}
		case "lcache":
			e := b.caches.Find(u.ID)
			if e == nil {
				noteError(
					cmd,
					flavors.PBError.Errorf("an [lcache …] names nothing that this side has sent: %d", u.ID),
				)
				u.Bind(nil)
				continue
			}
			u.Bind(e.Key.Value())
		case flavors.CopyableFailureClass:
			u.Bind(flavors.FailureFrom(u))
		default:
			switch {
			case u.IsInstance(): // The class may have any name.
			case isPromise(u):
				noteError(cmd, flavors.PBError.New("a promise can stand in the arguments of a call only"))
				u.Bind(nil)
			default:
				noteError(cmd, flavors.InsecureJelly.Errorf("%s is nothing that this side can supply", clip(u.Tag)))
				u.Bind(nil)
			}
		}
	}
	return received
}

// release releases the references of a command that is not delivered.
func release(received []seam.Handle) {
	for _, h := range received {
		h.Release()
	}
}

// deliver binds the current command and finishes it, through the instantiator if it contains instances.
func (b *broker) deliver(ctx protoactor.Context, perspective any) {
	d := &b.at
	cmd := d.cmd
	if len(cmd.unbound)+len(cmd.refused) == 0 {
		b.finishAt()
		return
	}
	d.received = append(d.received, b.bind(cmd, perspective)...)
	if cmd.err != nil || !cmd.needsInstantiator() {
		b.giveBack(d, notMade(cmd.unbound))
		cmd.unbound = nil
		b.finishAt()
		return
	}
	if b.instantiator == nil {
		props := b.c.rt.Props(func() protoactor.Actor { return &instantiator{c: b.c} })
		b.instantiator = ctx.SpawnPrefix(props, "instantiator")
	}
	b.instantiating = true
	limit := b.c.limits.Caches
	have := b.local.Taken(limit) // The table does not change while the instantiator works.
	ctx.Send(b.instantiator, instantiate{cmd, func(more int) error { return tooManyCaches(have+more, limit) }})
}

// finishAt executes the current command, which is bound.
func (b *broker) finishAt() {
	d := &b.at
	switch {
	case d.answers:
		b.completeWith(d)
	case d.cmd.Name == command.CacheMessage:
		b.invokeUpdate(d)
	default:
		b.invoke(d)
	}
	b.at = delivery{} // Do not keep the values longer than their receiver does.
}

// giveBack returns what a command mentions that is not delivered.
func (b *broker) giveBack(d *delivery, mentions []jelly.Mention) {
	for _, m := range mentions {
		d.received = b.receiveRefused(d.received, m)
	}
}

// instantiated carries out the command that the instantiator has finished, and those that waited for it.
func (b *broker) instantiated(ctx protoactor.Context, m *instantiated) {
	if b.c.ended() {
		m.abandon()
		return
	}
	b.instantiating = false
	d := &b.at
	for _, made := range m.caches {
		b.local.Add(made.luid, made.cache)
	}
	b.tablesChanged()
	d.received = append(d.received, m.received...)
	b.giveBack(d, m.unmade)
	b.finishAt()
	b.work(ctx)
}

// admit returns the reason why a call is rejected, and counts the rejection; nil if the call is admitted.
func (b *broker) admit(cmd *incoming, target *export) error {
	if err := b.admitTarget(cmd, target); err != nil {
		return err
	}
	return b.overloaded()
}

// admitTarget is admit as far as the values and the object of the call are concerned.
func (b *broker) admitTarget(cmd *incoming, target *export) error {
	switch {
	case cmd.err != nil:
		b.c.countRejection(rejectionOf(cmd.err))
		return cmd.err
	case target == nil && cmd.Object.Name != "":
		b.c.countRejection(rejectUnknownObject)
		return flavors.PBError.Errorf("Invalid Object ID: nothing is published as %q", clip(cmd.Object.Name))
	case cmd.Object.ID.Big != nil:
		b.c.countRejection(rejectUnknownObject)
		return flavors.PBError.Errorf("Invalid Object ID: %d", cmd.Object.ID.Big)
	case target == nil:
		b.c.countRejection(rejectUnknownObject)
		return flavors.PBError.Errorf("Invalid Object ID: %d", cmd.Object.ID.Int)
	case target.Value.caller.IsOver():
		b.c.countRejection(rejectLoggedOut)
		return flavors.ErrLoggedOut.New("the user has logged out")
	}
	return nil
}

// overloaded is admit as far as the connection is concerned.
func (b *broker) overloaded() error {
	switch {
	case b.c.now() >= stateDraining && b.move == nil:
		b.c.countRejection(rejectClosing)
		return Busy.Errorf("the server is shutting down")
	case b.c.inbound.Load() >= int64(b.c.limits.CallsIn):
		b.c.countRejection(rejectCallsIn)
		return Busy.Errorf("%d calls are unanswered, more are not taken", b.c.limits.CallsIn)
	}
	if overload, bytes := b.c.account.Overload(); overload != flow.NotOverloaded {
		if overload == flow.OverBytesIn {
			b.c.countRejection(rejectBytesIn)
		} else {
			b.c.countRejection(rejectMemoryTotal)
		}
		return Busy.Errorf("calls of %d bytes are unanswered, more are not taken", bytes)
	}
	return nil
}
