package flow

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
)

// EncodeLimit bounds how many long answers of a connection are encoded at a time. An encoded answer is memory that is
// not counted yet: without a bound thousands of encoders could all find room before the first has used it. Short
// answers are not bounded, because a waiting goroutine's stack takes more memory than they do.
//
// Encoding runs application code, such as StateToCopy. So none waits for more than a second, and encoders that never
// finish delay each of the others by that much.
type EncodeLimit struct {
	active, waiting atomic.Int64
	freed           chan struct{} // a token for one of those that wait; buffered
	long            atomic.Int32  // how many short answers end the bound
}

const (
	// maxEncoding is how many answers are encoded at a time.
	maxEncoding = 16
	// encodeWait is how long an answer waits for the others.
	encodeWait = time.Second
	// longAnswer is the size in bytes from which on an answer is long.
	longAnswer = 16 << 10
	// shortAnswers is how many short answers in a row end the bound.
	shortAnswers = 64
)

// NewEncodeLimit returns a limit that bounds nothing until an answer was long.
func NewEncodeLimit() *EncodeLimit { return &EncodeLimit{freed: make(chan struct{}, 1)} }

// Applies reports whether an answer was long lately. If so, the next must call Enter before it is encoded, and Leave
// afterwards. Otherwise it calls Enter when it comes to a long string.
func (l *EncodeLimit) Applies() bool { return l.long.Load() > 0 }

// Encoded notes the size of an answer. Concurrent calls may lose one.
func (l *EncodeLimit) Encoded(bytes int) {
	if bytes >= longAnswer {
		l.long.Store(shortAnswers)
	} else if n := l.long.Load(); n > 0 {
		l.long.Store(n - 1)
	}
}

// Enter waits until fewer than the limit are active, for encodeWait or until ctx ends at most.
func (l *EncodeLimit) Enter(ctx context.Context) {
	if !l.tryEnter() {
		l.wait(ctx)
	}
}

func (l *EncodeLimit) tryEnter() bool {
	for {
		n := l.active.Load()
		if n >= maxEncoding {
			return false
		}
		if l.active.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (l *EncodeLimit) wait(ctx context.Context) {
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	over := make(chan struct{})
	defer patience.AfterFunc(encodeWait, func() { close(over) }).Stop()
	for !l.tryEnter() {
		select {
		case <-l.freed:
			continue
		case <-over:
		case <-ctx.Done():
		}
		l.active.Add(1)
		return
	}
	l.signal() // There may be room for another.
}

// Leave ends what Enter began.
func (l *EncodeLimit) Leave() {
	l.active.Add(-1)
	l.signal()
}

func (l *EncodeLimit) signal() {
	if l.waiting.Load() == 0 {
		return
	}
	select {
	case l.freed <- struct{}{}:
	default:
	}
}
