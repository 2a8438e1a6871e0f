package flow

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Source is the reading side of a socket.
type Source interface {
	Read(room netio.Room) (int, error)
	// SetReadDeadline sets a deadline, or an earlier one if the socket lingers.
	SetReadDeadline(t time.Time) error
	// Lingering reports whether what is read will be discarded.
	Lingering() bool
}

// ReadBuffer holds what was read and not decoded. A message that has arrived in part must be kept until the peer sends
// the rest. So a buffer larger than the one that every connection has counts in the connection's account, and while it
// is larger than a share the peer must make progress. A ReadBuffer belongs to the reading goroutine.
type ReadBuffer struct {
	src     Source
	account *Account
	stall   time.Duration

	buf        []byte // nil while the reader is parked and nothing is left to decode
	start, end int    // the bytes that were not decoded
	counted    int    // bytes that the account counts
	timed      bool   // the source has a read deadline
}

// StallError is the error of a peer that stopped sending in the middle of a large message.
type StallError struct {
	Received int // bytes of the message
	Err      error
}

func (e *StallError) Error() string {
	return fmt.Sprintf("the peer stopped in the middle of a message, after %d bytes", e.Received)
}

func (e *StallError) Unwrap() error { return e.Err }

// RoomError is the error of a message for which the runtime has no memory.
type RoomError struct {
	Size        int // more bytes than this
	Held, Total int
}

func (e *RoomError) Error() string {
	return fmt.Sprintf(
		"there is no room for a message of more than %d bytes: all connections together hold %d bytes and may hold %d",
		e.Size, e.Held, e.Total,
	)
}

// NewReadBuffer returns a buffer that reads from src. Within stall a large message must make progress, and room for it
// must become free.
func NewReadBuffer(src Source, account *Account, stall time.Duration) *ReadBuffer {
	return &ReadBuffer{src: src, account: account, stall: stall}
}

// Take implements netio.Room.
func (r *ReadBuffer) Take() []byte {
	if r.buf == nil {
		r.buf = netio.GetBuffer(netio.SmallBuffer)[:netio.SmallBuffer]
	}
	return r.buf[r.end:]
}

// Park implements netio.Room. A connection that waits for its peer holds no buffer.
func (r *ReadBuffer) Park() {
	if r.end == 0 && len(r.buf) == netio.SmallBuffer {
		netio.PutBuffer(r.buf)
		r.buf = nil
	}
}

// Release gives the buffer back.
func (r *ReadBuffer) Release() {
	netio.PutBuffer(r.buf)
	r.buf, r.start, r.end = nil, 0, 0
	r.count(0)
}

// Unread returns the bytes that were not decoded.
func (r *ReadBuffer) Unread() []byte { return r.buf[r.start:r.end] }

// IsEmpty reports whether all bytes were decoded.
func (r *ReadBuffer) IsEmpty() bool { return r.start == r.end }

// Next returns the next n bytes, and takes them as decoded.
func (r *ReadBuffer) Next(n int) []byte {
	frame := r.buf[r.start : r.start+n]
	r.start += n
	return frame
}

// count counts a buffer of size bytes, whether or not there is room.
func (r *ReadBuffer) count(size int) {
	size = countedSize(size)
	r.account.Keep(size - r.counted)
	r.counted = size
}

// countedSize is what a buffer of size bytes counts for.
func countedSize(size int) int {
	if size <= netio.SmallBuffer {
		return 0
	}
	return size
}

// waitRoom counts a larger buffer of size bytes as soon as there is room for it.
func (r *ReadBuffer) waitRoom(ctx context.Context, size int) error {
	a, more := r.account, countedSize(size)-r.counted
	grow := func() bool { return a.grow(more, size) }
	if grow() || a.waitRoom(ctx, more, r.stall, grow) {
		r.counted += more
		return nil
	}
	if ctx.Err() != nil {
		return net.ErrClosed
	}
	return &RoomError{Size: r.counted, Held: int(a.budget.Held()), Total: a.limits.MemoryTotal}
}

