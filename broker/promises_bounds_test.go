package broker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// strongroom gives out views and copies, and holds what it is given.
type strongroom struct {
	flavors.Referenceable
	rt    *actor.Runtime
	gate  *actor.Deferred
	inner showcase
}

// showcase is shown to a perspective only.
type showcase struct{ flavors.Referenceable }

func (*showcase) ViewPeek(caller string) string { return caller + " peeks" }
func (*showcase) RemoteEmpty() string           { return "all of it" }

func (v *showcase) ViewTake(_ string, x any) any {
	if r, ok := x.(*flavors.RemoteReference); ok {
		return r.Perspective()
	}
	return nil
}

func (v *strongroom) RemoteWhen() *actor.Deferred { return v.gate }

func (v *strongroom) RemoteInner(name string) (*flavors.ViewPoint, error) {
	return flavors.NewViewPoint(name, &v.inner)
}

func (*strongroom) RemoteEcho(x any) any { return x }

func (*strongroom) RemoteLeak(r *flavors.RemoteReference) any { return r.Begin("next") }

func newStrongroom(t *testing.T, opts ...broker.ListenOption) (*strongroom, *pbtest.Server) {
	t.Helper()
	v := &strongroom{}
	s := pbtest.NewServer(t, v, opts...)
	v.rt, v.gate = s.Runtime, actor.NewDeferred(s.Runtime)
	return v, s
}

// TestPromiseGivesNoAccess calls a promised view: only what the answer gives can be called, as its perspective
// (P-11.5).
func TestPromiseGivesNoAccess(t *testing.T) {
	v, s := newStrongroom(t)
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	p.Write(`[message 1 root when 2 [tuple] [dictionary]]`,
		`[message 2 [promise 1] peek 1 [tuple] [dictionary]]`,
		`[message 3 [promise 1] empty 1 [tuple] [dictionary]]`,
		`[message 4 [promise 1] take 1 [tuple [remote 5]] [dictionary]]`)
	view, err := flavors.NewViewPoint("ann", &v.inner)
	require.NoError(t, err)
	v.gate.Complete(view, nil)
	p.Want(`[answer 1 [remote $view]]`, `[answer 2 [unicode "ann peeks"]]`)
	pbtest.WantError(t, p, 3, "twisted.spread.flavors.NoSuchMethod")
	p.Ignore(`[decref 5]`)
	p.Want(`[answer 4 [unicode ann]]`)
	// What is taken back is gone for promises, too.
	require.NoError(t, broker.Revoke(s.Runtime, &v.inner))
	p.WantIdle()
	p.Write(`[message 5 [promise 1] peek 1 [tuple] [dictionary]]`)
	pbtest.WantError(t, p, 5, "twisted.spread.pb.Error")
	p.Write(`[settled 1]`, `[decref $view]`)
	p.WantIdle()
}

// TestPromiseNotInAnswer sends promises where they may not stand (P-11.2).
func TestPromiseNotInAnswer(t *testing.T) {
	_, s := newStrongroom(t)
	conn := s.Dial()
	err := pbtest.ErrorOf(conn.Root().CallRemote("leak", &link{rt: s.Runtime}))
	require.ErrorIs(t, err, flavors.InsecureJelly)
	require.ErrorContains(t, err, "in the arguments of a call only")

	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	p.Write(`[message 1 root leak 1 [tuple [remote 5]] [dictionary]]`)
	p.Want(`[message 1 5 next 2 [tuple] [dictionary]]`)
	p.Ignore(`[settled 1]`) // It comes before or after the answer.
	p.Write(`[answer 1 [list [promise 1]]]`)
	p.Want(`[error 1 _]`)
}

