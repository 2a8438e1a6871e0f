package broker

import (
	"container/list"
	"context"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
)

// outbox is where bytes wait for the encoder: its mailbox, as it were, but of bytes. The broker appends to it in its
// turn, objects append answers that need no stamp. Whatever has been appended when the encoder comes to write goes out
// in one write.
type outbox struct {
	wake    func(from *actor.Mailbox) // asks the encoder for a flush; called without the lock; set once, before the first byte
	account *account                  // the connection's
	clearAt func() int

	mu sync.Mutex
	// Guarded by mu.
	buf       []byte // borrowed with the first byte, given back when it has been written
	writing   int    // bytes that the encoder has taken and not yet written
	frames    uint64 // appended so far
	held      int    // bytes of messages that were handed to the broker and are not in buf yet, roughly
	counted   int    // how many of these the account counts
	woken     bool   // a flush is on its way to the encoder
	closed    bool
	drained   chan struct{} // closed and replaced whenever there may be more room; nil while nobody waits
	whenBelow []func()      // to be called once no more than clearAt waits
	callers   list.List     // of *caller: those who wait for room for a call, in the order in which they came
}

// caller waits for room.
type caller struct {
	size, limit int
	room        chan struct{} // closed when the room has been reserved for it, or the box was closed
}

// append adds what f appends, some size bytes. When f fails, or the box is closed, nothing is added. from is a mailbox
// whose turn the caller is about to end, or nil.
func (o *outbox) append(from *actor.Mailbox, size int, f func(dst []byte) ([]byte, error)) error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return errOutboxClosed
	}
	before := len(o.buf)
	o.buf = netio.GrowBuffer(o.buf, size)
	buf, err := f(o.buf)
	if err != nil {
		// What f wrote lies behind the length and is overwritten by the next.
		o.buf = o.buf[:before]
		o.mu.Unlock()
		return err
	}
	o.account.add(len(buf) - before)
	o.buf = buf
	o.frames++
	wake := !o.woken
	o.woken = true
	o.mu.Unlock()
	if wake {
		o.wake(from)
	}
	return nil
}

// take hands all that waits to the encoder, which must call written afterwards.
func (o *outbox) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	buf := o.buf
	o.buf = nil
	o.writing = len(buf)
	o.woken = false
	return buf
}

// written gives the buffer back and wakes who waits for room.
func (o *outbox) written(buf []byte) {
	o.mu.Lock()
	o.writtenLocked(o.writing)
	netio.PutBuffer(buf)
	o.mu.Unlock()
	o.clear()
}

// progress notes that n of the bytes that the encoder has taken have been written.
func (o *outbox) progress(n int) {
	o.mu.Lock()
	o.writtenLocked(n)
	o.mu.Unlock()
	o.clear()
}

func (o *outbox) writtenLocked(n int) {
	if !o.closed {
		o.account.add(-n)
	}
	o.writing -= n
	o.signalLocked()
}

// whenClear has f run once at most limit bytes wait, or the box is closed.
func (o *outbox) whenClear(f func()) {
	o.mu.Lock()
	o.whenBelow = append(o.whenBelow, f)
	o.mu.Unlock()
	o.clear()
}

// clear runs what has waited for the box to become clear, if it is.
func (o *outbox) clear() {
	o.mu.Lock()
	if len(o.whenBelow) == 0 || !o.closed && o.waitingLocked() > o.clearAt() {
		o.mu.Unlock()
		return
	}
	fs := o.whenBelow
	o.whenBelow = nil
	o.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

func (o *outbox) signalLocked() {
	if o.drained != nil {
		close(o.drained)
		o.drained = nil
	}
	for first := o.callers.Front(); first != nil; first = o.callers.Front() {
		w := first.Value.(*caller)
		if !o.closed && o.waitingLocked() > w.limit {
			return
		}
		o.holdLocked(w.size)
		close(w.room)
		o.callers.Remove(first)
	}
}

// waiting is how many bytes have not been written yet.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waitingLocked()
}

// alsoFrames counts n more messages, which went along in one append.
func (o *outbox) alsoFrames(n int) {
	o.mu.Lock()
	o.frames += uint64(n)
	o.mu.Unlock()
}

// stats is how many bytes wait, and how many messages there were.
func (o *outbox) stats() (waiting int, frames uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waitingLocked(), o.frames
}

// heldSlack is by how much what counts in the runtime's total may differ from what is held, as long as anything is: a
// call should not change twice what all connections share.
const heldSlack = 4 << 10

// holdLocked counts n bytes more, or less, that are on their way to the box.
func (o *outbox) holdLocked(n int) {
	o.held += n
	if diff := o.held - o.counted; !o.closed && (diff > heldSlack || diff < -heldSlack || o.held == 0) {
		o.countLocked(o.held)
	}
}

func (o *outbox) countLocked(held int) {
	if held != o.counted {
		o.account.add(held - o.counted)
		o.counted = held
	}
}

func (o *outbox) waitingLocked() int { return len(o.buf) + o.writing + o.held }

// reserve counts size bytes that are about to be handed to the broker, unless more than limit bytes wait already.
func (o *outbox) reserve(size, limit int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && o.waitingLocked() > limit {
		return false
	}
	o.holdLocked(size)
	return true
}

// reserveSoon is reserve for those who wait until there is room, behind others who do. In a closed box there is always
// room.
func (o *outbox) reserveSoon(ctx context.Context, size, limit int) error {
	o.mu.Lock()
	if o.closed || o.callers.Len() == 0 && o.waitingLocked() <= limit {
		o.holdLocked(size)
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
		return nil // It came at the same time. The call itself will see that ctx has ended.
	default:
	}
	o.callers.Remove(place)
	o.signalLocked() // Those behind may want less.
	return context.Cause(ctx)
}

// hold counts n bytes that were handed to the broker; a negative n says that they are in the box, or will not be.
func (o *outbox) hold(n int) {
	o.mu.Lock()
	o.holdLocked(n)
	if n < 0 {
		o.signalLocked()
	}
	o.mu.Unlock()
	if n < 0 {
		o.clear()
	}
}

// waitBelow waits until at most limit bytes wait to be written, or the box is closed, or ctx has ended.
func (o *outbox) waitBelow(ctx context.Context, limit int) error {
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return errOutboxClosed
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

// close lets nothing more in and drops what waits.
func (o *outbox) close() {
	o.mu.Lock()
	if !o.closed {
		o.account.add(-len(o.buf) - o.writing)
		o.countLocked(0)
	}
	o.closed = true
	o.buf = nil
	o.signalLocked()
	o.mu.Unlock()
	o.clear()
}

// start tells the box how to wake its encoder.
func (o *outbox) start(wake func(from *actor.Mailbox)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wake = wake
}
