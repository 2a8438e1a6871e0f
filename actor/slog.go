package actor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"github.com/rs/zerolog"
)

// WithSlog makes the Runtime, and the actor system that NewRuntime makes, log to l instead of a zerolog.Logger. The
// fields of a line become attributes. The levels that l's handler has enabled are asked for with each line, so a
// slog.LevelVar works. A line that is off costs one call of the handler's Enabled method.
func WithSlog(l *slog.Logger) Option {
	return option(func(c *config) {
		if l == nil {
			c.err = errors.New("actor: WithSlog was given no logger: pass one, such as slog.Default()")
			return
		}
		sink := slogSink{l.Handler()}
		c.logger = zerolog.New(sink).Sample(sink)
	})
}

// slogSink passes the lines of a zerolog.Logger on to a slog.Handler. It is the logger's writer, and its sampler, which
// zerolog asks before it begins a line.
type slogSink struct{ handler slog.Handler }

// Sample implements zerolog.Sampler.
func (s slogSink) Sample(level zerolog.Level) bool {
	return s.handler.Enabled(context.Background(), slogLevel(level))
}

// Write implements io.Writer.
func (s slogSink) Write(line []byte) (int, error) { return s.WriteLevel(zerolog.NoLevel, line) }

// WriteLevel implements zerolog.LevelWriter.
func (s slogSink) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	message, attrs := fieldsOf(line)
	record := slog.NewRecord(time.Now(), slogLevel(level), message, 0)
	record.AddAttrs(attrs...)
	return len(line), s.handler.Handle(context.Background(), record)
}

func slogLevel(level zerolog.Level) slog.Level {
	switch level {
	case zerolog.TraceLevel:
		return slog.LevelDebug - 4
	case zerolog.DebugLevel:
		return slog.LevelDebug
	case zerolog.WarnLevel:
		return slog.LevelWarn
	case zerolog.ErrorLevel:
		return slog.LevelError
	case zerolog.FatalLevel, zerolog.PanicLevel:
		return slog.LevelError + 4
	}
	return slog.LevelInfo
}

// fieldsOf returns the message and the other fields of a line of zerolog's, in order. What is no JSON object is all
// message.
func fieldsOf(line []byte) (message string, attrs []slog.Attr) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return string(line), nil
	}
	for d.More() {
		token, err := d.Token()
		key, ok := token.(string)
		var value any
		if err != nil || !ok || d.Decode(&value) != nil {
			return string(line), nil
		}
		switch key {
		case zerolog.LevelFieldName, zerolog.TimestampFieldName: // The record has them.
		case zerolog.MessageFieldName:
			message, _ = value.(string)
		default:
			attrs = append(attrs, slog.Attr{Key: key, Value: slogValue(value)})
		}
	}
	return message, attrs
}

func slogValue(v any) slog.Value {
	number, ok := v.(json.Number)
	if !ok {
		return slog.AnyValue(v)
	}
	if n, err := number.Int64(); err == nil {
		return slog.Int64Value(n)
	}
	if n, err := strconv.ParseUint(number.String(), 10, 64); err == nil {
		return slog.Uint64Value(n)
	}
	if f, err := number.Float64(); err == nil {
		return slog.Float64Value(f)
	}
	return slog.StringValue(number.String())
}
