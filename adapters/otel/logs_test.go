package otel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// logger is an object whose method writes log lines.
type logger struct {
	flavors.Root
	slog *slog.Logger
	zero zerolog.Logger
}

// RemoteLog writes a line to each log.
func (g *logger) RemoteLog(ctx context.Context) {
	g.slog.InfoContext(ctx, "by slog", "n", 1)
	g.zero.Info().Ctx(ctx).Msg("by zerolog")
}

func TestLogHandlerOfNothing(t *testing.T) {
	slog.New(otel.LogHandler(nil)).With("app", "shop").WithGroup("g").InfoContext(t.Context(), "nowhere")
}

func TestLogLines(t *testing.T) {
	l := newLab(t)
	var out bytes.Buffer
	root := &logger{
		slog: slog.New(otel.LogHandler(slog.NewJSONHandler(&out, nil))).With("app", "shop"),
		zero: zerolog.New(&out).Hook(otel.LogHook()),
	}
	_, conn := l.serve(root)
	_, err := flavors.Call[any](t.Context(), conn.Root(), "log")
	require.NoError(t, err)
	span := l.ended(2)["server logger/log"].SpanContext()
	lines := json.NewDecoder(&out)
	for range 2 {
		var line map[string]any
		require.NoError(t, lines.Decode(&line))
		assert.Equal(t, span.TraceID().String(), line["trace_id"], line)
		assert.Equal(t, span.SpanID().String(), line["span_id"], line)
	}
	out.Reset()
	root.RemoteLog(t.Context())
	root.zero.Info().Msg("without a context")
	assert.NotContains(t, out.String(), "trace_id")
}
