package code

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

//guide:begin lobby

// Lobby introduces its callers to one another.
type Lobby struct {
	flavors.Root
	waiting *flavors.RemoteReference
}

// RemoteMeet returns the object of whoever came before.
func (l *Lobby) RemoteMeet(me *flavors.RemoteReference) *flavors.RemoteReference {
	before := l.waiting
	l.waiting = me
	return before
}

func serveLobby(rt *actor.Runtime) (*broker.Listener, error) {
	return broker.Listen(rt, "pb://127.0.0.1:0", &Lobby{}, broker.WithRelaying())
}

//guide:end

//guide:begin locker

// Locker keeps values for all users. One locker serves all connections.
type Locker struct {
	flavors.Root
	values map[string]*flavors.Relayed
}

// RemoteLeave keeps a value as it came, whatever its classes.
func (s *Locker) RemoteLeave(key string, x *flavors.Relayed) {
	s.values[key].Release() // Release of nil does nothing.
	s.values[key] = x
}

// RemoteFetch answers a value to any user.
func (s *Locker) RemoteFetch(key string) (*flavors.Relayed, error) {
	if x := s.values[key]; x != nil {
		return x, nil
	}
	return nil, flavors.KeyError.Errorf("nothing is left as %q", key)
}

//guide:end

//guide:begin switch

// Switch is an object that can be replaced under its users.
type Switch struct {
	*flavors.Relay
	mu  sync.Mutex
	now *flavors.RemoteReference
}

func newSwitch(first *flavors.RemoteReference) *Switch {
	s := &Switch{now: first}
	s.Relay = flavors.NewRelay(func(inv *flavors.Invocation) {
		s.mu.Lock()
		defer s.mu.Unlock()
		inv.PassTo(s.now)
	})
	return s
}

func (s *Switch) to(ref *flavors.RemoteReference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = ref
}

//guide:end

type guest struct {
	flavors.Referenceable
	name string
}

func (g *guest) RemoteGreet(other string) string { return g.name + " greets " + other }

type switchboard struct {
	flavors.Root
	s *Switch
}

func (b *switchboard) RemoteTake(me *flavors.RemoteReference) *Switch {
	if b.s == nil {
		b.s = newSwitch(me)
	} else {
		b.s.to(me)
	}
	return b.s
}

func TestLobby(t *testing.T) {
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close(t.Context())) }()
	ln, err := serveLobby(rt)
	require.NoError(t, err)
	ann, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	bob, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	nobody, err := flavors.Call[any](t.Context(), ann.Root(), "meet", &guest{name: "ann"})
	require.NoError(t, err)
	require.Nil(t, nobody)
	met, err := flavors.Call[*flavors.RemoteReference](t.Context(), bob.Root(), "meet", &guest{name: "bob"})
	require.NoError(t, err)
	text, err := flavors.Call[string](t.Context(), met, "greet", "bob")
	require.NoError(t, err)
	assert.Equal(t, "ann greets bob", text)
}

func TestShelf(t *testing.T) {
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close(t.Context())) }()
	locker := &Locker{values: map[string]*flavors.Relayed{}}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", locker, broker.WithRelaying())
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "leave", "k", []any{1, &guest{name: "ann"}})
	require.NoError(t, err)
	got, err := flavors.Call[[]any](t.Context(), conn.Root(), "fetch", "k")
	require.NoError(t, err)
	assert.Equal(t, "ann", got[1].(*guest).name, "it comes home")
	_, err = flavors.Call[any](t.Context(), conn.Root(), "fetch", "other")
	require.ErrorIs(t, err, flavors.KeyError)
}

func TestSwitch(t *testing.T) {
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close(t.Context())) }()
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &switchboard{}, broker.WithRelaying())
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	var refs []*flavors.RemoteReference
	for _, name := range []string{"ann", "bob"} {
		ref, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "take", &guest{name: name})
		require.NoError(t, err)
		refs = append(refs, ref)
		text, err := flavors.Call[string](t.Context(), ref, "greet", "you")
		require.NoError(t, err)
		assert.Equal(t, name+" greets you", text)
	}
	assert.Same(t, refs[0], refs[1])
}
