package jelly

import (
	"sync"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/longbuf"
)

// longFrom is the length from which on a byte string is not copied into the memory of its fragment.
const longFrom = 32 << 10

// longHead is the length of the head of a string, at most.
const longHead = 16

// Long is a long byte string beside a fragment's own memory, so that it can be written to the network from where it
// is. It stands in the fragment like a hole whose contents are known.
type Long struct {
	bytes []byte
	own   bool     // bytes are from the pool
	user  HoleUser // is told when the bytes are not needed any more; may be nil
}

// longPool recycles Longs: Done puts them back, so each has one owner at a time.
var longPool = sync.Pool{New: func() any { return new(Long) }}

func newLong(bytes []byte, own bool, user HoleUser) *Long {
	l := longPool.Get().(*Long)
	l.bytes, l.own, l.user = bytes, own, user
	return l
}

// Bytes returns the string. It must not be written to.
func (l *Long) Bytes() []byte {
	if l == nil {
		return nil
	}
	return l.bytes
}

// Done must be called once when the bytes of a Long that a fragment has given away are not needed any more. The Long
// must not be used afterwards.
func (l *Long) Done() {
	if l == nil {
		return
	}
	if l.own {
		longbuf.Put(l.bytes)
	}
	user := l.user
	*l = Long{}
	longPool.Put(l)
	if user != nil {
		user.HoleDone()
	}
}

// HoleDone implements HoleUser: the fragment is freed, or the jelly call has failed.
func (l *Long) HoleDone() { l.Done() }

// appendTo appends the string with its head.
func (l *Long) appendTo(dst []byte) []byte {
	return append(banana.AppendBytesHead(dst, len(l.bytes)), l.bytes...)
}

// long writes a long string, whose length has been checked.
func (e *Encoder) long(l *Long) {
	e.holes = append(e.holes, hole{len(e.buf), l})
	var head [longHead]byte
	e.longs++
	e.longBytes += len(banana.AppendBytesHead(head[:0], len(l.bytes))) + len(l.bytes)
}

// longCopy writes a copy of b: b may change once the fragment is made.
func (e *Encoder) longCopy(b []byte) error {
	if room := e.room; room != nil {
		e.room = nil
		if err := room.TakeRoom(); err != nil {
			return err
		}
	}
	e.long(newLong(longbuf.Clone(b), true, nil))
	return nil
}

// Room bounds the memory of many fragments.
type Room interface {
	// TakeRoom is called before a fragment copies its first byte string of 32 KiB or more. It may wait for a moment. An
	// error fails the value that is being encoded.
	TakeRoom() error
}

// SetRoom has room asked by the next long string; nil asks nobody. Free forgets it.
func (f *Fragment) SetRoom(room Room) { f.e.room = room }

// longString writes s, which cannot change.
func (e *Encoder) longString(s string) {
	e.long(newLong(unsafe.Slice(unsafe.StringData(s), len(s)), false, nil))
}

// Lent writes a raw string, which is bytes in Python, without copying it if it is long. Until user is told by HoleDone
// that it is not needed any more, b must not change. That happens when it has been written, or will not be, or before
// Lent returns. A nil user need not be told.
func (e *Encoder) Lent(b []byte, user HoleUser) error {
	l := newLong(b, false, user)
	if err := e.fits(len(b)); err != nil {
		l.Done()
		return err
	}
	if len(b) < longFrom {
		defer l.Done()
		return e.Bytes(b)
	}
	e.long(l)
	return nil
}

// Longs returns the number of long strings that are not in the fragment's own memory.
func (f *Fragment) Longs() int { return f.e.longs }

// AppendAround is like [Fragment.Append] but leaves out the long strings. For each it calls long, with the bytes
// before it. If AppendAround succeeds, the long strings belong to the caller, who must call Done for each; the fragment
// can only be freed then. With a nil long it is Append.
func (f *Fragment) AppendAround(
	dst []byte,
	fill func(dst []byte, hole any) ([]byte, error),
	long func(before []byte, l *Long),
) ([]byte, error) {
	dst, err := f.append(dst, 0, fill, long)
	if err == nil && long != nil {
		for i := range f.e.holes {
			if _, ok := f.e.holes[i].payload.(*Long); ok {
				f.e.holes[i].payload = (*Long)(nil)
			}
		}
	}
	return dst, err
}
