package broker

import (
	"fmt"
	"os"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// A message that has come in part only must be kept until the rest comes, and nothing but its sender says when. So what
// it is kept in counts in the runtime's total, beyond the buffer that every connection has, and beyond its share a
// message that stops halfway is given up.

// held is what a connection's read buffer counts for in the runtime's total. It belongs to the goroutine that reads.
type held struct {
	c       *connection
	polling *netio.BusyPoll // nil where the socket cannot be tried
	bytes   int
	timed   bool // the socket has a deadline
}

// pollTokenKey finds the token that the readers of a runtime share.
type pollTokenKey struct{}

func newBusyPoll(c *connection) *netio.BusyPoll {
	token := c.rt.Extension(pollTokenKey{}, func() any { return new(netio.PollToken) }).(*netio.PollToken)
	return netio.NewBusyPoll(c.options.polling, token, c.busy)
}

func newHeld(c *connection) held {
	h := held{c: c}
	if c.nonblock != nil {
		h.polling = newBusyPoll(c)
	}
	return h
}

// resize counts a buffer of size bytes from now on. It is for buffers that are there.
func (h *held) resize(size int) {
	size = counted(size)
	h.c.account.keep(size - h.bytes)
	h.bytes = size
}

// counted is what a buffer of size bytes counts for.
func counted(size int) int {
	if size <= netio.SmallBuffer {
		return 0
	}
	return size
}

func (h *held) release() { h.resize(0) }

// wait counts a buffer of size bytes, a larger one, as soon as there is room for it. Meanwhile nothing is read, which
// holds up an honest peer as little as a slow network would.
func (h *held) wait(size int) error {
	a, more := h.c.account, counted(size)-h.bytes
	if a.grow(more, size) || a.takeSoon(h.c.ctx, more, h.c.limits.Stall, func() bool { return a.grow(more, size) }) {
		h.bytes += more
		return nil
	}
	if h.c.ctx.Err() != nil {
		return ErrClosed
	}
	return &ProtocolError{Reason: RefusedTotal, What: fmt.Sprintf("there is no room for a message of more than %d bytes: "+
		"all connections together have %d bytes under way, of %d that they may have", h.bytes, h.c.account.b.held(), h.c.limits.Total)}
}

// read reads behind the end bytes that buf holds. While the buffer is larger than the connection's share the peer must
// not stop: a message that has come so far is given up, and a small rest moves to a smaller buffer.
func (h *held) read(buf []byte, end int) ([]byte, int, error) {
	var n int
	var err error
	if h.bytes > share {
		h.timed = true
		n, err = h.bounded(buf[end:])
	} else {
		if h.timed {
			h.timed = false
			_ = h.c.sock.SetReadDeadline(time.Time{})
			_ = h.c.linger.Bound(h.c.sock)
		}
		n, err = h.once(buf[end:])
	}
	if n > 0 || !h.timed || !usercode.Is(err, os.ErrDeadlineExceeded) {
		return buf, n, err
	}
	if end >= share {
		return buf, 0, &ProtocolError{
			Reason: RefusedStall, What: fmt.Sprintf("the peer stopped in the middle of a message, %d bytes of which had come", end), Err: err,
		}
	}
	smaller := append(netio.GetBuffer(end+1), buf[:end]...)
	netio.PutBuffer(buf)
	h.resize(cap(smaller))
	return smaller[:cap(smaller)], 0, nil
}

// bounded reads within the stall time.
func (h *held) bounded(b []byte) (n int, err error) {
	var waited patience.Count
	for step := waited.Step(h.c.limits.Stall); step > 0; step = waited.Step(h.c.limits.Stall) {
		began := time.Now()
		_ = h.c.sock.SetReadDeadline(began.Add(step))
		lingering := h.c.linger.Active()
		_ = h.c.linger.Bound(h.c.sock)
		if n, err = h.once(b); n > 0 || lingering || !usercode.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		waited.Add(step, time.Since(began))
	}
	return n, err
}

func (h *held) once(b []byte) (int, error) {
	if h.polling == nil {
		return h.c.sock.Read(b)
	}
	return h.polling.Read(h.c.nonblock, b)
}

// largestGrowth is how much larger than what was received a buffer may be. Buffers grow with what was received; what a
// peer declares only keeps them from growing beyond it.
const largestGrowth = 16

// tailRoom is room for what comes behind a long string that is the last thing in a message: the keywords of a call.
const tailRoom = 64

// keepFrom is from which length on a byte string remains where it is, in a frame of that size and a buffer of that
// capacity, rather than being copied: where it is nearly all that the buffer holds. The buffer then belongs to the
// value.
func keepFrom(frame, buffer int) int {
	if frame < netio.MediumBuffer || buffer-frame > frame/8 {
		return 0
	}
	return frame - frame/8
}

// another gives what has not been decoded a buffer of its own: this one has been given away.
func (h *held) another(buf []byte, start, end int) ([]byte, int, int) {
	fresh := append(netio.GetBuffer(max(end-start, netio.SmallBuffer)), buf[start:end]...)
	h.resize(cap(fresh))
	return fresh[:cap(fresh)], 0, len(fresh)
}

// grownSize is how large the buffer is to be for a message of which that much has been received, and that has at least
// need bytes. The pooled sizes are far apart, so that little is moved; beyond them each is twice the one before. A
// message that is known to be much longer gets what it needs at once, and then it can be given away with the string in
// it.
func grownSize(received, need int) int {
	if need >= 2*received && need <= largestGrowth*received && need > netio.MediumBuffer {
		if need <= share {
			return min(need+tailRoom, share) // which a connection has in any case
		}
		return need + tailRoom
	}
	if size := netio.PooledSize(received + 1); size > 0 {
		return size
	}
	return 2 * received
}

// makeRoom moves what has not been decoded, a message of at least need bytes, to the front, and gives it a larger
// buffer when it fills this one. With nothing left to decode, a large one is given back.
func (h *held) makeRoom(buf []byte, start, end, need int) ([]byte, int, int, error) {
	left := end - start
	switch {
	case left == 0 && len(buf) > netio.SmallBuffer:
		netio.PutBuffer(buf)
		buf = netio.GetBuffer(netio.SmallBuffer)
		h.resize(cap(buf))
	case left == len(buf):
		size := grownSize(left, need)
		if err := h.wait(size); err != nil {
			return buf, start, end, err
		}
		bigger := append(netio.GetExactBuffer(size), buf...)
		netio.PutBuffer(buf)
		buf = bigger
	default:
		copy(buf, buf[start:end])
	}
	return buf[:cap(buf)], 0, left, nil
}
