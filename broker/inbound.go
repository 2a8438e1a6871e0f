package broker

import (
	"fmt"

	"github.com/perspectivebroker/pb/broker/internal/command"
	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// maxUnknownLogged is how many commands that one side did not understand are worth a warning in the log.
const maxUnknownLogged = 3

// receive carries out the commands of one read, in order, behind those that still wait.
func (b *broker) receive(ctx protoactor.Context, in *batch) {
	b.backlog = append(b.backlog, in)
	b.work(ctx)
}

// work carries out commands until there are no more, or one has gone to the instantiator.
func (b *broker) work(ctx protoactor.Context) {
	for len(b.backlog) > 0 && !b.instantiating && !b.paused && !b.c.ended() {
		in := b.backlog[0]
		if b.next == len(in.commands) {
			b.c.account.CarriedOut(&in.costs)
			in.free()
			b.backlog[0] = nil
			if len(b.backlog) > 1 {
				b.backlog = b.backlog[1:]
			} else {
				b.backlog = b.backlog[:0] // There is seldom more than one, and its place is used again.
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

// command carries out one command. An error is the peer's, and ends the connection.
func (b *broker) command(ctx protoactor.Context, cmd *incoming) error {
	switch cmd.Name {
	case command.Message:
		b.message(ctx, cmd)
	case command.Answer, command.Error:
		return b.answer(ctx, cmd)
	case command.Decref:
		return b.decref(cmd.ID.Int)
	case command.Version:
		if cmd.ID.Int != version {
			return protocolErrorf("version", "the peer speaks version %d, this side %d", cmd.ID.Int, version).
				as(rejectVersion)
		}
	case command.CacheMessage:
		b.update(ctx, cmd)
	case command.Decache:
		b.refuses()
		return b.decache(cmd.ID.Int)
	case command.Uncache:
		return b.uncache(cmd.ID.Int)
	default:
		b.other(cmd)
	}
	return nil
}

// refuses is called where a refusal is about to be sent. A peer that has not read so many of them is left.
func (b *broker) refuses() {
	if limit := b.c.account.MaxRefusalBacklog(); b.fatal == nil && b.c.out.Waiting() > limit {
		b.fatal = protocolErrorf(
			"",
			"the peer reads nothing and goes on calling: %d bytes wait for it",
			limit,
		).as(rejectWriteBacklog)
	}
}

// other answers a command that does not exist (P-4.7), and takes note of the peer's answer to one of ours.
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

// clip shortens what a peer sent before it enters a log.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// message hands a call to the actor of its object.
func (b *broker) message(ctx protoactor.Context, cmd *incoming) {
	var target *export
	if cmd.Object.ID.Big == nil {
		target = b.exports.Lookup(cmd.Object.ID.Int, cmd.Object.Name)
	}
	var perspective any
	if target != nil {
		perspective = target.Key.perspective
	}
	// References are bound even if the call is refused: the peer has counted them.
	b.at.cmd, b.at.export = cmd, target
	b.deliver(ctx, perspective)
}

// invoke makes the invocation of a call that is bound, and answers it at once if it cannot be carried out.
func (b *broker) invoke(d *delivery) {
	cmd, target := d.cmd, d.export
	call := flavors.IncomingCall{
		Conn: b.c, RequestID: cmd.ID.Int, LongRequestID: cmd.ID.Big, Method: cmd.Method, WantsAnswer: cmd.WantsAnswer,
		Size: cmd.cost.Wire, Weight: cmd.cost.Memory,
	}
	err := b.admit(cmd, target)
	if err == nil {
		call.Prefix, call.Perspective, call.Caller = target.Key.prefix, target.Key.perspective, target.Value.caller
		if !target.Value.reached {
			target.Value.reached = true
			target.Value.caller.Reaches(target.Key.core)
		}
	}
	if inv := b.take(d, call, err); inv != nil {
		target.Key.core.Deliver(inv)
	}
}

// take makes the invocation of a call that counts from now on. One that cannot be carried out is answered with why, and
// nil is returned.
func (b *broker) take(d *delivery, call flavors.IncomingCall, err error) *flavors.Invocation {
	cmd := d.cmd
	if err == nil {
		if call.Args, call.Kw, err = arguments(cmd); err != nil {
			b.c.countRejection(rejectValue)
		}
	}
	b.c.metrics.madeIn.Add(1)
	b.c.inbound.Add(1)
	b.c.account.Admit(cmd.cost)
	b.deliveries++
	call.Serial = b.deliveries
	inv := cmd.call
	call.Arrivals = b.c.arrivals.Load()
	if err == nil {
		call.Received = d.received
	}
	inv.Begin(call)
	if err != nil {
		release(d.received)
		b.refuses()
		if !cmd.WantsAnswer {
			b.c.metrics.failedIn.Add(1)
		}
		inv.Answer(nil, err)
		return nil
	}
	return inv
}

// update hands a [cachemessage …] to the copy that it is for.
func (b *broker) update(ctx protoactor.Context, cmd *incoming) {
	b.at.cmd, b.at.copy = cmd, nil
	if cmd.Object.ID.Big == nil {
		b.at.copy, _ = b.local.Find(cmd.Object.ID.Int)
	}
	b.deliver(ctx, nil)
}

func (b *broker) invokeUpdate(d *delivery) {
	cmd, target := d.cmd, d.copy
	call := flavors.IncomingCall{
		Conn: b.c, RequestID: cmd.ID.Int, LongRequestID: cmd.ID.Big, Method: cmd.Method, WantsAnswer: cmd.WantsAnswer,
		Prefix: flavors.PrefixObserve, Size: cmd.cost.Wire, Weight: cmd.cost.Memory,
	}
	err := cmd.err
	b.c.countRejection(rejectionOf(err))
	if err == nil && (target == nil || cmd.Object.Name != "") {
		b.c.countRejection(rejectUnknownObject)
		err = flavors.PBError.Errorf("Invalid Object ID: there is no cache %d here", cmd.Object.ID.Int)
	}
	if target != nil {
		target.Expect(cmd.call)
	}
	if inv := b.take(d, call, err); inv != nil {
		target.Deliver(inv)
	}
}

// arguments are always a tuple and a dictionary (P-4.1). Lists are taken for tuples, as stock does.
func arguments(cmd *incoming) (args jelly.Tuple, kw *jelly.Dict, err error) {
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
	b.at.cmd, b.at.answers, b.at.call = cmd, true, call
	b.deliver(ctx, nil)
	return nil
}

// completeWith ends a call of ours with what the peer sent.
func (b *broker) completeWith(d *delivery) {
	defer b.sweep()
	cmd, call := d.cmd, d.call
	switch {
	case call == nil, call == ping:
		b.complete(call, nil, nil)
		release(d.received) // Nobody waits any more.
	case cmd.err != nil:
		b.c.countRejection(rejectionOf(cmd.err))
		release(d.received)
		b.complete(call, nil, unreadable(call, cmd))
	case cmd.Name == command.Error:
		b.complete(call, nil, flavors.FailureFrom(cmd.value))
	case !b.complete(call, cmd.value, nil):
		release(d.received)
	}
}

// unreadable is the error of a call whose answer was refused. That the call has failed was the peer's doing where it
// sent a failure.
func unreadable(call *flavors.OutgoingCall, cmd *incoming) error {
	err := flavors.LocalFailure(cmd.err)
	if cmd.Name == command.Error {
		return flavors.FailureFrom(fmt.Errorf("the failure of %s cannot be taken: %w", call.Method, err))
	}
	return fmt.Errorf("the answer of %s cannot be taken: %w", call.Method, err)
}

// bind puts references in place of the decoder's placeholders, in wire order, and returns those that were received.
// Instances other than failures are left to the instantiator. An error is put into cmd.err, but all references are
// bound nevertheless, because the peer has counted them.
func (b *broker) bind(cmd *incoming, perspective any) (received []flavors.Handle) {
	if len(cmd.refused) > 0 {
		b.refuses() // What is given back is no refusal, but it is as much that a peer can have us send without reading it.
	}
	for _, m := range cmd.refused {
		received = b.receiveRefused(received, m)
	}
	for _, u := range cmd.unbound {
		switch u.Tag {
		case "remote":
			h, err := b.receiveImport(u.ID, perspective)
			if err != nil {
				noteError(cmd, err)
				u.Bind(nil)
				received = b.receiveRefused(received, jelly.Mention{Tag: u.Tag, ID: u.ID})
				continue
			}
			received = append(received, h)
			u.Bind(h)
		case "local":
			e := b.exports.Lookup(u.ID, string(u.Name))
			if e == nil {
				noteError(
					cmd,
					flavors.PBError.Errorf("a [local …] names nothing that this side has sent: %d%s", u.ID, clip(string(u.Name))),
				)
				u.Bind(nil)
				continue
			}
			u.Bind(home(e))
		case "cached":
			// Of an original that comes in this very command the instantiator knows.
			if cache, ok := b.local.Receive(u.ID); ok {
				h := cache.Receive()
				received = append(received, h)
				u.Bind(h)
			}
		case "lcache":
			e := b.caches.Find(u.ID)
			if e == nil {
				noteError(cmd, flavors.PBError.Errorf("an [lcache …] names nothing that this side has sent: %d", u.ID))
				u.Bind(nil)
				continue
			}
			u.Bind(e.Key.Value())
		case flavors.CopyableFailureClass:
			u.Bind(flavors.FailureFrom(u))
		default:
			if !u.IsInstance() {
				noteError(cmd, flavors.InsecureJelly.Errorf("%s is nothing that this side can supply", clip(u.Tag)))
				u.Bind(nil)
			}
		}
	}
	return received
}

func noteError(cmd *incoming, err error) {
	if cmd.err == nil {
		cmd.err = err
	}
}

// release lets references go that came with what could not be delivered.
func release(received []flavors.Handle) {
	for _, h := range received {
		h.Release()
	}
}

// delivery is a call or an answer that is bound as far as the broker can, and what is to be done when it is bound
// entirely.
type delivery struct {
	cmd      *incoming
	received []flavors.Handle
	export   *export               // that a call of the peer's is for, nil if there is none
	copy     *flavors.LocalCache   // that an update is for, likewise
	answers  bool                  // it is an answer …
	call     *flavors.OutgoingCall // … to this call; nil if that has been cancelled
}

// deliver binds the command at hand and finishes it, by way of the instantiator if it holds instances.
func (b *broker) deliver(ctx protoactor.Context, perspective any) {
	d := &b.at
	cmd := d.cmd
	if len(cmd.unbound)+len(cmd.refused) == 0 {
		b.finishAt()
		return
	}
	d.received = b.bind(cmd, perspective)
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

// finishAt carries out the command at hand, which is bound.
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
	b.at = delivery{} // What came must not be held any longer than by who got it.
}

// giveBack is for what a command mentions that is not carried out.
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

// admit says why a call cannot be carried out, nil if it can.
func (b *broker) admit(cmd *incoming, target *export) error {
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
	case b.c.now() >= stateDraining:
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
