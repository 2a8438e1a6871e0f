package broker_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// store keeps values of its peers for one another, decoded or not.
type store struct {
	flavors.Referenceable
	mu     sync.Mutex
	values map[string]*flavors.Relayed
	kept   any
}

func (s *store) RemoteLeave(key string, x *flavors.Relayed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[string]*flavors.Relayed{}
	}
	s.values[key].Release()
	s.values[key] = x
}

func (s *store) RemoteFetch(key string) (*flavors.Relayed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.values[key]; x != nil {
		return x, nil
	}
	return nil, flavors.KeyError.Errorf("nothing is left as %q", key)
}

func (s *store) RemoteKeep(x any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = x
}

func (s *store) RemoteKept() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept
}

func (s *store) RemoteEcho(x any) any { return x }

func (s *store) RemotePair(x any, y *flavors.Relayed) []any { return []any{x, y} }

// twoPeers returns two peers of a store.
func twoPeers(t *testing.T, opts ...broker.ListenOption) (s *server, root *store, a, b *wire.Peer) {
	t.Helper()
	root = &store{}
	s = newServer(t, root, append([]broker.ListenOption{broker.WithRelaying()}, opts...)...)
	return s, root, s.peer(), s.peer()
}

// leave has one peer leave a value, and the other fetch it as want.
func leave(a, b *wire.Peer, value, want string) {
	a.Write(`[message 1 "root" "leave" 1 [tuple ["unicode" "k"] ` + value + `] [dictionary]]`)
	a.Want(`[answer 1 [None]]`)
	b.Write(`[message 1 "root" "fetch" 1 [tuple ["unicode" "k"]] [dictionary]]`)
	b.Want(`[answer 1 ` + want + `]`)
}

// P-13.1, P-13.7: a reference of one peer is passed to another, whose calls reach its owner.
func TestRelayedCall(t *testing.T) {
	_, _, a, b := twoPeers(t)
	leave(a, b, `[remote 70]`, `[remote 1]`)
	args := `[tuple 5 ["unicode" "x"] ["pond.Duck" [dictionary [1 2]]]] [dictionary [["unicode" "k"] 7]]`
	b.Write(`[message 2 1 "greet" 1 ` + args + `]`)
	a.Want(`[message 1 70 "greet" 1 ` + args + `]`)
	a.Write(`[answer 1 ["pond.Egg" [dictionary [["unicode" "n"] [reference 1 [list [dereference 1]]]]]]]`)
	b.Want(`[answer 2 ["pond.Egg" [dictionary [["unicode" "n"] [reference 1 [list [dereference 1]]]]]]]`)
	t.Run("no answer wanted", func(*testing.T) {
		b.Write(`[message 3 1 "tell" 0 [tuple] [dictionary]]`)
		a.Want(`[message 3 70 "tell" 0 [tuple] [dictionary]]`)
	})
	t.Run("in order", func(*testing.T) {
		b.Write(`[message 4 1 "a" 1 [tuple] [dictionary]]`, `[message 5 1 "b" 1 [tuple] [dictionary]]`)
		a.Want(`[message 5 70 "a" 1 [tuple] [dictionary]]`, `[message 7 70 "b" 1 [tuple] [dictionary]]`)
		a.Write(`[answer 7 7]`)
		b.Want(`[answer 5 7]`)
		a.Write(`[answer 5 5]`)
		b.Want(`[answer 4 5]`)
	})
	t.Run("failure", func(t *testing.T) {
		b.Write(`[message 6 1 "a" 1 [tuple] [dictionary]]`)
		a.Want(`[message 9 70 "a" 1 [tuple] [dictionary]]`)
		a.Write(`[error 9 ["twisted.spread.pb.CopyableFailure" [dictionary ["type" "pond.Empty"]` +
			` ["value" ["unicode" "no ducks"]] ["parents" [list ["unicode" "pond.Empty"] ["unicode" "pond.Base"]]]` +
			` ["traceback" ["unicode" "Traceback: there"]]]]]`)
		failure := wantError(t, b, 6, "pond.Empty")
		for _, part := range []string{"no ducks", "pond.Base", "Traceback: there"} {
			assert.Contains(t, failure, part)
		}
	})
	t.Run("failure of a class that nobody knows", func(t *testing.T) {
		b.Write(`[message 7 1 "a" 1 [tuple] [dictionary]]`)
		a.Want(`[message 11 70 "a" 1 [tuple] [dictionary]]`)
		a.Write(`[error 11 ["pond.Frozen" [dictionary ["value" ["unicode" "ice"]]]]]`)
		assert.Contains(t, wantError(t, b, 7, "pond.Frozen"), "ice")
	})
}

