package flavors_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

func TestForward(t *testing.T) {
	l := newLab()
	s := newServer(t, l)
	pid, got := spawnProbe(s.Runtime)
	l.forward = flavors.Forward(s.Runtime, pid)
	p := s.Peer()
	luid := get(t, p, 1, "forward")

	p.Write(fmt.Sprintf(`[message 2 %d anything 1 [tuple 1 [unicode x]] [dictionary [[unicode k] 5]]]`, luid))
	inv := (<-got).(*flavors.Invocation)
	require.Equal(t, "anything", inv.Method)
	require.Len(t, inv.Args, 2)
	require.Equal(t, 1, inv.Kw.Len())
	require.True(t, inv.WantsAnswer())
	require.EqualValues(t, 2, inv.RequestID())
	require.Nil(t, inv.Perspective())
	require.NoError(t, inv.Context().Err())
	require.True(t, inv.Answer("yes", nil))
	require.False(t, inv.Answer("no", nil), "a call is answered once")
	require.False(t, inv.Answer(nil, errPlain))
	p.Want(`[answer 2 [unicode yes]]`)

	p.Write(fmt.Sprintf(`[message 3 %d fails 1 [tuple] [dictionary]]`, luid))
	(<-got).(*flavors.Invocation).Answer(nil, errPlain)
	wantError(t, p, 3, "builtins.Exception")

	d := actor.NewDeferred(s.Runtime)
	p.Write(fmt.Sprintf(`[message 4 %d later 1 [tuple] [dictionary]]`, luid))
	require.True(t, (<-got).(*flavors.Invocation).Answer(d, nil))
	d.Complete(7, nil)
	p.Want(`[answer 4 7]`)

	// What the actor has not answered when it ends fails, and so does every later call.
	p.Write(
		fmt.Sprintf(`[message 5 %d open 1 [tuple] [dictionary]]`, luid),
		fmt.Sprintf(`[message 6 %d open 1 [tuple] [dictionary]]`, luid),
	)
	open := []any{<-got, <-got}
	require.NoError(t, s.Runtime.Root().StopFuture(pid).Wait())
	p.Want(`[error $a _]`, `[error $b _]`) // In no particular order.
	require.ElementsMatch(t, []any{int64(5), int64(6)}, []any{p.Var("a"), p.Var("b")})
	require.False(t, open[0].(*flavors.Invocation).Answer(1, nil))
	p.Write(fmt.Sprintf(`[message 7 %d late 1 [tuple] [dictionary]]`, luid))
	require.Contains(t, wantAnyError(p, 7), "the object has stopped")
}

// When the actor ends while calls are on their way to it, all of them are answered.
func TestForwardToEndingActor(t *testing.T) {
	l := newLab()
	s := newServer(t, l)
	for round := range 30 {
		pid := s.Runtime.Root().Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
			if inv, ok := ctx.Message().(*flavors.Invocation); ok && inv.RequestID()%2 == 0 {
				inv.Answer(1, nil)
			}
		}))
		l.forward = flavors.Forward(s.Runtime, pid)
		p := s.Peer()
		luid := get(t, p, 1, "forward")
		for i := range 20 {
			if i == round%20 {
				s.Runtime.Root().Stop(pid)
			}
			p.Write(
				fmt.Sprintf(`[message %d %d f 0 [tuple] [dictionary]]`, 100+i, luid),
				fmt.Sprintf(`[message %d %d f 1 [tuple] [dictionary]]`, 200+2*i, luid),
			)
			p.Want(fmt.Sprintf(`[_ %d _]`, 200+2*i))
		}
		p.Close()
	}
}

// raw gets calls as they came.
type raw struct{ flavors.Root }

func (*raw) HandleRemote(inv *flavors.Invocation) (any, error) {
	switch inv.Method {
	case "answer":
		inv.Answer("by itself", nil)
		return "ignored", nil
	case "panic":
		panic(errors.New("raw"))
	case "fail":
		return nil, flavors.ValueError.Errorf("%d is no good", len(inv.Args))
	}
	return inv.Method, nil
}

// RemoteHidden cannot be called by name.
func (*raw) RemoteHidden() {}

