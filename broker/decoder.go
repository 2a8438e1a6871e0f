package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

const (
	// scanDepth is how deep lists may nest in a frame. It lies far above what Jelly takes, so that values nested too deep
	// fail their call and not the connection, as with a stock peer.
	scanDepth = 1 << 16
	// batchFrames is how many commands are handed to the broker in one message at the most.
	batchFrames = 64
)

// decoder is the codec actor on the reading side: it owns a goroutine that reads, finds frames under limits, decodes
// them and hands all commands of a read to the broker in one message.
type decoder struct {
	c *connection
}

// batch is what one read gave, or a part of it. The slice never grows: what is to be bound later is known by its
// address.
type batch struct {
	commands []incoming
	weight   int // of them all
	others   int // of those that are no calls, which are counted by themselves
}

var batches = sync.Pool{New: func() any { return &batch{commands: make([]incoming, 0, batchFrames)} }}

func (b *batch) free() {
	clear(b.commands)
	b.commands, b.weight, b.others = b.commands[:0], 0, 0
	batches.Put(b)
}

// Messages of the decoder to the broker.
type (
	// negotiated says that both sides have agreed on a profile.
	negotiated struct{ profile banana.Profile }
	// readEnded says that nothing more will be read, and why.
	readEnded struct{ cause error }
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
		}()
		cause = d.read()
	}) {
		c.post(readEnded{ErrClosed})
	}
}

// read returns why it ended, never nil.
func (d *decoder) read() error {
	c := d.c
	var scanner banana.Scanner
	handshake := c.limits.Banana
	handshake.Frame = banana.HandshakeFrame
	scanner.Init(banana.ProfileNone, handshake)
	scanner.SetPrices(jelly.Prices())
	commands := c.newCommandReader()
	talking := false  // the profile has been agreed on
	small := int64(0) // the limit in force of a frame before a login

	buf := netio.GetBuffer(netio.SmallBuffer)[:netio.SmallBuffer]
	held := newHeld(c)
	defer func() {
		netio.PutBuffer(buf)
		held.release()
	}()
	start, end := 0, 0
	var out *batch
	frames := uint64(0)
	flush := func() {
		c.counters.framesIn.Add(frames)
		frames = 0
		if out != nil {
			c.in.ahead(out)
			c.mailbox.Lend(out) // The reader would only wait: it carries out what it has read, if nobody else is at it.
			out = nil
		}
	}
	for {
		c.mayRead()
		between := start == end // what comes next begins a frame
		var n int
		var err error
		buf, n, err = held.read(buf, end)
		if c.linger.Active() {
			return ErrClosed
		}
		end += n
		c.counters.bytesIn.Add(uint64(n))
		c.heard()
		for start < end {
			if now := c.small.Load(); now != small && between && talking {
				small = now
				scanner.Init(c.profile, c.scanLimits(small))
			}
			size, scanErr := scanner.Next(buf[start:end])
			if scanErr != nil {
				flush()
				return c.scanError(scanErr)
			}
			if size == 0 {
				break
			}
			between = true
			frame := buf[start : start+size]
			start += size
			frames++
			if !talking {
				profile, err := c.negotiate(frame)
				if err != nil {
					return err
				}
				talking = true
				small = c.small.Load()
				scanner.Init(profile, c.scanLimits(small))
				c.post(negotiated{profile})
				continue
			}
			weight := commandSize + scanner.Cost()
			if commands.short = 0; !c.account.take(weight) {
				flush() // It may make room.
				commands.short = weight
			}
			if out == nil {
				out = batches.Get().(*batch)
			}
			out.commands = append(out.commands, incoming{})
			commands.mayAlias(keepFrom(size, cap(buf)))
			if err := commands.read(frame, c.profile, &out.commands[len(out.commands)-1]); err != nil {
				out.commands = out.commands[:len(out.commands)-1]
				flush()
				return err
			}
			if commands.short > 0 {
				weight = commandSize + out.commands[len(out.commands)-1].keeps()
				c.account.add(weight)
			}
			c.count(out, size, weight)
			if len(out.commands) == batchFrames {
				flush()
			}
			if commands.forget() {
				buf, start, end = held.another(buf, start, end)
			}
		}
		flush()
		if err != nil {
			return readError(err, end > start)
		}
		if buf, start, end, err = held.makeRoom(buf, start, end, scanner.Need()); err != nil {
			return err
		}
	}
}

// scanLimits are those of frames; small is that of their size before a login, or 0.
func (c *connection) scanLimits(small int64) banana.Limits {
	limits := c.limits.Banana.WithDefaults()
	limits.Depth = scanDepth
	if small > 0 {
		limits.Frame = min(limits.Frame, int(small))
	}
	return limits
}

// scanError is the end of a connection on which no more frames can be found.
func (c *connection) scanError(err error) error {
	what := "what came is no Banana that is taken here"
	var limit *banana.LimitError
	if small := int(c.small.Load()); small > 0 && usercode.AsInto(err, &limit) && limit.Limit == banana.LimitFrame {
		what = fmt.Sprintf("nobody has logged in, and a message of more than %d bytes (WithFrameBeforeLogin) came", small)
	}
	return &ProtocolError{What: what, Err: err}
}

// readError says in our words why reading ended.
func readError(err error, within bool) error {
	var told *ProtocolError
	switch {
	case usercode.AsInto(err, &told):
		return err
	case usercode.Is(err, io.EOF) && within:
		return &ProtocolError{What: "the peer closed the connection in the middle of a message", Err: io.ErrUnexpectedEOF}
	case usercode.Is(err, io.EOF):
		return ErrPeerClosed
	case usercode.Is(err, net.ErrClosed), usercode.Is(err, io.ErrClosedPipe):
		return ErrClosed
	case usercode.Is(err, os.ErrDeadlineExceeded), usercode.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("broker: the peer was silent for too long: %w", err)
	}
	return usercode.Wrap(err, "broker: reading")
}

// negotiate understands the first frame from the peer: the accepting side's offer or the connecting side's choice.
func (c *connection) negotiate(frame []byte) (banana.Profile, error) {
	var profile banana.Profile
	var err error
	if c.client {
		profile, err = banana.ChooseProfile(frame)
	} else {
		profile, err = banana.ParseChoice(frame)
	}
	if err != nil {
		return 0, &ProtocolError{What: "no common profile", Err: err}
	}
	c.profile = profile
	return profile, nil
}
