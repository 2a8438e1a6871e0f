package broker

import (
	"errors"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
)

// ErrSilent is the cause when the peer did not answer in time to being asked whether it is there.
var ErrSilent = errors.New("broker: the peer has fallen silent")

// WithKeepalive asks a peer that has sent nothing for idle whether it is there, and ends the connection with [ErrSilent] when nothing comes
// within deadline. By default nobody is asked: a peer that has vanished is found out when something is written to it. Any peer can answer,
// stock ones too: it is called by an object id that does not exist, and the error that this gives is the sign of life.
func WithKeepalive(idle, deadline time.Duration) Option {
	return optionFunc(func(o *options) { o.keepalive = keepalive{idle, deadline} })
}

type keepalive struct{ idle, deadline time.Duration }

func (k keepalive) on() bool { return k.idle > 0 && k.deadline > 0 }

// keepaliveDue is sent to the broker by its timer.
type keepaliveDue struct{}

// noObject is an id that no object has: luids begin with 1.
const noObject = 0

// heard notes that the peer has sent something.
func (c *Conn) heard() {
	if c.options.keepalive.on() {
		c.lastHeard.Store(time.Now().UnixNano())
	}
}

// listen begins to watch for silence.
func (b *broker) listen() {
	if k := b.c.options.keepalive; k.on() {
		b.c.heard()
		b.alive = b.after(k.idle, keepaliveDue{})
	}
}

// checkAlive looks how long the peer has been silent, asks it or gives it up, and says when to look again.
func (b *broker) checkAlive() (cause error) {
	if b.state != brokerOpen {
		return nil
	}
	k := b.c.options.keepalive
	silent := time.Since(time.Unix(0, b.c.lastHeard.Load()))
	switch {
	case b.c.out.waiting() > b.c.limits.PauseWater || b.c.behind():
		// We are not reading ourselves, because the peer is not, which the stall time is for, or because we are behind.
		b.c.heard()
		b.alive = b.after(k.idle, keepaliveDue{})
	case silent < k.idle:
		b.alive = b.after(k.idle-silent, keepaliveDue{})
	case silent < k.idle+k.deadline:
		if b.asked <= b.c.lastHeard.Load() {
			b.asked = time.Now().UnixNano()
			b.ping()
		}
		b.alive = b.after(k.idle+k.deadline-silent, keepaliveDue{})
	default:
		return ErrSilent
	}
	return nil
}

// ping sends a call of which any answer will do. Its entry has no call, so the answer is dropped.
func (b *broker) ping() {
	id := b.pending.number()
	b.pending.addPing(id)
	b.append(func(dst []byte) []byte {
		p := b.c.profile
		dst = banana.AppendSymbol(banana.AppendList(dst, 7), p, banana.SymMessage)
		dst = banana.AppendInt(banana.AppendInt(dst, id), noObject)
		dst = banana.AppendInt(banana.AppendString(dst, p, "ping"), 1)
		dst = banana.AppendSymbol(banana.AppendList(dst, 1), p, banana.SymTuple)
		return banana.AppendSymbol(banana.AppendList(dst, 1), p, banana.SymDictionary)
	})
}
