package actor_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/actor"
)

// turns are the kinds of actors that continuations must run in.
var turns = map[string]func(rt *actor.Runtime) *protoactor.Props{
	"ours": func(rt *actor.Runtime) *protoactor.Props {
		return rt.Props(func() protoactor.Actor { return &obedient{} })
	},
	"ours, foreign mailbox": func(rt *actor.Runtime) *protoactor.Props {
		return rt.Props(func() protoactor.Actor { return &obedient{} }, protoactor.WithMailbox(protoactor.Unbounded()))
	},
	"foreign": func(*actor.Runtime) *protoactor.Props {
		return protoactor.PropsFromProducer(func() protoactor.Actor { return &obedient{} })
	},
	"foreign, decorated": func(*actor.Runtime) *protoactor.Props {
		return protoactor.PropsFromProducer(func() protoactor.Actor { return &obedient{} },
			protoactor.WithContextDecorator(func(next protoactor.ContextDecoratorFunc) protoactor.ContextDecoratorFunc {
				return func(ctx protoactor.Context) protoactor.Context { return next(decorated{ctx}) }
			}),
			protoactor.WithReceiverMiddleware(func(next protoactor.ReceiverFunc) protoactor.ReceiverFunc {
				return func(c protoactor.ReceiverContext, e *protoactor.MessageEnvelope) { next(c, e) }
			}))
	},
}

type decorated struct{ protoactor.Context }

// eachTurn runs a test for each kind of actor, in a synctest bubble.
func eachTurn(t *testing.T, f func(t *testing.T, rt *actor.Runtime, log *logbook, pid *protoactor.PID)) {
	for name, props := range turns {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt, log := newRuntime(t)
				pid := rt.Root().Spawn(props(rt))
				f(t, rt, log, pid)
				stop(rt, pid)
			})
		})
	}
}

func TestThenRunsInTurn(t *testing.T) {
	eachTurn(t, func(t *testing.T, rt *actor.Runtime, _ *logbook, pid *protoactor.PID) {
		first := actor.NewDeferred(rt)
		var second, third *actor.Deferred
		inside := false
		inTurn(rt, pid, func(ctx protoactor.Context) {
			second = first.Then(ctx, func(value any, err error) (any, error) {
				assert.True(t, inside, "it runs in the turn")
				assert.Equal(t, errTest, err)
				return value.(int) + 1, nil
			})
			third = second.Then(ctx, func(value any, err error) (any, error) {
				assert.NoError(t, err)
				return actor.Succeeded(value.(int) * 10), nil
			})
		})
		// The continuation is queued until this turn ends.
		hold := make(chan struct{})
		rt.Root().Send(pid, do(func(protoactor.Context) { <-hold }))
		rt.Root().Send(pid, do(func(protoactor.Context) { inside = true }))
		first.Complete(1, errTest)
		synctest.Wait()
		_, _, ok := second.Result()
		assert.False(t, ok)
		close(hold)
		value, err := third.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 20, value)
		inTurn(rt, pid, func(ctx protoactor.Context) {
			strangers := actor.Inner(ctx.Actor()).(*obedient).strangers
			if actor.Inner(ctx.Actor()) != ctx.Actor() {
				assert.Empty(t, strangers, "the actor does not see continuations")
			}
		})
	})
}

func TestThenPassesResultOn(t *testing.T) {
	eachTurn(t, func(t *testing.T, rt *actor.Runtime, _ *logbook, pid *protoactor.PID) {
		var next *actor.Deferred
		inTurn(rt, pid, func(ctx protoactor.Context) { next = actor.Failed(errTest).Then(ctx, nil) })
		_, err := next.Await(t.Context())
		assert.Equal(t, errTest, err)
	})
}

