package broker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCancelStorm calls an object that is busy and cancels each call at once. What waits for the object stays within
// the limit of unanswered calls, each call has one answer, and others are served (P-9.11).
func TestCancelStorm(t *testing.T) {
	const limit, calls = 100, 1000
	w := newWorkshop()
	limits := broker.DefaultLimits()
	limits.CallsIn = limit
	s, p := visitWorkshop(t, w, 1, broker.WithLimits(limits))
	bystander := s.Dial()
	p.Write(`[message 1 $w1 work 1 [tuple] [dictionary]]`)
	<-w.began
	cancelled, busy := 0, 0
	for id := 2; id < 2+calls; id++ {
		p.Write(fmt.Sprintf(`[message %d $w1 quick 1 [tuple] [dictionary]]`, id), fmt.Sprintf(`[cancel %d]`, id),
			fmt.Sprintf(`[cancel %d]`, id+calls))
		p.Forget("failure")
		p.Want(fmt.Sprintf(`[error %d $failure]`, id))
		switch text := banana.Format(p.Var("failure")); {
		case strings.Contains(text, left):
			cancelled++
		case strings.Contains(text, `"perspectivebroker.Busy"`):
			busy++
		}
	}
	assert.Equal(t, limit-1, cancelled)
	assert.Equal(t, calls-limit+1, busy)
	n, err := flavors.Call[int](t.Context(), bystander.Root(), "echo", 7)
	require.NoError(t, err)
	assert.Equal(t, 7, n)
	close(w.gate)
	p.Want(`[answer 1 [unicode done]]`)
	p.Write(`[message 5000 $w1 quick 1 [tuple] [dictionary]]`)
	p.Want(`[answer 5000 [unicode quick]]`)
	p.WantIdle()
	assert.Len(t, w.began, 1)
}

// TestCancelsOfNothing sends cancels by the thousand that mean nothing (P-9.12).
func TestCancelsOfNothing(t *testing.T) {
	w := newWorkshop()
	s, p := visitWorkshop(t, w, 0)
	bystander := s.Dial()
	for range 20 {
		var b []byte
		for id := range int64(5000) {
			b = command.AppendCancel(b, banana.ProfilePB1, command.Number{Int: id})
			b = command.AppendGoaway(b, banana.ProfilePB1, "again")
		}
		p.WriteBytes(b)
		n, err := flavors.Call[int](t.Context(), bystander.Root(), "echo", 7)
		require.NoError(t, err)
		assert.Equal(t, 7, n)
	}
	p.WantIdle()
}
