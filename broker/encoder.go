package broker

import (
	"os"
	"runtime"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// encoder is the codec actor on the writing side: it writes what has gathered in the outbox in one go.
type encoder struct {
	c          *Conn
	mailbox    *actor.Mailbox // its own
	deadlineAt time.Time      // when the write deadline in force was set
	buf, rest  []byte         // what was taken from the outbox, and what of it is still to be written
}

// Messages to the encoder and back to the broker.
type (
	// flush asks for a write. It is sent with the first bytes that enter an empty outbox; when it arrives, others have joined them.
	flush struct{}
	// flushNow is a flush that must not wait. It may be lent to the encoder: where no more than one call is under way, nobody else's bytes
	// could join those that there are, and a socket that can be tried takes them nearly always.
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
			ctx.Send(ctx.Parent(), flushed{half: e.c.closeWrite()})
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
		if n > 0 && usercode.Is(err, os.ErrDeadlineExceeded) {
			e.deadlineAt, err = time.Time{}, nil // The peer is slow, but it reads.
		}
		if !e.wrote(ctx, n, err) {
			return false
		}
	}
	e.done()
	return true
}

// writeNow writes what the socket takes at once, since this turn may be on the goroutine of somebody who must not wait. The rest is
// left to a turn of its own.
func (e *encoder) writeNow(ctx protoactor.Context) {
	if len(e.rest) == 0 {
		e.take()
	}
	for len(e.rest) > 0 {
		e.armDeadline()
		piece := e.piece()
		n, err := e.c.prompt.writeNow(piece)
		if !e.wrote(ctx, n, err) {
			return
		}
		if n < len(piece) {
			e.mailbox.PostUserMessage(flush{})
			return
		}
	}
	e.done()
}

// take takes what waits; what was taken before has been written.
func (e *encoder) take() {
	e.buf = e.c.out.take()
	e.rest = e.buf
}

// piece is what is written next, see stallPiece.
func (e *encoder) piece() []byte { return e.rest[:min(len(e.rest), stallPiece)] }

// wrote notes what became of a piece, and reports whether more can be written.
func (e *encoder) wrote(ctx protoactor.Context, n int, err error) bool {
	e.c.bytesOut.Add(int64(n))
	if e.rest = e.rest[n:]; len(e.rest) > 0 {
		e.c.out.progress(n)
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
	e.c.out.written(e.buf)
	e.buf, e.rest = nil, nil
}

// stallPiece is how much is written under one deadline: a peer that takes this much within Limits.Stall is making progress. Of a plain
// socket any part of it will do; TLS cannot go on after a write that was cut short.
const stallPiece = 256 << 10

// armDeadline keeps a write from waiting for ever. Setting a deadline costs as much as a small write, so it is set anew only when a
// quarter of it has passed.
func (e *encoder) armDeadline() {
	now := time.Now()
	stall := e.c.limits.Stall
	if now.Sub(e.deadlineAt) < stall/4 {
		return
	}
	e.deadlineAt = now
	// A socket without deadlines is closed by whoever gave it to us.
	_ = e.c.sock.SetWriteDeadline(now.Add(stall + stall/4))
}
