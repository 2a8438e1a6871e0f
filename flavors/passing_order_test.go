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
	clear    func() // if set, the connection is congested, and clear is called once it is not
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
func (c *quickConn) Congested() bool            { return c.clear != nil }
func (c *quickConn) WhenClear(f func())         { c.clear = f }
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

// call returns a call of the peer's.
func (c *quickConn) call(id int64) *incoming {
	inv := (*incoming)(newInvocation())
	inv.Begin(&seam.IncomingCall{Conn: c, Caller: c.caller, RequestID: id, Method: "a", WantsAnswer: true})
	return inv
}

func newQuickConns(t *testing.T) (owner, client *quickConn) {
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rt.Close(context.Background()) })
	return newQuickConn(rt), newQuickConn(rt)
}

// TestPassedAnswersInOrder: answers go on in the order in which they come, even if one comes while its call is being
// given to the connection.
func TestPassedAnswersInOrder(t *testing.T) {
	owner, client := newQuickConns(t)
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
		core.Deliver(client.call(id + 1))
	}
	assert.Equal(t, []int64{2, 1}, client.answered)
}

// TestTakeBack: calls that wait are given back if they can be, and the others are made once there is room.
func TestTakeBack(t *testing.T) {
	owner, client := newQuickConns(t)
	client.clear = func() {}
	ref, other := newRemoteReference(owner, 7, nil), newRemoteReference(owner, 9, nil)
	called := make(chan int64, 9)
	owner.called = func(call *seam.OutgoingCall) { called <- call.ID }
	var back []int64
	relay := NewRelay(func(inv *Invocation) {
		inv.PassTo(ref, Passing{NotPassed: func(cause error) {
			assert.ErrorIs(t, cause, DeadReference)
			back = append(back, (*incoming)(inv).RequestID())
		}})
	})
	core, err := relay.relayedCore(relay)
	assert.NoError(t, err)
	core.Deliver(client.call(1))
	core.Deliver(client.call(2))
	other.relayCore().Deliver(client.call(3))
	core.Deliver(client.call(4))
	ref.relayCore().Deliver(client.call(5))
	TakeBack(other)
	assert.Empty(t, back)
	TakeBack(ref, nil)
	assert.Equal(t, []int64{1, 2, 4}, back)
	resume := client.clear
	client.clear = nil
	resume()
	assert.EqualValues(t, 9, <-called)
	assert.EqualValues(t, 7, <-called)
}
