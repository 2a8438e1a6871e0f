package broker

import (
	"context"
	"sync/atomic"
	"time"
)

// turnstile lets so many in at a time that more would not be faster. It is for the encoding of long answers: what has
// been encoded is memory that nobody has counted yet, and where thousands encode at once all of them may have looked
// whether there is room before the first has taken it. Short ones go past it: who waits has a stack, which is larger.
//
// Whoever is inside runs code of the application's, StateToCopy for one. So nobody waits for ever, and a few who never
// come out hold the others up for a moment each and no longer.
type turnstile struct {
	inside, waiting atomic.Int64
	moved           chan struct{} // a token for one of those who wait; buffered
	long            atomic.Int32  // how many short answers make it forget that there was a long one
}

const (
	// encodings is how many answers of a connection may be in the making.
	encodings = 16
	// encodingPatience is how long one waits for the others.
	encodingPatience = time.Second
	// longAnswer is from how many bytes on an answer is long, and longMemory how many others there are to be before the
	// turnstile is left again.
	longAnswer = 16 << 10
	longMemory = 64
)

// isNeeded says that answers were long of late.
func (t *turnstile) isNeeded() bool { return t.long.Load() > 0 }

// made notes how long an answer was. It is not important that none is overlooked.
func (t *turnstile) made(bytes int) {
	if bytes >= longAnswer {
		t.long.Store(longMemory)
	} else if n := t.long.Load(); n > 0 {
		t.long.Store(n - 1)
	}
}

func newTurnstile() turnstile { return turnstile{moved: make(chan struct{}, 1)} }

// enter returns when there is room, after a while or at the end of ctx in any case. Who has entered must leave.
func (t *turnstile) enter(ctx context.Context) {
	if !t.pass() {
		t.wait(ctx)
	}
}

func (t *turnstile) pass() bool {
	for {
		n := t.inside.Load()
		if n >= encodings {
			return false
		}
		if t.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (t *turnstile) wait(ctx context.Context) {
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	patience := time.NewTimer(encodingPatience)
	defer patience.Stop()
	for !t.pass() {
		select {
		case <-t.moved:
			continue
		case <-patience.C:
		case <-ctx.Done():
		}
		t.inside.Add(1)
		return
	}
	t.call() // There may be room for another.
}

func (t *turnstile) leave() {
	t.inside.Add(-1)
	t.call()
}

// call has one of those who wait look.
func (t *turnstile) call() {
	if t.waiting.Load() == 0 {
		return
	}
	select {
	case t.moved <- struct{}{}:
	default:
	}
}
