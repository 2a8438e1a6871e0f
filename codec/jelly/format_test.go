package jelly_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/graph"
)

// rude is a user's type whose methods must not be called.
type rude struct{ Password string }

func (rude) String() string               { panic("String was called") }
func (rude) Error() string                { panic("Error was called") }
func (rude) GoString() string             { panic("GoString was called") }
func (rude) Format(fmt.State, rune)       { panic("Format was called") }
func (rude) MarshalText() ([]byte, error) { panic("MarshalText was called") }

type describer struct{ text string }

func (d describer) DescribeJelly() string {
	if d.text == "" {
		panic("no text")
	}
	return d.text
}

type (
	names []string
	level int
)

func TestFormat(t *testing.T) {
	shared := []any{strings.Repeat("x", 70)}
	short := []any{int64(1)}
	circle := []any{int64(1), nil}
	circle[1] = circle
	huge := new(big.Int).Lsh(big.NewInt(1), 10_000)
	for _, c := range []struct {
		v    any
		want string
	}{
		{nil, "None"},
		{true, "True"},
		{int64(-5), "-5"},
		{uint8(5), "5"},
		{level(3), "3"},
		{1.0, "1.0"},
		{float32(0.1), "0.1"},
		{math.Inf(-1), "-Inf"},
		{"a\"b\x1b\u202eä", `"a\"b\x1b\u202eä"`},
		{[]byte("a\"\\\n\r\t\x1b\xff"), `b"a\"\\\n\r\t\x1b\xff"`},
		{big.NewInt(7), "7"},
		{huge, "<int of 10001 bits>"},
		{(*big.Int)(nil), "None"},
		{[]any{}, "[]"},
		{[]any{int64(1), "a"}, `[1, "a"]`},
		{jelly.Tuple{}, "()"},
		{jelly.Tuple{int64(1)}, "(1,)"},
		{jelly.Tuple{int64(1), nil}, "(1, None)"},
		{jelly.NewDict(), "{}"},
		{jelly.NewDict(jelly.Entry{Key: "a", Value: int64(1)}, jelly.Entry{Key: jelly.Tuple{}, Value: nil}),
			`{"a": 1, (): None}`},
		{(*jelly.Dict)(nil), "None"},
		{jelly.Entry{Key: "a", Value: int64(1)}, `{"a": 1}`},
		{jelly.NewSet("a"), `{"a"}`},
		{jelly.NewFrozenSet("a"), `frozenset({"a"})`},
		{&jelly.Instance{Class: "a.B", State: "s"}, `<a.B>("s")`},
		{jelly.Instance{Class: "a.B\n", State: nil}, `<a.B\n>(None)`},
		{&jelly.Method{Name: "m", Self: "s", Class: jelly.Class("a.B")}, `<method m>("s")`},
		{jelly.Class("a.B"), "<class a.B>"},
		{jelly.Module("a"), "<module a>"},
		{jelly.Function("a.f"), "<function a.f>"},
		{jelly.Persistent{ID: int64(4)}, "<persistent 4>"},
		{jelly.Unpersistable{Reason: "no\x1b"}, `<unpersistable: no\x1b>`},
		{jelly.NewDecimal(125, -1), "Decimal(125e-1)"},
		{*jelly.NewDecimal(125, 0), "Decimal(125)"},
		{time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), "<datetime 2026-01-02 03:04:05.000006>"},
		{time.Second, "<timedelta 1s>"},
		{jelly.Timedelta{Days: 1}, "<timedelta 1d0s0us>"},
		{jelly.Date{Year: 2026, Month: 1, Day: 2}, "<date 2026-01-02>"},
		{jelly.TimeOfDay{Hour: 1}, "<time 01:00:00.000000>"},
		{&jelly.Unbound{Tag: "remote", ID: 5}, "<remote 5>"},
		{&jelly.Unbound{Tag: "local", Name: []byte("root")}, "<local root>"},
		{rude{"secret"}, "<jelly_test.rude>"},
		{&rude{"secret"}, "<*jelly_test.rude>"},
		{[]rude{{"secret"}}, "[<jelly_test.rude>]"},
		{describer{"a \x1b"}, `<a \x1b>`},
		{describer{}, "<jelly_test.describer>"},
		{(*describer)(nil), "None"},
		{names{"a", "b"}, `["a", "b"]`},
		{[2]int{1, 2}, "[1, 2]"},
		{map[string]any{"b": int64(2), "a": nil}, `{"a": None, "b": 2}`},
		{map[level][]byte{1: nil}, `{1: b""}`},
		{map[string]int(nil), "None"},
		{make(chan int), "<chan int>"},
		{circle, "[1, <cycle>]"},
		{[]any{short, short}, "[[1], [1]]"},
		{jelly.Tuple{shared, shared}, `(["` + strings.Repeat("x", 70) + `"], <list above>)`},
		{jelly.Formatted{Value: int64(1)}, "1"},
	} {
		assert.Equal(t, c.want, jelly.Format(c.v), "%T", c.v)
	}
	deep := jelly.Format(graph.Nested(graph.List, 100_000, nil))
	assert.Equal(t, strings.Repeat("[", 64)+"<list …>"+strings.Repeat("]", 64), deep)
}