// Fill reads once. If a large buffer receives nothing in time, the error is a [StallError]; if it holds little, that
// moves to a smaller buffer instead, and Fill returns 0 and no error.
func (r *ReadBuffer) Fill() (int, error) {
	n, err := r.read()
	if n > 0 || !r.timed || !usercode.Is(err, os.ErrDeadlineExceeded) {
		r.end += n
		return n, err
	}
	if r.end >= maxShare {
		return 0, &StallError{Received: r.end, Err: err}
	}
	smaller := append(netio.GetBuffer(r.end+1), r.buf[:r.end]...)
	netio.PutBuffer(r.buf)
	r.count(cap(smaller))
	r.buf = smaller[:cap(smaller)]
	return 0, nil
}

func (r *ReadBuffer) read() (int, error) {
	if r.counted > maxShare {
		r.timed = true
		return r.readTimed()
	}
	if r.timed {
		r.timed = false
		_ = r.src.SetReadDeadline(time.Time{})
	}
	return r.src.Read(r)
}

// readTimed reads within the stall time.
func (r *ReadBuffer) readTimed() (n int, err error) {
	var waited patience.Count
	for step := waited.Step(r.stall); step > 0; step = waited.Step(r.stall) {
		began := time.Now()
		_ = r.src.SetReadDeadline(began.Add(step))
		lingering := r.src.Lingering()
		if n, err = r.src.Read(r); n > 0 || lingering || !usercode.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		waited.Add(step, time.Since(began))
	}
	return n, err
}

// maxGrowth is how many times larger than what was received a buffer may become. A declared length alone does not make
// a buffer larger.
const maxGrowth = 16

// tailRoom is room behind a long string at the end of a message: the keyword arguments of a call.
const tailRoom = 64

// AliasFrom returns the length from which on a byte string in a frame of that size is not copied; 0 means never. Such a
// string fills most of the buffer, which then belongs to the value ([ReadBuffer.Detach]).
func (r *ReadBuffer) AliasFrom(frame int) int { return aliasFrom(frame, cap(r.buf)) }

func aliasFrom(frame, buffer int) int {
	if frame < netio.MediumBuffer || buffer-frame > frame/8 {
		return 0
	}
	return frame - frame/8
}

// Detach gives the buffer away and moves the bytes that were not decoded to a new one.
func (r *ReadBuffer) Detach() (detached []byte) {
	detached = r.buf
	fresh := append(netio.GetBuffer(max(r.end-r.start, netio.SmallBuffer)), r.Unread()...)
	r.count(cap(fresh))
	r.buf, r.start, r.end = fresh[:cap(fresh)], 0, len(fresh)
	return detached
}

// grownSize returns how large the buffer becomes for a message of at least need bytes, of which received have arrived.
// The pooled sizes are far apart, so that few bytes are moved; beyond them each size is twice the one before. A message
// that is known to be much longer gets what it needs at once, so that its buffer can be given away with the string.
func grownSize(received, need int) int {
	if need >= 2*received && need <= maxGrowth*received && need > netio.MediumBuffer {
		if need <= maxShare {
			return min(need+tailRoom, maxShare)
		}
		return need + tailRoom
	}
	if size := netio.PooledSize(received + 1); size > 0 {
		return size
	}
	return 2 * received
}

// MakeRoom moves the bytes that were not decoded, part of a message of at least need bytes, to the front. It grows the
// buffer if they fill it, and gives a large buffer back if there are none.
func (r *ReadBuffer) MakeRoom(ctx context.Context, need int) error {
	left := r.end - r.start
	switch {
	case left == 0 && len(r.buf) > netio.SmallBuffer:
		netio.PutBuffer(r.buf)
		r.buf = netio.GetBuffer(netio.SmallBuffer)
		r.count(cap(r.buf))
	case left == len(r.buf):
		size := netio.ExactSize(grownSize(left, need))
		if err := r.waitRoom(ctx, size); err != nil {
			return err
		}
		bigger := append(netio.GetExactBuffer(size), r.buf...)
		netio.PutBuffer(r.buf)
		r.buf = bigger
	default:
		copy(r.buf, r.Unread())
	}
	r.buf, r.start, r.end = r.buf[:cap(r.buf)], 0, left
	return nil
}
