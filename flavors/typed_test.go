package flavors

import (
	"errors"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type Typed struct {
	Referenceable
	n     int
	calls []any
}

func (c *Typed) note(v ...any) error {
	c.calls = append(c.calls, v...)
	if len(v) > 0 && v[0] == "fail" {
		return errors.New("failed")
	}
	return nil
}

func (c *Typed) RemoteValue() string { return "replaced by a function" }

func (c *Typed) PublishMethods(Prefix) MethodSet {
	return Methods(
		Func0("value", func(c *Typed, _ *Invocation) (int, error) { return c.n, nil }),
		Func1("incr", func(c *Typed, _ *Invocation, by int) (int, error) { c.n += by; return c.n, nil }, "by=1"),
		Func2("add", func(_ *Typed, _ *Invocation, a, b float64) (float64, error) { return a + b, nil }, "a", "b=10"),
		Func3("join", func(_ *Typed, inv *Invocation, a string, b []byte, c any) (jelly.Tuple, error) {
			return jelly.Tuple{inv.Method, a, b, c}, nil
		}),
		Func0("never", func(*Typed, *Invocation) (*actor.Deferred, error) { return nil, nil }),
		Proc0("p0", func(c *Typed, _ *Invocation) error { return c.note() }),
		Proc1("p1", func(c *Typed, _ *Invocation, a string) error { return c.note(a) }),
		Proc2("p2", func(c *Typed, _ *Invocation, a string, b int8) error { return c.note(a, b) }),
		Proc3("p3", func(c *Typed, _ *Invocation, a string, b bool, d *int) error { return c.note(a, b, d) }),
	)
}

// The types below publish Typed's functions because they embed it.
type (
	typedChild      struct{ Typed }
	typedGrandchild struct{ typedMiddle }
	typedMiddle     struct{ *Typed }
)

func TestTypedMethods(t *testing.T) {
	for _, tc := range []struct {
		method string
		args   []any
		kw     *jelly.Dict
		want   any
		err    string
	}{
		{"value", nil, nil, 5, ""},
		{"Value", nil, nil, 5, ""},
		{"incr", []any{int64(2)}, nil, 7, ""},
		{"incr", nil, nil, 6, ""},
		{"incr", nil, dict("by", int64(3)), 8, ""},
		{"incr", []any{"x"}, nil, nil, "Typed.incr() argument 1 (by): cannot use str as int"},
		{"incr", []any{1.5}, nil, nil, "Typed.incr() argument 1 (by): "},
		{"incr", []any{int64(1), int64(2)}, nil, nil, "Typed.incr() takes at most 1 positional argument, 2 were given"},
		{"add", []any{1.5, int64(2)}, nil, 3.5, ""},
		{"add", []any{int64(1)}, nil, 11.0, ""},
		{"add", []any{1.0}, dict("b", 2.0), 3.0, ""},
		{"add", []any{1.0}, dict("a", 2.0), nil, "Typed.add() argument a was given twice, by position and by keyword"},
		{"add", []any{1.0}, dict("z", 2.0), nil, `Typed.add(): unknown keyword "z"; it knows a, b`},
		{"add", []any{1.0}, dict("b", "x"), nil, "Typed.add() argument 2 (b): "},
		{"add", nil, nil, nil, "Typed.add() misses argument 1 (a)"},
		{"join", []any{"a", []byte("b"), nil}, nil, jelly.Tuple{"join", "a", []byte("b"), nil}, ""},
		{"join", []any{"a", []byte("b"), "c"}, nil, jelly.Tuple{"join", "a", []byte("b"), "c"}, ""},
		{"join", []any{"a", int64(1), "c"}, nil, nil, "Typed.join() argument 2: "},
		{"join", []any{int64(1), int64(1), "c"}, nil, nil, "Typed.join() argument 1: "},
		{"never", nil, nil, nil, ""},
		{"p0", nil, nil, nil, ""},
		{"p0", []any{nil}, nil, nil, "Typed.p0() takes no positional arguments, 1 were given"},
		{"p1", []any{"fail"}, nil, nil, "failed"},
		{"p2", []any{"a", int64(300)}, nil, nil, "Typed.p2() argument 2: "},
		{"p3", []any{"a", true, nil}, nil, nil, ""},
		{"p3", []any{"a", true, "x"}, nil, nil, "Typed.p3() argument 3: "},
	} {
		for _, recv := range []any{
			&Typed{n: 5}, &typedChild{Typed{n: 5}}, &typedGrandchild{typedMiddle{&Typed{n: 5}}},
		} {
			table := tableFor(t, recv, PrefixRemote)
			got, err := table.Invoke(recv, wireCall{method: tc.method, args: tc.args, kw: tc.kw}.invocation())
			if tc.err != "" {
				want := tc.err
				if table.typeName != "Typed" && want != "failed" {
					want = table.typeName + want[len("Typed"):]
				}
				require.ErrorContains(t, err, want)
				if tc.err != "failed" {
					require.ErrorIs(t, err, TypeError)
				}
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		}
	}
}

func TestTypedProcs(t *testing.T) {
	c := &Typed{}
	for _, call := range []wireCall{
		{method: "p1", args: []any{"one"}},
		{method: "p2", args: []any{"two", int64(2)}},
		{method: "p3", args: []any{"three", true, int64(3)}},
	} {
		_, err := tableFor(t, c, PrefixRemote).Invoke(c, call.invocation())
		require.NoError(t, err)
	}
	three := 3
	assert.Equal(t, []any{"one", "two", int8(2), "three", true, &three}, c.calls)
}
