package netio

import (
	"runtime"
	"sync/atomic"
	"time"
)

// PollToken allows one reader at a time to poll. Readers that share a processor budget share a token.
type PollToken struct{ taken atomic.Bool }

// BusyPoll decides when a connection's reader retries an empty read instead of parking. Parking and waking take longer
// than a short call, so where each side makes one call after the other they take most of a call's time.
//
// A read polls only if no more than one call is in progress on the connection, polling has paid lately, and no other
// reader holds the token. Between two tries the reader yields its processor. If nothing arrives within the limit, the
// reader parks; after a few such reads it stops polling for a number of reads, which doubles up to a bound.
//
// Polling takes the time of one processor for at most the limit after each read. A BusyPoll belongs to the reading
// goroutine.
type BusyPoll struct {
	limit time.Duration
	busy  func() bool // reports whether more than one call is in progress
	token *PollToken
	holds bool        // this reader holds the token
	retry func() bool // p.poll, made once

	credit  int       // polls that may still fail before it stops
	rest    int       // reads left without polling
	nextGap int       // reads without polling the next time
	since   time.Time // when this read began to poll; zero before the first empty read
	failed  bool      // the limit passed before anything arrived
}

// A reader stops polling after fullCredit failed polls in a row, for leastGap to mostGap reads.
const (
	fullCredit = 8
	leastGap   = 64
	mostGap    = 4096
)

// NewBusyPoll returns a BusyPoll that polls for at most limit; 0 turns polling off. With a single processor it is off
// too, since the peer may need that processor.
func NewBusyPoll(limit time.Duration, token *PollToken, busy func() bool) *BusyPoll {
	p := &BusyPoll{limit: limit, busy: busy, token: token, credit: fullCredit, nextGap: leastGap}
	if runtime.GOMAXPROCS(0) < 2 {
		p.limit = 0
	}
	p.retry = p.poll
	return p
}

// Read reads from sock.
func (p *BusyPoll) Read(sock NonBlocking, b []byte) (int, error) {
	if !p.begin() {
		return sock.Read(b, nil)
	}
	n, err := sock.Read(b, p.retry)
	p.release()
	p.learn()
	return n, err
}

// begin reports whether this read may poll.
func (p *BusyPoll) begin() bool {
	if p.limit <= 0 || p.busy() {
		return false
	}
	if p.rest > 0 {
		p.rest--
		return false
	}
	p.since, p.failed = time.Time{}, false
	p.holds = p.token.taken.CompareAndSwap(false, true)
	return p.holds
}

func (p *BusyPoll) release() {
	if p.holds {
		p.holds = false
		p.token.taken.Store(false)
	}
}

// poll is called after an empty read and reports whether to try again.
func (p *BusyPoll) poll() bool {
	switch {
	case p.failed:
		return false // The reader has parked since, and woke up to another empty read.
	case p.since.IsZero():
		p.since = time.Now()
	case time.Since(p.since) > p.limit:
		p.failed = true
		p.release()
		return false
	}
	runtime.Gosched()
	return true
}

// learn records whether polling paid.
func (p *BusyPoll) learn() {
	switch {
	case p.since.IsZero(): // The first try read something.
	case !p.failed:
		p.credit, p.nextGap = min(p.credit+1, fullCredit), leastGap
	case p.credit > 1:
		p.credit--
	default:
		p.rest, p.nextGap = p.nextGap, min(2*p.nextGap, mostGap)
	}
}
