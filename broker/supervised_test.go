package broker_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// The ways in which code of the application's can fail to return.
var failings = map[string]func(){
	"panic":  func() { panic("secret") },
	"goexit": runtime.Goexit, // What t.FailNow does.
}

// eachFailing runs a test for each of them.
func eachFailing(t *testing.T, f func(t *testing.T, fail func())) {
	t.Helper()
	for name, fail := range failings {
		t.Run(name, func(t *testing.T) { f(t, fail) })
	}
}

// fragile is a root whose methods fail in the middle of every kind of the application's code.
type fragile struct {
	flavors.Root
	fail     func()
	kept     *flavors.Cached[brittle]
	original brokenOriginal
	n        int
}

func (f *fragile) RemoteCount() int { f.n++; return f.n }
func (f *fragile) RemoteFail()      { f.fail() }

// RemoteThen fails in a continuation.
func (f *fragile) RemoteThen(inv *flavors.Invocation) *actor.Deferred {
	return actor.Succeeded(1).Then(inv, func(any, error) (any, error) { f.fail(); return nil, nil })
}

// RemoteUnsendable fails when its result is encoded.
func (f *fragile) RemoteUnsendable() any { return &unsendable{fail: f.fail} }

func (f *fragile) RemoteOriginal() any { return &f.original }

func (f *fragile) RemoteKeep(c *flavors.Cached[brittle]) { f.kept = c }
func (f *fragile) RemoteTake(any)                        {}

type unsendable struct {
	flavors.Copyable
	fail func()
}

func (u *unsendable) StateToCopy() any { u.fail(); return nil }

// brokenOriginal fails when an observer is added, removed, or both.
type brokenOriginal struct {
	flavors.Cacheable
	come, leave func()
	left        chan struct{}
}

func (*brokenOriginal) TypeToCopy() string { return "test.Original" }

func (o *brokenOriginal) StateToCacheAndObserveFor(any, *flavors.Observer) any {
	if o.come != nil {
		o.come()
	}
	return 1
}

func (o *brokenOriginal) StoppedObserving(any, *flavors.Observer) {
	o.left <- struct{}{}
	if o.leave != nil {
		o.leave()
	}
}

// brittle is a copy whose updates fail.
type brittle struct {
	flavors.RemoteCache
	fail func()
	n    int
}

func (b *brittle) SetCopyableState(any) error { return nil }
func (b *brittle) ObserveFail()               { b.fail() }
func (b *brittle) ObserveCount() int          { b.n++; return b.n }

// wantAlive wants what the failure of one call leaves alone: the object, its connection, the other connections.
func wantAlive(t *testing.T, s *server, p *scripted, request int) {
	t.Helper()
	p.Write(fmt.Sprintf(`[message %d root count 1 [tuple] [dictionary]]`, request))
	p.Want(fmt.Sprintf(`[answer %d _]`, request))
	q := s.peer()
	q.Write(`[message 1 root count 1 [tuple] [dictionary]]`)
	q.Want(`[answer 1 _]`)
	q.Close()
}

func newFragile(t *testing.T, fail func(), opts ...broker.ListenOption) (*fragile, *server, *scripted) {
	t.Helper()
	root := &fragile{fail: fail}
	root.original.left = make(chan struct{}, 8)
	s := newServer(t, root, opts...)
	return root, s, &scripted{Peer: s.peer()}
}

func TestUserPanicFailsOneCall(t *testing.T) {
	for _, method := range []string{"fail", "then", "unsendable"} {
		t.Run(method, func(t *testing.T) {
			eachFailing(t, func(t *testing.T, fail func()) {
				_, s, p := newFragile(t, fail)
				first, second := fmt.Sprintf(
					`[message 1 root %s 1 [tuple] [dictionary]]`,
					method,
				), `[message 2 root count 1 [tuple] [dictionary]]`
				if method == "then" {
					// The continuation has a turn of its own, before or behind that of a second call.
					p.Write(first)
					require.NotContains(t, wantAnyError(p.Peer, 1), "secret")
					p.Write(second)
				} else {
					// The second call is queued behind the first when that fails.
					p.Write(first, second)
					require.NotContains(t, wantAnyError(p.Peer, 1), "secret")
				}
				p.Want(`[answer 2 1]`)
				wantAlive(t, s, p, 3)
			})
		})
	}
}