// P-13.2, P-13.8: references come home as themselves, and the same reference is the same luid.
func TestRelayedIdentity(t *testing.T) {
	_, _, a, b := twoPeers(t)
	leave(a, b, `[list [remote 70] [remote 70] [remote 71]]`, `[list [remote 1] [remote 1] [remote 5]]`)
	b.Write(`[message 2 "root" "leave" 1 [tuple ["unicode" "home"] [tuple [local 1] [remote 9]]] [dictionary]]`)
	b.Want(`[answer 2 [None]]`)
	a.Write(`[message 2 "root" "fetch" 1 [tuple ["unicode" "home"]] [dictionary]]`)
	a.Want(`[answer 2 [tuple [local 70] [remote 1]]]`)
	b.Write(`[message 3 "root" "fetch" 1 [tuple ["unicode" "home"]] [dictionary]]`)
	b.Want(`[answer 3 [tuple [remote 1] [local 9]]]`)

	// Objects of the server, and those that are called, are references too.
	b.Write(`[message 4 1 "meet" 1 [tuple [local 1] [local "root"] [remote 9]] [dictionary]]`)
	a.Want(`[message 1 70 "meet" 1 [tuple [local 70] [remote 3] [remote 1]] [dictionary]]`)
	b.Want(`[decref 9]`) // The other mention is held.
	a.Write(`[answer 1 [tuple [local 1] [local 3] [remote 71]]]`)
	b.Want(`[answer 4 [tuple [local 9] [remote 7] [remote 5]]]`)
}

// A method gets the very reference that was passed on, and may keep it.
func TestRelayedHandle(t *testing.T) {
	_, root, a, b := twoPeers(t)
	leave(a, b, `[remote 70]`, `[remote 1]`)
	b.Write(`[message 3 "root" "pair" 1 [tuple [local 1] 5] [dictionary]]`)
	b.Want(`[answer 3 [list [remote 1] 5]]`)
	b.Write(`[message 5 "root" "keep" 1 [tuple [local 1]] [dictionary]]`)
	b.Want(`[answer 5 [None]]`)
	ref, ok := root.RemoteKept().(*flavors.RemoteReference)
	require.True(t, ok)
	d := ref.CallRemote("hello", 1)
	a.Want(`[message 2 70 "hello" 1 [tuple 1] [dictionary]]`)
	a.Write(`[answer 2 [None]]`)
	_, err := result(t, d)
	require.NoError(t, err)
}

// P-13.3: counts are right to the last release.
func TestRelayedCounts(t *testing.T) {
	s, root, a, b := twoPeers(t)
	leave(a, b, `[remote 70]`, `[remote 1]`)
	// The store lets go: the other peer still holds it.
	a.Write(`[message 2 "root" "leave" 1 [tuple ["unicode" "k"] [None]] [dictionary]]`)
	a.Want(`[answer 2 [None]]`)
	b.Write(`[message 2 1 "a" 1 [tuple] [dictionary]]`)
	a.Want(`[message 1 70 "a" 1 [tuple] [dictionary]]`)
	// It is sent once more, and given back as often as it was counted.
	a.Write(`[answer 1 [remote 70]]`)
	b.Want(`[answer 2 [remote 1]]`)
	a.Want(`[decref 70]`)
	b.Write(`[decref 1]`)
	b.WantIdle()
	require.Equal(t, 1, broker.StatsOf(s.rt).Relays)
	b.Write(`[decref 1]`)
	a.Want(`[decref 70]`)
	// The owner may read the decref before the figure is there.
	require.Eventually(t, func() bool { return broker.StatsOf(s.rt).Relays == 0 }, patience, tick)
	_ = root
}

