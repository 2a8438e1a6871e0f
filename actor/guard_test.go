package actor_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
)

// panicky panics on messages of one type, and has a child.
type panicky struct {
	on     string
	events chan<- string
	child  *protoactor.Props
}

func (p *panicky) Receive(ctx protoactor.Context) {
	kind := fmt.Sprintf("%T", ctx.Message())
	switch ctx.Message().(type) {
	case *protoactor.Started:
		if p.child != nil {
			ctx.Spawn(p.child)
		}
	case do:
		kind = "do"
	}
	p.events <- kind
	if kind == p.on {
		panic(errors.New("on " + kind))
	}
	if m, ok := ctx.Message().(do); ok {
		m(ctx)
	}
}

func drain(events chan string) (all []string) {
	for {
		select {
		case e := <-events:
			all = append(all, e)
		default:
			return all
		}
	}
}

func TestPanicWhileStopping(t *testing.T) {
	for _, on := range []string{"*actor.Stopping", "*actor.Stopped", "*actor.Terminated"} {
		t.Run(on, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt, log := newRuntime(t)
				events := make(chan string, 100)
				quiet := scripted(rt, func(*script, protoactor.Context) {})
				pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor { return &panicky{on, events, quiet} }))
				stop(rt, pid) // would wait forever
				want := []string{"*actor.Started", "*actor.Stopping", "*actor.Terminated", "*actor.Stopped"}
				assert.Equal(t, want, drain(events))
				lines := log.lines(t)
				require.Len(t, lines, 1)
				assert.Equal(t, "on "+on, lines[0]["panic"])
				assert.Equal(t, on, lines[0]["on"])
				assert.Equal(t, pid.Id, lines[0]["actor"])
				assert.Contains(t, lines[0]["stack"], "guard_test.go")
			})
		})
	}
}

func TestPanicReachesSupervisor(t *testing.T) {
	for _, on := range []string{"*actor.Started", "string", "*actor.Restarting"} {
		t.Run(on, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt, log := newRuntime(t)
				events := make(chan string, 100)
				decided := 0
				strategy := protoactor.NewOneForOneStrategy(10, time.Second, func(reason any) protoactor.Directive {
					decided++
					says := "on " + map[bool]string{true: "string", false: on}[on == "*actor.Restarting"]
					assert.EqualError(t, reason.(error), says)
					return protoactor.RestartDirective
				})
				instances := 0
				child := rt.Props(func() protoactor.Actor {
					instances++
					switch {
					case instances == 1 && on == "*actor.Restarting":
						return &bad{events}
					case instances == 1:
						return &panicky{on, events, nil}
					default:
						return &panicky{"", events, nil}
					}
				})
				pid := rt.Root().Spawn(scripted(rt, func(_ *script, ctx protoactor.Context) {
					switch m := ctx.Message().(type) {
					case *protoactor.Started:
						ctx.Spawn(child)
					case string:
						ctx.Send(ctx.Children()[0], m)
					}
				}, protoactor.WithSupervisor(strategy)))
				synctest.Wait()
				if on != "*actor.Started" {
					rt.Root().Send(pid, "boom")
				}
				synctest.Wait()
				assert.Equal(t, 1, decided)
				assert.Equal(t, 2, instances)
				rt.Root().Send(pid, "again")
				synctest.Wait()
				all := drain(events)
				assert.Equal(t, []string{"*actor.Started", "string"}, all[len(all)-2:])
				errs := map[bool]int{true: 2, false: 1}[on == "*actor.Restarting"]
				assert.Len(t, log.lines(t), errs, "each is logged once")
				stop(rt, pid)
			})
		})
	}
}

// bad panics on a string and once more when it is to restart.
type bad struct{ events chan<- string }

func (b *bad) Receive(ctx protoactor.Context) {
	switch ctx.Message().(type) {
	case string, *protoactor.Restarting:
		panic(fmt.Errorf("on %T", ctx.Message()))
	}
}

