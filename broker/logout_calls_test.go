package broker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// shop is a realm whose users work at objects of their own and at ones that they share.
type shop struct {
	bench  bench // shared, and knows who calls
	yard   yard  // shared, and does not
	gates  chan struct{}
	events events
}

// events is what has happened, in order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string{}, e.list...)
}

// worker is the avatar.
type worker struct {
	flavors.Avatar
	name string
	shop *shop
}

type bench struct {
	flavors.Viewable
	shop *shop
}

type yard struct {
	flavors.Root
	shop *shop
}

// work is what all methods do: a call whose number is negative waits for a gate.
func (s *shop) work(inv *flavors.Invocation, who string, n int) {
	s.events.add("%s begins %d", who, n)
	if n < 0 {
		<-s.gates
	}
	if inv.Context().Err() != nil {
		s.events.add("%s sees the end in %d", who, n)
	}
	s.events.add("%s ends %d", who, n)
}

func (w *worker) PerspectiveWork(inv *flavors.Invocation, n int)      { w.shop.work(inv, w.name, n) }
func (w *worker) PerspectiveBench() *bench                            { return &w.shop.bench }
func (w *worker) PerspectiveYard() *yard                              { return &w.shop.yard }
func (b *bench) ViewWork(inv *flavors.Invocation, who *worker, n int) { b.shop.work(inv, who.name, n) }
func (y *yard) RemoteWork(inv *flavors.Invocation, n int)             { y.shop.work(inv, "somebody", n) }
func (s *shop) open()                                                 { s.gates <- struct{}{} }

func (s *shop) leave(
	w *worker,
) func() {
	return func() { s.events.add("%s is out", w.name) }
}
func (s *shop) avatar(id cred.AvatarID) *worker { return &worker{name: id.String(), shop: s} }
func (s *shop) RequestAvatar(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*worker, func(), error) {
	w := s.avatar(id)
	return w, s.leave(w), nil
}

func newShop(t *testing.T, opts ...broker.ListenOption) (*shop, *server) {
	t.Helper()
	s := &shop{gates: make(chan struct{}, 100)}
	s.bench.shop, s.yard.shop = s, s
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame"), "bob": cred.MD5("bread")})
	require.NoError(t, err)
	portal, err := cred.NewPortal(s, users, cred.AllowAnonymous())
	require.NoError(t, err)
	return s, newServer(t, broker.LoginRoot(portal, unhurried()), append(opts, broker.WithPublished("yard", &s.yard))...)
}

func call(request int, target string, n int) string {
	return fmt.Sprintf(`[message %d %s work 1 [tuple %d] [dictionary]]`, request, target, n)
}

// enterShop logs in and gets the bench.
func enterShop(p *wire.Peer, user, password string) {
	enter(p, 1, user, password)
	p.Write(`[message 3 $avatar bench 1 [tuple] [dictionary]]`)
	p.Forget("bench")
	p.Want(`[answer 3 [remote $bench]]`)
}

// pause is longer than the time in which calls may still begin after a release or the end of the connection.
const pause = time.Second

// TestReleaseDropsWaitingCalls: when an avatar is released, calls that wait for it and for what it was given are
// answered with an error, each once, the method that runs sees its context end, and the logout comes behind it. Others
// are not concerned.
func TestReleaseDropsWaitingCalls(t *testing.T) {
	for _, target := range []string{"avatar", "bench"} {
		t.Run(target, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, server := newShop(t)
				p := server.peer()
				enterShop(p, "alice", "sesame")
				p.Write(call(10, "$"+target, -1))
				synctest.Wait()
				for i := range 50 {
					p.Write(call(11+i, "$"+target, i))
				}
				p.Write(`[decref $avatar]`)
				for i := range 50 {
					wantError(t, p, 11+i, "perspectivebroker.LoggedOut")
				}
				synctest.Wait()
				require.Equal(t, []string{"alice begins -1"}, s.events.all(), "the logout waits")
				s.open()
				p.Want(`[answer 10 [None]]`)
				synctest.Wait()
				require.Equal(
					t,
					[]string{"alice begins -1", "alice sees the end in -1", "alice ends -1", "alice is out"},
					s.events.all(),
				)

				// The view is of no use any more, and the connection is.
				p.Write(call(70, "$bench", 1))
				wantError(t, p, 70, "perspectivebroker.LoggedOut")
				require.EqualValues(t, 1, broker.StatsOf(server.rt).Refusals["logged out"])
				p.Write(call(71, "yard", 1))
				p.Want(`[answer 71 [None]]`)
				enterShop(p, "bob", "bread")
				p.Write(call(72, "$bench", 1))
				p.Want(`[answer 72 [None]]`)
				require.Zero(t, broker.StatsOf(server.rt).CallsIn.Pending)
			})
		})
	}
}