// P-13.4: what happens when one of the two leaves.
func TestRelayedDisconnect(t *testing.T) {
	t.Run("of the user", func(t *testing.T) {
		s, root, a, b := twoPeers(t)
		leave(a, b, `[remote 70]`, `[remote 1]`)
		root.RemoteLeave("k", nil)
		a.WantIdle()
		b.Close()
		a.Want(`[decref 70]`)
		_ = s
	})
	t.Run("of the owner", func(t *testing.T) {
		_, _, a, b := twoPeers(t)
		leave(a, b, `[remote 70]`, `[remote 1]`)
		b.Write(`[message 2 1 "a" 1 [tuple] [dictionary]]`)
		a.Want(`[message 1 70 "a" 1 [tuple] [dictionary]]`)
		a.Close()
		wantError(t, b, 2, "twisted.spread.pb.PBConnectionLost")
		for i := 3; i < 5; i++ {
			b.Write(fmt.Sprintf(`[message %d 1 "a" 1 [tuple] [dictionary]]`, i))
			wantError(t, b, i, "twisted.spread.pb.DeadReferenceError")
		}
	})
}

// A connection without the option has no part in it.
func TestNotRelaying(t *testing.T) {
	root := &store{}
	s := newServer(t, root)
	a, b := s.peer(), s.peer()
	a.Write(`[message 1 "root" "keep" 1 [tuple [remote 70]] [dictionary]]`)
	a.Want(`[answer 1 [None]]`)
	b.Write(`[message 1 "root" "kept" 1 [tuple] [dictionary]]`)
	wantError(t, b, 1, "twisted.spread.jelly.InsecureJelly")
	// A value that is kept as it came is decoded before.
	leave(a, b, `[list 1 [reference 1 [list]] [dereference 1]]`, `[list 1 [reference 1 [list]] [dereference 1]]`)
	a.Write(`[message 2 "root" "leave" 1 [tuple ["unicode" "k"] ["pond.Duck" [dictionary]]] [dictionary]]`)
	wantError(t, a, 2, "twisted.spread.jelly.InsecureJelly")
}

// P-13.5: what must not be passed on is refused, and what it mentions is given back.
func TestRelayedRefusals(t *testing.T) {
	_, _, a, b := twoPeers(t)
	leave(a, b, `[remote 70]`, `[remote 1]`)
	for i, value := range []string{
		`["pond.Duck" 5]`, `["pond.Duck" 5 [dictionary]]`, `["pond.Duck" [list] 5]`, `["pond.Duck" "root"]`,
		`[list [dereference 1]]`, `[dictionary [[list] 1]]`, `["unknown"]`, `[list [local 99]]`,
	} {
		b.Write(fmt.Sprintf(`[message %d 1 "a" 1 [tuple [remote 8] `+value+`] [dictionary]]`, i+2))
		b.Want(`[decref 8]`)
		if value == `["pond.Duck" 5 [dictionary]]` {
			b.Want(`[decache 5]`)
		}
		wantAnyError(b, i+2)
	}
	a.WantIdle()
	// An answer that cannot be passed on is a failure.
	b.Write(`[message 20 1 "a" 1 [tuple] [dictionary]]`)
	a.Want(`[message 1 70 "a" 1 [tuple] [dictionary]]`)
	a.Write(`[answer 1 [list [remote 71] ["pond.Duck" 5]]]`)
	a.Want(`[decref 71]`)
	wantError(t, b, 20, "twisted.spread.jelly.InsecureJelly")
}

