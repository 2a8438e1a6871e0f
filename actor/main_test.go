package actor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/perspectivebroker/pb/actor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logbook is a log that tests can read.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take returns the text so far, and forgets it.
func (l *logbook) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

// lines returns the log's entries, decoded.
func (l *logbook) lines(t testing.TB) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []map[string]any
	for line := range strings.Lines(l.buf.String()) {
		entry := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		lines = append(lines, entry)
	}
	return lines
}

// newRuntime returns a Runtime that is closed when the test ends, and its log.
func newRuntime(t testing.TB, opts ...actor.Option) (*actor.Runtime, *logbook) {
	t.Helper()
	log := new(logbook)
	rt, err := actor.NewRuntime(append([]actor.Option{actor.WithLogger(zerolog.New(log))}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) })
	return rt, log
}

// newSystem returns an application's own actor system that does not log.
func newSystem() *protoactor.ActorSystem {
	return protoactor.NewActorSystem(
		protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }),
		protoactor.WithDeadLetterThrottleInterval(time.Millisecond))
}

// script is an actor whose behavior is a field. It is a pointer, so each restart makes a new instance.
type script struct {
	receive func(s *script, ctx protoactor.Context)
}

func (s *script) Receive(ctx protoactor.Context) { s.receive(s, ctx) }

func scripted(
	rt *actor.Runtime,
	receive func(s *script, ctx protoactor.Context),
	opts ...protoactor.PropsOption,
) *protoactor.Props {
	return rt.Props(func() protoactor.Actor { return &script{receive: receive} }, opts...)
}

// do is a message that is a function. It runs in the actor's turn.
type do func(ctx protoactor.Context)

// obedient is an actor that runs the functions it receives.
type obedient struct{ strangers []any }

func (o *obedient) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case do:
		m(ctx)
	case protoactor.SystemMessage, protoactor.AutoReceiveMessage:
	default:
		o.strangers = append(o.strangers, m)
	}
}

func obey(rt *actor.Runtime, opts ...protoactor.PropsOption) *protoactor.PID {
	return rt.Root().Spawn(rt.Props(func() protoactor.Actor { return &obedient{} }, opts...))
}

// inTurn runs f in the actor's turn and waits until it has returned.
func inTurn(rt *actor.Runtime, pid *protoactor.PID, f func(ctx protoactor.Context)) {
	done := make(chan struct{})
	rt.Root().Send(pid, do(func(ctx protoactor.Context) {
		defer close(done)
		f(ctx)
	}))
	<-done
}

// stop stops an actor and waits until it has stopped.
func stop(rt *actor.Runtime, pid *protoactor.PID) {
	done := make(chan struct{})
	rt.WhenStopped(pid, func() { close(done) })
	rt.Root().Stop(pid)
	<-done
}
