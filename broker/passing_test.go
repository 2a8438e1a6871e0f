package broker_test

import (
	"context"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// target is an object that calls are passed to, in a process of its own or in that of the relay.
type target struct {
	flavors.Viewable
	hang chan struct{}
}

func (*target) ViewAdd(_ any, a, b int) int { return a + b }

func (*target) ViewWho(perspective any) string {
	name, _ := perspective.(string)
	return name
}

func (t *target) ViewHang(any) { <-t.hang }

// passer publishes a Relay, whose handler the test sets.
type passer struct {
	flavors.Referenceable
	mu     sync.Mutex
	handle func(inv *flavors.Invocation)
	relay  *flavors.Relay
}

func newPasser(handle func(inv *flavors.Invocation)) *passer {
	p := &passer{handle: handle}
	p.relay = flavors.NewRelay(func(inv *flavors.Invocation) {
		p.mu.Lock()
		f := p.handle
		p.mu.Unlock()
		f(inv)
	})
	return p
}

func (p *passer) set(handle func(inv *flavors.Invocation)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handle = handle
}

func (p *passer) RemoteRelay() *flavors.Relay { return p.relay }

// relayOf connects to a passer and returns the reference to its Relay.
func relayOf(t *testing.T, p *passer) *flavors.RemoteReference {
	t.Helper()
	return relayOfIn(t, pbtest.NewRuntime(t), p)
}

func relayOfIn(t *testing.T, rt *actor.Runtime, p *passer) *flavors.RemoteReference {
	t.Helper()
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", p, broker.WithRelaying())
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), ln.URL())
	require.NoError(t, err)
	ref, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "relay")
	require.NoError(t, err)
	return ref
}

// TestPassToObject: a view's perspective is that of the method, an object that admits no call runs none, and each call
// is reported once.
func TestPassToObject(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	object := &target{}
	_, err := flavors.Spawn(rt, object)
	require.NoError(t, err)
	view, err := flavors.NewViewPoint("ann", object)
	require.NoError(t, err)

	answered := make(chan struct{}, 9)
	var refusal error
	p := newPasser(nil)
	p.set(func(inv *flavors.Invocation) {
		inv.PassToObject(view, flavors.Passing{
			Admit: func() error { return refusal }, Answered: func() { answered <- struct{}{} },
		})
	})
	ref := relayOfIn(t, rt, p)

	n, err := flavors.Call[int](t.Context(), ref, "add", 2, 3)
	require.NoError(t, err)
	assert.Equal(t, 5, n)
	<-answered
	who, err := flavors.Call[string](t.Context(), ref, "who")
	require.NoError(t, err)
	assert.Equal(t, "ann", who)
	<-answered
	_, err = flavors.Call[int](t.Context(), ref, "add", "x", 3)
	require.ErrorIs(t, err, flavors.TypeError)
	<-answered
	refusal = flavors.ValueError.New("not now")
	_, err = flavors.Call[int](t.Context(), ref, "add", 2, 3)
	require.ErrorIs(t, err, flavors.ValueError)
	<-answered
	assert.Empty(t, answered)
}

// TestPassTo: a call that its connection cannot take goes elsewhere, and one that was lost fails as the relay says.
func TestPassTo(t *testing.T) {
	lost := flavors.NewException("test.Lost", flavors.ConnectionLost)
	behind := &target{hang: make(chan struct{})}
	far, err := broker.Listen(pbtest.NewRuntime(t), "pb://127.0.0.1:0", behind, broker.WithRelaying())
	require.NoError(t, err)

	rt := pbtest.NewRuntime(t)
	dial := func() *broker.Conn {
		conn, err := broker.Dial(t.Context(), rt, far.URL(), broker.WithRelaying(), broker.WithLostAs(lost))
		require.NoError(t, err)
		return conn
	}
	first, second := dial(), dial()
	moved, failed := make(chan error, 1), make(chan error, 1)
	ref := relayOfIn(t, rt, newPasser(func(inv *flavors.Invocation) {
		inv.PassTo(first.Root(), flavors.Passing{
			NotPassed: func(cause error) {
				moved <- cause
				inv.PassTo(second.Root())
			},
			Failed: func(err error) error {
				failed <- err
				return flavors.ValueError.Wrap(err)
			},
		})
	}))
	n, err := flavors.Call[int](t.Context(), ref, "add", 2, 3)
	require.NoError(t, err)
	assert.Equal(t, 5, n)
	assert.Empty(t, moved)

	hangs := ref.CallRemote("hang")
	pbtest.Eventually(t, func() bool { return first.Stats().CallsOut.Pending == 1 })
	first.Abort(nil)
	_, err = hangs.Await(t.Context())
	require.ErrorIs(t, err, flavors.ValueError)
	require.ErrorIs(t, <-failed, lost)
	close(behind.hang)

	n, err = flavors.Call[int](t.Context(), ref, "add", 3, 4)
	require.NoError(t, err)
	assert.Equal(t, 7, n)
	require.ErrorIs(t, <-moved, flavors.DeadReference)
}

// TestIndirect: what embeds an Indirect can be called wherever a reference can.
func TestIndirect(t *testing.T) {
	ref := relayOf(t, newPasser(func(inv *flavors.Invocation) { inv.Answer("at "+inv.Method, nil) }))
	type handle struct{ flavors.Indirect }
	h := handle{flavors.NewIndirect(func() flavors.Callee { return ref })}
	s, err := flavors.Call[string](t.Context(), h, "one")
	require.NoError(t, err)
	assert.Equal(t, "at one", s)
	s, err = flavors.CallInOrder[string](t.Context(), h, "two")
	require.NoError(t, err)
	assert.Equal(t, "at two", s)
	v, err := h.CallRemote("three").Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "at three", v)
	v, err = flavors.Start(t.Context(), h, "four").Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "at four", v)
	v, err = h.Begin("five").Deferred().Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "at five", v)
	require.NoError(t, flavors.Send(t.Context(), h, "six"))
	_, err = flavors.Call[any](t.Context(), handle{}, "seven")
	require.ErrorIs(t, err, flavors.DeadReference)
}

// TestRelayKnowsItsCaller: a Relay that a user was sent knows the user, and so does one that is the user's avatar.
func TestRelayKnowsItsCaller(t *testing.T) {
	perspectives := make(chan any, 1)
	relay := flavors.NewRelay(func(inv *flavors.Invocation) {
		perspectives <- inv.Perspective()
		inv.Answer(nil, nil)
	})
	own := &relayGiver{relay: relay}
	for name, avatar := range map[string]any{"sent": own, "avatar": relay} {
		enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (any, func(), error) {
			return avatar, nil, nil
		}
		ln, err := broker.Listen(pbtest.NewRuntime(t), "pb://127.0.0.1:0", broker.Login(enter, cred.AllowAnonymous()),
			broker.WithRelaying())
		require.NoError(t, err)
		conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), ln.URL())
		require.NoError(t, err)
		ref, err := conn.Login(t.Context(), cred.Anonymous{}, nil)
		require.NoError(t, err)
		if name == "sent" {
			ref, err = flavors.Call[*flavors.RemoteReference](t.Context(), ref, "relay")
			require.NoError(t, err)
		}
		_, err = flavors.Call[any](t.Context(), ref, "x")
		require.NoError(t, err)
		assert.Same(t, avatar, <-perspectives, name)
	}
}

type relayGiver struct {
	flavors.Avatar
	relay *flavors.Relay
}

func (g *relayGiver) PerspectiveRelay() *flavors.Relay { return g.relay }