// decider supervises its children itself.
type decider struct {
	script
	asked chan any
	fails bool
}

func (d *decider) HandleFailure(_ *protoactor.ActorSystem, s protoactor.Supervisor, child *protoactor.PID,
	_ *protoactor.RestartStatistics, reason, _ any,
) {
	d.asked <- reason
	if d.fails {
		panic(42)
	}
	s.RestartChildren(child)
}

func TestGuardedSupervisorStrategy(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			rt, log := newRuntime(t)
			d := &decider{asked: make(chan any, 10), fails: fails}
			events := make(chan string, 100)
			var child *protoactor.PID
			d.receive = func(_ *script, ctx protoactor.Context) {
				switch ctx.Message().(type) {
				case *protoactor.Started:
					child = ctx.Spawn(rt.Props(func() protoactor.Actor { return &panicky{"string", events, nil} }))
				case do:
					assert.Same(t, d, actor.Inner(ctx.Actor()))
					assert.Same(t, d, actor.Inner(d))
				}
			}
			pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor { return d }))
			rt.Root().Send(pid, do(nil))
			synctest.Wait()
			rt.Root().Send(child, "boom")
			synctest.Wait()
			assert.EqualError(t, (<-d.asked).(error), "on string")
			end := []string{"*actor.Restarting", "*actor.Started"}
			if fails {
				end = []string{"*actor.Stopping", "*actor.Stopped"}
				require.Len(t, log.lines(t), 2)
				assert.Equal(t, "a value of type int", log.lines(t)[1]["panic"])
			}
			assert.Equal(t, append([]string{"*actor.Started", "string"}, end...), drain(events))
			stop(rt, pid)
		})
	}
}

// handler records undelivered messages.
type handler struct {
	obedient
	left []any
}

func (m *handler) Undelivered(message any) { m.left = append(m.left, message) }

// droppable records that it was dropped.
type droppable struct{ reason chan error }

func (d *droppable) Drop(reason error) { d.reason <- reason }

func TestUndelivered(t *testing.T) {
	for _, mourned := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			rt, _ := newRuntime(t)
			var letters []any
			sub := rt.System().EventStream.Subscribe(func(e any) {
				if d, ok := e.(*protoactor.DeadLetterEvent); ok {
					letters = append(letters, d.Message)
				}
			})
			defer rt.System().EventStream.Unsubscribe(sub)
			m := &handler{}
			pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor {
				if mourned {
					return m
				}
				return &m.obedient
			}))
			d := &droppable{make(chan error, 10)}
			inTurn(rt, pid, func(ctx protoactor.Context) {
				ctx.Stop(ctx.Self())
				ctx.Send(ctx.Self(), 1)
				ctx.Send(ctx.Self(), d)
				ctx.RequestWithCustomSender(ctx.Self(), 2, rt.Discard())
				ctx.Poison(ctx.Self())
			})
			synctest.Wait()
			if mourned {
				require.Len(t, m.left, 4)
				assert.Equal(t, 1, m.left[0])
				assert.Same(t, d, m.left[1])
				assert.Equal(t, 2, m.left[2].(*protoactor.MessageEnvelope).Message, "envelopes are kept")
				assert.Empty(t, d.reason)
				assert.Empty(t, letters)
				return
			}
			assert.Equal(t, []any{1, 2}, letters)
			assert.ErrorIs(t, <-d.reason, actor.ErrStopped)
		})
	}
}

func TestProducerReturnsNil(t *testing.T) {
	rt, log := newRuntime(t)
	assert.PanicsWithValue(t, "actor: the producer given to Props returned no actor", func() {
		rt.Root().Spawn(rt.Props(func() protoactor.Actor { return nil }))
	})
	require.Len(t, log.lines(t), 1)
}

