package actor

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

// slogFactory makes an actor system log to l. Levels below warning are dropped, because protoactor logs too much there.
func slogFactory(l zerolog.Logger) func(*protoactor.ActorSystem) *slog.Logger {
	if l.GetLevel() < zerolog.WarnLevel {
		l = l.Level(zerolog.WarnLevel)
	}
	return func(*protoactor.ActorSystem) *slog.Logger {
		return slog.New(&bridge{Handler: zerolog.NewSlogHandler(l)})
	}
}

// bridge adapts protoactor's records to zerolog. It renames the attribute "message", which would appear twice in a
// line, and replaces values by their types, because a message may be large, secret or in use by another goroutine.
type bridge struct{ slog.Handler }

func (b *bridge) Handle(ctx context.Context, r slog.Record) error {
	plain := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		plain.AddAttrs(plainAttr(a))
		return true
	})
	var err error
	usercode.Log(func() { err = b.Handler.Handle(ctx, plain) })
	return err
}

func (b *bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	plain := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		plain[i] = plainAttr(a)
	}
	return &bridge{b.Handler.WithAttrs(plain)}
}

func (b *bridge) WithGroup(name string) slog.Handler {
	return &bridge{b.Handler.WithGroup(name)}
}

func plainAttr(a slog.Attr) slog.Attr {
	if a.Key == zerolog.MessageFieldName {
		a.Key = "actor_message"
	}
	a.Value = a.Value.Resolve()
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	switch v := a.Value.Any().(type) {
	case *protoactor.PID:
		a.Value = slog.StringValue(pidName(v))
	case error:
		a.Value = slog.StringValue(usercode.ErrorText(v))
	case time.Duration, nil:
	default:
		a.Value = slog.StringValue(fmt.Sprintf("%T", v))
	}
	return a
}

// pidName returns the name of an actor for logs. PID.String is slow and prints a protobuf message.
func pidName(pid *protoactor.PID) string {
	if pid == nil {
		return ""
	}
	return pid.Id
}