func TestHandlerGetsAllCalls(t *testing.T) {
	p := newServer(t, &raw{}).Peer()
	p.Write(`[message 1 root hidden 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [unicode hidden]]`)
	p.Write(`[message 2 root answer 1 [tuple] [dictionary]]`)
	p.Want(`[answer 2 [unicode "by itself"]]`)
	p.Write(`[message 3 root fail 1 [tuple 1 2] [dictionary]]`)
	require.Contains(t, wantError(t, p, 3, "builtins.ValueError"), "2 is no good")
	p.Write(`[message 4 root panic 1 [tuple] [dictionary]]`)
	wantAnyError(p, 4)
	p.Write(`[message 5 root still 1 [tuple] [dictionary]]`)
	p.Want(`[answer 5 [unicode still]]`)
}

// clumsy panics on each call with fewer than two arguments.
type clumsy struct{}

func (clumsy) Receive(ctx protoactor.Context) {
	if inv, ok := ctx.Message().(*flavors.Invocation); ok {
		inv.Answer(inv.Args[1], nil)
	}
}

// TestForwardToPanickingActor has actors of the application panic on a call, under each decision of a supervisor.
func TestForwardToPanickingActor(t *testing.T) {
	produce := func() protoactor.Actor { return clumsy{} }
	always := func(d protoactor.Directive) protoactor.PropsOption {
		return protoactor.WithSupervisor(
			protoactor.NewOneForOneStrategy(1000, time.Minute, func(any) protoactor.Directive { return d }),
		)
	}
	for name, directive := range map[string]protoactor.Directive{
		"restart": protoactor.RestartDirective, "resume": protoactor.ResumeDirective, "stop": protoactor.StopDirective,
	} {
		for _, guarded := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, guarded: %v", name, guarded), func(t *testing.T) {
				l := newLab()
				s := newServer(t, l)
				props := protoactor.PropsFromProducer(produce)
				if guarded {
					props = s.Runtime.Props(produce)
				}
				parent := protoactor.PropsFromFunc(func(ctx protoactor.Context) {
					if _, ok := ctx.Message().(string); ok {
						ctx.Respond(ctx.Spawn(props))
					}
				}, always(directive))
				root := s.Runtime.Root()
				pid, err := root.RequestFuture(root.Spawn(parent), "spawn", wire.Timeout).Result()
				require.NoError(t, err)
				l.forward = flavors.Forward(s.Runtime, pid.(*protoactor.PID))
				p := s.Peer()
				luid := get(t, p, 1, "forward")
				for i := range 3 {
					p.Write(fmt.Sprintf(`[message %d %d add 1 [tuple 1] [dictionary]]`, 10+i, luid))
					p.Want(fmt.Sprintf(`[error %d _]`, 10+i))
				}
				p.Write(fmt.Sprintf(`[message 20 %d add 1 [tuple 1 2] [dictionary]]`, luid))
				if name == "stop" {
					wantError(t, p, 20, "perspectivebroker.ObjectStopped")
				} else {
					p.Want(`[answer 20 2]`)
				}
			})
		}
	}
}

// TestForwardAnsweredLater: a handler that returns long before it answers has not panicked.
func TestForwardAnsweredLater(t *testing.T) {
	l := newLab()
	s := newServer(t, l)
	var kept *flavors.Invocation
	pid := s.Runtime.Root().Spawn(protoactor.PropsFromFunc(func(ctx protoactor.Context) {
		inv, ok := ctx.Message().(*flavors.Invocation)
		switch {
		case !ok:
		case inv.Method == "keep":
			kept = inv
		default:
			time.Sleep(600 * time.Millisecond) // Longer than two looks: the fence waits behind this call.
			inv.Answer("slow", nil)
			kept.Answer("late", nil)
		}
	}))
	l.forward = flavors.Forward(s.Runtime, pid)
	p := s.Peer()
	luid := get(t, p, 1, "forward")
	p.Write(
		fmt.Sprintf(`[message 2 %d keep 1 [tuple] [dictionary]]`, luid),
		fmt.Sprintf(`[message 3 %d slow 1 [tuple] [dictionary]]`, luid),
	)
	p.Want(`[answer 3 [unicode slow]]`, `[answer 2 [unicode late]]`)
}
