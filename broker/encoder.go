package broker

import (
	"os"
	"runtime"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// encoder is the codec actor on the writing side. It writes everything in the outbox with one write.
type encoder struct {
	c         *connection
	deadline  time.Time      // the write deadline in force
	began     time.Time      // when the current write began
	waited    patience.Count // for the peer to take anything
	buf, rest []byte         // what was taken from the outbox, and the part not yet written
}

// Receive implements protoactor.Actor.
func (e *encoder) Receive(ctx protoactor.Context) {
	switch ctx.Message().(type) {
	case flush:
		// With many calls in progress, let their callers run first and add to this write.
		if e.c.busy() {
			runtime.Gosched()
			e.c.manyAnswered.Store(false)
		}
		e.write(ctx)
	case flushNow:
		e.writeNow(ctx)
	case flushAndReport:
		if e.write(ctx) {
			ctx.Send(ctx.Parent(), flushed{half: netio.CloseWrite(e.c.sock)})
		}
	}
}

// write writes what waits. It may block.
func (e *encoder) write(ctx protoactor.Context) bool {
	if len(e.rest) > 0 && !e.writeRest(ctx) {
		return false
	}
	e.take()
	return e.writeRest(ctx)
}

func (e *encoder) writeRest(ctx protoactor.Context) bool {
	for len(e.rest) > 0 {
		e.armDeadline()
		n, err := e.c.sock.Write(e.piece())
		if usercode.Is(err, os.ErrDeadlineExceeded) && e.mayWait(n) {
			err = nil
		}
		if !e.wrote(ctx, n, err) {
			return false
		}
	}
	e.done()
	return true
}

// writeNow writes what the socket takes at once, and leaves the rest to a flush.
func (e *encoder) writeNow(ctx protoactor.Context) {
	if len(e.rest) == 0 {
		e.take()
	}
	for len(e.rest) > 0 {
		e.armDeadline()
		piece := e.piece()
		n, err := e.c.nonblock.WriteNow(piece)
		if usercode.Is(err, os.ErrDeadlineExceeded) {
			err = nil // The process was paused after armDeadline. The flush finds out whether the peer reads.
		}
		if !e.wrote(ctx, n, err) {
			return
		}
		if n < len(piece) {
			e.c.writing.PostUserMessage(flush{})
			return
		}
	}
	e.done()
}

// take takes everything from the outbox. What was taken before must have been written.
func (e *encoder) take() {
	e.buf = e.c.out.Take()
	e.rest = e.buf
}

// piece returns what the next write writes.
func (e *encoder) piece() []byte { return e.rest[:min(len(e.rest), stallPiece)] }

// wrote notes the result of a write, and reports whether more can be written.
func (e *encoder) wrote(ctx protoactor.Context, n int, err error) bool {
	e.c.bytesOut.Add(int64(n))
	if n > 0 {
		e.waited = patience.Count{}
	}
	if e.rest = e.rest[n:]; len(e.rest) > 0 {
		e.c.out.Progress(n)
	}
	if err == nil {
		return true
	}
	e.done()
	ctx.Send(ctx.Parent(), writeFailed{usercode.Wrap(err, "broker: writing")})
	return false
}

// done gives the buffer back.
func (e *encoder) done() {
	e.c.out.Written(e.buf)
	e.buf, e.rest = nil, nil
}

// mayWait reports whether to write again after a write that had written n bytes when its deadline passed.
func (e *encoder) mayWait(n int) bool {
	planned := e.deadline.Sub(e.began)
	e.deadline = time.Time{}
	if n > 0 {
		return true // The peer is slow, but it reads.
	}
	if e.c.speaksTLS() {
		return false // TLS cannot continue. netio.DiscountPauses has waited below it.
	}
	e.waited.Add(planned, time.Since(e.began))
	return e.waited.Left(e.c.stallLimit()) > 0
}

// stallPiece is how many bytes are written under one deadline. A peer that takes them within Limits.Stall makes
// progress; with TLS it must take all of them, otherwise any part.
const stallPiece = 256 << 10

// armDeadline sets a write deadline. Setting one costs as much as a small write, so one is used for several writes,
// until half of it has passed. Several deadlines make up the stall time, which does not count pauses of the process;
// with TLS there is only one.
func (e *encoder) armDeadline() {
	e.began = time.Now()
	stall := e.c.limits.Stall
	period := stall / 4
	if e.c.speaksTLS() {
		period = stall + stall/4
	}
	if e.deadline.Sub(e.began) > period/2 {
		return
	}
	e.deadline = e.began.Add(min(period, e.waited.Left(e.c.stallLimit())))
	_ = e.c.sock.SetWriteDeadline(e.deadline) // A socket of the application's may have no deadlines.
}

// stallLimit is a little more than Limits.Stall, so that a peer that moves just in time is in time.
func (c *connection) stallLimit() time.Duration { return c.limits.Stall + c.limits.Stall/8 }
