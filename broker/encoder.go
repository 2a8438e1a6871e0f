package broker

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// encoder is the codec actor on the writing side: it writes what has gathered in the outbox in one go.
type encoder struct {
	c          *Conn
	deadlineAt time.Time // when the write deadline in force was set
}

// Messages to the encoder and back to the broker.
type (
	// flush asks for a write. It is sent with the first bytes that enter an empty outbox; when it arrives, others have joined them.
	flush struct{}
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
	case flushAndReport:
		if e.write(ctx) {
			ctx.Send(ctx.Parent(), flushed{half: e.c.closeWrite()})
		}
	}
}

// write writes what waits. Writing blocks this actor, which is what it is for.
func (e *encoder) write(ctx protoactor.Context) bool {
	c := e.c
	buf := c.out.take()
	defer c.out.written(buf)
	for rest := buf; len(rest) > 0; {
		piece := rest[:min(len(rest), stallPiece)]
		e.armDeadline()
		n, err := c.sock.Write(piece)
		c.bytesOut.Add(int64(n))
		c.out.progress(n)
		if n > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			e.deadlineAt, err = time.Time{}, nil // The peer is slow, but it reads.
		}
		if err != nil {
			ctx.Send(ctx.Parent(), writeFailed{fmt.Errorf("broker: writing: %w", err)})
			return false
		}
		rest = rest[n:]
	}
	return true
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