// P-13.6: cancelling, deadlines and metadata are passed on.
func TestRelayedExtended(t *testing.T) {
	root := &store{}
	s := newServer(t, root, broker.WithRelaying())
	a, b := s.connect(), s.connect()
	a.JoinAs(banana.ProfilePB1)
	b.JoinAs(banana.ProfilePB1)
	leave(a, b, `[remote 70]`, `[remote 1]`)
	b.Write(`[message 2 1 "a" 1 [tuple] [dictionary] [dictionary [["unicode" "user"] ["unicode" "ann"]]]]`)
	a.Want(`[message 1 70 "a" 1 [tuple] [dictionary] [dictionary [["unicode" "user"] ["unicode" "ann"]]]]`)
	b.Write(`["cancel" 2]`)
	a.Want(`["cancel" 1]`)
	wantError(t, b, 2, "perspectivebroker.Canceled")
	a.Write(`[answer 1 [remote 71]]`)
	a.Want(`[decref 71]`)
	b.Write(`[message 3 1 "a" 1 [tuple] [dictionary] [dictionary [["unicode" "timeout"] 60000]]]`)
	a.Want(`[message 3 70 "a" 1 [tuple] [dictionary] [dictionary [["unicode" "timeout"] _]]]`)
	a.Write(`[answer 3 ["array" "i2" "abcd"]]`)
	b.Want(`[answer 3 ["array" "i2" "abcd"]]`)

	// Promises: of a relayed object, and in the arguments of a call to one.
	b.Write(`[message 4 "root" "fetch" 2 [tuple ["unicode" "k"]] [dictionary]]`,
		`[message 5 ["promise" 4] "b" 1 [tuple 1] [dictionary]]`,
		`[message 6 1 "c" 1 [tuple ["promise" 4]] [dictionary]]`)
	b.Want(`[answer 4 [remote 1]]`)
	a.Want(`[message 5 70 "b" 1 [tuple 1] [dictionary]]`, `[message 7 70 "c" 1 [tuple [local 70]] [dictionary]]`)
	a.Write(`[answer 7 7]`)
	b.Want(`[answer 6 7]`)
	a.Write(`[answer 5 5]`)
	b.Want(`[answer 5 5]`)
}

// Peers of other dialects get what they understand.
func TestRelayedDialects(t *testing.T) {
	root := &store{}
	s := newServer(t, root, broker.WithRelaying())
	a, b := s.connect(), s.connect()
	a.JoinAs(banana.ProfilePB1)
	b.JoinAs(banana.ProfileNone)
	leave(a, b, `[list ["array" "i2" "\x01\x00\x02\x00"] "list" [remote 70]]`,
		`["list" ["list" 1 2] "list" ["remote" 1]]`)
	b.Write(`["message" 2 1 "a" 1 ["tuple" "tuple" ["dictionary" [1 ["local" 1]]]] ["dictionary"]]`)
	a.Want(`[message 1 70 "a" 1 [tuple "tuple" [dictionary [1 [local 70]]]] [dictionary]]`)
}

