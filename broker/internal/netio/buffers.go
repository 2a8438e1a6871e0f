package netio

import (
	"sync"

	"github.com/perspectivebroker/pb/internal/longbuf"
)

// The sizes of pooled buffers.
const (
	// SmallBuffer is what a connection takes for reading, when there is something to read.
	SmallBuffer = 4 << 10
	// MediumBuffer is the next size.
	MediumBuffer = 64 << 10
	// ShareBuffer is what a connection may hold however much memory the others use.
	ShareBuffer = 256 << 10
	// LargeBuffer holds the longest string that a peer may send by default, and its frame.
	LargeBuffer = 1 << 20
)

var bufferSizes = [...]int{SmallBuffer, MediumBuffer, ShareBuffer, LargeBuffer}

// smallBuffers are those of the smallest size, which most reads and writes take. A pointer to an array needs no slice
// header beside it.
var smallBuffers = sync.Pool{New: func() any { return new([SmallBuffer]byte) }}

var bufferPools [len(bufferSizes)]sync.Pool // of *[]byte; the first is not used

// bufferHeaders recycles the slice headers that the pools point to, so that PutBuffer does not allocate.
var bufferHeaders = sync.Pool{New: func() any { return new([]byte) }}

// PooledSize returns the size of the smallest pooled buffer that holds n bytes, or 0 if n is larger than all of them.
func PooledSize(n int) int {
	for _, size := range bufferSizes {
		if n <= size {
			return size
		}
	}
	return 0
}

// GetBuffer returns an empty buffer with room for at least n bytes.
func GetBuffer(n int) []byte {
	if n <= SmallBuffer {
		return smallBuffers.Get().(*[SmallBuffer]byte)[:0]
	}
	for i, size := range bufferSizes {
		if n > size {
			continue
		}
		if header, ok := bufferPools[i].Get().(*[]byte); ok {
			b := *header
			*header = nil
			bufferHeaders.Put(header)
			return b[:0]
		}
		return make([]byte, 0, size)
	}
	return make([]byte, 0, n)
}

// ExactSize returns the size of the buffer that GetExactBuffer returns for n bytes: at most a sixteenth more.
func ExactSize(n int) int {
	if PooledSize(n) == n {
		return n
	}
	return longbuf.SizeOf(n)
}

// GetExactBuffer returns an empty buffer with room for n bytes and not much more.
func GetExactBuffer(n int) []byte {
	if PooledSize(n) == n {
		return GetBuffer(n)
	}
	return longbuf.Get(n)
}

// PutBuffer returns a buffer to its pool; the caller must not use it afterwards. A buffer of a size of [GetExactBuffer]
// goes back to the pool of these. Any other up to a quarter larger than a pooled size is cut to that size, since the
// size of a buffer decides how it grows and what it counts for. The rest is left to the garbage collector.
func PutBuffer(b []byte) {
	n := cap(b)
	switch {
	case n < SmallBuffer:
		return
	case n <= SmallBuffer+SmallBuffer/4:
		smallBuffers.Put((*[SmallBuffer]byte)(b[:SmallBuffer]))
		return
	case n > MediumBuffer && n != ShareBuffer && n != LargeBuffer && longbuf.SizeOf(n) == n:
		longbuf.Put(b)
		return
	}
	for i, size := range bufferSizes {
		if n < size || n > size+size/4 {
			continue
		}
		header := bufferHeaders.Get().(*[]byte)
		*header = b[:0:size]
		bufferPools[i].Put(header)
		return
	}
}

// GrowBuffer returns b with room for n more bytes. If it has to move the content, it puts b back.
func GrowBuffer(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := append(GetBuffer(max(len(b)+n, 2*len(b))), b...)
	PutBuffer(b)
	return bigger
}
