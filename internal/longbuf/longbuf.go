package longbuf

import (
	"math/bits"
	"sync"
)

const (
	// Min and Max bound the sizes that are pooled.
	Min = 16 << 10
	Max = 4 << 20

	minBits = 14
	// steps is the number of sizes between a power of two and the next.
	steps = 16
)

var pools [(22 - minBits) * steps]sync.Pool // of *[]byte

// headers recycles the slice headers that the pools point to, so that Put does not allocate.
var headers = sync.Pool{New: func() any { return new([]byte) }}

// SizeOf returns the size of the buffer that [Get] returns for n bytes: at most a sixteenth more. It returns n if such
// buffers are not pooled.
func SizeOf(n int) int {
	if n <= Min || n > Max {
		return n
	}
	step := 1 << (bits.Len(uint(n-1)) - 1) / steps
	return (n + step - 1) / step * step
}

// poolOf returns the pool of a size that SizeOf has returned, or nil.
func poolOf(size int) *sync.Pool {
	if size <= Min || size > Max || SizeOf(size) != size {
		return nil
	}
	exp := bits.Len(uint(size-1)) - 1
	return &pools[(exp-minBits)*steps+size>>(exp-4)-steps-1]
}

// Get returns an empty buffer with room for n bytes. Its contents are those of an earlier use.
func Get(n int) []byte {
	size := SizeOf(n)
	if pool := poolOf(size); pool != nil {
		if header, ok := pool.Get().(*[]byte); ok {
			b := *header
			*header = nil
			headers.Put(header)
			return b[:0]
		}
	}
	return make([]byte, 0, size)
}

// Put takes back a buffer, which the caller must not use afterwards. One that is not of a pooled size is left to the
// garbage collector.
func Put(b []byte) {
	pool := poolOf(cap(b))
	if pool == nil {
		return
	}
	header := headers.Get().(*[]byte)
	*header = b[:0]
	pool.Put(header)
}

// Clone returns a copy of b in a pooled buffer.
func Clone(b []byte) []byte { return append(Get(len(b)), b...) }
