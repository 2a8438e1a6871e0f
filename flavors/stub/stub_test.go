package stub_test

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/stub"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// meter is an interface as it would be marked.
type meter interface {
	Read(ctx context.Context) (int, error)
}

type meterClient struct{ stub.Client }

func newMeterClient(ref *flavors.RemoteReference) meter { return &meterClient{stub.NewClient(ref)} }

func (c *meterClient) Read(ctx context.Context) (int, error) {
	return stub.Call(ctx, c.Client, stub.Value[int], "read")
}

type meterServer struct{ stub.Server[meter] }

func newMeterServer(m meter) *meterServer {
	return stub.Serve(m, func() *meterServer { return &meterServer{stub.Server[meter]{Impl: m}} })
}

const meterClass = "test.Meter"

func (*meterServer) ReferenceClass() (string, []any) { return meterClass, nil }

func (*meterServer) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(stub.Func("read", stub.Signature{Method: "meter.read()"},
		func(s *meterServer, a *stub.Args) (any, error) { return stub.Result(s.Impl.Read(a.Context())) }))
}

// fixed is a meter.
type fixed int

func (f *fixed) Read(context.Context) (int, error) { return int(*f), nil }

type tag struct {
	flavors.Copyable
	Text string `pb:"text"`
}

// house has one method of each kind.
type house struct {
	flavors.Referenceable
	last any
}

func (*house) PublishMethods(flavors.Prefix) flavors.MethodSet {
	args := func(a *stub.Args, v ...any) (any, error) {
		if err := a.Err(); err != nil {
			return nil, err
		}
		return jelly.Tuple(v), nil
	}
	object := stub.Object("meter", meterClass, newMeterClient)
	return flavors.Methods(
		stub.Func("two", stub.Signature{Method: "two()", Params: []stub.Param{{Name: "a"}, {Name: "b"}}},
			func(_ *house, a *stub.Args) (any, error) {
				return args(a, stub.Arg(a, 0, stub.Value[int]), stub.Arg(a, 1, stub.Value[string]))
			}),
		stub.Func("options", stub.Signature{
			Method: "options()", Params: []stub.Param{{Name: "a"}},
			Keywords: []stub.Param{{Name: "x"}, {Name: "y", Optional: true}},
		}, func(_ *house, a *stub.Args) (any, error) {
			return args(a, stub.Arg(a, 0, stub.Value[int]), stub.Arg(a, 1, stub.Value[int]),
				stub.Option(a, 2, stub.Value[int], 7))
		}),
		stub.Func("dict", stub.Signature{
			Method: "dict()", Keywords: []stub.Param{{Name: "x", Optional: true}}, TakesDict: true,
		}, func(_ *house, a *stub.Args) (any, error) { return args(a, stub.Arg(a, 0, stub.Value[any])) }),
		stub.Func("more", stub.Signature{
			Method: "more()", Params: []stub.Param{{Name: "a"}}, Keywords: []stub.Param{{Name: "x", Optional: true}},
			Variadic: true, Rest: true,
		}, func(_ *house, a *stub.Args) (any, error) {
			return args(a, stub.Arg(a, 0, stub.Value[int]), stub.Arg(a, 1, stub.Value[int]),
				stub.More(a, stub.Value[int]), map[string]any(a.Kw()), a.Invocation().Method)
		}),
		stub.Func("copies", stub.Signature{
			Method: "copies()", Params: []stub.Param{{Name: "p"}, {Name: "v"}, {Name: "l"}, {Name: "m"}, {Name: "o"}},
		}, func(_ *house, a *stub.Args) (any, error) {
			p, v := stub.Arg(a, 0, stub.Copy[tag]), stub.Arg(a, 1, stub.CopyValue[tag])
			l := stub.Arg(a, 2, stub.Slice(stub.Copy[tag]))
			m := stub.Arg(a, 3, stub.Map[string](stub.Copy[tag]))
			o := stub.Arg(a, 4, stub.Pointer(stub.CopyValue[tag]))
			if err := a.Err(); err != nil {
				return nil, err
			}
			return jelly.Tuple{p.Text, v.Text, len(l), len(m), o != nil}, nil
		}),
		stub.Func("object", stub.Signature{Method: "object()", Params: []stub.Param{{Name: "m"}}},
			func(h *house, a *stub.Args) (any, error) {
				m := stub.Arg(a, 0, object)
				if err := a.Err(); err != nil {
					return nil, err
				}
				h.last = m
				return stub.Send(m, newMeterServer), nil
			}),
		stub.Func("objects", stub.Signature{Method: "objects()", Params: []stub.Param{{Name: "m"}}},
			func(_ *house, a *stub.Args) (any, error) {
				l := stub.Arg(a, 0, stub.Slice(object))
				if err := a.Err(); err != nil {
					return nil, err
				}
				return stub.SendEach(l, newMeterServer), nil
			}),
		stub.Func("own", stub.Signature{Method: "own()", Params: []stub.Param{{Name: "m"}, {Name: "r"}}},
			func(h *house, a *stub.Args) (any, error) {
				own, ref := stub.Arg(a, 0, stub.Local[*house]), stub.Arg(a, 1, stub.Reference)
				if err := a.Err(); err != nil {
					return nil, err
				}
				return jelly.Tuple{own == h, ref}, nil
			}),
		stub.Func("answers", stub.Signature{Method: "answers()", Params: []stub.Param{{Name: "what"}}},
			func(h *house, a *stub.Args) (any, error) {
				switch what := stub.Arg(a, 0, stub.Value[string]); what {
				case "copy":
					return &tag{Text: "t"}, nil
				case "meter":
					return newMeterServer(new(fixed)), nil
				case "text":
					return what, nil
				case "pair":
					return []any{1, "a"}, nil
				}
				return nil, a.Err()
			}),
	)
}

