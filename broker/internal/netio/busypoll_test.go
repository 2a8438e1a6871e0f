package netio

import (
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

func (s *fakeSocket) Read(_ []byte, retry func() bool) (int, error) {
	s.polled, s.tries = retry != nil, 1
	for retry != nil && s.tries != s.at && retry() {
		s.tries++
	}
	return 1, nil
}

// newTestPoll polls for a time that has passed at the second try.
func newTestPoll(token *PollToken) *BusyPoll {
	p := NewBusyPoll(time.Nanosecond, token, func() bool { return false })
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
	p, s := newTestPoll(new(PollToken)), &fakeSocket{}
	first := fullCredit - 1
	assert.Equal(
		t,
		[]int{0, 1, 2, 3, 4, 5, 6, 7, first + 65, first + 65 + 129, first + 65 + 129 + 257},
		polls(p, s, first+65+129+257+1),
	)
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
	var token PollToken
	p, other, s := newTestPoll(&token), newTestPoll(&token), &fakeSocket{at: 1}
	assert.True(t, p.begin())
	assert.Empty(t, polls(other, s, 3))
	p.release()
	assert.Len(t, polls(other, s, 3), 3)
	assert.False(t, token.taken.Load())

	assert.True(t, p.begin())
	for p.poll() {
	}
	assert.Len(t, polls(other, s, 1), 1, "a parked reader does not hold the token")
	assert.True(t, other.begin())
	p.release()
	assert.True(t, token.taken.Load(), "a reader releases only its own token")
}

func TestBusyPollOff(t *testing.T) {
	busy := false
	p, s := newTestPoll(new(PollToken)), &fakeSocket{at: 1}
	p.busy = func() bool { return busy }
	assert.Len(t, polls(p, s, 1), 1)
	busy = true
	assert.Empty(t, polls(p, s, 1))
	busy = false
	p.limit = 0
	assert.Empty(t, polls(p, s, 1))
}
