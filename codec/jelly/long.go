package jelly

import (
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
	over  bool     // Done has been called
	taken bool     // the fragment has given it away
}

// Bytes returns the string. It must not be written to.
func (l *Long) Bytes() []byte {
	if l == nil {
		return nil
	}
	return l.bytes
}

// Done must be called once when the bytes of a Long that a fragment has given away are not needed any more.
func (l *Long) Done() {
	if l == nil || l.over {
		return
	}
	l.over = true
	if l.own {
		longbuf.Put(l.bytes)
	}
	l.bytes = nil
	if l.user != nil {
		l.user.HoleDone()
	}
}

// HoleDone implements HoleUser: the fragment is freed, or the jelly call has failed.
func (l *Long) HoleDone() {
	if l != nil && !l.taken {
		l.Done()
	}
}

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
	e.long(&Long{bytes: longbuf.Clone(b), own: true})
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
	e.long(&Long{bytes: unsafe.Slice(unsafe.StringData(s), len(s))})
}

// Lent writes a raw string, which is bytes in Python, without copying it if it is long. Until user is told by HoleDone
// that it is not needed any more, b must not change. That happens when it has been written, or will not be, or before
// Lent returns. A nil user need not be told.
func (e *Encoder) Lent(b []byte, user HoleUser) error {
	l := &Long{bytes: b, user: user}
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
// before it. If AppendAround succeeds, the long strings belong to the caller, who must call Done for each. With a nil
// long it is Append.
func (f *Fragment) AppendAround(
	dst []byte,
	fill func(dst []byte, hole any) ([]byte, error),
	long func(before []byte, l *Long),
) ([]byte, error) {
	dst, err := f.append(dst, 0, fill, long)
	if err == nil && long != nil {
		for _, h := range f.e.holes {
			if l, ok := h.payload.(*Long); ok {
				l.taken = true
			}
		}
	}
	return dst, err
}