// connect returns a client of a house.
func connect(t *testing.T) (stub.Client, *house) {
	t.Helper()
	rt := pbtest.NewRuntime(t)
	registry := jelly.NewRegistry()
	for range 2 {
		require.NoError(t, stub.RegisterCopy[tag](registry))
		require.NoError(t, stub.RegisterReference(registry, meterClass))
	}
	h := &house{}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", h, broker.WithRegistry(registry))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL(), broker.WithRegistry(registry))
	require.NoError(t, err)
	return stub.NewClient(conn.Root()), h
}

// python prints a value with single quotes.
func python(v any) string { return strings.ReplaceAll(jelly.Format(v), `"`, "'") }

func TestBinding(t *testing.T) {
	c, _ := connect(t)
	type kw = flavors.Kw
	for _, x := range []struct {
		method    string
		args      []any
		want, err string
	}{
		{"two", []any{1, "a"}, "(1, 'a')", ""},
		{"two", []any{1, kw{"b": "a"}}, "(1, 'a')", ""},
		{"two", []any{kw{"b": "a", "a": 1}}, "(1, 'a')", ""},
		{"two", []any{1}, "", "two() misses argument 2 (b)"},
		{"two", []any{1, "a", 2}, "", "two() takes at most 2 positional arguments, 3 were given"},
		{"two", []any{1, "a", kw{"a": 1}}, "", "two() argument a was given twice"},
		{"two", []any{1, "a", kw{"c": 1}}, "", `two(): unknown keyword "c"; it knows a, b`},
		{"two", []any{"x", "a"}, "", "two() argument 1 (a): cannot use str as int"},
		{"options", []any{1, 2}, "(1, 2, 7)", ""},
		{"options", []any{1, 2, 3}, "(1, 2, 3)", ""},
		{"options", []any{1, kw{"y": 3, "x": 2}}, "(1, 2, 3)", ""},
		{"options", []any{1, map[string]int{"y": 3, "x": 2}}, "(1, 2, 3)", ""},
		{"options", []any{1, map[string]int{"z": 3}}, "", "unknown keyword"},
		{"options", []any{1}, "", "options() misses argument 2 (x)"},
		{"options", []any{1, 2, kw{"x": 2}}, "", "given twice"},
		{"options", []any{1, kw{"x": nil}}, "", "options() argument 2 (x): cannot use None as int"},
		{"dict", []any{map[string]int{"x": 1}}, "({'x': 1},)", ""},
		{"dict", nil, "(None,)", ""},
		{"dict", []any{1, 2}, "", "dict() takes at most 1 positional argument, 2 were given"},
		{"more", []any{1}, "(1, 0, [], {}, 'more')", ""},
		{"more", []any{1, 2, 3, kw{"x": 4, "z": 5}}, "(1, 4, [2, 3], {'z': 5}, 'more')", ""},
		{"more", []any{1, 2, "x"}, "", "more() argument 3: cannot use str as int"},
		{"more", []any{1, 2, kw{"a": 5}}, "", "given twice"},
	} {
		v, err := flavors.Call[any](t.Context(), c.Reference(), x.method, x.args...)
		if x.err != "" {
			require.ErrorIs(t, err, flavors.TypeError, "%s%v", x.method, x.args)
			assert.ErrorContains(t, err, x.err)
			continue
		}
		require.NoError(t, err, "%s%v", x.method, x.args)
		assert.Equal(t, x.want, python(v))
	}
}