// TestReleaseConcernsOneUser: of two users on one connection, and others on another, one logs out.
func TestReleaseConcernsOneUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := newShop(t)
		p, other := server.peer(), server.peer()
		enterShop(p, "alice", "sesame")
		alice, aliceBench := banana.Format(p.Var("avatar")), banana.Format(p.Var("bench"))
		p.Forget("avatar")
		enterShop(p, "bob", "bread")
		enterShop(other, "bob", "bread")
		p.Write(call(10, aliceBench, -1))
		synctest.Wait()
		p.Write(call(11, aliceBench, 1), call(12, "$bench", 2), call(13, aliceBench, 3), call(14, "$bench", 4))
		other.Write(call(10, "$bench", 5))
		p.Write(`[decref ` + alice + `]`)
		wantError(t, p, 11, "perspectivebroker.LoggedOut")
		wantError(t, p, 13, "perspectivebroker.LoggedOut")
		s.open()
		p.Want(`[answer 10 [None]]`, `[answer 12 [None]]`, `[answer 14 [None]]`)
		other.Want(`[answer 10 [None]]`)
		synctest.Wait()
		require.NotContains(t, s.events.all(), "bob is out")
		require.Contains(t, s.events.all(), "alice is out")
	})
}

// TestCallsRightBeforeRelease: a stock client releases an avatar that it does not keep right after its last calls.
func TestCallsRightBeforeRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := newShop(t)
		p := server.peer()
		enterShop(p, "alice", "sesame")
		p.Write(call(10, "$avatar", 1), call(11, "$avatar", 2), call(12, "$bench", 3), `[decref $avatar]`)
		p.Want(`[answer _ [None]]`, `[answer _ [None]]`, `[answer _ [None]]`)
		synctest.Wait()
		time.Sleep(pause)
		synctest.Wait()
		list := s.events.all()
		require.Len(t, list, 7)
		require.Equal(t, "alice is out", list[6])
	})
}

// TestConnectionEndDropsWaitingCalls: calls that wait for shared and for other objects go with their connection,
// whatever the objects do at that moment. Those of others stay.
func TestConnectionEndDropsWaitingCalls(t *testing.T) {
	for _, target := range []string{"avatar", "bench", "yard"} {
		t.Run(target, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, server := newShop(t)
				p, bystander := server.peer(), server.peer()
				enterShop(p, "alice", "sesame")
				name := "$" + target
				if target == "yard" {
					name = "yard"
				}
				p.Write(call(10, name, -1))
				synctest.Wait()
				for i := range 500 {
					p.Write(call(11+i, name, i))
				}
				bystander.Write(call(1, "yard", 1000))
				synctest.Wait()
				require.GreaterOrEqual(t, broker.StatsOf(server.rt).CallsIn.Pending, 501)
				p.Close()
				time.Sleep(pause)
				synctest.Wait()
				stats := broker.StatsOf(server.rt)
				require.LessOrEqual(t, stats.CallsIn.Pending, 1, "while the method still runs")
				require.LessOrEqual(t, stats.BytesUnanswered, 100)
				s.open()
				bystander.Want(`[answer 1 [None]]`)
				synctest.Wait()
				var ran []string
				for _, e := range s.events.all() {
					if e != "somebody begins 1000" && e != "somebody ends 1000" {
						ran = append(ran, e)
					}
				}
				who := map[string]string{"avatar": "alice", "bench": "alice", "yard": "somebody"}[target]
				want := []string{who + " begins -1", who + " sees the end in -1", who + " ends -1"}
				if target == "yard" {
					require.Contains(t, ran, "alice is out")
					ran = without(ran, "alice is out")
				} else {
					want = append(want, "alice is out")
				}
				require.Equal(t, want, ran)
			})
		})
	}
}

