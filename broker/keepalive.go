package broker

import (
	"fmt"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/command"
)

// WithKeepalive pings a peer that has sent nothing for idle, and ends the connection with [ErrSilent] if nothing
// arrives within deadline after that. By default no peer is pinged: a vanished peer is noticed when something is
// written to it. Any peer answers the ping, stock ones too: it is a call to an object id that does not exist, which
// fails.
//
// Time is measured by the monotonic clock. A pause of this process (SIGSTOP, a frozen container) does not count against
// the peer: it is always pinged first, and has the whole deadline while this process runs. On Linux the monotonic clock
// stops while the machine is suspended, so a suspension does not count either.
//
// Both times must be positive. Zero for both turns keepalive off, as by default.
func WithKeepalive(idle, deadline time.Duration) Option {
	return optionFunc(func(o *options) error {
		o.keepalive = keepalive{idle, deadline}
		if off := idle == 0 && deadline == 0; !off && !o.keepalive.on() {
			return fmt.Errorf("broker: WithKeepalive(%v, %v): give two positive times, or leave the option out", idle, deadline)
		}
		return nil
	})
}

// Messages to the broker from its timers.
type (
	// keepaliveDue asks for checkAlive.
	keepaliveDue struct{}
	// keepaliveOver is the deadline of the ping sent at asked.
	keepaliveOver struct{ asked int64 }
)

// started is when uptime is 0.
var started = time.Now()

// uptime is the monotonic clock, in nanoseconds.
func uptime() int64 { return int64(time.Since(started)) }

// noObject names no object: luids begin with 1.
var noObject = command.Object{}

// heard records that the peer has sent something.
func (c *connection) heard() {
	if c.options.keepalive.on() {
		c.lastHeard.Store(uptime())
	}
}

// listen starts keepalive, if it is on.
func (b *broker) listen() {
	if k := b.c.options.keepalive; k.on() {
		b.c.heard()
		b.alive = b.after(k.idle, keepaliveDue{})
	}
}

// notReading reports whether this side has stopped reading, so that the peer's silence means nothing: because the peer
// does not read, which the stall time bounds, or because the broker is behind.
func (b *broker) notReading() bool {
	return b.c.out.Waiting() > b.c.limits.MaxWriteBacklog || b.c.account.Behind()
}

// checkAlive pings a peer that has been silent for too long, and schedules the next check.
func (b *broker) checkAlive() {
	if !b.c.sends() {
		return
	}
	k := b.c.options.keepalive
	if b.notReading() {
		b.c.heard()
	}
	next := k.idle
	if left := k.idle - time.Duration(uptime()-b.c.lastHeard.Load()); left > 0 {
		next = left
	} else if b.isAnswered() {
		b.asked = uptime()
		b.silence.Stop()
		b.silence = b.afterWaiting(k.deadline, keepaliveOver{b.asked})
		b.ping()
	}
	b.alive = b.after(next, keepaliveDue{})
}

// isAnswered reports whether the peer has sent anything since the last ping. It is true if there was none.
func (b *broker) isAnswered() bool { return b.silence == nil || b.c.lastHeard.Load() >= b.asked }

// isSilent reports whether a ping was not answered by its deadline.
func (b *broker) isSilent(m keepaliveOver) bool {
	if !b.c.sends() || m.asked != b.asked {
		return false
	}
	if b.notReading() {
		b.c.heard()
	}
	return !b.isAnswered()
}

// ping sends a call that fails. Its entry in the pending table has no call, so the answer is dropped.
func (b *broker) ping() {
	id := b.nextRequest(false)
	b.pending.Add(id, ping)
	b.append(func(dst []byte) []byte { return b.appendEmptyCall(dst, id, noObject, "ping") })
}

// appendEmptyCall appends a call without arguments.
func (b *broker) appendEmptyCall(dst []byte, id int64, object command.Object, method string) []byte {
	p := b.c.profile
	dst = command.AppendMessage(dst, p, command.Number{Int: id}, object, method, true)
	dst = banana.AppendSymbol(banana.AppendList(dst, 1), p, banana.SymTuple)
	return banana.AppendSymbol(banana.AppendList(dst, 1), p, banana.SymDictionary)
}
