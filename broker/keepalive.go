package broker

import (
	"time"

	"github.com/perspectivebroker/pb/broker/internal/command"
	"github.com/perspectivebroker/pb/codec/banana"
)

// WithKeepalive asks a peer that has sent nothing for idle whether it is there, and ends the connection with
// [ErrSilent] when nothing comes within deadline after that. By default no peer is asked: one that has vanished is
// found when something is written to it. Any peer can answer, stock ones too: the ping is a call to an object id that
// does not exist, and the error that this gives is the sign of life.
//
// Time is measured by the monotonic clock, which a step of the wall clock does not change. A pause of this process
// (SIGSTOP, a frozen container) does not count against the peer: it is always asked before it is given up, and has the
// whole deadline in which this process runs. On Linux the monotonic clock stands still while the machine is suspended,
// so a suspension does not count either.
func WithKeepalive(idle, deadline time.Duration) Option {
	return optionFunc(func(o *options) { o.keepalive = keepalive{idle, deadline} })
}

type keepalive struct{ idle, deadline time.Duration }

func (k keepalive) on() bool { return k.idle > 0 && k.deadline > 0 }

// Messages to the broker from its timers.
type (
	// keepaliveDue asks for a look how long the peer has been silent.
	keepaliveDue struct{}
	// keepaliveOver says that the ping sent at asked should have been answered by now.
	keepaliveOver struct{ asked int64 }
)

// started is the origin of uptime.
var started = time.Now()

// uptime is the monotonic clock, in nanoseconds.
func uptime() int64 { return int64(time.Since(started)) }

// noObject names no object: luids begin with 1.
var noObject = command.Object{}

// heard notes that the peer has sent something.
func (c *connection) heard() {
	if c.options.keepalive.on() {
		c.lastHeard.Store(uptime())
	}
}

// listen begins to watch for silence.
func (b *broker) listen() {
	if k := b.c.options.keepalive; k.on() {
		b.c.heard()
		b.alive = b.after(k.idle, keepaliveDue{})
	}
}

// notReading reports that this side has stopped reading: because the peer does not read, which is what the stall time
// is for, or because we are behind. Then its silence means nothing.
func (b *broker) notReading() bool {
	return b.c.out.Waiting() > b.c.limits.MaxWriteBacklog || b.c.account.Behind()
}

// checkAlive pings a peer that has been silent for too long, and sees to the next look.
func (b *broker) checkAlive() {
	if b.state != brokerOpen {
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

// isAnswered reports whether the peer has sent anything since it was last pinged, if it was.
func (b *broker) isAnswered() bool { return b.silence == nil || b.c.lastHeard.Load() >= b.asked }

// isSilent reports whether a ping whose time is over has not been answered.
func (b *broker) isSilent(m keepaliveOver) bool {
	if b.state != brokerOpen || m.asked != b.asked {
		return false
	}
	if b.notReading() {
		b.c.heard()
	}
	return !b.isAnswered()
}

// ping sends a call of which any answer will do. Its entry has no call, so the answer is dropped.
func (b *broker) ping() {
	id := b.pending.number()
	b.pending.addPing(id)
	b.append(func(dst []byte) []byte {
		p := b.c.profile
		dst = command.AppendMessage(dst, p, command.Number{Int: id}, noObject, "ping", true)
		dst = banana.AppendSymbol(banana.AppendList(dst, 1), p, banana.SymTuple)
		return banana.AppendSymbol(banana.AppendList(dst, 1), p, banana.SymDictionary)
	})
}