// Every way to print a value is bounded and escaped.
func TestFormatIsBounded(t *testing.T) {
	check := func(t assert.TestingT, v any, limit int) {
		text := jelly.Formatted{Value: v, Limit: limit}.String()
		assert.LessOrEqual(t, len(text), limit)
		assert.True(t, utf8.ValidString(text))
		assert.Equal(t, -1, strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", text)
	}
	for name, v := range graph.Hostile() {
		t.Run(name, func(t *testing.T) {
			graph.Within(t, 1<<20, func() {
				for _, limit := range []int{1, 2, 3, 4, 10, 100, 1000, 10_000} {
					check(t, v, limit)
				}
			})
			graph.Within(t, 64<<20, func() { check(t, v, 1<<20) })
			if _, isList := v.([]any); isList {
				return // A list has no methods of ours.
			}
			graph.Within(t, 8<<20, func() {
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%t", "%10.3f"} {
					if _, isText := v.(string); !isText {
						assert.Less(t, len(fmt.Sprintf(verb, v)), 8<<10, verb)
					}
				}
			})
		})
	}
	rapid.Check(t, func(rt *rapid.T) {
		v := graph.Random(rapid.Uint64().Draw(rt, "seed"))
		for _, limit := range []int{1, 20, 300, 1 << 20} {
			check(rt, v, limit)
		}
		assert.LessOrEqual(rt, len(jelly.Format(v)), jelly.DefaultFormatLimit)
	})
}

// Without a limit, the text is linear in the graph.
func TestFormatIsLinear(t *testing.T) {
	for _, k := range graph.Kinds() {
		v := graph.Doubled(k, 60, strings.Repeat("x", 100))
		assert.Less(t, len(jelly.Formatted{Value: v, Limit: math.MaxInt}.String()), 20_000, k)
	}
}

func TestFormatted(t *testing.T) {
	v := jelly.Tuple{"a", strings.Repeat("x", 5000)}
	f := jelly.Formatted{Value: v, Limit: 20}
	want := `("a", "xxxxxxxxxx…`
	assert.Equal(t, want, f.String())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		assert.Equal(t, want, fmt.Sprintf(verb, f))
	}
	assert.Equal(t, `("a"…`, fmt.Sprintf("%.7v", v))
	assert.Equal(t, `("a"…`, fmt.Sprintf("%.7v", f))
	var line strings.Builder
	log := zerolog.New(&line)
	log.Info().Stringer("args", f).Interface("json", f).Send()
	var fields map[string]string
	require.NoError(t, json.Unmarshal([]byte(line.String()), &fields))
	assert.Equal(t, map[string]string{"level": "info", "args": want, "json": want}, fields)
	line.Reset()
	slog.New(slog.NewTextHandler(&line, nil)).Info("called", "args", f)
	assert.Contains(t, line.String(), `xxxxxxxxxx…"`)
	// A disabled line does not format the value.
	log = log.Level(zerolog.Disabled)
	assert.Zero(t, testing.AllocsPerRun(100, func() { log.Debug().Stringer("args", &f).Send() }))
}
