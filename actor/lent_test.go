package actor_test

import (
	"fmt"
	"testing"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/perspectivebroker/pb/actor"
)

// borrower is an actor that handles lent strings, and notes which way messages came.
type borrower struct {
	instance int
	events   chan<- string
}

// fallible counts how often its handler has failed.
type fallible struct{ failed *int }

func (f *fallible) Failed(*actor.PanicError) { *f.failed++ }

func (b *borrower) note(way string, message any) {
	b.events <- fmt.Sprintf("%d %s %v", b.instance, way, message)
}

func (b *borrower) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case string, int:
		b.note("received", m)
	case *protoactor.Stopped:
		b.note("received", "Stopped")
	}
}

func (b *borrower) ReceiveLent(ctx protoactor.Context, message any) bool {
	switch m := message.(type) {
	case string:
		b.note("was lent", m)
	case *fallible:
		panic("cannot")
	default:
		return false
	}
	if ctx.Message() != nil {
		b.note("has a context with", ctx.Message())
	}
	return true
}

// newBorrower spawns a borrower whose turns run where they are scheduled, and returns its mailbox, which is idle.
func newBorrower(rt *actor.Runtime, events chan<- string) *actor.Mailbox {
	m := actor.NewMailbox()
	instances := 0
	rt.Root().Spawn(rt.Props(func() protoactor.Actor {
		instances++
		return &borrower{instances, events}
	},
		protoactor.WithMailbox(func() protoactor.Mailbox { return m }),
		protoactor.WithDispatcher(protoactor.NewSynchronizedDispatcher(1))))
	return m
}

func TestReceiveLent(t *testing.T) {
	rt, _ := newRuntime(t)
	events := make(chan string, 20)
	m := newBorrower(rt, events)
	m.Lend("a")
	m.Lend(1)
	m.Lend("b")
	assert.Equal(t, []string{"1 was lent a", "1 received 1", "1 was lent b"}, drain(events))
}

// A panic in ReceiveLent is logged once with its message, told to the message, and decided by the supervisor.
func TestReceiveLentPanics(t *testing.T) {
	rt, log := newRuntime(t)
	events := make(chan string, 20)
	m := newBorrower(rt, events)
	failed := 0
	m.Lend(&fallible{&failed})
	m.Lend("to the next instance")
	assert.Equal(t, []string{"2 was lent to the next instance"}, drain(events))
	lines := log.lines(t)
	require.Len(t, lines, 1)
	assert.Equal(t, "an actor's handler panicked", lines[0]["message"])
	assert.Equal(t, "*actor_test.fallible", lines[0]["on"])
	assert.Equal(t, 1, failed)
}

// Where protoactor measures messages, it sees them all.
func TestReceiveLentMeasured(t *testing.T) {
	system := protoactor.NewActorSystem(protoactor.WithMetricProviders(noop.NewMeterProvider()))
	rt, err := actor.Adopt(system, actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	events := make(chan string, 20)
	m := newBorrower(rt, events)
	m.Lend("a")
	assert.Equal(t, []string{"1 received a"}, drain(events))
}
