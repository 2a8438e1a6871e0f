package broker

import (
	"runtime"
	"sync/atomic"
	"time"
)

// DefaultPolling is how long a reader looks for more before it sleeps: [WithPolling].
const DefaultPolling = 100 * time.Microsecond

// lookAgain says whether who finds nothing to read is to look again rather than sleep until there is something.
type lookAgain func() bool

// polling decides when the goroutine that reads looks again. To sleep and to be woken takes longer than a short call
// does: where no more than one call is under way on a connection, its sides wait for each other, and most of a call's
// time is spent on waking up. So who waits then looks again for a moment, and stays with that as long as it pays: where
// nothing came in time more often than not it lets be, and tries again after a while, which grows. One reader of a
// runtime does so at a time, and between two looks it lets all others run.
//
// It belongs to the goroutine that reads.
type polling struct {
	c     *Conn
	time  time.Duration
	taken *atomic.Bool // by the one reader of the runtime that looks again …
	mine  bool         // … which is this one
	again lookAgain    // p.look, made once

	credit int       // how often it may still look in vain
	rest   int       // how many reads it lets be
	pause  int       // how many it will the next time
	since  time.Time // when it began; zero before the first look in vain
	vain   bool      // the time was over before anything came
}

// What looking in vain may cost: fullCredit times the time of polling in a row, then as much for once in leastPause and
// more reads.
const (
	fullCredit = 8
	leastPause = 64
	mostPause  = 4096
)

// pollingKey finds the runtime's place for the one reader that looks again.
type pollingKey struct{}

func newPolling(c *Conn) *polling {
	p := &polling{c: c, time: c.options.polling, credit: fullCredit, pause: leastPause}
	if runtime.GOMAXPROCS(0) < 2 {
		p.time = 0 // Whoever is waited for may need this very processor.
	}
	p.taken = c.rt.Extension(pollingKey{}, func() any { return new(atomic.Bool) }).(*atomic.Bool)
	p.again = p.look
	return p
}

// read reads from a socket that can be tried.
func (p *polling) read(sock promptSocket, b []byte) (int, error) {
	if !p.begin() {
		return sock.read(b, nil)
	}
	n, err := sock.read(b, p.again)
	p.leave()
	p.learn()
	return n, err
}

// begin reports whether this read may look again.
func (p *polling) begin() bool {
	if p.time <= 0 || p.c.busy() {
		return false
	}
	if p.rest > 0 {
		p.rest--
		return false
	}
	p.since, p.vain = time.Time{}, false
	p.mine = p.taken.CompareAndSwap(false, true)
	return p.mine
}

// leave lets others look again.
func (p *polling) leave() {
	if p.mine {
		p.mine = false
		p.taken.Store(false)
	}
}

// look is called when there was nothing to read.
func (p *polling) look() bool {
	switch {
	case p.vain:
		return false // It has slept since, and was woken for nothing.
	case p.since.IsZero():
		p.since = time.Now()
	case time.Since(p.since) > p.time:
		p.vain = true
		p.leave()
		return false
	}
	runtime.Gosched()
	return true
}

// learn takes note of what it was good for.
func (p *polling) learn() {
	switch {
	case p.since.IsZero(): // There was something to read at once.
	case !p.vain:
		p.credit, p.pause = min(p.credit+1, fullCredit), leastPause
	case p.credit > 1:
		p.credit--
	default:
		p.rest, p.pause = p.pause, min(2*p.pause, mostPause)
	}
}