func TestOriginalFailsOnObserve(t *testing.T) {
	eachFailing(t, func(t *testing.T, fail func()) {
		root, s, p := newFragile(t, fail)
		root.original.come = fail
		p.Write(`[message 1 root original 1 [tuple] [dictionary]]`)
		wantAnyError(p.Peer, 1)
		wantAlive(t, s, p, 2)
		require.NoError(t, await(t, root.original.Do(func() { root.original.come = nil })))
		p.Write(`[message 3 root original 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 ["test.Original" 1 1]]`)
		require.Empty(t, root.original.left, "an observer without a state is not removed")
	})
}

func TestOriginalFailsOnStopObserving(t *testing.T) {
	eachFailing(t, func(t *testing.T, fail func()) {
		root, s, p := newFragile(t, fail)
		root.original.leave = fail
		p.Write(`[message 1 root original 1 [tuple] [dictionary]]`)
		p.Want(`[answer 1 ["test.Original" 1 1]]`)
		p.Write(`[decache 1]`)
		p.Want(`[uncache 1]`)
		<-root.original.left
		wantAlive(t, s, p, 2)
		require.NoError(t, await(t, root.original.Do(func() {
			require.Empty(t, root.original.left, "it is told once")
		})))
		require.Zero(t, root.original.Observers().Len())
	})
}

func TestAnUpdateThatFails(t *testing.T) {
	eachFailing(t, func(t *testing.T, fail func()) {
		r := jelly.NewRegistry()
		require.NoError(t, flavors.RegisterCacheFactory(r, "test.Brittle", func() *brittle { return &brittle{fail: fail} }))
		_, s, p := newFragile(t, fail, broker.WithRegistry(r))
		p.Write(`[message 1 root keep 1 [tuple ["test.Brittle" 7 [dictionary]]] [dictionary]]`)
		p.Want(`[answer 1 [None]]`)
		p.Write(`[cachemessage 2 7 fail 1 [tuple] [dictionary]]`, `[cachemessage 3 7 count 1 [tuple] [dictionary]]`)
		wantAnyError(p.Peer, 2)
		p.Want(`[answer 3 1]`)
		wantAlive(t, s, p, 4)
	})
}

// unmakeable is a copy that fails when it gets its state, or when all have theirs.
type unmakeable struct{ state, post func() }

func (u *unmakeable) SetCopyableState(any) error {
	if u.state != nil {
		u.state()
	}
	return nil
}

func (u *unmakeable) PostUnjelly() {
	if u.post != nil {
		u.post()
	}
}

func TestACopyThatCannotBeMade(t *testing.T) {
	for where, made := range map[string]func(fail func()) *unmakeable{
		"in its factory":          func(fail func()) *unmakeable { fail(); return nil },
		"when it gets its state":  func(fail func()) *unmakeable { return &unmakeable{state: fail} },
		"when all have their own": func(fail func()) *unmakeable { return &unmakeable{post: fail} },
	} {
		t.Run(where, func(t *testing.T) {
			eachFailing(t, func(t *testing.T, fail func()) {
				r := jelly.NewRegistry()
				require.NoError(t, flavors.RegisterCopyFactory(r, "test.Copy", func() *unmakeable { return made(fail) }))
				require.NoError(t, flavors.RegisterCache[pondCopy](r, "test.Pond"))
				_, s, p := newFragile(t, fail, broker.WithRegistry(r))
				bystander := s.peer()
				p.Write(
					`[message 1 root take 1 [tuple [list [remote 5] ["test.Pond" 7 [list]] ["test.Copy" [dictionary]]]] [dictionary]]`,
				)
				if t.Name()[len(t.Name())-5:] == "panic" {
					p.Ignore(`[decref 5]`)
					p.Ignore(`[decache 7]`)
					wantAnyError(p.Peer, 1)
					wantAlive(t, s, p, 2)
				} else {
					p.WantClosed() // It was the instantiator's goroutine. Only its own connection needs that.
				}
				bystander.Write(`[message 1 root count 1 [tuple] [dictionary]]`)
				bystander.Want(`[answer 1 _]`)
			})
		})
	}
}

