package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

const (
	// scanDepth is how deep lists may nest in a frame. It is far above Jelly's limit, so that values nested too deep
	// fail their call and not the connection, as with a stock peer.
	scanDepth = 1 << 16
	// commandSize is the memory that a command takes apart from its values, roughly.
	commandSize = 256
)

// decoder is the codec actor on the reading side. Its goroutine reads, finds frames, decodes them, and hands the
// commands of a read to the broker in one message.
type decoder struct {
	c *connection
}

// Messages of the decoder to the broker.
type (
	negotiated struct{}
	readEnded  struct{ cause error }
)

// Receive implements protoactor.Actor.
func (d *decoder) Receive(ctx protoactor.Context) {
	if _, ok := ctx.Message().(*protoactor.Started); !ok {
		return
	}
	c := d.c
	if !c.rt.Go("reading from "+c.peer, func() {
		cause := errors.New("broker: the decoder panicked")
		defer func() {
			c.post(readEnded{cause})
			c.linger.ReaderEnded(c.sock)
			c.lingered()
		}()
		cause = d.read()
	}) {
		c.post(readEnded{ErrClosed})
	}
}

// read reads until the connection ends, and returns why it ended.
func (d *decoder) read() error {
	c := d.c
	buf := flow.NewReadBuffer(c.newReader(), c.account, c.limits.Stall)
	defer buf.Release()
	in := newFrameReader(c)
	for {
		c.account.WaitRead(c.ctx, c.out, c.bytesOut.Load)
		atFrame := buf.IsEmpty()
		n, readErr := buf.Fill()
		if c.linger.Active() {
			return ErrClosed
		}
		c.metrics.bytesIn.Add(uint64(n))
		c.heard()
		for !buf.IsEmpty() {
			size, err := in.next(buf.Unread(), atFrame)
			if err != nil {
				return err
			}
			if size == 0 {
				break
			}
			atFrame = true
			alias := buf.AliasFrom(size)
			if err := in.frame(buf.Next(size), alias, len(buf.Unread())); err != nil {
				return err
			}
			if in.commands.forget() {
				in.lend(buf.Detach(), alias)
			}
			in.flushFull()
		}
		in.flush()
		if readErr != nil {
			return readError(readErr, !buf.IsEmpty())
		}
		if err := buf.MakeRoom(c.ctx, in.scanner.Need()); err != nil {
			return readError(err, false)
		}
	}
}

// frameReader finds frames and decodes them into batches for the broker.
type frameReader struct {
	c          *connection
	scanner    banana.Scanner
	commands   commandReader
	negotiated bool  // the profile has been agreed on
	small      int64 // the limit of a frame in force before a login, or 0
	out        *batch
	frames     uint64 // that the counters do not include yet
}

func newFrameReader(c *connection) *frameReader {
	r := &frameReader{c: c, commands: c.newCommandReader()}
	handshake := c.limits.Banana
	handshake.Frame = banana.HandshakeFrame
	r.scanner.Init(banana.ProfileNone, handshake)
	r.scanner.SetPrices(jelly.Prices())
	return r
}

// flush hands the batch to the broker. The broker's turn runs on this goroutine if the broker is idle.
func (r *frameReader) flush() {
	r.c.metrics.framesIn.Add(r.frames)
	r.frames = 0
	if r.out != nil {
		r.c.account.HandOver(&r.out.costs)
		r.out.read = figures.Now()
		r.c.mailbox.Lend(r.out)
		r.out = nil
	}
}

// next returns the size of the frame at the beginning of b, or 0 if it is incomplete.
func (r *frameReader) next(b []byte, atFrame bool) (int, error) {
	if now := r.c.small.Load(); now != r.small && atFrame && r.negotiated {
		r.limitFrames(now)
	}
	size, err := r.scanner.Next(b)
	if err != nil {
		r.flush()
		return 0, r.c.scanError(err)
	}
	return size, nil
}

// limitFrames limits the size of frames to small, or as usual if that is 0. It is not inlined, because its stack frame
// would cost every frame cache lines.
//
//go:noinline
func (r *frameReader) limitFrames(small int64) {
	r.small = small
	r.scanner.Init(r.c.profile, r.c.scanLimits(small))
}

