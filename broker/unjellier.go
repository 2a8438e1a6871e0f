package broker

import (
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// unjellier is the third codec actor: there, and only there, the application's code runs that receiving calls for. It gets one
// command at a time, in wire order, and while it has one the broker lets later commands wait.
type unjellier struct{ c *Conn }

// Messages to the unjellier and back.
type (
	unjelly   struct{ cmd *command }
	unjellied struct{ cmd *command }
)

// Receive implements protoactor.Actor.
func (u *unjellier) Receive(ctx protoactor.Context) {
	m, ok := ctx.Message().(unjelly)
	if !ok {
		return
	}
	if err := jelly.Unjelly(m.cmd.unbound, nil, nil); err != nil {
		u.c.log.Debug().Err(err).Msg("a copy could not be made")
		noteError(m.cmd, err)
	}
	m.cmd.unbound = nil
	ctx.Send(ctx.Parent(), unjellied{m.cmd})
}

// wantsUnjellier says whether there are instances that the application's code has to make.
func (cmd *command) wantsUnjellier() bool {
	for _, u := range cmd.unbound {
		if u.IsInstance() && u.Tag != flavors.CopyableFailureClass {
			return true
		}
	}
	return false
}
