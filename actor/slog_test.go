package actor_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
)

func slogRuntime(t *testing.T, level slog.Leveler) (*actor.Runtime, *logbook) {
	t.Helper()
	log := new(logbook)
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	handler := slog.NewTextHandler(log, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime})
	rt, err := actor.NewRuntime(actor.WithSlog(slog.New(handler).With("app", "test")))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) })
	return rt, log
}

func TestWithSlog(t *testing.T) {
	rt, log := slogRuntime(t, slog.LevelDebug)
	peer := rt.Logger().With().Str("peer", "127.0.0.1:1").Logger()
	for _, test := range []struct {
		event *zerolog.Event
		want  string
	}{
		{peer.Warn().Int("n", -7).Bool("ok", true).Float64("f", 1.5),
			`level=WARN msg=hello app=test peer=127.0.0.1:1 n=-7 ok=true f=1.5`},
		{rt.Logger().Error().Err(errTest), `level=ERROR msg=hello app=test error=test`},
		{rt.Logger().Debug().Str("quoted", "a \"b\"\n"), `level=DEBUG msg=hello app=test quoted="a \"b\"\n"`},
		{rt.Logger().Info().Uint64("large", 1<<63), `level=INFO msg=hello app=test large=9223372036854775808`},
		{rt.Logger().Info().Dur("retry_in", 1500*time.Millisecond), `level=INFO msg=hello app=test retry_in=1500`},
		{rt.Logger().Info().Strs("names", []string{"a", "b"}), `level=INFO msg=hello app=test names="[a b]"`},
		{rt.Logger().Log(), `level=INFO msg=hello app=test`},
	} {
		test.event.Msg("hello")
		assert.Equal(t, test.want+"\n", log.take())
	}
	rt.System().Logger().Warn("from the actor system", "n", 1)
	assert.Equal(t, "level=WARN msg=\"from the actor system\" app=test n=1\n", log.take())
}

// TestWithSlogLevels changes the level while the logger is in use.
func TestWithSlogLevels(t *testing.T) {
	level := new(slog.LevelVar)
	level.Set(slog.LevelError)
	rt, log := slogRuntime(t, level)
	derived := rt.Logger().With().Str("peer", "x").Logger()
	assert.Nil(t, derived.Warn(), "a line that is off is not begun")
	level.Set(slog.LevelDebug)
	derived.Debug().Msg("now")
	assert.Equal(t, "level=DEBUG msg=now app=test peer=x\n", log.take())
	level.Set(slog.LevelWarn)
	derived.Info().Msg("too quiet")
	assert.Empty(t, log.take())
}

func TestWithSlogNil(t *testing.T) {
	_, err := actor.NewRuntime(actor.WithSlog(nil))
	require.ErrorContains(t, err, "slog.Default()")
}

// TestWithSlogTurnPanics wants the log line of a panic.
func TestWithSlogTurnPanics(t *testing.T) {
	rt, log := slogRuntime(t, slog.LevelInfo)
	rt.Go("a task", func() { panic("boom") })
	require.NoError(t, rt.Close(t.Context()))
	assert.True(t, strings.HasPrefix(log.take(),
		`level=ERROR msg="a goroutine panicked" app=test task="a task" panic=boom stack="goroutine `))
}

func TestAdoptRejectsSystemOptions(t *testing.T) {
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	_, err = actor.Adopt(rt.System(), actor.WithSystemOptions(protoactor.WithDeadLetterRequestLogging(true)))
	require.ErrorContains(t, err, "for NewRuntime")
	require.NoError(t, rt.Close(t.Context()))
}
