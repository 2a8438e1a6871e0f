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

// encoder is the codec actor on the writing side: it writes what has gathered in the outbox in one go.
type encoder struct {
	c         *connection
	deadline  time.Time      // the write deadline in force
	began     time.Time      // when the write at hand began
	waited    patience.Count // for the peer to take anything
	buf, rest []byte         // what was taken from the outbox, and what of it is still to be written
}

// Messages to the encoder and back to the broker.
type (
	// flush asks for a write. It is sent with the first bytes that enter an empty outbox; when it arrives, others have
	// joined them.
	flush struct{}
	// flushNow is a flush that must not wait. It may be lent to the encoder: where no more than one call is under way,
	// nobody else's bytes could join those that there are, and a socket that can be tried takes them nearly always.
	flushNow struct{}
	// flushAndReport asks for a write of all that waits, and for a word when it is done.
	flushAndReport struct{}
	// flushed is that word; half says that the peer has been told that nothing more will come.
	flushed struct{ half bool }
	// writeFailed says that nothing more can be written, and why.
	writeFailed struct{ cause error }
)

// Receive implements protoactor.Actor.
func (e *encoder) Receive(ctx protoactor.Context) {
	switch ctx.Message().(type) {
	case flush:
		// With many calls under way, those who make them run first and add theirs to this write.
		if e.c.busy() {
			runtime.Gosched()
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

// write writes what waits. Writing blocks this actor, which is what it is for.
func (e *encoder) write(ctx protoactor.Context) bool {
	if len(e.rest) > 0 && !e.writeTaken(ctx) {
		return false
	}
	e.take()
	return e.writeTaken(ctx)
}

func (e *encoder) writeTaken(ctx protoactor.Context) bool {
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

// writeNow writes what the socket takes at once, since this turn may be on the goroutine of somebody who must not wait.
// The rest is left to a turn of its own.
func (e *encoder) writeNow(ctx protoactor.Context) {
	if len(e.rest) == 0 {
		e.take()
	}
	for len(e.rest) > 0 {
		e.armDeadline()
		piece := e.piece()
		n, err := e.c.nonblock.WriteNow(piece)
		if usercode.Is(err, os.ErrDeadlineExceeded) {
			// This process was paused behind armDeadline. A turn that may wait finds out whether the peer reads.
			err = nil
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

// take takes what waits; what was taken before has been written.
func (e *encoder) take() {
	e.buf = e.c.out.Take()
	e.rest = e.buf
}

// piece is what is written next, see stallPiece.
func (e *encoder) piece() []byte { return e.rest[:min(len(e.rest), stallPiece)] }

// wrote notes what became of a piece, and reports whether more can be written.
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

// mayWait reports whether the peer may be waited for longer, after a write that took n bytes until its deadline passed.
func (e *encoder) mayWait(n int) bool {
	planned := e.deadline.Sub(e.began)
	e.deadline = time.Time{}
	if n > 0 {
		return true // The peer is slow, but it reads.
	}
	if e.c.speaksTLS() {
		return false // TLS cannot go on; netio.DiscountPauses has waited below it.
	}
	e.waited.Add(planned, time.Since(e.began))
	return e.waited.Left(e.c.stallLimit()) > 0
}

// stallPiece is how much is written under one deadline: a peer that takes this much within Limits.Stall is making
// progress. Of a plain socket any part of it will do; TLS cannot go on after a write that was cut short.
const stallPiece = 256 << 10

// armDeadline keeps a write from waiting for ever. Setting a deadline costs as much as a small write, so one is used
// for several writes, until half of it has passed. It is shorter than the stall time, which consists of several: see
// package patience. TLS has one for the whole.
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
	// A socket without deadlines is closed by whoever gave it to us.
	_ = e.c.sock.SetWriteDeadline(e.deadline)
}

// stallLimit is a little more than Limits.Stall, so that a peer which moves just in time is in time.
func (c *connection) stallLimit() time.Duration { return c.limits.Stall + c.limits.Stall/8 }
