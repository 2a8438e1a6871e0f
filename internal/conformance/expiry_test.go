package conformance

import (
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
)

// TestMethodsEndWithCall cancels the methods that take long, and calls them with little time (P-9.6, P-9.9).
func TestMethodsEndWithCall(t *testing.T) {
	const hour = "3600000"
	for _, call := range []string{`later 1 [tuple ` + hour + ` 7]`, `slow 1 [tuple ` + hour + `]`, `never 1 [tuple]`} {
		name, _, _ := strings.Cut(call, " ")
		t.Run(name, func(t *testing.T) {
			p := joinConformance(t)
			p.Write(`[message 1 root ` + call + ` [dictionary]]`)
			p.Write(`[cancel 1]`)
			p.Want(`[error 1 $failure]`)
			assert.Contains(t, banana.Format(p.Var("failure")), "perspectivebroker.Canceled")
			p.WantIdle() // slow has given the object free
			p.Write(`[message 2 root ` + call + ` [dictionary] [dictionary [[unicode timeout] 1]]]`)
			p.Forget("failure")
			p.Want(`[error 2 $failure]`)
			assert.Contains(t, banana.Format(p.Var("failure")), "perspectivebroker.DeadlineExceeded")
			p.WantIdle()
		})
	}
}

// TestCallbackPassesOn passes a callback's time on, and that it was cancelled.
func TestCallbackPassesOn(t *testing.T) {
	p := joinConformance(t)
	p.Write(`[message 1 root callback 1 [tuple [remote 7] [unicode wait] [list 1]] [dictionary]
		[dictionary [[unicode timeout] 3600000]]]`)
	p.Want(`[message $id 7 wait 1 [tuple 1] [dictionary] [dictionary [[unicode timeout] $left]]]`)
	left, _ := p.Var("left").(int64)
	assert.LessOrEqual(t, left, int64(3600000))
	assert.Greater(t, left, 3600000-wire.Timeout.Milliseconds())
	p.Write(`[cancel 1]`)
	p.Ignore(`[error 1 _]`)
	p.Want(`[cancel $id]`)
	p.Write(`[answer $id [None]]`)
	p.Ignore(`[decref 7]`)
	p.WantIdle()
}

func joinConformance(t *testing.T) *wire.Peer {
	t.Helper()
	p := wire.Connect(t, strings.TrimPrefix(visit(t).url, "pb://"))
	p.JoinAs(banana.ProfilePB1)
	return p
}
