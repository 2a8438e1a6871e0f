package broker

import (
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/seam"
)

// This file has what connections with WithRelaying do differently. What is not to be decoded must be known when a
// message is read, before its object is looked up. So the numbers say it: objects whose calls are passed on have odd
// luids, and calls whose results are passed on have odd request ids. All others are even.

// nextID returns the next luid.
func (b *broker) nextID(undecoded bool) int64 {
	if !b.c.options.relaying {
		return b.ids.Next()
	}
	return b.ids.NextOf(undecoded)
}

// nextRequest returns the next request id.
func (b *broker) nextRequest(undecoded bool) int64 {
	if !b.c.options.relaying {
		return b.pending.Next()
	}
	return b.pending.NextOf(undecoded)
}

// Relays implements seam.Conn.
func (c *connection) Relays() bool { return c.options.relaying }

// HasRoom implements seam.Conn.
func (c *connection) HasRoom() bool {
	return c.ended() || c.out.Waiting() <= c.account.WriteHighWater()
}

// WhenRoom implements seam.Conn.
func (c *connection) WhenRoom(f func()) { c.out.WhenBelow(c.account.WriteHighWater, f) }

// TryCall implements seam.Conn.
func (c *connection) TryCall(call *seam.OutgoingCall) (taken bool) {
	size := sizeOf(call)
	if !c.out.TryReserve(size, c.account.WriteHighWater()) {
		return false
	}
	_ = c.sendReserved(call, size) // The Deferred has the error.
	return true
}

// isUndecoded reports whether the arguments of a call are not to be decoded. Those of a call on a promise are: its
// object is not known yet.
func (c *commandReader) isUndecoded(cmd *incoming) bool {
	o := &cmd.Object
	switch {
	case cmd.Name != command.Message, o.Promise, o.ID.Big != nil:
		return false
	case o.Name != "":
		return c.conn.undecoded[o.Name]
	}
	return o.ID.Int&1 == 1
}

// keepArguments reads the two values of a call, undecoded.
func (c *commandReader) keepArguments(cmd *incoming) {
	defer c.d.Reset()
	c.values = c.r
	cmd.rawArgs = jelly.NewRaw()
	cmd.err = c.d.DecodeRaw(&c.r, cmd.rawArgs)
	if cmd.err == nil {
		if cmd.noKw = c.skipEmptyKw(); !cmd.noKw {
			cmd.rawKw = jelly.NewRaw()
			cmd.err = c.d.DecodeRaw(&c.r, cmd.rawKw)
		}
	}
	c.decoded(cmd)
	c.finishCall(cmd)
}

// keepResult reads the value of an answer, undecoded. A failure is decoded, because stock peers end the connection if
// they do not know everything in it: the other peer gets its type, text, parents and traceback.
func (c *commandReader) keepResult(cmd *incoming) {
	defer c.d.Reset()
	c.values = c.r
	if cmd.Name == command.Error {
		c.decodeFailure(cmd)
		return
	}
	raw := jelly.NewRaw()
	cmd.value = raw
	cmd.err = c.d.DecodeRaw(&c.r, raw)
	c.decoded(cmd)
}

// decodeFailure decodes a failure of any class.
func (c *commandReader) decodeFailure(cmd *incoming) {
	if c.failures == nil {
		c.failures = c.conn.newDecoder()
		c.failures.AcceptInstances = true
	}
	usual := c.d
	c.d = c.failures
	defer func() {
		c.d.Reset()
		c.d = usual
	}()
	cmd.err = c.d.Decode(&c.r, &cmd.value)
	c.decoded(cmd)
}

// checkRaw checks the forms of arguments that were not decoded, as [arguments] does of others.
func checkRaw(cmd *incoming) error {
	if !cmd.rawArgs.IsTuple() {
		return flavors.TypeError.New("the arguments of a call are a tuple")
	}
	if cmd.rawKw != nil && !cmd.rawKw.IsDict() {
		return flavors.TypeError.New("the keyword arguments of a call are a dictionary")
	}
	return nil
}

// comesHome is [home] for a value that is delivered. The object of another peer is one more receipt.
func (b *broker) comesHome(e *export, received []seam.Handle) (any, []seam.Handle) {
	v := home(e)
	if ref, ok := v.(*flavors.RemoteReference); ok && internal.Share(ref) {
		received = append(received, ref)
	}
	return v, received
}
