package patience_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/broker/internal/patience"
)

// Without pauses a wait is exact, whatever the length of its steps.
func TestTimerExact(t *testing.T) {
	for _, d := range []time.Duration{
		0, 1, time.Millisecond, 9 * time.Millisecond, 81 * time.Millisecond, 3 * time.Second, time.Hour + 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			start, called := time.Now(), make(chan time.Duration, 1)
			patience.AfterFunc(d, func() { called <- time.Since(start) })
			assert.Equal(t, d, <-called)
		})
	}
}

func TestTimerStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var none *patience.Timer
		none.Stop()
		called := false
		timer := patience.AfterFunc(time.Second, func() { called = true })
		time.Sleep(900 * time.Millisecond)
		timer.Stop()
		timer.Stop()
		time.Sleep(time.Minute)
		assert.False(t, called)
	})
}

// A pause counts for at most one step, wherever it falls.
func TestCountPause(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(time.Hour)).Draw(t, "limit"))
		begin := time.Duration(rapid.Int64Range(0, int64(limit)-1).Draw(t, "begin"))
		pause := time.Duration(rapid.Int64Range(0, int64(10*time.Hour)).Draw(t, "pause"))
		var c patience.Count
		step, at, ran := limit/patience.Steps, time.Duration(0), time.Duration(0)
		for c.Step(limit) > 0 {
			planned := c.Step(limit)
			elapsed, awake := planned, planned
			if at <= begin && begin < at+planned {
				// The process stops at begin. The timer fires when it continues, or on time if that is later.
				elapsed = max(planned, begin-at+pause)
				awake = elapsed - pause
			}
			c.Add(planned, elapsed)
			at, ran = at+elapsed, ran+awake
		}
		// A short pause may count for what it took; a long one does not.
		if ran < limit-step-step/2-1 || ran > limit+step+1 {
			t.Fatalf("of %v the process ran for %v (pause of %v at %v)", limit, ran, pause, begin)
		}
	})
}

// A wait ends even if every step is late.
func TestCountAllLate(t *testing.T) {
	var c patience.Count
	waited := time.Duration(0)
	for c.Step(time.Second) > 0 {
		c.Add(c.Step(time.Second), 2*time.Second)
		waited += 2 * time.Second
		require.Less(t, waited, time.Minute*2)
	}
}
