package flavors_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// lab publishes objects of every kind and gives tests access to them.
type lab struct {
	flavors.Root

	given     *subject // keeps its state over a panic
	resetting *resetting
	produced  *subject // made by a producer
	made      atomic.Int32
	forward   *flavors.Forwarder
}

func newLab() *lab {
	l := &lab{given: &subject{}, resetting: &resetting{}}
	l.produced = flavors.New(func() *subject { l.made.Add(1); return &subject{} })
	return l
}

func (l *lab) RemoteGet(kind string) (any, error) {
	switch kind {
	case "given":
		return l.given, nil
	case "resetting":
		return l.resetting, nil
	case "produced":
		return l.produced, nil
	case "forward":
		return l.forward, nil
	case "nil":
		return (*subject)(nil), nil
	}
	return nil, fmt.Errorf("no %s", kind)
}

// subject is an object that counts without a lock and can be broken.
type subject struct {
	flavors.Referenceable
	n     int
	later *actor.Deferred
}

func (s *subject) RemoteIncr() int { s.n++; return s.n }
func (s *subject) RemoteBoom()     { s.n += 100; panic("boom") }

// RemoteSelfPID returns the actor in whose turn it runs.
func (s *subject) RemoteActor(inv *flavors.Invocation) string { return inv.Self().Id }

// RemoteLater answers when the test completes s.later, in a turn of the object.
func (s *subject) RemoteLater(inv *flavors.Invocation) *actor.Deferred {
	return s.later.Then(inv, func(v any, err error) (any, error) {
		s.n += 1000
		return v, err
	})
}

// resetting is reset after a panic.
type resetting struct {
	flavors.Referenceable
	n int
}

func (r *resetting) RemoteIncr() int { r.n++; return r.n }
func (r *resetting) RemoteBoom()     { r.n += 100; panic("boom") }
func (r *resetting) Reset()          { r.n = -10 }

// get asks for an object and returns its luid.
func get(t *testing.T, p *wire.Peer, request int, kind string) int64 {
	t.Helper()
	p.Forget("luid")
	p.Write(fmt.Sprintf(`[message %d root get 1 [tuple [unicode %s]] [dictionary]]`, request, kind))
	p.Want(fmt.Sprintf(`[answer %d [remote $luid]]`, request))
	return p.Var("luid").(int64)
}

// ask calls a method without arguments and returns the answer.
func ask(t *testing.T, p *wire.Peer, request int, luid int64, method string) any {
	t.Helper()
	p.Forget("value")
	p.Write(fmt.Sprintf(`[message %d %d %s 1 [tuple] [dictionary]]`, request, luid, method))
	p.Want(fmt.Sprintf(`[answer %d $value]`, request))
	return p.Var("value")
}

func boom(t *testing.T, p *wire.Peer, request int, luid int64) {
	t.Helper()
	p.Write(fmt.Sprintf(`[message %d %d boom 1 [tuple] [dictionary]]`, request, luid))
	require.NotContains(t, wantError(t, p, request, "builtins.RuntimeError"), "boom")
}

// waitGone waits until an actor has ended.
func waitGone(t *testing.T, rt *actor.Runtime, id string) {
	t.Helper()
	gone := make(chan struct{})
	rt.WhenStopped(protoactor.NewPID(rt.System().Address(), id), func() { close(gone) })
	<-gone
}

func actorOf(t *testing.T, p *wire.Peer, request int, luid int64) string {
	t.Helper()
	return string(ask(t, p, request, luid, "actor").([]any)[1].([]byte))
}

func TestActorLivesWhileObjectIsHeld(t *testing.T) {
	s := newServer(t, newLab())
	p, q := s.Peer(), s.Peer()
	luid := get(t, p, 1, "given")
	first := actorOf(t, p, 2, luid)
	require.EqualValues(t, 1, ask(t, p, 3, luid, "incr"))

	// Another connection gets the same object, the same actor and luids of its own.
	other := get(t, q, 1, "given")
	require.Equal(t, first, actorOf(t, q, 2, other))
	require.EqualValues(t, 2, ask(t, q, 3, other, "incr"))

	// The first lets go, the second still holds it.
	p.Write(fmt.Sprintf(`[decref %d]`, luid))
	require.Equal(t, first, actorOf(t, q, 4, other))

	// With the last connection the actor ends. Sent again, the same struct has another one.
	q.Write(fmt.Sprintf(`[decref %d]`, other))
	waitGone(t, s.Runtime, first)
	luid = get(t, p, 4, "given")
	require.EqualValues(t, 3, ask(t, p, 5, luid, "incr"))
	second := actorOf(t, p, 6, luid)
	require.NotEqual(t, first, second)

	// A connection that ends lets go of everything.
	p.Close()
	waitGone(t, s.Runtime, second)
}

