package actor_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
)

// quitter calls runtime.Goexit on one kind of message. It has a child.
type quitter struct {
	on     string
	events chan<- string
	child  *protoactor.Props
}

func (q *quitter) Receive(ctx protoactor.Context) {
	kind := fmt.Sprintf("%T", ctx.Message())
	q.events <- kind
	if _, ok := ctx.Message().(*protoactor.Started); ok {
		ctx.Spawn(q.child)
	}
	if kind == q.on {
		runtime.Goexit()
	}
}

// TestGoexitWhileStopping covers t.FailNow in an actor's handler.
func TestGoexitWhileStopping(t *testing.T) {
	for _, on := range []string{"*actor.Stopping", "*actor.Stopped", "*actor.Terminated"} {
		t.Run(on, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt, log := newRuntime(t)
				events := make(chan string, 100)
				quiet := scripted(rt, func(*script, protoactor.Context) {})
				pid := rt.Root().Spawn(rt.Props(func() protoactor.Actor { return &quitter{on, events, quiet} }))
				stop(rt, pid) // would wait forever
				assert.Equal(t, []string{"*actor.Started", "*actor.Stopping", "*actor.Terminated", "*actor.Stopped"}, drain(events),
					"each is told once")
				require.Len(t, log.lines(t), 1)
				assert.Contains(t, log.lines(t)[0]["error"], "Goexit")
				assert.Equal(t, pid.Id, log.lines(t)[0]["actor"])
			})
		})
	}
}

func TestGoexitWhileRestarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := newRuntime(t)
		events := make(chan string, 100)
		quiet := scripted(rt, func(*script, protoactor.Context) {})
		instances := 0
		var child *protoactor.PID
		props := rt.Props(func() protoactor.Actor {
			if instances++; instances == 1 {
				return &quitter{"*actor.Restarting", events, quiet}
			}
			return &quitter{"", events, quiet}
		})
		parent := rt.Root().Spawn(scripted(rt, func(_ *script, ctx protoactor.Context) {
			switch m := ctx.Message().(type) {
			case *protoactor.Started:
				child = ctx.Spawn(props)
			case do:
				m(ctx)
			}
		}))
		inTurn(rt, parent, func(protoactor.Context) {})
		decide(rt, child)
		synctest.Wait()
		rt.Root().Send(child, "and on")
		synctest.Wait()
		assert.Equal(t, []string{
			"*actor.Started", "*actor.Restarting", "*actor.Terminated", "*actor.Started", "string",
		}, drain(events))
		assert.Equal(t, 2, instances)
		stop(rt, parent)
	})
}

// decide returns the decision of an actor's supervisor.
func decide(rt *actor.Runtime, pid *protoactor.PID) {
	process, _ := rt.System().ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &protoactor.Restart{})
}
