package netio

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Readers is what the readers that share processors share. At most one of them polls at a time, and none while more of
// them are active than there are processors: whoever polls then takes a processor from somebody who has work.
type Readers struct {
	polling atomic.Bool // a reader polls

	// A reader is active in a window if it begins a read in it.
	window       atomic.Int64
	now, earlier atomic.Int64 // readers active in this window, and in the one before

	processors atomic.Int64 // when this window began: to ask takes a lock of the scheduler
}

// NewReaders returns a Readers without readers.
func NewReaders() *Readers {
	r := new(Readers)
	r.processors.Store(int64(runtime.GOMAXPROCS(0)))
	return r
}

// Crowded reports whether more readers have been active lately than there are processors.
func (r *Readers) Crowded() bool { return max(r.now.Load(), r.earlier.Load()) > r.processors.Load() }

// window is the time in which active readers are counted.
const window = 8 * time.Millisecond

var started = time.Now()

// currentWindow returns the number of the window that time is in.
func currentWindow() int64 { return int64(time.Since(started) / window) }

// active notes that a reader is active in a window. counted is the last window in which this reader was counted.
func (r *Readers) active(window int64, counted *int64) {
	if last := r.window.Load(); last != window && r.window.CompareAndSwap(last, window) {
		n := r.now.Swap(0)
		if last != window-1 {
			n = 0
		}
		r.earlier.Store(n)
		r.processors.Store(int64(runtime.GOMAXPROCS(0)))
	}
	if *counted != window {
		*counted = window
		r.now.Add(1)
	}
}

// BusyPoll decides when a connection's reader retries an empty read instead of parking. Parking and waking take longer
// than a short call, so where each side makes one call after the other they take most of a call's time.
//
// A read polls only if no more than one call is in progress on the connection, polling has paid lately, no other reader
// polls, and no more readers are active than there are processors. Between two tries the reader yields its processor.
// If nothing arrives within the limit, the reader parks. At first one such read, and later a few, stop polling for a
// number of reads, which doubles up to a bound.
//
// Polling takes the time of one processor for at most the limit after each read. A BusyPoll belongs to the reading
// goroutine.
type BusyPoll struct {
	limit   time.Duration
	busy    func() bool // reports whether more than one call is in progress
	readers *Readers
	window  func() int64 // currentWindow, except in tests
	counted int64        // the last window in which this reader was counted
	holds   bool         // this reader is the one that polls
	retry   func() bool  // p.poll, made once

	credit  int       // polls that may still fail before it stops
	rest    int       // reads left without polling
	nextGap int       // reads without polling the next time
	since   time.Time // when this read began to poll; zero before the first empty read
	failed  bool      // the limit passed before anything arrived
}

// A reader for which polling has paid stops after fullCredit failed polls in a row, for leastGap to mostGap reads.
const (
	fullCredit = 8
	leastGap   = 64
	mostGap    = 4096
)

// NewBusyPoll returns a BusyPoll that polls for at most limit; 0 turns polling off. With a single processor it is off
// too, since the peer may need that processor.
func NewBusyPoll(limit time.Duration, readers *Readers, busy func() bool) *BusyPoll {
	p := &BusyPoll{
		limit: limit, busy: busy, readers: readers, window: currentWindow, counted: -1, credit: 1, nextGap: leastGap,
	}
	if runtime.GOMAXPROCS(0) < 2 {
		p.limit = 0
	}
	p.retry = p.poll
	return p
}

// Read reads from sock.
func (p *BusyPoll) Read(sock NonBlocking, room Room) (int, error) {
	if !p.begin() {
		return sock.Read(room, nil)
	}
	n, err := sock.Read(room, p.retry)
	p.release()
	p.learn()
	return n, err
}

// begin reports whether this read may poll.
func (p *BusyPoll) begin() bool {
	if p.limit <= 0 || p.busy() {
		return false
	}
	if p.readers.active(p.window(), &p.counted); p.readers.Crowded() {
		return false
	}
	if p.rest > 0 {
		p.rest--
		return false
	}
	p.since, p.failed = time.Time{}, false
	p.holds = p.readers.polling.CompareAndSwap(false, true)
	return p.holds
}

func (p *BusyPoll) release() {
	if p.holds {
		p.holds = false
		p.readers.polling.Store(false)
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
