//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/graph"
)

// TestArgumentsAreGraphs passes hostile values as arguments: making a command takes little time and memory.
func TestArgumentsAreGraphs(t *testing.T) {
	at := place{builder: t.TempDir(), base: t.TempDir()}
	try := func(t graph.TB, v any) {
		graph.Within(t, 512<<20, func() {
			_ = python(v)
			for name, prepare := range jobs() {
				for _, argument := range argumentNames {
					args := jelly.NewDict(
						jelly.Entry{Key: "workdir", Value: "."}, jelly.Entry{Key: "command", Value: "true"},
						jelly.Entry{Key: "file", Value: "f"}, jelly.Entry{Key: "path", Value: "p"}, jelly.Entry{Key: "dir", Value: "d"},
						jelly.Entry{Key: "fromdir", Value: "d"}, jelly.Entry{Key: "todir", Value: "d"},
						jelly.Entry{Key: "workersrc", Value: "s"}, jelly.Entry{Key: "workerdest", Value: "s"},
						jelly.Entry{Key: "writer", Value: nil}, jelly.Entry{Key: "reader", Value: nil},
						jelly.Entry{Key: "blocksize", Value: int64(1)}, jelly.Entry{Key: "maxsize", Value: nil},
					)
					args.Set(argument, v)
					_, err := prepare(at, arguments{args})
					assert.Less(t, len(errorText(err)), 1<<20, "%s %s", name, argument)
				}
			}
			log := zerolog.Nop()
			b := &builder{worker: &worker{log: &log}, name: "b", dir: at.builder}
			for i := range 4 {
				args := jelly.Tuple{nil, "1", "shell", jelly.NewDict()}
				args[i] = v
				_, err := b.newCommand(args)
				assert.Error(t, err)
			}
		})
	}
	for name, v := range graph.Hostile() {
		t.Run(name, func(t *testing.T) { try(t, v) })
	}
	long := strings.Repeat("x", 600_000)
	many := make([]any, 100_000)
	for i := range many {
		many[i] = long
	}
	t.Run("one long text many times", func(t *testing.T) { try(t, many) })
	var pairs []jelly.Entry
	for i := range 1000 {
		pairs = append(pairs, jelly.Entry{Key: "k" + strings.Repeat("y", i), Value: many})
	}
	t.Run("many long values", func(t *testing.T) { try(t, jelly.NewDict(pairs...)) })
	t.Setenv("LONG_OF_OURS", long)
	t.Run("many references in the environment", func(t *testing.T) {
		try(t, jelly.NewDict(jelly.Entry{Key: "A", Value: strings.Repeat("${LONG_OF_OURS}", 30_000)}))
	})
	rapid.Check(t, func(rt *rapid.T) { try(rt, graph.Random(rapid.Uint64().Draw(rt, "seed"))) })
}

var argumentNames = []string{
	"command", "env", "logfiles", "timeout", "maxTime", "sigtermTime", "workdir", "initial_stdin", "interruptSignal",
	"max_lines",
	"file", "path", "dir", "fromdir", "todir", "workersrc", "workerdest", "blocksize", "maxsize", "compress", "mode",
	"writer", "reader",
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestLongHeader wants a long header in updates that the wire carries.
func TestLongHeader(t *testing.T) {
	var got strings.Builder
	r := &report{gone: make(chan struct{}), post: func(m any) {
		u := m.(reported)
		assert.LessOrEqual(t, len(u.update.text), flushSize)
		got.WriteString(u.update.text)
		close(u.taken)
	}}
	text := strings.Repeat("ü€x", 300_000)
	r.header(text)
	assert.Equal(t, text, got.String())
}
