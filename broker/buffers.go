package broker

import "sync"

// Reading and writing borrow their buffers: an idle connection holds its small one for reading and none for writing,
// and a connection that moves much data does not leave its buffers to the garbage collector.

// bufferSizes are the sizes that are pooled. The largest holds the longest string that a peer may send, and what is
// around it; the one before is what a connection may have in any case.
var bufferSizes = [...]int{4 << 10, 64 << 10, share, 1 << 20}

var bufferPools [len(bufferSizes)]sync.Pool // of *[]byte

// bufferHeaders are the pointers that come out of the pools, to be used again: what goes into a pool is a pointer, and
// a new one for each time a buffer is given back would cost about as much as a small buffer.
var bufferHeaders = sync.Pool{New: func() any { return new([]byte) }}

// pooledSize is the size of the pooled buffer that n bytes fit in, 0 where they are too many.
func pooledSize(n int) int {
	for _, size := range bufferSizes {
		if n <= size {
			return size
		}
	}
	return 0
}

// takeBuffer gives an empty buffer for at least n bytes.
func takeBuffer(n int) []byte {
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

// bufferOf gives an empty buffer for n bytes, a pooled one only if it is of exactly that size.
func bufferOf(n int) []byte {
	if pooledSize(n) == n {
		return takeBuffer(n)
	}
	return make([]byte, 0, n)
}

// giveBuffer takes a buffer back; the caller has no more use for it. One that is not about as large as the pooled ones
// is left to the collector, and those that are pooled have exactly their size: what a buffer grows to depends on what
// it was.
func giveBuffer(b []byte) {
	for i, size := range bufferSizes {
		if cap(b) < size || cap(b) > size+size/4 {
			continue
		}
		header := bufferHeaders.Get().(*[]byte)
		*header = b[:0:size]
		bufferPools[i].Put(header)
		return
	}
}

// grown gives a buffer with room for n bytes behind what b holds, and takes b back if it is another.
func grown(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	bigger := append(takeBuffer(max(len(b)+n, 2*len(b))), b...)
	giveBuffer(b)
	return bigger
}
