package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mint returns a new object or Cacheable for each call, and takes others without keeping them.
type mint struct{ flavors.Root }

func (*mint) RemoteRef() *two                              { return &two{} }
func (*mint) RemoteCache() *pond                           { return &pond{} }
func (*mint) RemoteTake(any) int                           { return 1 }
func (*mint) RemoteTyped(r *flavors.RemoteReference) int   { return 1 }
func (*mint) RemoteNotify(r *flavors.RemoteReference)      { r.NotifyOnDisconnect(func(error) {}) }
func (*mint) RemoteNothing() *actor.Deferred               { return nil }
func (*mint) RemoteUse(r *flavors.RemoteReference) any     { return r.CallRemote("three", 1) }
func (*mint) RemoteBack(r any) any                         { return r }
func (*mint) RemoteInside(r map[string]any) (int, error)   { return len(r), nil }
func (*mint) RemoteCached(c *flavors.Cached[pondCopy]) int { return 1 }
func (*mint) RemoteView(c *flavors.Cached[pondCopy]) (n int) {
	_ = c.View(func(p *pondCopy) { n = len(p.ducks) })
	return n
}
func (*mint) RemoteLate(inv *flavors.Invocation, r any) any {
	d := actor.NewDeferred(inv.Conn().Runtime())
	go d.Complete(1, nil)
	return d
}

// withoutCollector has the garbage collector run only on request.
func withoutCollector(t *testing.T) {
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
}

// TestFreshHandles makes more calls that bring a reference or cache each than a stock peer may hand out. They are not
// kept and not released, and the garbage collector runs only on request.
func TestFreshHandles(t *testing.T) {
	withoutCollector(t)
	const calls, stockLimit = 1100, 1024
	ref, cache := func() any { return &two{} }, func() any { return &pond{} }
	for name, call := range map[string]struct {
		method string
		arg    func() any
	}{
		"result":                {"ref", nil},
		"result, cache":         {"cache", nil},
		"argument":              {"take", ref},
		"argument, cache":       {"take", cache},
		"typed argument":        {"typed", ref},
		"typed argument, cache": {"cached", cache},
		"wrong type":            {"cached", ref},
		"too many arguments":    {"nothing", ref},
		"no such method":        {"absent", ref},
		"called":                {"use", ref},
		"viewed":                {"view", cache},
		"returned":              {"back", ref},
		"returned, cache":       {"back", cache},
		"nested":                {"inside", func() any { return map[string]any{"x": &two{}} }},
		"late answer":           {"late", ref},
		"notified":              {"notify", ref},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := newRuntime(t), newServer(t, &mint{}, pondRegistry(t))
			conn, err := broker.NewClientConn(t.Context(), here, there.dial(), pondRegistry(t))
			require.NoError(t, err)
			server := only(t, there)
			most := 0
			for i := range calls {
				var args []any
				if call.arg != nil {
					args = append(args, call.arg())
				}
				_, err := flavors.Call[any](t.Context(), conn.Root(), call.method, args...)
				if err != nil {
					require.NotContains(t, err.Error(), "Limits.", "call %d", i)
				}
				for _, s := range []broker.Stats{conn.Stats(), server.Stats()} {
					most = max(most, s.Exports, s.Caches)
				}
			}
			assert.Less(t, most, 3*stockLimit/4)
		})
	}
}

