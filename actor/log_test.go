package actor_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
)

func TestSystemLogsToZerolog(t *testing.T) {
	rt, log := newRuntime(t)
	logger := rt.System().Logger()
	logger.Info("chatter")
	type secret struct{ password string }
	logger.With("message", &secret{"x"}, "pid", rt.Discard()).Warn("trouble",
		"error", errTest, "value", secret{"y"}, "time_taken", time.Second, slog.Group("group", "n", 1))
	lines := log.lines(t)
	require.Len(t, lines, 1, "levels below warning are dropped")
	logger.WithGroup("group").Error("trouble", "message", "attribute")
	assert.Equal(t, "attribute", log.lines(t)[1]["group.actor_message"])
	assert.NotEmpty(t, lines[0]["time"])
	delete(lines[0], "time")
	assert.Equal(t, map[string]any{
		"level": "warn", "message": "trouble",
		"actor_message": "*actor_test.secret", "pid": "pb-discard",
		"error": "test", "value": "actor_test.secret", "time_taken": 1000.0, "group.n": 1.0,
	}, lines[0])
}

func TestSystemLogLevel(t *testing.T) {
	log := new(logbook)
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(log).Level(zerolog.ErrorLevel)))
	require.NoError(t, err)
	rt.System().Logger().Warn("too quiet")
	rt.System().Logger().Error("loud enough")
	assert.Len(t, log.lines(t), 1)
	require.NoError(t, rt.Close(t.Context()))
}
