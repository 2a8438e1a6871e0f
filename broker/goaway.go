package broker

import (
	"time"

	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

const (
	// moveTime is how long the calls of a peer are taken after it was told that this side goes away. It needs some time
	// to learn of it and to connect elsewhere. Pauses of the process do not count.
	moveTime = 5 * time.Second
	// quietTime is how long such a peer must not have called until it counts as moved, and crossTime how long it takes
	// a call that was under way when it was told.
	quietTime = 500 * time.Millisecond
	crossTime = 200 * time.Millisecond
	// goawayText is what clients are told.
	goawayText = "the server is shutting down"
)

// sayGoaway tells a client that understands it that this side is about to close the connection (P-9.14).
func (b *broker) sayGoaway() {
	if b.c.client || !b.c.profile.IsExtended() {
		return
	}
	b.toldAway = figures.Now()
	b.move = b.afterWaiting(moveTime, moveOver{})
	b.append(func(dst []byte) []byte { return command.AppendGoaway(dst, b.c.profile, goawayText) })
}

// waitsForMove reports whether the peer is likely to call again before it has connected elsewhere. If so, a
// moveCheck follows.
func (b *broker) waitsForMove() bool {
	if b.move == nil || b.moving {
		return b.move != nil
	}
	now := figures.Now()
	until := b.toldAway + crossTime
	if b.lastCall > 0 {
		until = max(until, b.lastCall+quietTime)
	}
	if b.lastCall > b.looked {
		until = max(until, now+lastCallTime) // The clock goes on while the process is stopped and reads nothing.
	}
	b.looked = now
	if until <= now {
		return false
	}
	b.moving = true
	b.afterWaiting(until-now, moveCheck{})
	return true
}

// goaway handles [goaway text].
func (b *broker) goaway(text string) {
	select {
	case <-b.c.goaway:
		return // It has said so before.
	default:
	}
	usercode.Log(func() { b.c.log.Info().Str("text", clip(text)).Msg("the peer is going away") })
	close(b.c.goaway)
}

// Messages to the broker.
type (
	// leave closes the connection once none of its calls is under way. The session has moved.
	leave      struct{}
	leaveCheck struct{}
	// moveCheck asks whether the peer still calls after it was told that this side goes away.
	moveCheck struct{}
	// moveOver ends the time for which its calls are taken.
	moveOver struct{}
)

// leaves closes a connection whose session has moved, when it is not in use.
func (b *broker) leaves(ctx protoactor.Context) {
	if !b.left || !b.c.sends() {
		return
	}
	if b.c.pending.Load() > 0 || b.c.inbound.Load() > 0 || b.made != b.c.metrics.madeOut.Load() {
		b.made = b.c.metrics.madeOut.Load()
		b.afterWaiting(2*quietTime, leaveCheck{})
		return
	}
	b.close(ctx, closeNow{cause: ErrClosed, flush: true})
}