func TestCopies(t *testing.T) {
	c, _ := connect(t)
	a := &tag{Text: "a"}
	call := func(args ...any) (string, error) {
		v, err := flavors.Call[any](t.Context(), c.Reference(), "copies", args...)
		return python(v), err
	}
	got, err := call(a, tag{Text: "b"}, []*tag{a, a}, map[string]*tag{"k": a}, a)
	require.NoError(t, err)
	assert.Equal(t, "('a', 'b', 2, 1, True)", got)
	got, err = call(a, a, nil, nil, nil)
	require.NoError(t, err)
	assert.Equal(t, "('a', 'a', 0, 0, False)", got)
	fake := map[string]string{"text": "a"}
	for i := range 5 {
		args := []any{a, a, []*tag{a}, map[string]*tag{"k": a}, a}
		args[i] = []any{fake, fake, []any{fake}, map[string]any{"k": fake}, fake}[i]
		_, err := call(args...)
		require.ErrorIs(t, err, flavors.TypeError)
		assert.ErrorContains(t, err, "cannot use dict as *stub_test.tag: only an instance of the class is accepted")
		args[i] = 1
		_, err = call(args...)
		require.ErrorIs(t, err, flavors.TypeError, i)
	}
}

// TestNested accepts copies within other values as instances of their class only.
func TestNested(t *testing.T) {
	type box struct {
		One  *tag            `pb:"one"`
		Row  []tag           `pb:"row"`
		Plan map[string]*box `pb:"plan"`
	}
	dict := func(key string, v any) *jelly.Dict { return jelly.NewDict(jelly.Entry{Key: key, Value: v}) }
	good, fake := &tag{Text: "a"}, dict("text", "a")
	for name, v := range map[string]func(x any) any{
		"field":          func(x any) any { return dict("one", x) },
		"slice by value": func(x any) any { return dict("row", []any{x}) },
		"deep":           func(x any) any { return dict("plan", dict("p", dict("row", []any{x}))) },
		"tuple":          func(x any) any { return jelly.Tuple{x, []any{x}, nil} },
	} {
		got, err := stub.Nested[box](v(good))
		require.NoError(t, err, name)
		assert.NotZero(t, got)
		for _, bad := range []any{fake, []any{"a"}, jelly.Tuple{"a"}, 5} {
			_, err = stub.Nested[*box](v(bad))
			require.ErrorContains(t, err, "only an instance of the class is accepted", name)
		}
	}
	rows, err := stub.Nested[[][]*tag]([]any{[]any{good, nil}, nil})
	require.NoError(t, err)
	assert.Equal(t, [][]*tag{{good, nil}, nil}, rows)
	assert.Same(t, good, rows[0][0])
	_, err = stub.Nested[[][]*tag]([]any{[]any{good}, []any{good, fake}})
	require.ErrorContains(t, err, "at [1][1]")
	// What is no copy takes dictionaries as always.
	got, err := stub.Nested[box](dict("plan", dict("p", dict("plan", nil))))
	require.NoError(t, err)
	assert.Contains(t, got.Plan, "p")
}

func TestObjects(t *testing.T) {
	c, h := connect(t)
	f := fixed(3)
	back, err := stub.Call(t.Context(), c, stub.Object("meter", meterClass, newMeterClient), "object",
		stub.Send[meter](&f, newMeterServer))
	require.NoError(t, err)
	assert.Same(t, &f, back, "what comes home is what was passed")
	n, err := h.last.(meter).Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 3, n)

	list, err := stub.Call(t.Context(), c, stub.Slice(stub.Object("meter", meterClass, newMeterClient)), "objects",
		stub.SendEach([]meter{&f, &f}, newMeterServer))
	require.NoError(t, err)
	assert.Equal(t, []meter{&f, &f}, list)

	plain := &house{}
	for _, wrong := range []any{nil, 1, plain, c, (*meterClient)(nil), stub.Send[meter](nil, newMeterServer),
		stub.Send[meter]((*fixed)(nil), newMeterServer), stub.Send[meter]((*meterClient)(nil), newMeterServer)} {
		_, err := flavors.Call[any](t.Context(), c.Reference(), "object", wrong)
		require.ErrorIs(t, err, flavors.TypeError, "%T", wrong)
		assert.ErrorContains(t, err, "as meter")
	}
	_, err = flavors.Call[any](t.Context(), c.Reference(), "object", plain)
	assert.ErrorContains(t, err, "it must carry the class test.Meter")

	own, err := flavors.Call[jelly.Tuple](t.Context(), c.Reference(), "own", c, plain)
	require.NoError(t, err)
	assert.Equal(t, jelly.Tuple{true, plain}, own)
	for _, args := range [][]any{{plain, plain}, {c, c}, {nil, plain}, {c, nil}} {
		_, err = flavors.Call[any](t.Context(), c.Reference(), "own", args...)
		require.ErrorIs(t, err, flavors.TypeError)
	}
}

