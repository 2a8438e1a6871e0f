package broker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

func (c *connection) appendChoice(dst []byte) []byte { return banana.AppendChoice(dst, c.profile) }

func (c *connection) appendVersion(dst []byte) []byte {
	return command.AppendVersion(dst, c.profile, command.ProtocolVersion)
}

// transmit sends a message that does not wait.
func (b *broker) transmit(message any) {
	switch m := message.(type) {
	case *seam.OutgoingCall:
		b.sendCall(m)
	case *outgoingAnswer:
		b.sendAnswer(m)
	case flushDecrefs:
		b.sendDecrefs()
	case *revoke:
		b.revokeNow(m)
	case observerGone:
		m.entry.Linger(&b.lingering, b.pending.Last(), time.Now(), b.c.limits.Caches)
		b.sweep()
		b.append(func(dst []byte) []byte { return command.AppendUncache(dst, b.c.profile, m.entry.ID) })
	}
}

func (b *broker) sendCall(call *seam.OutgoingCall) {
	promises, onPromise, keep := hasPromises(call), false, false
	if promises {
		var err error
		if onPromise, err = b.aim(call); err != nil {
			b.refuse(call, err)
			return
		}
	}
	call.RequestID = b.nextRequest(call.Undecoded)
	if promises {
		keep = b.begun(call)
	}
	if o := call.Observer; o != nil {
		if call.ID = o.Luid(); b.caches.Find(call.ID) == nil {
			b.refuse(call, fmt.Errorf("calling %s: %w", call.Method, errObserverGone))
			return
		}
	}
	b.countBegun(call)
	hasMetadata := (call.Entries > 0 || call.Timed) && b.c.profile.IsExtended()
	if call.Want != nil && call.Promise == nil && call.Result != nil {
		b.want(call.RequestID, call.Want) // First: the answer may be read before stamp returns.
	}
	b.stamping = call
	err := b.stamp(call.Fragment, func(dst []byte) (_ []byte, err error) {
		dst = b.appendCallHead(dst, call, hasMetadata, onPromise, keep)
		if call.Encoded != nil {
			dst = append(dst, call.Encoded...)
		} else if dst, err = b.c.appendFragment(dst, call.Fragment, b.filled); err != nil {
			return dst, err
		}
		if hasMetadata {
			dst = internal.AppendMetadata(dst, b.c.profile, call)
		}
		return dst, nil
	})
	b.stamping = nil
	if err != nil {
		b.refuse(call, fmt.Errorf("calling %s: %w", call.Method, err))
		return
	}
	if onPromise {
		b.noteUses(call)
	}
	call.Free()
	if call.Result != nil {
		b.pending.Add(call.RequestID, call)
		if call.Cancelled {
			b.cancel(call)
		}
	} else {
		b.countSent(call)
	}
	if keep {
		b.promiseSent(call)
	}
	if call.Cache && call.Result == nil {
		call.Recycle()
	}
}

func (b *broker) appendCallHead(dst []byte, call *seam.OutgoingCall, hasMetadata, onPromise, keep bool) []byte {
	cmd := command.Command{
		Name: command.Message, WantsAnswer: call.Result != nil, Keep: keep, HasMetadata: hasMetadata,
		ID:     command.Number{Int: call.RequestID},
		Object: command.Object{ID: command.Number{Int: call.ID}, Name: call.Name, Promise: onPromise},
		Method: call.Method,
	}
	if call.Cache {
		cmd.Name = command.CacheMessage
	}
	return command.AppendCall(dst, b.c.profile, &cmd)
}

func (b *broker) sendAnswer(m *outgoingAnswer) {
	c := b.c
	err := b.stamp(m.fragment, func(dst []byte) ([]byte, error) {
		dst, _, err := c.appendAnswer(dst, m.inv, m.fragment, m.isError, b.filled)
		return dst, err
	})
	if err != nil && err != flow.ErrOutboxClosed {
		b.fail(m, err)
		return
	}
	if err == nil && m.inv.Keep() {
		b.answerKept(m)
	}
	m.fragment.Free()
	if err != nil {
		c.answered(m.inv)
	}
}