func TestARootThatCannotBeMade(t *testing.T) {
	eachFailing(t, func(t *testing.T, fail func()) {
		failing := true
		s := newServer(t, broker.RootFactory(func(*broker.Conn) (any, error) {
			if failing {
				failing = false
				fail()
			}
			return &service{}, nil
		}))
		s.connect().WantClosed()
		p := s.peer()
		p.Write(`[message 1 root add 1 [tuple 1 2] [dictionary]]`)
		p.Want(`[answer 1 3]`)
	})
}

func TestConnectionWatcherPanics(t *testing.T) {
	conn, p := client(t)
	told := make(chan struct{}, 2)
	conn.Root().
		NotifyOnDisconnect(func(error) { defer func() { told <- struct{}{} }(); panic("nobody recovers this but us") })
	conn.Root().NotifyOnDisconnect(func(error) { told <- struct{}{} })
	p.Close()
	<-told
	<-told
}

func TestAPagerThatFails(t *testing.T) {
	eachFailing(t, func(t *testing.T, fail func()) {
		conn, p := client(t)
		collector := receive(t, conn, p, 7)
		pages := 0
		d := paging.Send(collector, pagerFunc(func() (any, error) {
			if pages++; pages == 2 {
				fail()
			}
			return "page", nil
		}))
		p.Want(`[message _ 7 gotPage 0 [tuple [unicode page]] [dictionary]]`, `[message _ 7 pagingFailed 0 _ _]`)
		require.Error(t, errorOf(d))
	})
}

type pagerFunc func() (any, error)

func (f pagerFunc) NextPage() (any, error) { return f() }

// TestLinkedActorCrashes: a restart keeps the handles that the actor is linked to; its end releases them, once.
func TestLinkedActorCrashes(t *testing.T) {
	conn, p := client(t)
	rt := conn.Runtime()
	ref := receive(t, conn, p, 7)
	started := make(chan struct{}, 16)
	parent := rt.Root().Spawn(rt.Props(func() protoactor.Actor { return &nurse{} }))
	var child *protoactor.PID
	inTurn(rt, parent, func(ctx protoactor.Context) {
		child = ctx.Spawn(rt.Props(func() protoactor.Actor { return &patient{ref, started} }))
	})
	<-started
	for range 3 {
		rt.Root().Send(child, "crash")
		<-started
		require.NoError(t, ref.Err())
	}
	d := ref.CallRemote("f")
	p.Want(`[message _ 7 f 1 [tuple] [dictionary]]`) // And no decref before it.
	require.NoError(t, rt.Root().StopFuture(child).Wait())
	p.Want(`[decref 7]`)
	require.ErrorIs(t, ref.Err(), flavors.ErrReleased)
	rt.Root().Stop(parent)
	p.Close()
	require.ErrorIs(t, errorOf(d), flavors.ConnectionLost)
}

// nurse runs what it is sent.
type nurse struct{}

func (*nurse) Receive(ctx protoactor.Context) {
	if f, ok := ctx.Message().(func(protoactor.Context)); ok {
		f(ctx)
	}
}

// patient links its reference in each incarnation.
type patient struct {
	ref     *flavors.RemoteReference
	started chan<- struct{}
}

func (p *patient) Receive(ctx protoactor.Context) {
	switch ctx.Message().(type) {
	case *protoactor.Started:
		flavors.Link(ctx, p.ref)
		p.started <- struct{}{}
	case string:
		panic("crash")
	}
}