func TestContinuationOrder(t *testing.T) {
	for name, props := range turns {
		t.Run(name, func(t *testing.T) {
			rt, _ := newRuntime(t)
			pid := rt.Root().Spawn(props(rt))
			defer stop(rt, pid)
			rapid.Check(t, func(t *rapid.T) {
				steps := rapid.SliceOfN(rapid.Bool(), 1, 30).Draw(t, "complete or send")
				ds := make([]*actor.Deferred, len(steps))
				var order []int
				inTurn(rt, pid, func(ctx protoactor.Context) {
					for i := range steps {
						ds[i] = actor.NewDeferred(rt)
						ds[i].Then(ctx, func(_ any, err error) (any, error) {
							if err == nil {
								order = append(order, i)
							}
							return nil, nil
						})
					}
				})
				for i, complete := range steps {
					if complete {
						ds[i].Complete(nil, nil)
					} else {
						rt.Root().Send(pid, do(func(protoactor.Context) { order = append(order, i) }))
					}
				}
				inTurn(rt, pid, func(protoactor.Context) {})
				for i, n := range order {
					if i != n {
						t.Fatalf("came in the order %v", order)
					}
				}
				if len(order) != len(steps) {
					t.Fatalf("%d of %d came", len(order), len(steps))
				}
				for _, d := range ds {
					d.Cancel()
				}
				inTurn(rt, pid, func(protoactor.Context) {})
			})
		})
	}
}

func TestContinuationAfterRestart(t *testing.T) {
	eachTurn(t, func(t *testing.T, rt *actor.Runtime, _ *logbook, pid *protoactor.PID) {
		source := actor.NewDeferred(rt)
		var before, after *actor.Deferred
		ran := false
		inTurn(rt, pid, func(ctx protoactor.Context) {
			before = source.Then(ctx, func(any, error) (any, error) {
				ran = true
				return nil, nil
			})
		})
		inTurn(rt, pid, func(protoactor.Context) { panic("restart me") })
		inTurn(rt, pid, func(ctx protoactor.Context) {
			after = source.Then(ctx, func(any, error) (any, error) { return "mine", nil })
		})
		source.Complete(nil, nil)
		_, err := before.Await(t.Context())
		require.ErrorIs(t, err, actor.ErrRestarted)
		value, err := after.Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "mine", value)
		assert.False(t, ran)
	})
}

func TestContinuationAfterStop(t *testing.T) {
	eachTurn(t, func(t *testing.T, rt *actor.Runtime, _ *logbook, pid *protoactor.PID) {
		waiting := actor.NewDeferred(rt)
		var never, queued, late *actor.Deferred
		inTurn(rt, pid, func(ctx protoactor.Context) {
			f := func(any, error) (any, error) { panic("must not run") }
			never = waiting.Then(ctx, f)
			ctx.Stop(ctx.Self())
			queued = actor.Succeeded(1).Then(ctx, f) // overtaken by Stop
		})
		for _, d := range []*actor.Deferred{never, queued} {
			_, err := d.Await(t.Context())
			require.ErrorIs(t, err, actor.ErrStopped, "with and without a result")
		}
		waiting.Complete(nil, nil)

		another := obey(rt)
		var kept protoactor.Context
		inTurn(rt, another, func(ctx protoactor.Context) { kept = ctx })
		stop(rt, another)
		late = actor.Succeeded(1).Then(kept, nil)
		_, err, ok := late.Result()
		assert.True(t, ok)
		assert.ErrorIs(t, err, actor.ErrStopped)
	})
}

func TestThenWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := newRuntime(t)
		results := make(chan *actor.Deferred, 10)
		pid := rt.Root().Spawn(scripted(rt, func(_ *script, ctx protoactor.Context) {
			switch ctx.Message().(type) {
			case *protoactor.Stopping, *protoactor.Stopped:
				results <- actor.Succeeded(1).Then(ctx, nil)
			}
		}))
		stop(rt, pid)
		for range 2 {
			_, err := (<-results).Await(t.Context())
			assert.ErrorIs(t, err, actor.ErrStopped)
		}
	})
}

func TestContinuationPanic(t *testing.T) {
	eachTurn(t, func(t *testing.T, rt *actor.Runtime, log *logbook, pid *protoactor.PID) {
		var next, lost *actor.Deferred
		inTurn(rt, pid, func(ctx protoactor.Context) {
			next = actor.NewDeferred(rt)
			source := next
			next = source.Then(ctx, func(any, error) (any, error) { panic(errTest) })
			lost = actor.NewDeferred(rt).Then(ctx, nil)
			source.Complete(nil, nil)
		})
		_, err := next.Await(t.Context())
		var p *actor.PanicError
		require.ErrorAs(t, err, &p)
		assert.Equal(t, errTest, p.Value)
		assert.ErrorIs(t, err, errTest)
		assert.NotContains(t, err.Error(), errTest.Error(), "the text may be sent to a peer")
		assert.Contains(t, string(p.Stack), "then_test.go")
		inTurn(rt, pid, func(protoactor.Context) {}) // it was restarted
		lines := log.lines(t)
		require.Len(t, lines, 1)
		assert.Equal(t, "test", lines[0]["panic"])
		lost.Cancel()
		_, err = lost.Await(t.Context())
		assert.ErrorIs(t, err, actor.ErrRestarted, "the supervisor restarted the actor")
	})
}