// A Relay gets calls as they came, and passes them on as it likes.
func TestRelay(t *testing.T) {
	root := &store{}
	s := newServer(t, root, broker.WithRelaying())
	a, b := s.peer(), s.peer()
	released := make(chan struct{})
	target, own := make(chan *flavors.RemoteReference, 1), &store{}
	relay := flavors.NewRelay(func(inv *flavors.Invocation) {
		switch inv.Method {
		case "refuse":
			inv.Answer(nil, errors.New("no"))
		case "panic":
			panic("oh")
		case "pair":
			inv.PassToObject(own)
		default:
			ref := <-target
			target <- ref
			inv.PassTo(ref)
		}
	})
	relay.OnReleased(func() { close(released) })
	_, err := flavors.Spawn(s.rt, own)
	require.NoError(t, err)
	root.RemoteKeep(relay)
	a.Write(`[message 1 "root" "leave" 1 [tuple ["unicode" "k"] [remote 70]] [dictionary]]`)
	a.Want(`[answer 1 [None]]`)
	a.Write(`[message 2 "root" "keep" 1 [tuple [remote 70]] [dictionary]]`)
	a.Want(`[answer 2 [None]]`)
	target <- root.RemoteKept().(*flavors.RemoteReference)
	root.RemoteKeep(relay)
	b.Write(`[message 1 "root" "kept" 1 [tuple] [dictionary]]`)
	b.Want(`[answer 1 [remote 1]]`)
	b.Write(`[message 2 1 "hello" 1 [tuple ["pond.Duck" [list]]] [dictionary]]`)
	a.Want(`[message 1 70 "hello" 1 [tuple ["pond.Duck" [list]]] [dictionary]]`)
	a.Write(`[answer 1 5]`)
	b.Want(`[answer 2 5]`)
	b.Write(`[message 3 1 "refuse" 1 [tuple] [dictionary]]`)
	wantAnyError(b, 3)
	b.Write(`[message 4 1 "panic" 1 [tuple] [dictionary]]`)
	wantError(t, b, 4, "builtins.RuntimeError")
	b.Write(`[message 5 1 "pair" 1 [tuple [list 1] ["pond.Duck" [list]]] [dictionary]]`)
	b.Want(`[answer 5 [list [list 1] ["pond.Duck" [list]]]]`)
	b.Write(`[message 6 1 "pair" 1 [tuple ["pond.Duck" [list]] 1] [dictionary]]`)
	wantError(t, b, 6, "twisted.spread.jelly.InsecureJelly")
	b.Write(`[decref 1]`)
	select {
	case <-released:
	case <-time.After(wire.Timeout):
		t.Fatal("not released")
	}
}

// A peer that does not read holds up calls to itself and nothing else, and they keep their order.
func TestRelayedBackpressure(t *testing.T) {
	root := &store{}
	s := newServer(t, root, broker.WithRelaying(), broker.WithLimits(broker.Limits{WriteHighWater: 4 << 10}))
	a, b, c := s.peer(), s.peer(), s.peer()
	leave(a, b, `[remote 70]`, `[remote 1]`)
	leave(c, b, `[remote 80]`, `[remote 5]`)
	const calls = 200
	long := strings.Repeat("x", 1<<10)
	for i := range calls {
		b.Write(fmt.Sprintf(`[message %d 1 "a" 1 [tuple %d "%s"] [dictionary]]`, 10+i, i, long))
	}
	// a has read nothing, yet b's call to c goes through.
	b.Write(`[message 5 5 "hello" 1 [tuple] [dictionary]]`)
	c.Want(`[message 1 80 "hello" 1 [tuple] [dictionary]]`)
	c.Write(`[answer 1 7]`)
	b.Want(`[answer 5 7]`)
	for i := range calls {
		a.Forget("id")
		a.Want(fmt.Sprintf(`[message $id 70 "a" 1 [tuple %d _] [dictionary]]`, i))
	}
	// A caller that leaves takes its waiting calls along.
	for i := range calls {
		b.Write(fmt.Sprintf(`[message %d 1 "a" 1 [tuple %d "%s"] [dictionary]]`, 1000+i, i, long))
	}
	b.Write(`[message 6 "root" "echo" 1 [tuple 1] [dictionary]]`)
	b.Want(`[answer 6 1]`)
	b.Close()
	require.Eventually(t, func() bool { return len(s.ln.Conns()) == 2 }, wire.Timeout, time.Millisecond)
	for n := 0; ; n++ {
		require.Less(t, n, calls)
		a.Forget("next")
		a.Want(`$next`)
		if banana.Format(a.Var("next")) == `[decref 70]` {
			break
		}
	}
}
