package broker_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// sluice is a Cacheable whose state can be delayed.
type sluice struct {
	flavors.Cacheable
	gate    chan struct{} // if not nil, its state waits until this is closed
	asked   chan struct{}
	stopped atomic.Int64
	panics  bool
}

func (*sluice) TypeToCopy() string { return "test.Sluice" }

func (s *sluice) StateToCacheAndObserveFor(any, *flavors.Observer) any {
	if s.asked != nil {
		s.asked <- struct{}{}
	}
	if s.gate != nil {
		<-s.gate
	}
	return "open"
}

func (s *sluice) StoppedObserving(any, *flavors.Observer) {
	s.stopped.Add(1)
	if s.panics {
		panic("stopped observing")
	}
}

// locks serves Cacheables.
type locks struct {
	flavors.Root
	sluice, other sluice
	more          []*sluice
}

func newLocks(gated bool) *locks {
	l := &locks{}
	l.sluice.asked = make(chan struct{}, 16)
	if gated {
		l.sluice.gate = make(chan struct{})
	}
	return l
}

func (l *locks) RemoteGet() *sluice   { return &l.sluice }
func (l *locks) RemoteOther() *sluice { return &l.other }
func (l *locks) RemoteBoth() []any    { return []any{&l.other, &l.sluice} }
func (l *locks) RemotePing() string   { return "pong" }
func (l *locks) RemoteEcho(x any) any { return x }

func (l *locks) RemoteMore() *sluice {
	l.more = append(l.more, &sluice{})
	return l.more[len(l.more)-1]
}

func (s *sluice) tell(t *testing.T, word string) {
	t.Helper()
	require.NoError(t, await(t, flavors.Update(s, func(o flavors.Observers) { require.NoError(t, o.CallRemote(word)) })))
}

func TestStateTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		root := newLocks(true)
		p := newServer(t, root, broker.WithLimits(broker.Limits{StateTimeout: 3 * time.Second})).peer()
		start := time.Now()
		p.Write(`[message 1 root get 1 [tuple] [dictionary]]`, `[message 2 root ping 1 [tuple] [dictionary]]`)
		p.Want(`[answer 2 [unicode pong]]`) // It does not depend on the state.
		require.Zero(t, time.Since(start))
		require.Contains(t, wantAnyError(p, 1), "in time")
		require.Equal(t, 3*time.Second, time.Since(start))
		close(root.sluice.gate)
		synctest.Wait()
		require.EqualValues(t, 1, root.sluice.stopped.Load(), "a late state is not observed")
		p.Write(`[message 3 root get 1 [tuple] [dictionary]]`)
		p.Want(`[answer 3 ["test.Sluice" _ [unicode open]]]`)
	})
}

func TestPeerLeavesDuringState(t *testing.T) {
	root := newLocks(true)
	p := newServer(t, root).peer()
	p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	<-root.sluice.asked
	p.Close()
	close(root.sluice.gate)
	require.Eventually(t, func() bool { return root.sluice.stopped.Load() == 1 }, wire.Timeout, time.Millisecond)
	n := -1
	require.NoError(t, await(t, flavors.Update(&root.sluice, func(o flavors.Observers) { n = o.Len() })))
	require.Zero(t, n)
}

func TestPeerLeavesDuringSend(t *testing.T) {
	root := &ponds{}
	root.pond.ducks = make([]string, 1000)
	s := newServer(t, root)
	sock := s.dial()
	p := wire.New(t, sock)
	p.Join()
	p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	_, err := sock.Read(make([]byte, 10)) // The state is on its way, and will not arrive.
	require.NoError(t, err)
	p.Close()
	require.Eventually(t, func() bool { return root.pond.stopped.Load() == 1 }, wire.Timeout, time.Millisecond)
	q := s.peer()
	q.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	q.Want(`[answer 1 ["test.Pond" 1 _]]`)
	require.EqualValues(t, 1, root.pond.stopped.Load())
}

