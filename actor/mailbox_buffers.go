package actor

import "sync"

// The sizes of a mailbox's buffers. One of the smallest stays with an idle mailbox;
// the others are borrowed while there is a crowd and beyond the largest they are ordinary
// slices, left to the collector.
const (
	smallBuffer  = 2
	middleBuffer = 64
	largeBuffer  = 1024
)

// The pools hold cleared buffers only. They are caches and nothing else, shared by the mailboxes of all runtimes.
var (
	middleBuffers = sync.Pool{New: func() any { return new([middleBuffer]any) }}
	largeBuffers  = sync.Pool{New: func() any { return new([largeBuffer]any) }}
)

// grown returns a larger buffer with the contents of the full one.
func grown(full []any) []any {
	var larger []any
	switch n := cap(full); {
	case n == 0:
		return make([]any, 0, smallBuffer)
	case n < middleBuffer:
		larger = middleBuffers.Get().(*[middleBuffer]any)[:0]
	case n < largeBuffer:
		larger = largeBuffers.Get().(*[largeBuffer]any)[:0]
	default:
		larger = make([]any, 0, 2*n)
	}
	larger = append(larger, full...)
	clear(full)
	giveBack(full)
	return larger
}

// retired returns what an idle mailbox keeps of its two empty buffers.
func retired(a, b []any) []any {
	giveBack(a)
	giveBack(b)
	switch {
	case cap(a) == smallBuffer:
		return a
	case cap(b) == smallBuffer:
		return b
	}
	return nil
}

// giveBack returns a borrowed buffer, which must have been cleared.
func giveBack(b []any) {
	switch cap(b) {
	case middleBuffer:
		middleBuffers.Put((*[middleBuffer]any)(b[:middleBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]any)(b[:largeBuffer]))
	}
}
