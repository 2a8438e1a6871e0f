package supervision_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/actor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errTest = errors.New("test")

func newRuntime(t testing.TB, opts ...actor.Option) *actor.Runtime {
	t.Helper()
	rt, err := actor.NewRuntime(append([]actor.Option{actor.WithLogger(zerolog.Nop())}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) })
	return rt
}

// do is a message that is a function. It runs in the actor's turn.
type do func(ctx protoactor.Context)

// record records the events of a test's actors.
type record struct {
	mu     sync.Mutex
	events []string
}

func (r *record) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// take returns the events since the last call.
func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

// subject is an actor that records its events and runs the functions that it receives.
type subject struct {
	name   string
	record *record
}

func (s *subject) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		s.record.add(s.name + " started")
	case *protoactor.Restarting:
		s.record.add(s.name + " restarting")
	case *protoactor.Stopping:
		s.record.add(s.name + " stopping")
	case *protoactor.Stopped:
		s.record.add(s.name + " stopped")
	case do:
		m(ctx)
	}
}

func (r *record) props(rt *actor.Runtime, name string, opts ...protoactor.PropsOption) *protoactor.Props {
	return rt.Props(func() protoactor.Actor { return &subject{name, r} }, opts...)
}

func fail(rt *actor.Runtime, pid *protoactor.PID) {
	rt.Root().Send(pid, do(func(protoactor.Context) { panic(errTest) }))
}

func inTurn(rt *actor.Runtime, pid *protoactor.PID, f func(ctx protoactor.Context)) {
	done := make(chan struct{})
	rt.Root().Send(pid, do(func(ctx protoactor.Context) {
		defer close(done)
		f(ctx)
	}))
	<-done
}

func stop(rt *actor.Runtime, pid *protoactor.PID) {
	done := make(chan struct{})
	rt.WhenStopped(pid, func() { close(done) })
	rt.Root().Stop(pid)
	<-done
}