// fail ends a message that cannot be sent because of its contents.
func (b *broker) fail(message any, err error) {
	switch m := message.(type) {
	case *seam.OutgoingCall:
		b.refuse(m, fmt.Errorf("calling %s: %w", m.Method, err))
	case *outgoingAnswer:
		m.fragment.Free()
		if m.isError {
			usercode.Log(func() {
				b.c.log.Error().Err(usercode.LogError(err)).Stringer("call", m.inv).Msg("a failure could not be sent")
			})
			if m.inv.Keep() {
				b.resultThere(m.inv.RequestID(), nil, m.inv.Failure())
			}
			b.c.answered(m.inv)
			return
		}
		// The method has returned, so its caller learns here that the result cannot be sent.
		m.inv.ReplaceAnswer(err)
	}
}

// stamp appends a frame and fills in luids. If it fails, nothing was sent or counted. The tables change before the
// outbox is locked; under its lock only bytes are copied.
func (b *broker) stamp(fragment *jelly.Fragment, f func(dst []byte) ([]byte, error)) error {
	size := smallFrame
	var err error
	if fragment != nil {
		size += b.c.ownLen(fragment)
		if fragment.Holes() > 0 {
			err = b.fillAll(fragment)
			size += len(b.filling)
		}
	}
	if err == nil {
		if err = b.c.appendOut(size, b.reserved, f); err == nil {
			b.reserved = 0
		}
	}
	if err != nil {
		for _, undo := range slices.Backward(b.undo) {
			undo()
		}
		b.tablesChanged()
	}
	clear(b.undo)
	b.undo, b.fillEnds = b.undo[:0], b.fillEnds[:0]
	if b.filling = b.filling[:0]; cap(b.filling) > maxFilling {
		b.filling = nil
	}
	return err
}

// maxFilling is the largest capacity of the filling buffer that is kept.
const maxFilling = 16 << 10

// fillAll prepares the contents of all placeholders of a fragment.
func (b *broker) fillAll(fragment *jelly.Fragment) (err error) {
	b.refBase = fragment.MaxRef()
	b.nextFill = 0
	for hole := range fragment.AllHoles() {
		if b.filling, err = b.fill(b.filling, hole); err != nil {
			return err
		}
		b.fillEnds = append(b.fillEnds, len(b.filling))
	}
	return nil
}

// filled appends the contents of the next placeholder.
func (b *broker) filled(dst []byte, _ any) ([]byte, error) {
	from := 0
	if b.nextFill > 0 {
		from = b.fillEnds[b.nextFill-1]
	}
	to := b.fillEnds[b.nextFill]
	b.nextFill++
	return append(dst, b.filling[from:to]...), nil
}

// fill appends the luid for one placeholder.
func (b *broker) fill(dst []byte, hole any) ([]byte, error) {
	switch h := hole.(type) {
	case seam.Export:
		e, err := b.mention(h)
		if err != nil {
			return dst, err
		}
		b.undo = append(b.undo, e.Unmention)
		return banana.AppendInt(dst, e.ID), nil
	case seam.Passed:
		return b.fill(dst, h.Export())
	case seam.Home:
		luid, name := h.Target()
		if name != "" {
			return banana.AppendString(dst, b.c.profile, name), nil
		}
		return banana.AppendInt(dst, luid), nil
	case seam.Cache:
		return b.fillCache(dst, h)
	case seam.CacheHome:
		return banana.AppendInt(dst, h.CacheLuid()), nil
	case seam.PromiseHole:
		return b.fillPromise(dst, h)
	}
	return dst, fmt.Errorf("broker: unknown placeholder %T", hole)
}

// fillCache writes [cached id], or the state of an original that the peer does not have.
func (b *broker) fillCache(dst []byte, hole seam.Cache) ([]byte, error) {
	p := b.c.profile
	if e := b.caches.Held(hole.Core); e != nil {
		e.Mention()
		b.undo = append(b.undo, e.Unmention)
		dst = banana.AppendSymbol(banana.AppendList(dst, 2), p, banana.SymCached)
		return banana.AppendInt(dst, e.ID), nil
	}
	s := b.states[hole.Core]
	if s == nil {
		return dst, fmt.Errorf("broker: the state of a %v was not requested", hole.Core)
	}
	e, err := b.addCache(s)
	if err != nil {
		return dst, err
	}
	b.undo = append(b.undo, e.Remove)
	dst = banana.AppendString(banana.AppendList(dst, 3), p, hole.Class)
	dst = banana.AppendInt(dst, e.ID)
	// The reference ids of a state are its own. They come behind all others of the message.
	base := b.refBase
	b.refBase += s.fragment.MaxRef()
	return s.fragment.AppendRebased(dst, base, b.fill)
}