func TestAnswers(t *testing.T) {
	c, _ := connect(t)
	ctx := t.Context()
	got, err := stub.Call(ctx, c, stub.CopyOrNil[tag], "answers", "copy")
	require.NoError(t, err)
	assert.Equal(t, "t", got.Text)
	got, err = stub.Call(ctx, c, stub.CopyOrNil[tag], "answers", "")
	require.NoError(t, err)
	assert.Nil(t, got)
	_, err = stub.Call(ctx, c, stub.CopyOrNil[tag], "answers", "text")
	require.ErrorContains(t, err, "calling answers: the answer: cannot use str as *stub_test.tag")
	_, err = stub.Call(ctx, c, stub.CopyOrNil[tag], "nothing")
	require.ErrorIs(t, err, flavors.NoSuchMethod)

	object := stub.ObjectOrNil("meter", meterClass, newMeterClient)
	m, err := stub.Call(ctx, c, object, "answers", "meter")
	require.NoError(t, err)
	n, err := m.Read(ctx)
	require.NoError(t, err)
	assert.Zero(t, n)
	m, err = stub.Call(ctx, c, object, "answers", "")
	require.NoError(t, err)
	assert.Nil(t, m)
	ref, err := stub.Call(ctx, c, stub.ReferenceOrNil, "answers", "meter")
	require.NoError(t, err)
	assert.Equal(t, meterClass, ref.Class())
	ref, err = stub.Call(ctx, c, stub.ReferenceOrNil, "answers", "")
	require.NoError(t, err)
	assert.Nil(t, ref)

	pair := func(what string) (int, string, error) {
		v, err := flavors.Call[any](ctx, c.Reference(), "answers", what)
		parts, err := stub.Results(v, err, 2)
		a := stub.Part(&err, parts[0], stub.Value[int])
		b := stub.Part(&err, parts[1], stub.Value[string])
		return a, b, err
	}
	a, b, err := pair("pair")
	require.NoError(t, err)
	assert.Equal(t, 1, a)
	assert.Equal(t, "a", b)
	_, _, err = pair("text")
	require.ErrorContains(t, err, "the answer is no tuple of 2: it is a str")
	_, err = stub.Results(nil, context.Canceled, 2)
	require.ErrorIs(t, err, context.Canceled)
	stub.Part(&err, "x", stub.Value[int])
	require.ErrorIs(t, err, context.Canceled)
	_, err = stub.Result(1, context.Canceled)
	require.ErrorIs(t, err, context.Canceled)
	failed := error(nil)
	stub.Part(&failed, "x", stub.Value[int])
	require.ErrorContains(t, failed, "the answer: cannot use str as int")
	assert.True(t, stub.IsZero[any](nil))
	assert.False(t, stub.IsZero("a"))
}

func TestServe(t *testing.T) {
	f := new(fixed)
	server := newMeterServer(f)
	assert.Same(t, server, newMeterServer(f))
	assert.Same(t, f, server.Implementation())
	require.NoError(t, server.Check())
	require.Error(t, (&meterServer{}).Check())
	// A value has no identity.
	one := stub.Serve(1, func() *house { return &house{} })
	assert.NotSame(t, one, stub.Serve(1, func() *house { return &house{} }))
	// A server that is not in use is collected, and another takes its place.
	number := new(int)
	assert.Equal(t, "first", stub.Serve(number, func() *house { return &house{last: "first"} }).last)
	for {
		runtime.GC()
		if s := stub.Serve(number, func() *house { return &house{last: "second"} }); s.last == "second" {
			break
		}
	}
}