func TestCallsBeforeDecrefRun(t *testing.T) {
	l := newLab()
	p := newServer(t, l).Peer()
	luid := get(t, p, 1, "given")
	// A stock peer that calls and forgets the reference sends all this in one go.
	p.Write(
		fmt.Sprintf(`[message 2 %d incr 1 [tuple] [dictionary]]`, luid),
		fmt.Sprintf(`[message 3 %d incr 0 [tuple] [dictionary]]`, luid),
		fmt.Sprintf(`[message 4 %d incr 1 [tuple] [dictionary]]`, luid),
		fmt.Sprintf(`[decref %d]`, luid),
	)
	p.Want(`[answer 2 1]`, `[answer 4 3]`)
}

func TestReferenceSurvivesPanic(t *testing.T) {
	for _, test := range []struct {
		kind       string
		afterwards int
		why        string
	}{
		{"given", 102, "it keeps the state in which the panic left it"},
		{"resetting", -9, "it has a method Reset"},
		{"produced", 1, "it begins anew as a fresh instance"},
	} {
		t.Run(test.kind, func(t *testing.T) {
			p := newServer(t, newLab()).Peer()
			luid := get(t, p, 1, test.kind)
			require.EqualValues(t, 1, ask(t, p, 2, luid, "incr"))
			boom(t, p, 3, luid)
			require.EqualValues(t, test.afterwards, ask(t, p, 4, luid, "incr"), test.why)
			// A call that was queued behind the one that panics is not lost.
			p.Write(
				fmt.Sprintf(`[message 5 %d boom 0 [tuple] [dictionary]]`, luid),
				fmt.Sprintf(`[message 6 %d incr 1 [tuple] [dictionary]]`, luid),
			)
			p.Want(`[answer 6 _]`)
		})
	}
}

func TestPanicAnswerKeepsOrder(t *testing.T) {
	p := newServer(t, newLab()).Peer()
	luid := get(t, p, 1, "given")
	p.Write(
		fmt.Sprintf(`[message 2 %d boom 1 [tuple] [dictionary]]`, luid),
		fmt.Sprintf(`[message 3 %d incr 1 [tuple] [dictionary]]`, luid),
	)
	p.Want(`[error 2 _]`, `[answer 3 101]`)
}

func TestPanicsNeverStopObject(t *testing.T) {
	for _, test := range []struct {
		kind       string
		afterwards int
	}{{"given", 3001}, {"resetting", -9}, {"produced", 1}} {
		t.Run(test.kind, func(t *testing.T) {
			s := newServer(t, newLab())
			p, other := s.Peer(), s.Peer()
			luid, others := get(t, p, 1, test.kind), get(t, other, 1, test.kind)
			for i := range 30 {
				boom(t, p, 3+i, luid)
			}
			require.EqualValues(t, test.afterwards, ask(t, other, 2, others, "incr"))
			require.EqualValues(t, test.afterwards+1, ask(t, p, 40, luid, "incr"))
		})
	}
}

func TestSpawnedObjectOutlivesPeers(t *testing.T) {
	l := newLab()
	s := newServer(t, l)
	pid, err := flavors.Spawn(s.Runtime, l.given)
	require.NoError(t, err)
	again, err := flavors.Spawn(s.Runtime, l.given)
	require.NoError(t, err)
	require.Equal(t, pid.Id, again.Id)
	p := s.Peer()
	luid := get(t, p, 1, "given")
	require.Equal(t, pid.Id, actorOf(t, p, 2, luid))
	p.Close()
	// From here on no other holder can be taken for the last one below.
	require.Eventually(t, func() bool { return broker.StatsOf(s.Runtime).Conns.Open == 0 }, wire.Timeout, time.Millisecond)
	q := s.Peer()
	luid = get(t, q, 1, "given")
	require.Equal(t, pid.Id, actorOf(t, q, 2, luid))

	// The application stops it: calls are answered with an error, at once, and a Do fails.
	s.Runtime.Root().Stop(pid)
	waitGone(t, s.Runtime, pid.Id)
	q.Write(fmt.Sprintf(`[message 3 %d incr 1 [tuple] [dictionary]]`, luid))
	require.Contains(t, wantAnyError(q, 3), "the object has stopped")
	require.ErrorIs(t, errorOf(l.given.Do(func() {})), flavors.ErrObjectStopped)
	_, err = flavors.Spawn(s.Runtime, l.given)
	require.ErrorIs(t, err, flavors.ErrObjectStopped, "a peer still holds what has stopped")
	q.Write(fmt.Sprintf(`[decref %d]`, luid))
	luid = get(t, q, 4, "given")
	require.EqualValues(t, 1, ask(t, q, 5, luid, "incr"), "failing to spawn it must not keep it from beginning anew")
}

