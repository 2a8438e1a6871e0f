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

// slogFactory lets an actor system log to l: warnings and worse, for what upstream says below that is chatter.
func slogFactory(l zerolog.Logger) func(*protoactor.ActorSystem) *slog.Logger {
	if l.GetLevel() < zerolog.WarnLevel {
		l = l.Level(zerolog.WarnLevel)
	}
	return func(*protoactor.ActorSystem) *slog.Logger {
		return slog.New(&bridge{Handler: zerolog.NewSlogHandler(l)})
	}
}

// bridge makes upstream's records fit for zerolog. It renames the attribute "message", which
// would stand twice in a line, and it replaces values by their type: a message may
// be large, secret, or still in use by another goroutine.
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

// pidName is how an actor is named in logs; PID.String would print a protobuf message and is slow.
func pidName(pid *protoactor.PID) string {
	if pid == nil {
		return ""
	}
	return pid.Id
}