// TestFreshHandlesOfManyCallers checks that answers that bring references wait for the collector.
func TestFreshHandlesOfManyCallers(t *testing.T) {
	withoutCollector(t)
	s := newServer(t, &mint{})
	conn, err := broker.NewClientConn(t.Context(), newRuntime(t), s.dial())
	require.NoError(t, err)
	const callers, calls = 30, 50
	errs := make(chan error, callers)
	for range callers {
		go func() {
			for range calls {
				if _, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "ref"); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range callers {
		require.NoError(t, <-errs)
	}
}

// TestPipelinedReferences has a peer that does not wait for answers, but for decrefs when its table is full.
func TestPipelinedReferences(t *testing.T) {
	withoutCollector(t)
	p := newServer(t, &mint{}).peer()
	const most, calls = 900, 1500
	counts, counted := map[int64]bool{}, 0
	answered := 0
	for sent := 0; answered < calls; {
		for ; sent < calls && counted < most && sent-answered < 20; sent++ {
			p.Write(fmt.Sprintf(`[message %d root take 1 [tuple [remote %d]] [dictionary]]`, sent+1, sent+1))
			counts[int64(sent+1)] = true
			counted++
		}
		p.Forget("frame")
		p.Want(`$frame`)
		switch frame := p.Var("frame").([]any); string(frame[0].([]byte)) {
		case "answer":
			answered++
		case "decref":
			require.True(t, counts[frame[1].(int64)])
			delete(counts, frame[1].(int64))
			counted--
		default:
			t.Fatalf("unexpected: %v", frame)
		}
	}
}

// TestFreeClass has a peer that hands out any number of objects of a class.
func TestFreeClass(t *testing.T) {
	withoutCollector(t)
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterReference(registry, "pond.Egg"))
	s := newServer(t, &mint{}, broker.WithRegistry(registry), broker.WithFreeClass("pond.Egg"))
	p := s.peer()
	const many = 3000
	for i := range many {
		p.Write(fmt.Sprintf(`[message %d root take 1 [tuple ["pond.Egg" %d]] [dictionary]]`, i+1, i+1))
		p.Want(fmt.Sprintf(`[answer %d _]`, i+1))
	}
	stats := only(t, s).Stats()
	assert.Zero(t, stats.Collections)
	assert.Equal(t, many, stats.Imports)
	p.Write(`[message 5000 root take 1 [tuple [remote 5000]] [dictionary]]`)
	p.Want(`[answer 5000 _]`)
	assert.Zero(t, only(t, s).Stats().Collections, "one of another class is not many")
}

// TestKeptReferences checks that a program which keeps its references causes few collections.
func TestKeptReferences(t *testing.T) {
	withoutCollector(t)
	root := &shelf{}
	s := newServer(t, root)
	p := s.peer()
	const many = 2500
	for i := range many {
		p.Write(fmt.Sprintf(`[message %d root put 1 [tuple [remote %d]] [dictionary]]`, i+1, i+1))
		p.Want(fmt.Sprintf(`[answer %d %d]`, i+1, i+1))
	}
	stats := only(t, s).Stats()
	assert.Equal(t, many, stats.Imports)
	assert.LessOrEqual(t, stats.Collections, uint64(40))
	for _, v := range root.kept {
		require.NoError(t, v.(*flavors.RemoteReference).Err())
	}
	p.Write(`[message 5000 root empty 1 [tuple] [dictionary]]`)
	for range many {
		p.Want(`[decref _]`)
	}
	p.Want(`[answer 5000 _]`)
}

// longPoll makes calls to the peer.
type longPoll struct {
	mint
	polls []*actor.Deferred
}

func (l *longPoll) RemotePoll(ref *flavors.RemoteReference) {
	l.polls = append(l.polls, ref.CallRemote("wait"))
}

type waiter struct{ flavors.Referenceable }

func (*waiter) RemoteWait(inv *flavors.Invocation) any {
	return actor.NewDeferred(inv.Conn().Runtime())
}

// TestReleasedWhilePending checks that what the peer has released does not count, although a pending answer may mention
// it.
func TestReleasedWhilePending(t *testing.T) {
	for name, limits := range map[string]broker.Limits{"exports": {Exports: 10}, "caches": {Caches: 10}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, &longPoll{}, broker.WithLimits(limits), pondRegistry(t))
			conn, err := broker.NewClientConn(t.Context(), newRuntime(t), s.dial(), pondRegistry(t),
				broker.WithLimits(limits))
			require.NoError(t, err)
			t.Cleanup(func() { conn.Abort(nil) }) // The poll is not answered.
			_, err = flavors.Call[any](t.Context(), conn.Root(), "poll", &waiter{})
			require.NoError(t, err)
			method := map[string]string{"exports": "ref", "caches": "cache"}[name]
			for i := range 200 {
				v, err := flavors.Call[any](t.Context(), conn.Root(), method)
				require.NoError(t, err, "call %d", i)
				v.(interface{ Release() }).Release()
			}
			require.LessOrEqual(t, only(t, s).Exports(), 10)
		})
	}
}

// TestReleasedIsBounded checks that the number of released objects that linger is limited.
func TestReleasedIsBounded(t *testing.T) {
	s := newServer(t, &longPoll{}, broker.WithLimits(broker.Limits{Exports: 3, ReleaseGrace: time.Hour}))
	p := s.peer()
	p.Write(`[message 1 root poll 1 [tuple [remote 1]] [dictionary]]`)
	p.Want(`[message 1 1 wait 1 [tuple] [dictionary]]`, `[answer 1 [None]]`)
	for i := 1; i <= 5; i++ {
		p.Write(fmt.Sprintf(`[message %d root ref 1 [tuple] [dictionary]]`, 1+i))
		p.Want(fmt.Sprintf(`[answer %d [remote %d]]`, 1+i, i))
		p.Write(fmt.Sprintf(`[decref %d]`, i))
	}
	for i := 1; i <= 5; i++ { // The oldest two do not linger any more.
		p.Write(fmt.Sprintf(`[message %d %d three 1 [tuple 1] [dictionary]]`, 10+i, i))
		if i <= 2 {
			wantError(t, p, 10+i, "twisted.spread.pb.Error")
		} else {
			p.Want(fmt.Sprintf(`[answer %d 1]`, 10+i))
		}
	}
}

// TestNotifyDoesNotHold checks that NotifyOnDisconnect does not keep a reference alive.
func TestNotifyDoesNotHold(t *testing.T) {
	conn, p := client(t)
	notified := make(chan error, 1)
	func() {
		receive(t, conn, p, 7).NotifyOnDisconnect(func(cause error) { notified <- cause })
	}()
	ctx, stop := context.WithTimeout(t.Context(), wire.Timeout)
	defer stop()
	go func() {
		for ctx.Err() == nil {
			runtime.GC()
		}
	}()
	p.Want(`[decref 7]`)
	p.Close()
	require.Error(t, <-notified)
}