// TestProducerFailsOnRestart fails three times; the supervisor tries until it succeeds, or stops the actor.
func TestProducerFailsOnRestart(t *testing.T) {
	for _, restarts := range []int{10, 2} {
		synctest.Test(t, func(t *testing.T) {
			rt, log := newRuntime(t)
			instances := 0
			events := make(chan string, 100)
			var child *protoactor.PID
			props := rt.Props(func() protoactor.Actor {
				if instances++; instances > 1 && instances < 5 {
					panic("no more of them")
				}
				return &panicky{"string", events, nil}
			})
			parent := rt.Root().Spawn(scripted(rt, func(_ *script, ctx protoactor.Context) {
				if _, ok := ctx.Message().(*protoactor.Started); ok {
					child = ctx.Spawn(props)
				}
			}, protoactor.WithSupervisor(protoactor.NewOneForOneStrategy(restarts, 0, protoactor.DefaultDecider))))
			synctest.Wait()
			rt.Root().Send(child, "boom")
			rt.Root().Send(child, 1)
			synctest.Wait()
			all := drain(events)
			if restarts == 10 {
				assert.Equal(t, []string{"*actor.Started", "int"}, all[len(all)-2:])
				assert.Len(t, log.lines(t), 4)
				rt.Root().Stop(child)
				synctest.Wait()
				all = drain(events)
			}
			assert.Equal(
				t,
				[]string{"*actor.Stopping", "*actor.Stopped"},
				all[len(all)-2:],
				"by the former instance if there is no other",
			)
			stop(rt, parent)
		})
	}
}

func TestWhenStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := newRuntime(t)
		var events []string
		note := func(s string) func() { return func() { events = append(events, s) } }
		pid := obey(rt)
		cancels := make([]func() bool, 5)
		for i := range cancels {
			cancels[i] = rt.WhenStopped(pid, note(fmt.Sprint(i)))
		}
		for _, i := range []int{0, 2, 4} {
			assert.True(t, cancels[i]())
			assert.False(t, cancels[i](), "only once")
		}
		rt.WhenStopped(protoactor.NewPID(pid.Address, pid.Id), note("another PID of the same actor"))
		stop(rt, pid)
		assert.Equal(t, []string{"1", "3", "another PID of the same actor"}, events)
		assert.False(t, cancels[1]())
		events = nil
		rt.WhenStopped(pid, note("gone"))
		rt.WhenStopped(nil, note("nil"))
		assert.Equal(t, []string{"gone", "nil"}, events)
	})
}

// TestStoppedIsCollected checks that a parent that goes on keeps nothing of its stopped children.
func TestStoppedIsCollected(t *testing.T) {
	rt, _ := newRuntime(t)
	const children = 50
	var mu sync.Mutex
	var held []weak.Pointer[[1 << 10]byte]
	child := rt.Props(func() protoactor.Actor {
		value := new([1 << 10]byte)
		mu.Lock()
		defer mu.Unlock()
		held = append(held, weak.Make(value))
		return protoactor.ReceiveFunc(func(protoactor.Context) { value[0]++ })
	})
	parent := rt.Root().Spawn(rt.Props(func() protoactor.Actor {
		return protoactor.ReceiveFunc(func(ctx protoactor.Context) {
			if m, ok := ctx.Message().(do); ok {
				m(ctx)
			}
		})
	}))
	spawned := make(chan []*protoactor.PID)
	rt.Root().Send(parent, do(func(ctx protoactor.Context) {
		for range children {
			ctx.Spawn(child)
		}
		spawned <- ctx.Children()
	}))
	for _, pid := range <-spawned {
		require.NoError(t, rt.Root().StopFuture(pid).Wait())
	}
	require.Eventually(t, func() bool {
		runtime.GC()
		return !slices.ContainsFunc(held, func(p weak.Pointer[[1 << 10]byte]) bool { return p.Value() != nil })
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, rt.Root().StopFuture(parent).Wait())
}