func without(list []string, what string) (rest []string) {
	for _, s := range list {
		if s != what {
			rest = append(rest, s)
		}
	}
	return rest
}

// TestLastCallsBeforeHangup: what a peer has sent right before it closes the connection in good order is carried out.
func TestLastCallsBeforeHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := newShop(t)
		p := server.peer()
		enterShop(p, "alice", "sesame")
		p.Write(call(10, "$avatar", 1), call(11, "$bench", 2), call(12, "yard", 3), call(13, "yard", 4))
		p.Close()
		time.Sleep(pause)
		synctest.Wait()
		list := s.events.all()
		require.Len(t, list, 9)
		require.Equal(t, "alice is out", list[8])
	})
}

// TestParkedCallsEnd: calls that are parked, because their peer does not read, are dropped with their user and with
// their connection.
func TestParkedCallsEnd(t *testing.T) {
	for _, how := range []string{"release", "hangup"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, server := newShop(t, broker.WithLimits(broker.Limits{MaxWriteBacklog: 1}))
				p := server.peer()
				enterShop(p, "alice", "sesame")
				const calls = 30
				for i := range calls {
					p.Write(call(10+i, "$avatar", i))
				}
				synctest.Wait()
				before := len(s.events.all())
				require.Less(t, before, 2*calls, "some are parked")
				if how == "release" {
					p.Write(`[decref $avatar]`)
				} else {
					p.Close()
				}
				time.Sleep(pause)
				synctest.Wait()
				list := s.events.all()
				require.Equal(t, "alice is out", list[len(list)-1])
				if how == "release" {
					for range calls {
						p.Want(`[_ _ _]`)
					}
				}
				synctest.Wait()
				require.Equal(t, list, s.events.all(), "nothing runs behind the logout")
				require.Zero(t, broker.StatsOf(server.rt).CallsIn.Pending)
			})
		})
	}
}

// TestLogoutIsNotLost: a method that never returns holds up its user's logout for a minute, and no longer.
func TestLogoutIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := newShop(t)
		p := server.peer()
		enterShop(p, "alice", "sesame")
		p.Write(call(10, "$avatar", -1), call(11, "$avatar", 1))
		synctest.Wait()
		p.Close()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"alice begins -1"}, s.events.all())
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"alice begins -1", "alice is out"}, s.events.all())
		s.open()
		synctest.Wait()
		require.Len(t, s.events.all(), 4, "once, and the call behind it does not run")
	})
}

// TestCallsOfEndedConnections: calls of connections that have ended leave nothing behind for an object that is
// busy.
func TestCallsOfEndedConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, server := newShop(t)
		holder := server.peer()
		holder.Write(call(1, "yard", -1))
		synctest.Wait()
		for round := range 10 {
			p := server.peer()
			for i := range 200 {
				p.Write(call(i+1, "yard", round))
			}
			p.Close()
			time.Sleep(pause)
		}
		synctest.Wait()
		require.Equal(t, 1, broker.StatsOf(server.rt).CallsIn.Pending)
		holder.Write(call(2, "yard", 7))
		s.open()
		holder.Want(`[answer 1 [None]]`, `[answer 2 [None]]`)
		require.Equal(
			t,
			[]string{"somebody begins -1", "somebody ends -1", "somebody begins 7", "somebody ends 7"},
			s.events.all(),
		)
	})
}