// TestPromiseGivesBack returns what a waiting call mentions, when it fails and when it is carried out (P-11.8).
func TestPromiseGivesBack(t *testing.T) {
	v, s := newStrongroom(t)
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	p.Write(`[message 1 root when 2 [tuple] [dictionary]]`,
		`[message 2 [promise 1] peek 1 [tuple [remote 5] [list [remote 6]]] [dictionary]]`)
	p.Write(`[message 3 [promise 1] peek 1 [tuple [local 99]] [dictionary]]`)
	pbtest.WantError(t, p, 3, "twisted.spread.pb.Error")
	p.Write(`[message 4 [promise 1] peek 1 [tuple [unknown.Class [remote 7]]] [dictionary]]`)
	p.Want(`[decref 7]`)
	pbtest.WantError(t, p, 4, "twisted.spread.jelly.InsecureJelly")
	v.gate.Complete(nil, errLink.New("no"))
	pbtest.WantError(t, p, 1, "chain.Broken")
	p.Want(`[decref 5]`, `[decref 6]`)
	pbtest.WantError(t, p, 2, "chain.Broken")
}

// TestPromiseFlood has many calls wait for results that never come. They count as unanswered calls, others are served,
// and the end of the connection releases everything (P-11.8).
func TestPromiseFlood(t *testing.T) {
	const most, sent = 500, 2_000
	v, s := newStrongroom(t, broker.WithLimits(broker.Limits{CallsIn: most}))
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	p.Write(`[message 1 root when 2 [tuple] [dictionary]]`)
	for id := 2; id <= sent; id++ {
		before := id - 1 - id%2 // an odd one
		p.Write(fmt.Sprintf(`[message %d [promise %d] peek %d [tuple [promise 1] [local root]] [dictionary]]`,
			id, max(before, 1), 1+id%2))
	}
	for id := most + 1; id <= sent; id++ {
		p.Forget("failure")
		p.Want(fmt.Sprintf(`[error %d _]`, id))
	}
	conn := s.Dial()
	_, err := flavors.Call[any](t.Context(), conn.Root(), "inner", "ann")
	require.NoError(t, err, "others are served")
	stats := broker.StatsOf(s.Runtime)
	assert.LessOrEqual(t, stats.Results, 1024)
	assert.Equal(t, most, stats.CallsIn.Pending)
	p.Close()
	pbtest.Eventually(t, func() bool {
		stats := broker.StatsOf(s.Runtime)
		return stats.CallsIn.Pending == 0 && stats.Results == 0
	})
	require.NoError(t, conn.Close(t.Context()))
	require.Eventually(t, func() bool { return broker.StatsOf(s.Runtime).BytesHeld == 0 }, patience, tick)
	v.gate.Complete(nil, nil)
}

// TestPromiseManyWait has 10,000 calls wait for one promise, and runs them in order.
func TestPromiseManyWait(t *testing.T) {
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			const calls = 10_000
			l, s := newChain(t, opts...)
			conn := s.Dial()
			p := conn.Root().Begin("when", "a")
			for i := range calls {
				require.NoError(t, flavors.Send(t.Context(), p, "note", fmt.Sprint(i)))
			}
			d := p.CallRemote("log")
			l.gate("a").Complete(&link{}, nil)
			log, err := flavors.As[[]string](d.Await(t.Context()))
			require.NoError(t, err)
			require.Len(t, log, calls)
			for i, text := range log {
				require.Equal(t, fmt.Sprint(i), text)
			}
		})
	}
}

// TestPromiseBringsCacheable refuses a new Cacheable, because its updates could not wait (P-11.8).
func TestPromiseBringsCacheable(t *testing.T) {
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[cabinet](registry, "test.Cabinet"))
	_, p := joinChain(t, broker.WithRegistry(registry))
	p.Write(`[message 1 root next 2 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [remote _]]`)
	p.Write(`[message 2 [promise 1] note 1 [tuple [test.Cabinet 7 [dictionary]]] [dictionary]]`)
	p.Want(`[decache 7]`)
	pbtest.WantError(t, p, 2, "twisted.spread.pb.Error")
}

