package flow

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/broker/internal/netio"
)

// ErrOutboxClosed is the error of an [Outbox] whose connection has ended.
var ErrOutboxClosed = errors.New("broker: the connection is closed")

// Outbox gathers bytes for the encoder. The broker appends to it in its turn; objects append answers that need no ids
// filled in. The encoder writes everything that has been appended with one write.
//
// It also counts the bytes that are on their way to it, and makes callers wait while too many bytes wait to be written.
type Outbox struct {
	account *Account
	waiting atomic.Int64 // waitingLocked, readable without the lock

	mu sync.Mutex
	// Guarded by mu.
	buf       []byte // pooled, taken with the first byte
	longs     []Segment
	longBytes int    // of longs
	writing   int    // bytes that the encoder has taken and not yet written
	frames    uint64 // appended so far
	reserved  int    // bytes of messages that are not in buf yet, roughly
	counted   int    // what the account counts of all that waits
	woken     bool   // the encoder has been asked for a flush
	closed    bool
	drained   chan struct{} // closed and replaced when there may be more room; nil while nothing waits for it
	whenClear []whenBelow   // to be called when the backlog is small enough
	callers   list.List     // of *caller, waiting for room, oldest first
}

// whenBelow is a function to be called when no more than limit bytes wait.
type whenBelow struct {
	limit func() int
	f     func()
}

// Long is a string that is written from where it is. Done must be called once when it has been written, or will not be.
type Long interface {
	Bytes() []byte
	Done()
}

// Segment is a long string among the bytes of an [Outbox].
type Segment struct {
	At   int // how many bytes of the outbox come before it
	Long Long
}

// caller waits for room.
type caller struct {
	size, limit int
	room        chan struct{} // closed when the room has been reserved or the box was closed
}

// NewOutbox returns an empty outbox whose bytes count in the account.
func NewOutbox(account *Account) *Outbox { return &Outbox{account: account} }

// Append adds what f appends, about size bytes. If f fails, or the box is closed, it adds nothing. If wake is true, the
// caller must have the encoder write.
func (o *Outbox) Append(size int, f func(dst []byte) ([]byte, error)) (wake bool, err error) {
	return o.AppendReserved(size, 0, f)
}

// AppendReserved is Append for a message for which n bytes were reserved. If it succeeds, it gives them back.
func (o *Outbox) AppendReserved(size, n int, f func(dst []byte) ([]byte, error)) (wake bool, err error) {
	o.mu.Lock()
	defer o.unlock()
	if o.closed {
		return false, ErrOutboxClosed
	}
	longs, longBytes := len(o.longs), o.longBytes
	o.buf = netio.GrowBuffer(o.buf, size)
	buf, err := f(o.buf)
	if err != nil {
		// What f wrote is behind len(o.buf).
		clear(o.longs[longs:])
		o.longs, o.longBytes = o.longs[:longs], longBytes
		return false, err
	}
	o.buf = buf
	o.frames++
	o.reserved -= n
	o.countLocked()
	if n > 0 {
		o.signalLocked() // A message counts for more than its bytes.
	}
	wake = !o.woken
	o.woken = true
	return wake, nil
}

// AddLong adds a long string behind the bytes before it. Only the function that is given to Append may call it, with
// what it has of dst by then. If that function succeeds, the outbox calls l.Done.
func (o *Outbox) AddLong(before []byte, l Long) {
	o.longs = append(o.longs, Segment{At: len(before), Long: l})
	o.longBytes += len(l.Bytes())
}

// Take hands all bytes, and the long strings among them, to the encoder, which must call Written afterwards.
func (o *Outbox) Take() (buf []byte, longs []Segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf, longs = o.buf, o.longs
	o.writing = len(buf) + o.longBytes
	o.buf, o.longs, o.longBytes = nil, nil, 0
	o.woken = false
	return buf, longs
}

// Written takes back what Take returned.
func (o *Outbox) Written(buf []byte, longs []Segment) {
	o.mu.Lock()
	o.writtenLocked(o.writing)
	netio.PutBuffer(buf)
	o.unlock()
	done(longs)
}

func done(longs []Segment) {
	for i := range longs {
		longs[i].Long.Done()
	}
	clear(longs)
}

// Progress notes that n of the bytes that Take returned have been written.
func (o *Outbox) Progress(n int) {
	o.mu.Lock()
	o.writtenLocked(n)
	o.unlock()
}

func (o *Outbox) writtenLocked(n int) {
	o.writing -= n
	o.countLocked()
	o.signalLocked()
}

// Congested reports whether so much waits to be written that the peer's calls are held back.
func (o *Outbox) Congested() bool { return o.Waiting() > o.account.MaxWriteBacklog() }

// WhenClear calls f once the box is not congested any more, or is closed.
func (o *Outbox) WhenClear(f func()) { o.WhenBelow(o.account.MaxWriteBacklog, f) }

