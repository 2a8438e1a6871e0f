package flavors

import (
	"context"
	"testing"
)

type benched struct {
	Referenceable
	n int
}

func (b *benched) RemoteNothing()                                   {}
func (b *benched) RemoteIncr(by int) int                            { b.n += by; return b.n & 0xff }
func (b *benched) RemoteAdd(x, y int) (int, error)                  { return (x + y) & 0xff, nil }
func (b *benched) RemoteText(s string) string                       { return s }
func (b *benched) RemoteCtx(_ context.Context, x int) (bool, error) { return x > 0, nil }
func (b *benched) RemoteOptions(x int, o addOptions) int            { return (x + o.B) & 0xff }
func (b *benched) RemoteSlice(x []int) int                          { return len(x) }
func (b *benched) PublishMethods(Prefix) MethodSet {
	return Methods(
		Proc0("typedNothing", func(*benched, *Invocation) error { return nil }),
		Func1("typedIncr", func(b *benched, _ *Invocation, by int) (int, error) { b.n += by; return b.n & 0xff, nil }),
		Func2("typedAdd", func(_ *benched, _ *Invocation, x, y int) (int, error) { return (x + y) & 0xff, nil }),
		Func1("typedText", func(_ *benched, _ *Invocation, s string) (string, error) { return s, nil }),
	)
}

// Calls not marked typed use reflection.
func BenchmarkInvoke(b *testing.B) {
	for name, call := range map[string]wireCall{
		"nothing": {method: "nothing"},
		"incr":    {method: "incr", args: []any{int64(1)}},
		"add":     {method: "add", args: []any{int64(1), int64(2)}},
		"text":    {method: "text", args: []any{"text"}},
		"ctx":     {method: "ctx", args: []any{int64(1)}},
		"slice of 10": {method: "slice",
			args: []any{[]any{int64(1), int64(1), int64(1), int64(1), int64(1), int64(1), int64(1), int64(1), int64(1),
				int64(1)}}},
		"default keyword": {method: "options", args: []any{int64(1)}},
		"given keyword":   {method: "options", args: []any{int64(1)}, kw: dict("b", int64(2))},
		"wrong type":      {method: "incr", args: []any{"x"}},
		"no such method":  {method: "missing"},
		"nothing, typed":  {method: "typedNothing"},
		"incr, typed":     {method: "typedIncr", args: []any{int64(1)}},
		"add, typed":      {method: "typedAdd", args: []any{int64(1), int64(2)}},
		"text, typed":     {method: "typedText", args: []any{"text"}},
	} {
		b.Run(name, func(b *testing.B) {
			recv := &benched{}
			table := tableFor(b, recv, PrefixRemote)
			inv := call.invocation()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = table.Invoke(recv, inv)
			}
		})
	}
}