// TestPromiseCopies makes copies in the arguments of a waiting call.
func TestPromiseCopies(t *testing.T) {
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[parcel](registry, "test.Parcel"))
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			l, s := newChain(t, append(opts, broker.WithRegistry(registry))...)
			conn := s.Dial(broker.WithRegistry(registry))
			p, q := conn.Root().Begin("when", "a"), conn.Root().Begin("when", "b")
			first := p.CallRemote("weigh", &parcel{Weight: 3})
			second := p.CallRemote("weigh", &parcel{Weight: 4, Label: q})
			l.gate("a").Complete(l, nil)
			n, err := flavors.As[int](first.Await(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, 3, n)
			l.gate("b").Complete(l, nil)
			n, err = flavors.As[int](second.Await(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, 1004, n)
		})
	}
}

// TestClassesNamedAsTypes sends copies whose classes have the names of types that only pb+1 has (P-13.10).
func TestClassesNamedAsTypes(t *testing.T) {
	for _, name := range []string{"promise", "address", "array"} {
		registry := jelly.NewRegistry()
		require.NoError(t, flavors.RegisterCopy[parcel](registry, name))
		_, s := newChain(t, broker.WithRegistry(registry))
		p := wire.Connect(t, s.Listener.Addr().String())
		p.JoinAs(banana.ProfilePB)
		p.Write(`[message 1 root weigh 1 [tuple [` + name + ` [dictionary [weight 5]]]] [dictionary]]`)
		p.Want(`[answer 1 5]`)
	}
}

type parcel struct {
	flavors.Copyable
	Weight int `pb:"weight"`
	Label  any `pb:"label"`
}

func (*parcel) TypeToCopy() string { return "test.Parcel" }

func (l *link) RemoteWeigh(p *parcel) int {
	if p.Label == any(l) {
		return 1000 + p.Weight
	}
	return p.Weight
}

// TestPromiseCounts plays random scripts of promises, and compares the counts of both sides with none, at the end.
func TestPromiseCounts(t *testing.T) {
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			l, s := newChain(t, opts...)
			rapid.Check(t, func(rt *rapid.T) {
				conn := s.Dial()
				for _, d := range playPromises(rt, l, conn) {
					v, _, _ := d.Result()
					if ref, ok := v.(*flavors.RemoteReference); ok {
						ref.Release()
					}
				}
				var stats broker.Stats
				settled := assert.Eventually(rt, func() bool {
					stats = broker.StatsOf(s.Runtime).Stats
					return stats.Results == 0 && stats.Exports == 0 && stats.Imports == 0 &&
						stats.CallsOut.Pending == 0 && stats.CallsIn.Pending == 0
				}, patience, tick)
				require.True(rt, settled, "%+v", stats)
				require.NoError(rt, conn.Close(context.Background()))
			})
		})
	}
}

// gatesUsed numbers the gates of all scripts.
var gatesUsed atomic.Int64

// playPromises begins, names and cancels promises at random, until all calls are answered. It returns their results.
func playPromises(t *rapid.T, l *link, conn *broker.Conn) (results []*actor.Deferred) {
	promises := []flavors.Callee{conn.Root()}
	open := map[string]bool{}
	pick := func(what string) flavors.Callee { return rapid.SampledFrom(promises).Draw(t, what) }
	args := func() (args []any) {
		for range rapid.IntRange(0, 2).Draw(t, "arguments") {
			args = append(args, pick("argument"))
		}
		return args
	}
	begin := func(p *flavors.Promise) {
		promises = append(promises, p)
		results = append(results, p.Deferred())
	}
	finish := func(name string, fails bool) {
		delete(open, name)
		if fails {
			l.gate(name).Complete(nil, errLink.New(name))
		} else {
			l.gate(name).Complete(&link{rt: l.rt}, nil)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"begin next":  func(*rapid.T) { begin(pick("object").Begin("next")) },
		"begin break": func(*rapid.T) { begin(pick("object").Begin("break", "x")) },
		"begin depth": func(*rapid.T) { begin(pick("object").Begin("depth")) },
		"begin when": func(t *rapid.T) {
			name := fmt.Sprint("gate ", gatesUsed.Add(1))
			open[name] = true
			begin(conn.Root().Begin("when", name))
		},
		"call": func(*rapid.T) {
			results = append(results, pick("object").CallRemote("note", append([]any{"x"}, args()...)...))
		},
		"call back": func(*rapid.T) { results = append(results, pick("object").CallRemote("echo", pick("argument"))) },
		"cancel": func(t *rapid.T) {
			if len(results) > 0 {
				rapid.SampledFrom(results).Draw(t, "result").Cancel()
			}
		},
		"complete": func(t *rapid.T) {
			for name := range open {
				finish(name, rapid.Bool().Draw(t, "fails"))
				break
			}
		},
		"forget": func(t *rapid.T) {
			if len(promises) > 1 {
				promises = promises[:1+rapid.IntRange(0, len(promises)-1).Draw(t, "kept")]
			}
		},
	})
	for name := range open {
		finish(name, false)
	}
	for _, d := range results {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := d.Await(ctx)
		cancel()
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	}
	return results
}

