package broker

import "sync"

// Reading and writing borrow their buffers: an idle connection holds its small one for reading and none for writing, and a connection
// that moves much data does not leave its buffers to the garbage collector.

// bufferSizes are the sizes that are pooled. The largest holds the longest string that a peer may send, and what is around it; the one
// before is what a connection may have in any case.
var bufferSizes = [...]int{4 << 10, 64 << 10, share, 1 << 20}

var bufferPools [len(bufferSizes)]sync.Pool

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
		if b, ok := bufferPools[i].Get().(*[]byte); ok {
			return (*b)[:0]
		}
		return make([]byte, 0, size)
	}
	return make([]byte, 0, n)
}

// giveBuffer takes a buffer back; the caller has no more use for it. Giants are left to the collector.
func giveBuffer(b []byte) {
	if cap(b) > 2*bufferSizes[len(bufferSizes)-1] {
		return
	}
	for i := len(bufferSizes) - 1; i >= 0; i-- {
		if cap(b) >= bufferSizes[i] {
			b = b[:0]
			bufferPools[i].Put(&b)
			return
		}
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