func TestThenRunsInObjectsTurn(t *testing.T) {
	l := newLab()
	l.given.later = actor.NewDeferred(nil)
	p := newServer(t, l).Peer()
	luid := get(t, p, 1, "given")
	p.Write(fmt.Sprintf(`[message 2 %d later 1 [tuple] [dictionary]]`, luid))
	require.EqualValues(t, 1, ask(t, p, 3, luid, "incr"), "a method that waits does not delay others")
	l.given.later.Complete("done", nil)
	p.Want(`[answer 2 [unicode done]]`)
	require.EqualValues(t, 1002, ask(t, p, 4, luid, "incr"))

	waiting := actor.NewDeferred(nil)
	_, err := result(t, l.given.Do(func() { l.given.later = waiting }))
	require.NoError(t, err)
	p.Write(fmt.Sprintf(`[message 5 %d later 1 [tuple] [dictionary]]`, luid))
	boom(t, p, 6, luid)
	waiting.Complete("too late", nil)
	require.Contains(t, wantAnyError(p, 5), "restarted")
	require.EqualValues(t, 1103, ask(t, p, 7, luid, "incr"), "the continuation did not run")
}

func TestCopiedStructIsRefused(t *testing.T) {
	rt := newRuntime(t)
	original := &subject{}
	_, err := flavors.Spawn(rt, original)
	require.NoError(t, err)
	copied := &subject{}
	reflect.ValueOf(copied).Elem().Set(reflect.ValueOf(original).Elem()) // In a way that vet does not see.
	_, err = flavors.Internal.Export(seam.Token{}).CoreOf(copied)
	require.ErrorContains(t, err, "is a copy of one that has been sent")
	var none *subject
	for _, bad := range []any{none, 7, struct{}{}} {
		_, err = flavors.Internal.Export(seam.Token{}).CoreOf(bad)
		require.Error(t, err)
		_, err = flavors.Spawn(rt, bad)
		require.Error(t, err)
	}
}

func TestNilObject(t *testing.T) {
	p := newServer(t, newLab()).Peer()
	p.Write(`[message 1 root get 1 [tuple [unicode nil]] [dictionary]]`)
	p.Want(`[answer 1 [None]]`)
}

func TestDo(t *testing.T) {
	t.Run("runs at once before the first send", func(t *testing.T) {
		s := &subject{}
		ran := false
		d := s.Do(func() { ran = true })
		require.True(t, ran)
		require.NoError(t, errorOf(d))
	})
	t.Run("excludes other Dos and methods", func(t *testing.T) {
		l := newLab()
		done := make(chan struct{})
		go func() { // Beside the first send.
			defer close(done)
			for range 1000 {
				_, _ = l.given.Do(func() { l.given.n++ }).Await(context.Background())
			}
		}()
		p := newServer(t, l).Peer()
		for i := range 20 {
			luid := get(t, p, 3*i+1, "given")
			ask(t, p, 3*i+2, luid, "incr")
			p.Write(fmt.Sprintf(`[decref %d]`, luid))
		}
		<-done
		var n int
		require.NoError(t, errorOf(l.given.Do(func() { n = l.given.n })))
		require.Equal(t, 1020, n)
	})
	t.Run("nested Do runs behind", func(t *testing.T) {
		s := &subject{}
		var order []string
		var inner *actor.Deferred
		s.Do(func() {
			inner = s.Do(func() { order = append(order, "inner") })
			order = append(order, "outer")
		})
		require.NoError(t, errorOf(inner))
		require.Equal(t, []string{"outer", "inner"}, order)
	})
	t.Run("panic fails the Do only", func(t *testing.T) {
		l := newLab()
		p := newServer(t, l).Peer()
		luid := get(t, p, 1, "given")
		var panicked *flavors.PanicError
		require.ErrorAs(t, errorOf(l.given.Do(func() { panic(errors.New("in a Do")) })), &panicked)
		require.EqualValues(t, 1, ask(t, p, 2, luid, "incr"))
	})
}