// TestPromiseDeadline answers calls that wait for a promise at their deadline, and when they are cancelled (P-11.8).
func TestPromiseDeadline(t *testing.T) {
	v, s := newStrongroom(t)
	p := wire.Connect(t, s.Listener.Addr().String())
	p.JoinAs(banana.ProfilePB1)
	p.Write(`[message 1 root when 2 [tuple] [dictionary]]`,
		`[message 2 [promise 1] peek 2 [tuple [remote 5]] [dictionary] [dictionary [[unicode timeout] 1]]]`)
	p.Ignore(`[decref 5]`)
	pbtest.WantError(t, p, 2, "perspectivebroker.DeadlineExceeded")
	p.Write(`[message 3 [promise 2] peek 1 [tuple] [dictionary]]`)
	pbtest.WantError(t, p, 3, "perspectivebroker.DeadlineExceeded")
	p.Write(`[message 4 [promise 1] peek 1 [tuple] [dictionary] [dictionary [[unicode timeout] 0]]]`)
	pbtest.WantError(t, p, 4, "perspectivebroker.DeadlineExceeded")
	p.Write(`[message 5 root echo 1 [tuple [promise 1]] [dictionary]]`, `[cancel 5]`)
	pbtest.WantError(t, p, 5, "perspectivebroker.Canceled")
	p.Write(`[message 6 [promise 1] peek 1 [tuple] [dictionary] [dictionary [[unicode timeout] 1000000]]]`,
		`[cancel 1]`)
	pbtest.WantError(t, p, 1, "perspectivebroker.Canceled")
	pbtest.WantError(t, p, 6, "perspectivebroker.Canceled")
	p.WantIdle()
	v.gate.Complete(v, nil)
	require.Eventually(t, func() bool { return broker.StatsOf(s.Runtime).CallsIn.Pending == 0 }, patience, tick)
}

// TestPromiseContext calls a promise with a context, under both dialects.
func TestPromiseContext(t *testing.T) {
	for name, opts := range onPromises {
		t.Run(name, func(t *testing.T) {
			l, s := newChain(t, opts...)
			conn := s.Dial()
			p := conn.Root().Begin("when", "never")
			ctx, cancel := context.WithCancel(t.Context())
			started := flavors.Start(ctx, p, "depth")
			cancel()
			_, err := flavors.Call[int](ctx, p, "depth")
			require.ErrorIs(t, err, context.Canceled)
			started.Cancel()
			require.Eventually(t, func() bool {
				stats := broker.StatsOf(s.Runtime)
				return stats.CallsIn.Pending == 1 && stats.CallsOut.Pending == 1
			}, patience, tick)
			late := p.Begin("next").CallRemote("depth")
			p.Deferred().Cancel()
			require.Error(t, pbtest.ErrorOf(late))
			l.gate("never").Complete(nil, nil)
		})
	}
}