// TestDecacheWhileStatePending has the peer release a Cacheable that a held message mentions as [cached …].
func TestDecacheWhileStatePending(t *testing.T) {
	root := newLocks(true)
	p := newServer(t, root).peer()
	p.Write(`[message 1 root other 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 ["test.Sluice" 1 [unicode open]]]`)
	p.Write(`[message 2 root both 1 [tuple] [dictionary]]`)
	<-root.sluice.asked
	p.Write(`[decache 1]`)
	require.Eventually(t, func() bool { return root.other.stopped.Load() == 1 }, wire.Timeout, time.Millisecond)
	p.Want(`[uncache 1]`)
	close(root.sluice.gate)
	p.Want(`[answer 2 [list ["test.Sluice" 2 [unicode open]] ["test.Sluice" 3 [unicode open]]]]`)
	root.other.tell(t, "ripple")
	p.Want(`[cachemessage _ 2 ripple 0 [tuple] [dictionary]]`)
}

func TestPanicInStoppedObserving(t *testing.T) {
	root := newLocks(false)
	root.sluice.panics = true
	s := newServer(t, root)
	p, q := s.peer(), s.peer()
	for _, peer := range []*wire.Peer{p, q} {
		peer.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
		peer.Want(`[answer 1 ["test.Sluice" 1 [unicode open]]]`)
	}
	p.Write(`[decache 1]`)
	p.Want(`[uncache 1]`)
	require.EqualValues(t, 1, root.sluice.stopped.Load())
	root.sluice.tell(t, "ripple")
	q.Want(`[cachemessage _ 1 ripple 0 [tuple] [dictionary]]`)
	p.Write(`[message 2 root get 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 ["test.Sluice" 2 [unicode open]]]`)
	p.Close()
	require.Eventually(t, func() bool { return root.sluice.stopped.Load() == 2 }, wire.Timeout, time.Millisecond)
	root.sluice.tell(t, "ripple")
	q.Want(`[cachemessage _ 1 ripple 0 [tuple] [dictionary]]`)
}

