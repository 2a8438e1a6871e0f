package broker

import (
	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/flavors"
)

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
	case target.caller.IsOver():
		b.c.countRejection(rejectLoggedOut)
		return flavors.ErrLoggedOut.New("the user has logged out")
	case b.c.draining.Load():
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