// TestAttachedPerspectivesEnd: perspectives of an identity are users of their own, and its logout comes behind theirs.
func TestAttachedPerspectivesEnd(t *testing.T) {
	for _, how := range []string{"release", "hangup"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &shop{gates: make(chan struct{}, 10)}
				s.bench.shop = s
				identities := cred.NewIdentities[*flavors.RemoteReference, *worker]()
				require.NoError(t, identities.AddService("shop", cred.ServiceFunc[*flavors.RemoteReference, *worker](
					func(_ context.Context, name string, _ cred.AvatarID, _ *flavors.RemoteReference) (*worker, func(), error) {
						w := &worker{name: name, shop: s}
						return w, s.leave(w), nil
					})))
				require.NoError(t, identities.Grant(cred.ID("alice"),
					cred.Key{Service: "shop", Perspective: "smith"}, cred.Key{Service: "shop", Perspective: "clerk"}))
				users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
				require.NoError(t, err)
				portal, err := cred.NewPortal(identities, users)
				require.NoError(t, err)
				p := newServer(t, broker.IdentityRoot(portal, unhurried())).peer()
				enter(p, 1, "alice", "sesame")
				p.Write(`[message 3 $avatar attach 1 [tuple shop smith] [dictionary]]`)
				p.Want(`[answer 3 [remote $smith]]`)
				p.Write(`[message 4 $avatar attach 1 [tuple shop clerk] [dictionary]]`)
				p.Want(`[answer 4 [remote _]]`)
				p.Write(call(10, "$smith", -1), call(11, "$smith", 1))
				if how == "release" {
					p.Write(`[decref $smith]`)
				}
				synctest.Wait()
				if how == "hangup" {
					p.Close()
				} else {
					wantError(t, p, 11, "perspectivebroker.LoggedOut")
				}
				time.Sleep(pause)
				synctest.Wait()
				require.NotContains(t, s.events.all(), "smith is out")
				require.Equal(t, how == "hangup", contains(s.events.all(), "clerk is out"))
				s.open()
				synctest.Wait()
				require.Contains(t, s.events.all(), "smith is out")
				require.Equal(t, "smith ends -1", s.events.all()[len(s.events.all())-2])
			})
		})
	}
}

func contains(list []string, what string) bool { return len(without(list, what)) < len(list) }

// slowActor is an actor of the application's own, to which calls are forwarded.
type slowActor struct {
	gate chan struct{}
	got  *atomic.Int64
}

// TestForwardedCallsEnd: calls that wait for an actor they were forwarded to are dropped too.
func TestForwardedCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slowActor{gate: make(chan struct{}), got: new(atomic.Int64)}
		rt := newRuntime(t)
		pid := rt.Root().Spawn(rt.Props(w.actor))
		root := flavors.Forward(rt, pid)
		pipe := newPipeListener()
		_, err := broker.ListenOn(rt, pipe, root)
		require.NoError(t, err)
		server := &server{t: t, rt: rt, pipe: pipe}
		p, bystander := server.peer(), server.peer()
		for i := range 20 {
			p.Write(call(i+1, "root", i))
		}
		synctest.Wait()
		bystander.Write(call(1, "root", 99))
		synctest.Wait()
		p.Close()
		time.Sleep(pause)
		synctest.Wait()
		close(w.gate)
		bystander.Want(`[answer 1 99]`)
		require.EqualValues(t, 2, w.got.Load())
		rt.Root().Stop(pid)
	})
}

func (w *slowActor) actor() protoactor.Actor { return protoactor.ReceiveFunc(w.receive) }

func (w *slowActor) receive(ctx protoactor.Context) {
	if inv, ok := ctx.Message().(*flavors.Invocation); ok {
		w.got.Add(1)
		<-w.gate
		inv.Answer(inv.Args[0], nil)
	}
}
