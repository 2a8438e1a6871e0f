package netio

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// fakeSocket has something to read at its at-th try, counted from 1; with 0 the reader has to park.
type fakeSocket struct {
	at     int
	polled bool // the last read was allowed to poll
	tries  int
}

func (*fakeSocket) WriteNow(b []byte) (int, error) { return len(b), nil }

func (s *fakeSocket) Read(_ Room, retry func() bool) (int, error) {
	s.polled, s.tries = retry != nil, 1
	for retry != nil && s.tries != s.at && retry() {
		s.tries++
	}
	return 1, nil
}

// newTestPoll polls for a time that has passed at the second try.
func newTestPoll(readers *Readers) *BusyPoll {
	p := NewBusyPoll(time.Nanosecond, readers, func() bool { return false })
	p.limit = time.Nanosecond
	return p
}

// polls reads n times and returns which of the reads polled.
func polls(p *BusyPoll, s *fakeSocket, n int) (at []int) {
	for i := range n {
		if _, _ = p.Read(s, nil); s.polled {
			at = append(at, i)
		}
	}
	return at
}

func TestBusyPollStops(t *testing.T) {
	p, s := newTestPoll(NewReaders()), &fakeSocket{}
	assert.Equal(t, []int{0, 65, 65 + 129, 65 + 129 + 257}, polls(p, s, 65+129+257+1))
	for range 20 {
		polls(p, s, mostGap)
	}
	assert.Len(t, polls(p, s, 10*(mostGap+1)), 10, "the gap is bounded")

	s.at = 1 // Every first try succeeds.
	for len(polls(p, s, 1)) == 0 {
	}
	assert.Len(t, polls(p, s, 100), 100)
	s.at = 0
	assert.Equal(t, []int{0}, polls(p, s, mostGap), "a first try that succeeds does not count")

	for len(polls(p, s, 1)) == 0 {
	}
	p.limit, s.at = time.Hour, 3
	for len(polls(p, s, 1)) == 0 {
	}
	assert.Len(t, polls(p, s, 100), 100, "it pays again")
	assert.Equal(t, 3, s.tries)
	p.limit, s.at = time.Nanosecond, 0
	assert.Len(t, polls(p, s, leastGap), fullCredit)
}

func TestBusyPollOneReader(t *testing.T) {
	if processors := runtime.GOMAXPROCS(0); processors < 2 { // Two readers would be too many for one.
		runtime.GOMAXPROCS(2)
		t.Cleanup(func() { runtime.GOMAXPROCS(processors) })
	}
	readers := NewReaders()
	p, other, s := newTestPoll(readers), newTestPoll(readers), &fakeSocket{at: 1}
	assert.True(t, p.begin())
	assert.Empty(t, polls(other, s, 3))
	p.release()
	assert.Len(t, polls(other, s, 3), 3)
	assert.False(t, readers.polling.Load())

	assert.True(t, p.begin())
	for p.poll() {
	}
	assert.Len(t, polls(other, s, 1), 1, "a parked reader lets others poll")
	assert.True(t, other.begin())
	p.release()
	assert.True(t, readers.polling.Load(), "a reader ends only its own polling")
}

func TestBusyPollOff(t *testing.T) {
	busy := false
	p, s := newTestPoll(NewReaders()), &fakeSocket{at: 1}
	p.busy = func() bool { return busy }
	assert.Len(t, polls(p, s, 1), 1)
	busy = true
	assert.Empty(t, polls(p, s, 1))
	busy = false
	p.limit = 0
	assert.Empty(t, polls(p, s, 1))
}

// TestActiveReaders checks how many readers count as active. A window has those of the one before until it has more.
func TestActiveReaders(t *testing.T) {
	r := NewReaders()
	counted := []int64{-1, -1, -1}
	read := func(window int64, reader int) int64 {
		r.active(window, &counted[reader])
		n := max(r.now.Load(), r.earlier.Load())
		assert.Equal(t, n > int64(runtime.GOMAXPROCS(0)), r.Crowded())
		return n
	}
	assert.EqualValues(t, 1, read(0, 0))
	assert.EqualValues(t, 1, read(0, 0), "a reader counts once")
	assert.EqualValues(t, 2, read(0, 1))
	assert.EqualValues(t, 3, read(0, 2))
	assert.EqualValues(t, 3, read(1, 0), "as many as in the window before")
	assert.EqualValues(t, 1, read(2, 0), "the others were not active in window 1")
	assert.EqualValues(t, 2, read(2, 1))
	assert.EqualValues(t, 1, read(4, 0), "nobody was active in window 3")
}

func TestBusyPollCrowd(t *testing.T) {
	readers := NewReaders()
	p, s := newTestPoll(readers), &fakeSocket{at: 1}
	now := int64(0)
	p.window = func() int64 { return now }
	crowd := int64(runtime.GOMAXPROCS(0))
	readers.now.Store(crowd - 1)
	assert.Len(t, polls(p, s, 2), 2, "as many readers as processors")
	readers.now.Store(crowd + 1)
	assert.Empty(t, polls(p, s, 2), "others need the processors")
	now = 2
	assert.Len(t, polls(p, s, 2), 2, "the others are idle now")
}