// refuses is called before a rejection is sent. It ends the connection of a peer that does not read them.
func (b *broker) refuses() {
	if limit := b.c.account.MaxRefusalBacklog(); b.fatal == nil && b.c.out.Waiting() > limit {
		b.fatal = protocolErrorf(
			"",
			"the peer does not read but keeps calling: more than %d bytes wait to be written",
			limit,
		).as(rejectWriteBacklog)
	}
}

// sendDecrefs returns the receipts of released references to the peer (P-5.3), one decref each.
func (b *broker) sendDecrefs() {
	c := b.c
	c.decrefs.Lock()
	list := c.decrefs.list
	c.decrefs.list = nil
	c.decrefs.Unlock()
	b.refuses() // Decrefs fill the outbox of a peer that does not read, as rejections do.
	b.append(func(dst []byte) []byte {
		for _, f := range list {
			for range f.receipts {
				dst = f.append(dst, c.profile)
			}
		}
		return dst
	})
	frames := -1 // append has counted one.
	for _, f := range list {
		if f.command == command.Decref {
			b.imports.Forget(f.ImportKey)
		} else {
			b.local.Release(f.ID)
		}
		frames += f.receipts
		usercode.Log(func() {
			c.log.Debug().Stringer("sent", f.command).Int64("luid", f.ID).Int("receipts", f.receipts).
				Msg("reference released")
		})
	}
	c.out.AddFrames(frames)
	b.tablesChanged()
}

// Undelivered implements actor.DeadLetterHandler: it fails messages that arrive while the broker stops.
func (b *broker) Undelivered(message any) {
	b.refuse(message, b.c.lost(context.Cause(b.c.ctx)))
}

// refuse fails a message that is not sent.
func (b *broker) refuse(message any, cause error) {
	switch m := message.(type) {
	case *seam.OutgoingCall:
		b.c.metrics.failedOut.Add(1)
		if m.Result != nil {
			b.c.pending.Add(-1)
		}
		b.countUnsent(m, cause)
		if m.Observer != nil && m.Result == nil && b.c.sends() && !usercode.Is(cause, errObserverGone) {
			m.Observer.Unsent(m.Method, cause)
		}
		b.promiseFailed(m, cause)
		_ = failCall(m, cause)
	case *stateReply:
		m.abandon()
	case *instantiated:
		m.abandon()
	case *outgoingAnswer:
		m.fragment.Free()
		b.c.answered(m.inv)
	}
}

// cancel drops a call but keeps its entry until the answer arrives, so that the answer is known and a peer that never
// answers stays within Limits.CallsOut. It tells a peer that understands it (P-9.10).
func (b *broker) cancel(call *seam.OutgoingCall) {
	if b.cancelWaiting(call) {
		return
	}
	if call.RequestID == 0 {
		call.Cancelled = true // It waits to be sent.
		return
	}
	if !b.pending.Forget(call.RequestID) {
		return
	}
	b.countCancelled(call)
	if b.c.profile.IsExtended() && b.c.sends() {
		id := command.Number{Int: call.RequestID}
		b.append(func(dst []byte) []byte { return command.AppendCancel(dst, b.c.profile, id) })
	}
	if call.Promise != nil {
		b.promiseCancelled(call)
	}
}

// complete completes a call of ours, or nil for a cancelled one, whose answer was read at a time. It reports whether
// its caller still waited.
func (b *broker) complete(call *seam.OutgoingCall, read time.Duration, v any, err error) bool {
	if call == ping {
		return false
	}
	// Count before completing: the caller may read the statistics, or make its next call at once. A call is pending
	// until its end is counted.
	n := &b.c.metrics
	switch {
	case call == nil:
		n.cancelledOut.Add(1)
	case err != nil:
		n.failedOut.Add(1)
	}
	b.c.pending.Add(-1)
	if call == nil {
		return false
	}
	b.countAnswered(call, read, err)
	if call.Result.Complete(v, err) {
		return true
	}
	if err != nil {
		n.failedOut.Add(^uint64(0))
	}
	n.cancelledOut.Add(1)
	return false
}
