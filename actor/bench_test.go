package actor_test

import (
	"context"
	"runtime"
	"testing"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
)

func benchRuntime(b *testing.B) *actor.Runtime {
	b.Helper()
	rt, err := actor.NewRuntime()
	require.NoError(b, err)
	b.Cleanup(func() { _ = rt.Close(context.Background()) })
	return rt
}

type ball struct{ _ int }

// pingPong makes two actors exchange a message. One iteration is a round trip.
func pingPong(b *testing.B, rt *actor.Runtime, props func(protoactor.ReceiveFunc) *protoactor.Props) {
	done := make(chan struct{})
	pong := rt.Root().Spawn(props(func(ctx protoactor.Context) {
		if _, ok := ctx.Message().(*ball); ok {
			ctx.Send(ctx.Sender(), ctx.Message())
		}
	}))
	left := b.N
	ping := rt.Root().Spawn(props(func(ctx protoactor.Context) {
		if _, ok := ctx.Message().(*ball); ok {
			if left--; left <= 0 {
				close(done)
				return
			}
			ctx.Request(pong, ctx.Message())
		}
	}))
	b.ReportAllocs()
	b.ResetTimer()
	rt.Root().RequestWithCustomSender(pong, &ball{}, ping)
	<-done
}

// flood makes one actor receive messages from another goroutine.
func flood(b *testing.B, rt *actor.Runtime, props func(protoactor.ReceiveFunc) *protoactor.Props) {
	done := make(chan struct{})
	left := b.N
	sink := rt.Root().Spawn(props(func(ctx protoactor.Context) {
		if _, ok := ctx.Message().(*ball); ok {
			if left--; left == 0 {
				close(done)
			}
		}
	}))
	m := &ball{}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		rt.Root().Send(sink, m)
		if i%1024 == 1023 {
			runtime.Gosched()
		}
	}
	<-done
}

func BenchmarkMailbox(b *testing.B) {
	for _, load := range []struct {
		name string
		run  func(*testing.B, *actor.Runtime, func(protoactor.ReceiveFunc) *protoactor.Props)
	}{{"pingpong", pingPong}, {"flood", flood}} {
		b.Run(load.name+"/ours", func(b *testing.B) {
			rt := benchRuntime(b)
			load.run(b, rt, func(f protoactor.ReceiveFunc) *protoactor.Props {
				return rt.Props(func() protoactor.Actor { return f })
			})
		})
		b.Run(load.name+"/ours-unguarded", func(b *testing.B) {
			rt := benchRuntime(b)
			load.run(b, rt, func(f protoactor.ReceiveFunc) *protoactor.Props {
				return protoactor.PropsFromFunc(f, protoactor.WithDispatcher(rt.Dispatcher()),
					protoactor.WithMailbox(func() protoactor.Mailbox { return actor.NewMailbox() }))
			})
		})
		b.Run(load.name+"/unbounded-on-our-dispatcher", func(b *testing.B) {
			rt := benchRuntime(b)
			load.run(b, rt, func(f protoactor.ReceiveFunc) *protoactor.Props {
				return protoactor.PropsFromFunc(f, protoactor.WithDispatcher(rt.Dispatcher()))
			})
		})
		b.Run(load.name+"/lockfree-on-our-dispatcher", func(b *testing.B) {
			rt := benchRuntime(b)
			load.run(b, rt, func(f protoactor.ReceiveFunc) *protoactor.Props {
				return protoactor.PropsFromFunc(f, protoactor.WithDispatcher(rt.Dispatcher()),
					protoactor.WithMailbox(protoactor.UnboundedLockfree()))
			})
		})
		b.Run(load.name+"/upstream", func(b *testing.B) {
			rt := benchRuntime(b)
			load.run(b, rt, func(f protoactor.ReceiveFunc) *protoactor.Props {
				return protoactor.PropsFromFunc(f)
			})
		})
	}
}

// BenchmarkIdleActor reports how much heap an idle actor keeps after it has handled a few messages.
func BenchmarkIdleActor(b *testing.B) {
	rt := benchRuntime(b)
	handled := make(chan struct{}, 1)
	for _, kind := range []struct {
		name  string
		props *protoactor.Props // nil: Runtime.Props with a mailbox made beforehand
	}{
		{"ours", rt.Props(func() protoactor.Actor { return &reporter{handled} })},
		{"own-props", nil},
		{"upstream", protoactor.PropsFromProducer(func() protoactor.Actor { return &reporter{handled} })},
		{"lockfree", protoactor.PropsFromProducer(func() protoactor.Actor { return &reporter{handled} },
			protoactor.WithMailbox(protoactor.UnboundedLockfree()))},
	} {
		for _, messages := range []int{0, 3} {
			name := kind.name + "/fresh"
			if messages > 0 {
				name = kind.name + "/used"
			}
			b.Run(name, func(b *testing.B) {
				var before, after runtime.MemStats
				pids := make([]*protoactor.PID, b.N)
				runtime.GC()
				runtime.ReadMemStats(&before)
				for i := range pids {
					props := kind.props
					if props == nil {
						mailbox := actor.NewMailbox()
						props = rt.Props(func() protoactor.Actor { return &reporter{handled} },
							protoactor.WithMailbox(func() protoactor.Mailbox { return mailbox }))
					}
					pids[i] = rt.Root().Spawn(props)
					for range messages {
						rt.Root().Send(pids[i], &ball{})
						<-handled
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/actor")
				for _, pid := range pids {
					rt.Root().Stop(pid)
				}
			})
		}
	}
}

type reporter struct{ handled chan struct{} }

func (r *reporter) Receive(ctx protoactor.Context) {
	if _, ok := ctx.Message().(*ball); ok {
		r.handled <- struct{}{}
	}
}

func BenchmarkDeferred(b *testing.B) {
	rt := benchRuntime(b)
	b.Run("complete+result", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			d := actor.NewDeferred(rt)
			d.Complete(nil, nil)
			_, _, _ = d.Result()
		}
	})
	b.Run("oncomplete", func(b *testing.B) {
		b.ReportAllocs()
		f := func(any, error) {}
		for range b.N {
			d := actor.NewDeferred(rt)
			d.OnComplete(f)
			d.Complete(nil, nil)
		}
	})
	b.Run("await", func(b *testing.B) {
		b.ReportAllocs()
		work := make(chan *actor.Deferred)
		go func() {
			for d := range work {
				d.Complete(nil, nil)
			}
		}()
		for range b.N {
			d := actor.NewDeferred(rt)
			work <- d
			_, _ = d.Await(context.Background())
		}
		close(work)
	})
	b.Run("then", func(b *testing.B) {
		b.ReportAllocs()
		done := make(chan struct{})
		type start struct{}
		pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor {
			return protoactor.ReceiveFunc(func(ctx protoactor.Context) {
				if _, ok := ctx.Message().(start); !ok {
					return
				}
				for i := range b.N {
					d := actor.NewDeferred(rt)
					d.Then(ctx, func(any, error) (any, error) {
						if i == b.N-1 {
							close(done)
						}
						return nil, nil
					})
					d.Complete(nil, nil)
				}
			})
		}))
		rt.Root().Send(pid, start{})
		<-done
		rt.Root().Stop(pid)
	})
}
