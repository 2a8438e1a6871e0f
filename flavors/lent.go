package flavors

import (
	"bytes"
	"reflect"
	"runtime"
	"strconv"
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
)

// Lent is a byte string, bytes in Python, that is not copied: part of the buffer into which it was read, or memory of
// the application's ([Lend]). It can be sent, as an argument, as a result and within other values, and is written to
// the network from where it is. It is safe for concurrent use.
//
// A method takes a long argument without a copy:
//
//	func (s *Store) RemotePut(name string, data *flavors.Lent) error { … }
//
// The argument is lent until the call has been answered: until the method has returned, or the Deferred that it has
// returned completes. Its bytes are used for another message then. A method that keeps them must copy them. It may
// return or send the Lent itself, which is lent until it has been written.
//
// A caller takes a long result without a copy:
//
//	data, err := flavors.Call[*flavors.Lent](ctx, ref, "get", name)
//	…
//	defer data.Release()
//
// The result is lent until [Lent.Release]. Until then, or until it has been garbage collected, it counts against
// broker.Limits.MemoryTotal.
//
// A *Lent is a parameter of its own, or the whole result. A string is not lent but given away, so that nothing else is
// ever read into its memory, if it does not fill most of the buffer that it was read into, which one of less than
// 64 KiB never does, if the call has lists, dictionaries, objects or keywords beside it, with the first call of a
// method over a connection, and over connections with interceptors. The channel of its Done waits for Release alone.
// What a program does wrong shows with the others only. In a program built with the race detector, bytes that are given
// back are overwritten. [Invocation.Args] has the Lent in the place of a string that is lent.
type Lent struct {
	count   seam.Refcount
	loan    seam.Loan // whose buffer the bytes are part of; nil if they are not lent by a connection
	cleanup runtime.Cleanup

	mu sync.Mutex
	// Guarded by mu.
	bytes    []byte // nil once given back
	released bool
	over     bool          // given back
	done     chan struct{} // nil until asked for
}

// Lend makes a byte string to be sent from b, which is not copied if it is long. b must not change until the channel of
// [Lent.Done] is closed.
//
//	data := flavors.Lend(b)
//	_, err := flavors.Call[any](ctx, store, "put", name, data)
//	data.Release()
//	<-data.Done()
func Lend(b []byte) *Lent {
	l := &Lent{bytes: b}
	l.count.InitOwned((*lentCount)(l))
	return l
}

// Bytes returns the bytes; nil once they were released or given back. They must not be changed while a message that
// they are part of may not have been written.
func (l *Lent) Bytes() []byte {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.released {
		return nil
	}
	return l.bytes
}

// Len returns the number of bytes; 0 once they were released or given back.
func (l *Lent) Len() int { return len(l.Bytes()) }

// Release gives the bytes back, when whatever they were sent in has been written: slices of them must not be used any
// more. An argument of a method is given back after the answer, whether or not it is released. Further calls do
// nothing.
func (l *Lent) Release() {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.released = true
	l.mu.Unlock()
	l.count.GiveBack()
}

// Done returns a channel that is closed when the bytes have been released, or the call has been answered that they were
// lent to, and every message that they are part of has been written, or will not be.
func (l *Lent) Done() <-chan struct{} {
	if l == nil {
		return closedChannel
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		if l.over {
			return closedChannel
		}
		l.done = make(chan struct{})
	}
	return l.done
}

// closedChannel is the Done of what is over already.
var closedChannel = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// lentCount is the part of a Lent that its count knows. It implements seam.Lent.
type lentCount Lent

// IsLent implements seam.Lent.
func (*lentCount) IsLent() {}

// ReturnReceipts implements seam.Returner: nothing uses the bytes any more.
func (l *lentCount) ReturnReceipts(int) {
	l.mu.Lock()
	done := l.done
	l.bytes, l.over = nil, true
	l.mu.Unlock()
	if l.loan != nil {
		l.cleanup.Stop()
		l.loan.GiveBack()
	}
	if done != nil {
		close(done)
	}
}