func TestCacheableSurvivesFailures(t *testing.T) {
	root, s := newPondServer(t)
	p := s.peer()
	p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 ["test.Pond" 1 _]]`)
	q := s.peer()
	root.pond.broken.Store(true)
	for i := range 30 {
		q.Write(fmt.Sprintf(`[message %d root get 1 [tuple] [dictionary]]`, i+2))
		wantAnyError(q, i+2)
	}
	root.pond.broken.Store(false)
	require.NoError(t, await(t, root.pond.add("two")))
	p.Want(`[cachemessage _ 1 add 0 _ _]`)
	q.Write(`[message 40 root get 1 [tuple] [dictionary]]`)
	q.Want(`[answer 40 ["test.Pond" _ _]]`)
}

// TestCacheableReturnsAfterDecache is what a stock peer does when a method returns an argument that it does not keep
// (P-7.5).
func TestCacheableReturnsAfterDecache(t *testing.T) {
	conn, p := client(t)
	mine := &sluice{}
	d := conn.Root().CallRemote("echo", mine)
	p.Want(`[message 1 root echo 1 [tuple ["test.Sluice" $luid _]] [dictionary]]`)
	p.Write(`[decache $luid]`)
	p.Want(`[uncache $luid]`)
	p.Write(`[answer 1 [lcache $luid]]`)
	v, err := result(t, d)
	require.NoError(t, err)
	require.Same(t, mine, v)
	d = conn.Root().CallRemote("echo", mine)
	p.Want(`[message 2 root echo 1 [tuple ["test.Sluice" $again _]] [dictionary]]`)
	require.NotEqual(t, p.Var("luid"), p.Var("again"))
	p.Write(`[answer 2 [lcache $luid]]`) // Nothing is pending any more.
	_, err = result(t, d)
	require.Error(t, err)
}

func TestCacheMentionsItself(t *testing.T) {
	r := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[ringCopy](r, "test.Ring"))
	rings := &ringKeeper{}
	p := newServer(t, rings, broker.WithRegistry(r)).peer()
	p.Write(`[message 1 root take 1 [tuple ["test.Ring" 3 [list [cached 3] [cached 3]]]] [dictionary]]`)
	p.Want(`[answer 1 [None]]`)
	require.NoError(t, rings.ring.View(func(c *ringCopy) {
		require.Len(t, c.held, 2)
		require.Same(t, rings.ring, c.held[0])
		require.Same(t, rings.ring, c.held[1])
	}))
}

type ringCopy struct {
	flavors.RemoteCache
	held []any
}

func (r *ringCopy) SetCopyableState(state any) error { return jelly.Assign(&r.held, state) }

type ringKeeper struct {
	flavors.Root
	ring *flavors.Cached[ringCopy]
}

func (k *ringKeeper) RemoteTake(r *flavors.Cached[ringCopy]) { k.ring = r }

// TestOneIDForTwoCacheables has a peer use an id twice: the first cache becomes stale, and nothing else happens.
func TestOneIDForTwoCacheables(t *testing.T) {
	root, p := newPonds(t)
	p.Write(`[message 1 root take 1 [tuple ["test.Pond" 9 [list [unicode a]]]] [dictionary]]`)
	p.Want(`[answer 1 [None]]`)
	first := root.copy
	p.Write(`[message 2 root take 1 [tuple ["test.Pond" 9 [list [unicode b]]]] [dictionary]]`)
	p.Want(`[answer 2 [None]]`)
	require.NotSame(t, first, root.copy)
	_, stale := first.Stale()
	require.True(t, stale)
	_, stale = root.copy.Stale()
	require.False(t, stale)
	p.Write(`[uncache 9]`, `[message 3 root ducks 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 [list [unicode b]]]`)
	_, stale = root.copy.Stale()
	require.True(t, stale, "after the peer's uncache")
}

// TestHeldMessagesCount checks that calls behind a message that waits for a state count as waiting to be written.
func TestHeldMessagesCount(t *testing.T) {
	conn, p := client(t, broker.WithLimits(broker.Limits{WriteHighWater: 4 << 10}))
	mine := newLocks(true)
	first := conn.Root().CallRemote("take", &mine.sluice)
	<-mine.sluice.asked
	second := conn.Root().CallRemote("note", make([]byte, 5000))
	var third *actor.Deferred
	require.Eventually(t, func() bool {
		third = conn.Root().CallRemote("note", "more")
		_, err, over := third.Result()
		return over && errors.Is(err, broker.ErrBackedUp)
	}, wire.Timeout, time.Millisecond)
	close(mine.sluice.gate)
	p.Ignore(`[message _ root note 1 [tuple [unicode more]] _]`) // Those that were made before the others had arrived.
	p.Want(
		`[message 1 root take 1 [tuple ["test.Sluice" 1 [unicode open]]] [dictionary]]`,
		`[message 2 root note 1 [tuple _] _]`,
	)
	p.Write(`[answer 1 1]`, `[answer 2 2]`)
	for i, d := range []*actor.Deferred{first, second} {
		v, err := result(t, d)
		require.NoError(t, err)
		require.EqualValues(t, i+1, v)
	}
	require.Eventually(t, func() bool {
		_, err, over := conn.Root().CallRemote("note", "more").Result()
		return !over && err == nil
	}, wire.Timeout, time.Millisecond, "what has been sent does not count")
}

// slowCopy takes its state when gate is closed.
type slowCopy struct {
	flavors.RemoteCache
	gate, asked chan struct{}
}

func (s *slowCopy) SetCopyableState(any) error {
	s.asked <- struct{}{}
	<-s.gate
	return nil
}

// TestPeerLeavesDuringInstantiation checks that a cache which is never delivered is collected.
func TestPeerLeavesDuringInstantiation(t *testing.T) {
	gate, asked, collected := make(chan struct{}), make(chan struct{}), make(chan struct{})
	r := jelly.NewRegistry()
	first := true
	require.NoError(t, flavors.RegisterCacheFactory(r, "test.Slow", func() *slowCopy {
		c := &slowCopy{gate: gate, asked: asked}
		if !first { // Registration makes the first one.
			runtime.AddCleanup(c, func(c chan struct{}) { close(c) }, collected)
		}
		first = false
		return c
	}))
	p := newServer(t, &service{}, broker.WithRegistry(r)).peer()
	p.Write(`[message 1 root echo 1 [tuple ["test.Slow" 9 [list]]] [dictionary]]`)
	<-asked
	p.Close()
	close(gate)
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-collected:
			return true
		default:
			return false
		}
	}, wire.Timeout, time.Millisecond)
}
