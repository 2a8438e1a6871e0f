package flavors

import (
	"context"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/seam"
)

// quickConn is a connection whose peer answers before TryCall returns.
type quickConn struct {
	seam.Conn
	rt       *actor.Runtime
	figures  *figures.Recorder
	turns    seam.Turns
	caller   *peerCaller
	called   func(call *seam.OutgoingCall)
	answered []int64
}

func newQuickConn(rt *actor.Runtime) *quickConn {
	c := &quickConn{rt: rt, figures: new(figures.Set).NewRecorder("peer", false, false)}
	c.caller = newCaller(c)
	return c
}

func (c *quickConn) Context() context.Context   { return context.Background() }
func (c *quickConn) Runtime() *actor.Runtime    { return c.rt }
func (c *quickConn) Logger() *zerolog.Logger    { return c.rt.Logger() }
func (c *quickConn) Caller() seam.Caller        { return c.caller }
func (c *quickConn) Turns() *seam.Turns         { return &c.turns }
func (c *quickConn) Figures() *figures.Recorder { return c.figures }
func (c *quickConn) Relays() bool               { return true }
func (c *quickConn) Congested() bool            { return false }
func (c *quickConn) Interceptor() any           { return nil }
func (c *quickConn) HasRoom() bool              { return true }
func (c *quickConn) Unanswered() (n, most int)  { return 0, 10 }
func (c *quickConn) TakesMetadata() bool        { return false }
func (c *quickConn) AnswerRoom() error          { return nil }
func (c *quickConn) NewFragment(any, string) *jelly.Fragment {
	return jelly.NewFragment(jelly.Context{})
}

func (c *quickConn) TryCall(call *seam.OutgoingCall) bool {
	c.called(call)
	return true
}

func (c *quickConn) SendAnswer(call seam.Call, f *jelly.Fragment, _ bool) bool {
	f.Free()
	c.answered = append(c.answered, call.RequestID())
	return false
}

// TestPassedAnswersInOrder: answers go on in the order in which they come, even if one comes while its call is being
// given to the connection.
func TestPassedAnswersInOrder(t *testing.T) {
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	owner, client := newQuickConn(rt), newQuickConn(rt)
	ref := newRemoteReference(owner, 7, nil)
	core := ref.relayCore()
	var calls []*seam.OutgoingCall
	owner.called = func(call *seam.OutgoingCall) {
		calls = append(calls, call)
		if len(calls) < 2 {
			return
		}
		for _, c := range []*seam.OutgoingCall{calls[1], calls[0]} {
			raw := jelly.NewRaw()
			raw.Bind(5)
			c.Result.Complete(raw, nil)
		}
	}
	for id := range int64(2) {
		inv := newInvocation()
		(*incoming)(inv).Begin(&seam.IncomingCall{Conn: client, Caller: client.caller, RequestID: id + 1, Method: "a",
			WantsAnswer: true})
		core.Deliver((*incoming)(inv))
	}
	assert.Equal(t, []int64{2, 1}, client.answered)
}
