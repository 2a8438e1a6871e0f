package broker

import (
	"net"
	"os"
	"runtime"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/flow"
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
	longs     []flow.Segment // the long strings among it
	parts     [][]byte       // what is not yet written, in place of rest, if there are long strings
	vector    [][]byte       // the parts of one write
}

// ReceiveLent implements actor.LentReceiver.
func (e *encoder) ReceiveLent(ctx protoactor.Context, message any) bool {
	if _, ok := message.(flushNow); !ok {
		return false
	}
	e.writeNow(ctx)
	return true
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
	case *protoactor.Stopped:
		if e.isWriting() {
			e.done()
		}
	}
}

// write writes what waits. It may block.
func (e *encoder) write(ctx protoactor.Context) bool {
	if e.isWriting() && !e.writeRest(ctx) {
		return false
	}
	e.take()
	return e.writeRest(ctx)
}

// isWriting reports whether something was taken from the outbox and is not yet written.
func (e *encoder) isWriting() bool { return len(e.rest)+len(e.parts) > 0 }

func (e *encoder) writeRest(ctx protoactor.Context) bool {
	for e.isWriting() {
		e.armDeadline()
		n, err := e.writePiece()
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
	if !e.isWriting() {
		e.take()
	}
	if len(e.parts) > 0 {
		e.c.writing.PostUserMessage(flush{})
		return
	}
	for len(e.rest) > 0 {
		piece := e.piece()
		n, err := e.c.nonblock.WriteNow(piece)
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
	e.buf, e.longs = e.c.out.Take()
	e.rest = e.buf
	if len(e.longs) > 0 {
		e.split()
	}
}

// split arranges what was taken in parts.
func (e *encoder) split() {
	from := 0
	e.rest = nil
	for _, s := range e.longs {
		if s.At > from {
			e.parts = append(e.parts, e.buf[from:s.At])
		}
		e.parts = append(e.parts, s.Long.Bytes())
		from = s.At
	}
	if from < len(e.buf) {
		e.parts = append(e.parts, e.buf[from:])
	}
}

// piece returns what the next write writes.
func (e *encoder) piece() []byte { return e.rest[:min(len(e.rest), stallPiece)] }

// writePiece writes once. It may block. Only sockets that gather parts in one system call have parts.
func (e *encoder) writePiece() (int, error) {
	if len(e.parts) == 0 {
		return e.c.sock.Write(e.piece())
	}
	e.vector = e.vector[:0]
	left := gatheredPiece
	for _, part := range e.parts {
		part = part[:min(len(part), left)]
		e.vector = append(e.vector, part)
		if left -= len(part); left == 0 {
			break
		}
	}
	parts := net.Buffers(e.vector)
	n, err := parts.WriteTo(e.c.sock)
	clear(e.vector)
	return int(n), err
}

// advance skips n bytes that have been written.
func (e *encoder) advance(n int) {
	if len(e.parts) == 0 {
		e.rest = e.rest[n:]
		return
	}
	for n > 0 {
		first := &e.parts[0]
		if n < len(*first) {
			*first = (*first)[n:]
			return
		}
		n -= len(*first)
		*first, e.parts = nil, e.parts[1:]
	}
}

// wrote notes the result of a write, and reports whether more can be written.
func (e *encoder) wrote(ctx protoactor.Context, n int, err error) bool {
	e.c.bytesOut.Add(int64(n))
	if n > 0 {
		e.waited = patience.Count{}
	}
	if e.advance(n); e.isWriting() {
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
	e.c.out.Written(e.buf, e.longs)
	e.buf, e.rest, e.longs, e.parts = nil, nil, nil, nil
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

// gatheredPiece is how many bytes are written with one system call if there are long strings among them.
const gatheredPiece = 1 << 20

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