// String returns the length, for logs.
func (l *Lent) String() string { return "<" + strconv.Itoa(l.Len()) + " lent bytes>" }

// GoString implements [fmt.GoStringer] by String.
func (l *Lent) GoString() string { return l.String() }

// errLentReleased is the error of a Lent that was given back.
var errLentReleased = DeadReference.New("the lent bytes were released, or the call has been answered that lent them")

// JellyTo implements jelly.Jellyable.
func (l *Lent) JellyTo(e *jelly.Encoder, _ any) error {
	if l == nil {
		return e.Value(nil)
	}
	if !l.count.Use() {
		return errLentReleased
	}
	l.mu.Lock()
	b := l.bytes
	l.mu.Unlock()
	return e.Lent(b, lentUse{l})
}

// lentUse is a message that a Lent is part of.
type lentUse struct{ l *Lent }

// HoleDone implements jelly.HoleUser.
func (u lentUse) HoleDone() { u.l.count.Unuse() }

// lentType is *Lent.
var lentType = reflect.TypeFor[*Lent]()

// lentDirect tells the broker that a caller wants its result to be lent.
var lentDirect = jelly.NeverDirect(lentType)

// assign is [jelly.Assign] for a parameter, or a result. It takes bytes for a *Lent, and any value for a *Relayed.
func assign(dst, src any) error {
	err := jelly.Assign(dst, src)
	if err == nil {
		return nil
	}
	switch to := dst.(type) {
	case **Lent:
		var b []byte
		if jelly.Assign(&b, src) == nil {
			*to = Lend(b)
			return nil
		}
	case **Relayed:
		*to = relayedOf(src)
		return nil
	}
	return err
}

// lends reports which of a method's parameters are lent, a bit for each.
func lends(fixed []param) (mask uint64) {
	for i, p := range fixed {
		if p.typ == lentType {
			mask |= 1 << i
		}
	}
	return mask
}

// Lends reports whether a method is lent its arguments.
func (export) Lends(m *directMethod) bool { return m.lent != 0 }

// LendArgument lends the argument of a call that has at least from bytes to the method.
func (export) LendArgument(inv *Invocation, m *directMethod, from int, loan seam.Loan) {
	at := onlyLong(inv.Args, from)
	if at < 0 || m.lent&(1<<at) == 0 {
		return
	}
	l := &Lent{bytes: inv.Args[at].([]byte), loan: loan}
	l.count.InitLent((*lentCount)(l))
	l.count.AwaitAnswer()
	inv.Args[at] = l
	inv.received = append(inv.received, &l.count)
	if inv.direct == nil {
		inv.direct = new(directCall)
	}
	inv.direct.method = m
}

// onlyLong returns the index of the argument that has at least from bytes. It returns -1 if there is none, or if a
// value beside it may contain the same string.
func onlyLong(args jelly.Tuple, from int) int {
	at := -1
	for i, v := range args {
		switch v := v.(type) {
		case nil, bool, int64, float64, string:
		case []byte:
			if len(v) < from {
				continue
			}
			if at >= 0 {
				return -1
			}
			at = i
		default:
			return -1
		}
	}
	return at
}

// WantsLent reports whether the result of a call is to be lent.
func (export) WantsLent(want *jelly.Direct) bool { return want == lentDirect }

// LendResult makes a result that belongs to the caller until it is released.
func (export) LendResult(b []byte, loan seam.Loan) any {
	l := &Lent{bytes: b, loan: loan}
	l.count.InitOwned((*lentCount)(l))
	l.cleanup = runtime.AddCleanup(l, func(loan seam.Loan) { loan.Lost() }, loan)
	return l
}

// ReleaseLent releases a result that nobody gets, if it is lent.
func (export) ReleaseLent(result any) {
	if l, ok := result.(*Lent); ok {
		l.Release()
	}
}

// unlend puts copies in the place of what is lent in the arguments.
func (inv *Invocation) unlend() {
	for i, v := range inv.Args {
		if l, ok := v.(*Lent); ok {
			inv.Args[i] = bytes.Clone(l.Bytes())
		}
	}
}