// WhenBelow calls f once no more than limit bytes wait, or the box is closed.
func (o *Outbox) WhenBelow(limit func() int, f func()) {
	o.mu.Lock()
	o.whenClear = append(o.whenClear, whenBelow{limit, f})
	o.unlock()
}

// unlock unlocks the box and then calls the functions given to WhenBelow that are due.
func (o *Outbox) unlock() {
	var due []func()
	if len(o.whenClear) > 0 {
		due = o.dueLocked()
	}
	o.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// dueLocked takes out the functions that are due.
func (o *Outbox) dueLocked() (due []func()) {
	waiting := o.waitingLocked()
	left := o.whenClear[:0]
	for _, w := range o.whenClear {
		if o.closed || waiting <= w.limit() {
			due = append(due, w.f)
		} else {
			left = append(left, w)
		}
	}
	clear(o.whenClear[len(left):])
	o.whenClear = left
	return due
}

func (o *Outbox) signalLocked() {
	if o.drained != nil {
		close(o.drained)
		o.drained = nil
	}
	for first := o.callers.Front(); first != nil; first = o.callers.Front() {
		w := first.Value.(*caller)
		if !o.closed && o.waitingLocked() > w.limit {
			return
		}
		o.reserveLocked(w.size)
		close(w.room)
		o.callers.Remove(first)
	}
}

// Waiting returns how many bytes have not been written, those on their way to the box included.
func (o *Outbox) Waiting() int { return int(o.waiting.Load()) }

func (o *Outbox) waitingLocked() int { return len(o.buf) + o.longBytes + o.writing + o.reserved }

// AddFrames counts n more messages, which were part of one Append.
func (o *Outbox) AddFrames(n int) {
	o.mu.Lock()
	o.frames += uint64(n)
	o.mu.Unlock()
}

// Stats returns how many bytes wait and how many messages were appended.
func (o *Outbox) Stats() (waiting int, frames uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waitingLocked(), o.frames
}

// countSlack is by how much what waits may differ from what the account counts of it, while anything waits, so that few
// messages change the runtime's counters.
const countSlack = 4 << 10

func (o *Outbox) reserveLocked(n int) {
	o.reserved += n
	o.countLocked()
}

// countLocked is called after each change of what waits.
func (o *Outbox) countLocked() {
	n := o.waitingLocked()
	o.waiting.Store(int64(n))
	if diff := n - o.counted; !o.closed && (n == 0 || diff > countSlack || diff < -countSlack) {
		o.account.Add(diff)
		o.counted = n
	}
}

// TryReserve reserves size bytes, unless more than limit bytes wait already, and reports whether it did. A closed box
// always has room.
func (o *Outbox) TryReserve(size, limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && o.waitingLocked() > limit {
		return false
	}
	o.reserveLocked(size)
	return true
}

// ReserveWait is TryReserve that waits until there is room, after the callers that wait already.
func (o *Outbox) ReserveWait(ctx context.Context, size, limit int) error {
	o.mu.Lock()
	if o.closed || o.callers.Len() == 0 && o.waitingLocked() <= limit {
		o.reserveLocked(size)
		o.mu.Unlock()
		return nil
	}
	w := &caller{size: size, limit: limit, room: make(chan struct{})}
	place := o.callers.PushBack(w)
	o.mu.Unlock()
	select {
	case <-w.room:
		return nil
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-w.room:
		return nil // The call itself will see that ctx has ended.
	default:
	}
	o.callers.Remove(place)
	o.signalLocked() // Later callers may want less.
	return context.Cause(ctx)
}

// Reserve reserves n bytes for a message that was handed to the broker, whether or not there is room.
func (o *Outbox) Reserve(n int) {
	o.mu.Lock()
	o.reserveLocked(n)
	o.mu.Unlock()
}

// Release gives n reserved bytes back: the message is in the box, or will not be sent.
func (o *Outbox) Release(n int) {
	o.mu.Lock()
	o.reserveLocked(-n)
	o.signalLocked()
	o.unlock()
}

// WaitBelow waits until at most limit bytes wait to be written. It fails when the box is closed or ctx ends.
func (o *Outbox) WaitBelow(ctx context.Context, limit int) error {
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return ErrOutboxClosed
		}
		if o.waitingLocked() <= limit {
			o.mu.Unlock()
			return nil
		}
		if o.drained == nil {
			o.drained = make(chan struct{})
		}
		drained := o.drained
		o.mu.Unlock()
		select {
		case <-drained:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close drops the bytes that wait and makes Append fail.
func (o *Outbox) Close() {
	o.mu.Lock()
	longs := o.longs
	o.account.Add(-o.counted)
	o.closed, o.counted = true, 0
	o.buf, o.longs, o.longBytes = nil, nil, 0
	o.countLocked()
	o.signalLocked()
	o.unlock()
	done(longs)
}