func TestContinuationGoexit(t *testing.T) {
	eachTurn(t, func(t *testing.T, rt *actor.Runtime, _ *logbook, pid *protoactor.PID) {
		var mailboxIsOurs bool
		var next *actor.Deferred
		inTurn(rt, pid, func(ctx protoactor.Context) {
			mailboxIsOurs = t.Name() == "TestContinuationGoexit/ours"
			if mailboxIsOurs { // protoactor's mailbox does not recover from this
				next = actor.Succeeded(1).Then(ctx, func(any, error) (any, error) {
					runtime.Goexit()
					return nil, nil
				})
			}
		})
		if mailboxIsOurs {
			_, err := next.Await(t.Context())
			require.ErrorContains(t, err, "Goexit")
			inTurn(rt, pid, func(protoactor.Context) {})
		}
	})
}

func TestThenWithoutTurn(t *testing.T) {
	rt, _ := newRuntime(t)
	for _, on := range []actor.Turn{nil, rt.Root()} {
		_, err, ok := actor.Succeeded(1).Then(on, nil).Result()
		assert.True(t, ok)
		assert.ErrorIs(t, err, actor.ErrNoTurn)
	}
}

// poster is a Turn that queues continuations itself.
type post struct {
	protoactor.Context
	queue chan func()
	drops chan func(error)
}

func (p *post) Post(run func(), drop func(error)) {
	p.queue <- run
	p.drops <- drop
}

func TestThenPrefersPoster(t *testing.T) {
	p := &post{queue: make(chan func(), 10), drops: make(chan func(error), 10)}
	source := actor.NewDeferred(nil)
	next := source.Then(p, func(value any, _ error) (any, error) { return value, errTest })
	assert.Empty(t, p.queue)
	source.Complete(1, nil)
	(<-p.queue)()
	(<-p.drops)(errors.New("too late"))
	value, err, _ := next.Result()
	assert.Equal(t, 1, value)
	assert.Equal(t, errTest, err)

	next = source.Then(p, nil)
	(<-p.drops)(errTest)
	(<-p.queue)()
	_, err, _ = next.Result()
	assert.Equal(t, errTest, err)

	// A panic in it is logged once, also if a guard recovers it.
	rt, log := newRuntime(t)
	pid := obey(rt)
	source = actor.NewDeferred(rt)
	next = source.Then(p, func(any, error) (any, error) { panic("no") })
	source.Complete(nil, nil)
	run := <-p.queue
	inTurn(rt, pid, func(protoactor.Context) { run() })
	inTurn(rt, pid, func(protoactor.Context) {})
	_, err, _ = next.Result()
	require.Error(t, err)
	assert.Len(t, log.lines(t), 1)
	stop(rt, pid)
}

// TestThenInFunctionActor shows that the restart of an actor that is a function cannot be detected.
func TestThenInFunctionActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := newRuntime(t)
		pid := rt.Root().Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
			if m, ok := ctx.Message().(do); ok {
				m(ctx)
			}
		}))
		source := actor.NewDeferred(nil)
		var next *actor.Deferred
		inTurn(rt, pid, func(ctx protoactor.Context) {
			next = source.Then(ctx, func(value any, _ error) (any, error) { return fmt.Sprint(value), nil })
		})
		inTurn(rt, pid, func(protoactor.Context) { panic("restart me") })
		source.Complete(1, nil)
		value, err := next.Await(t.Context())
		assert.Equal(t, "1", value)
		assert.NoError(t, err)
		stop(rt, pid)
	})
}

func TestThenLearnsRuntime(t *testing.T) {
	rt, _ := newRuntime(t)
	got := make(chan *actor.Result, 1)
	pid := rt.Root().Spawn(scripted(rt, func(_ *script, ctx protoactor.Context) {
		switch m := ctx.Message().(type) {
		case string:
			assert.True(t, actor.Succeeded(m).Then(ctx, nil).PipeTo(ctx.Self()))
		case *actor.Result:
			got <- m
		}
	}))
	rt.Root().Send(pid, "hello")
	assert.Equal(t, &actor.Result{Value: "hello"}, <-got)
	stop(rt, pid)
}
