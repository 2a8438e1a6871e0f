package broker

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// quick is a socket on which something comes at the look with that number, counted from 1; 0 says that it takes a sleep
// to wait for it.
type quick struct {
	at    int
	asked bool // the last read might look again
	looks int
}

func (*quick) writeNow(b []byte) (int, error) { return len(b), nil }

func (s *quick) read(_ []byte, again lookAgain) (int, error) {
	s.asked, s.looks = again != nil, 1
	for again != nil && s.looks != s.at && again() {
		s.looks++
	}
	return 1, nil
}

// newPoller polls for a time that is over at the second look, on a connection that has nothing under way.
func newPoller(taken *atomic.Bool) *polling {
	p := &polling{c: &Conn{}, time: time.Nanosecond, taken: taken, credit: fullCredit, pause: leastPause}
	p.again = p.look
	return p
}

// tries reads so often, and returns at which reads it looked again.
func tries(p *polling, s *quick, reads int) (at []int) {
	for i := range reads {
		if _, _ = p.read(s, nil); s.asked {
			at = append(at, i)
		}
	}
	return at
}

func TestPollingThatDoesNotPayIsLeft(t *testing.T) {
	p, s := newPoller(new(atomic.Bool)), &quick{}
	first := fullCredit - 1
	assert.Equal(
		t,
		[]int{0, 1, 2, 3, 4, 5, 6, 7, first + 65, first + 65 + 129, first + 65 + 129 + 257},
		tries(p, s, first+65+129+257+1),
	)
	for range 20 {
		tries(p, s, mostPause)
	}
	assert.Len(t, tries(p, s, 10*(mostPause+1)), 10, "the rests do not grow for ever")

	s.at = 1 // There is always something.
	for len(tries(p, s, 1)) == 0 {
	}
	assert.Len(t, tries(p, s, 100), 100)
	s.at = 0
	assert.Equal(t, []int{0}, tries(p, s, mostPause), "nothing is learned where there was no need to wait")

	for len(tries(p, s, 1)) == 0 {
	}
	p.time, s.at = time.Hour, 3
	for len(tries(p, s, 1)) == 0 {
	}
	assert.Len(t, tries(p, s, 100), 100, "it pays again")
	assert.Equal(t, 3, s.looks)
	p.time, s.at = time.Nanosecond, 0
	assert.Len(t, tries(p, s, leastPause), fullCredit)
}

func TestPollingIsForOneReader(t *testing.T) {
	var taken atomic.Bool
	p, other, s := newPoller(&taken), newPoller(&taken), &quick{at: 1}
	assert.True(t, p.begin())
	assert.Empty(t, tries(other, s, 3))
	p.leave()
	assert.Len(t, tries(other, s, 3), 3)
	assert.False(t, taken.Load())

	assert.True(t, p.begin())
	for p.look() {
	}
	assert.Len(t, tries(other, s, 1), 1, "who sleeps leaves it to others")
	assert.True(t, other.begin())
	p.leave()
	assert.True(t, taken.Load(), "and does not take it from them when it wakes up")
}

func TestNoPollingWhereMoreIsUnderWay(t *testing.T) {
	p, s := newPoller(new(atomic.Bool)), &quick{at: 1}
	p.c.inbound.Store(1)
	p.c.pending.Store(1)
	assert.Len(t, tries(p, s, 1), 1)
	p.c.inbound.Store(2)
	assert.Empty(t, tries(p, s, 1))
	p.c.inbound.Store(0)
	p.c.pending.Store(2)
	assert.Empty(t, tries(p, s, 1))
	p.c.pending.Store(0)
	p.time = 0
	assert.Empty(t, tries(p, s, 1), "WithPolling(0)")
}
