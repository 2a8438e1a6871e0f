package broker_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	aTrace      = "4bf92f3577b34da6a3ce929d0e0e4736"
	aParent     = "00-" + aTrace + "-00f067aa0ba902b7-01"
	traceparent = "traceparent"
)

func TestTraceIDs(t *testing.T) {
	for parent, want := range map[any]string{
		aParent:                  aTrace,
		aParent + "-more":        aTrace,
		"":                       "",
		aParent[:54]:             "",
		strings.ToUpper(aParent): "",
		"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01": "",
		strings.Repeat("-", 60):                                  "",
		strings.Replace(aParent, "4bf", `4"f`, 1):                "",
		7: "",
	} {
		ctx := flavors.WithMetadata(t.Context(), flavors.Metadata{traceparent: parent})
		assert.Equal(t, want, flavors.TraceID(ctx), "%v", parent)
	}
	assert.Empty(t, flavors.TraceID(t.Context()))
}

// tracedStall notes the trace of its calls.
type tracedStall struct {
	stall
	trace string
}

func (s *tracedStall) RemoteTrace(ctx context.Context) { s.trace = flavors.TraceID(ctx) }

// The lines about a call name its trace, by whichever logger they are written.
func TestTraceIDInLogs(t *testing.T) {
	log := &journal{}
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	for name, option := range map[string]actor.Option{
		"zerolog": actor.WithLogger(zerolog.New(log).Level(zerolog.DebugLevel)),
		"slog":    actor.WithSlog(slog.New(slog.NewJSONHandler(log, debug))),
	} {
		t.Run(name, func(t *testing.T) {
			log.lines.Reset()
			rt, err := actor.NewRuntime(option)
			require.NoError(t, err)
			defer func() { require.NoError(t, rt.Close(context.Background())) }()
			s := &tracedStall{}
			ln, err := broker.Listen(rt, "pb://127.0.0.1:0", s)
			require.NoError(t, err)
			conn, err := broker.Dial(t.Context(), rt, ln.URL())
			require.NoError(t, err)
			ctx := flavors.WithMetadata(t.Context(), flavors.Metadata{traceparent: aParent})
			_, err = flavors.Call[any](ctx, conn.Root(), "trace")
			require.NoError(t, err)
			assert.Equal(t, aTrace, s.trace)
			_, err = flavors.Call[any](ctx, conn.Root(), "panics")
			require.ErrorIs(t, err, flavors.RuntimeError)
			_, err = flavors.Call[any](t.Context(), conn.Root(), "trace")
			require.NoError(t, err)
			assert.Empty(t, s.trace)
			traced := map[string]int{}
			for line := range strings.Lines(log.text()) {
				fields := map[string]any{}
				require.NoError(t, json.Unmarshal([]byte(line), &fields))
				message, _ := fields["message"].(string)
				if name == "slog" {
					message, _ = fields["msg"].(string)
				}
				if fields["trace_id"] == aTrace {
					traced[message]++
				}
			}
			assert.Equal(t, map[string]int{
				"a call of the peer has ended":           2,
				"a call to the peer has ended":           2,
				"the peer is answered with a failure":    1,
				"the method tracedStall.panics panicked": 1,
			}, traced)
		})
	}
}

// Over a connection that carries no metadata, an interceptor says what trace a call belongs to.
func TestTraceIDOfInterceptor(t *testing.T) {
	log := &journal{}
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(log).Level(zerolog.DebugLevel)))
	require.NoError(t, err)
	defer func() { require.NoError(t, rt.Close(context.Background())) }()
	trace := around(func(ctx context.Context, call *flavors.CallInfo, next flavors.CallFunc) (any, error) {
		return next(flavors.WithMetadata(ctx, flavors.Metadata{traceparent: aParent}), call)
	})
	s := &tracedStall{}
	stock := broker.WithDialects(banana.ProfilePB)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", s, stock, broker.WithInterceptor(trace))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL(), stock, broker.WithInterceptor(trace))
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "trace")
	require.NoError(t, err)
	assert.Equal(t, aTrace, s.trace)
	assert.Equal(t, 2, strings.Count(log.text(), `"trace_id":"`+aTrace+`"`), log.text())
}
