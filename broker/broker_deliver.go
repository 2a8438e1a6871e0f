package broker

import (
	"github.com/perspectivebroker/pb/broker/internal/command"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

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
		b.giveBack(d, unmade(cmd.unbound))
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
	have := b.local.taken(limit) // The table does not change while the instantiator works.
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
	if b.state == brokerEnded {
		m.abandon()
		return
	}
	b.instantiating = false
	d := &b.at
	for _, made := range m.caches {
		b.local.add(made)
	}
	b.tellLengths()
	d.received = append(d.received, m.received...)
	b.giveBack(d, m.unmade)
	b.finishAt()
	b.work(ctx)
}