// frame decodes a frame. Byte strings of at least aliasFrom bytes stay in it, unless that is 0. behind is how many
// bytes were read behind the frame.
func (r *frameReader) frame(frame []byte, aliasFrom, behind int) error {
	r.frames++
	if !r.negotiated {
		return r.negotiate(frame)
	}
	r.commands.cost = r.scanner.Cost()
	memory := commandSize + r.commands.cost
	if r.commands.short = 0; !r.c.account.TakeFrame(memory, len(frame), behind) {
		r.flush() // It may make room.
		r.commands.short = memory
	}
	if r.out == nil {
		r.out = batches.Get().(*batch)
	}
	out := r.out
	out.commands = out.commands[:len(out.commands)+1] // It is empty: see batch.free.
	cmd := &out.commands[len(out.commands)-1]
	r.commands.mayAlias(aliasFrom)
	if err := r.commands.read(frame, r.c.profile, cmd); err != nil {
		*cmd = incoming{}
		out.commands = out.commands[:len(out.commands)-1]
		r.flush()
		return err
	}
	if r.commands.short > 0 {
		memory = commandSize + cmd.keeps()
		r.c.account.Add(memory)
	}
	if cmd.IsCall() {
		cmd.cost = flow.Cost{Wire: len(frame), Memory: memory}
		out.costs.AddCall(cmd.cost)
	} else {
		out.costs.AddOther(memory)
	}
	return nil
}

// flushFull hands the batch to the broker if it is full.
func (r *frameReader) flushFull() {
	if r.out != nil && len(r.out.commands) == batchFrames {
		r.flush()
	}
}

// negotiate handles the first frame from the peer.
func (r *frameReader) negotiate(frame []byte) error {
	if err := r.c.negotiate(frame); err != nil {
		return err
	}
	r.negotiated = true
	r.limitFrames(r.c.small.Load())
	r.scanner.SetPrices(jelly.PricesOf(r.c.profile))
	r.c.post(negotiated{})
	return nil
}

// readersKey finds what the readers of a runtime share.
type readersKey struct{}

func readersOf(rt *actor.Runtime) *netio.Readers {
	return rt.Extension(readersKey{}, func() any { return netio.NewReaders() }).(*netio.Readers)
}

func (c *connection) newReader() *netio.Reader {
	poll := netio.NewBusyPoll(c.options.polling, readersOf(c.rt), c.busy)
	return netio.NewReader(c.sock, c.nonblock, poll, &c.linger)
}

// scanLimits returns the limits of frames. A small other than 0 is the limit of their size before a login.
func (c *connection) scanLimits(small int64) banana.Limits {
	limits := c.bananaLimits().WithDefaults()
	limits.Depth = scanDepth
	if small > 0 {
		limits.Frame = min(limits.Frame, int(small))
	}
	return limits
}

// scanError explains why no more frames can be found.
func (c *connection) scanError(err error) error {
	what := "the bytes received are not valid Banana, or exceed a limit"
	var limit *banana.LimitError
	if small := int(c.small.Load()); small > 0 && usercode.AsInto(err, &limit) && limit.Limit == banana.LimitFrame {
		what = fmt.Sprintf("a message before the login has more than %d bytes (WithFrameBeforeLogin)", small)
	}
	return &ProtocolError{What: what, Err: err}
}

// readError explains why reading ended; inFrame says that a frame was incomplete.
func readError(err error, inFrame bool) error {
	var (
		protocol *ProtocolError
		stall    *flow.StallError
		room     *flow.RoomError
	)
	switch {
	case usercode.AsInto(err, &stall):
		return &ProtocolError{Rejection: rejectStall, What: stall.Error(), Err: stall.Err}
	case usercode.AsInto(err, &room):
		return &ProtocolError{Rejection: rejectMemoryTotal, What: room.Error()}
	case usercode.AsInto(err, &protocol):
		return err
	case usercode.Is(err, io.EOF) && inFrame:
		what := "the peer closed the connection in the middle of a message"
		return &ProtocolError{What: what, Err: io.ErrUnexpectedEOF}
	case usercode.Is(err, io.EOF):
		return ErrPeerClosed
	case usercode.Is(err, net.ErrClosed), usercode.Is(err, io.ErrClosedPipe):
		return ErrClosed
	case usercode.Is(err, os.ErrDeadlineExceeded), usercode.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("broker: the peer was silent for too long: %w", err)
	}
	return usercode.Wrap(err, "broker: reading")
}

// negotiate parses the first frame from the peer: the offer of the accepting side or the choice of the connecting side.
func (c *connection) negotiate(frame []byte) error {
	var profile banana.Profile
	var err error
	if c.client {
		profile, err = banana.ChooseProfile(frame, c.options.dialects...)
	} else {
		profile, err = banana.ParseChoice(frame, c.options.dialects...)
	}
	if err != nil {
		return &ProtocolError{What: "no common profile", Err: err}
	}
	c.speak(profile)
	return nil
}
