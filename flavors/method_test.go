package flavors

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type counter struct {
	Referenceable
	n   int
	ran bool
}

func (c *counter) RemoteIncr(by int) int                    { c.ran = true; c.n += by; return c.n }
func (c *counter) RemoteValue() int                         { return c.n }
func (c *counter) RemoteNothing()                           {}
func (c *counter) RemoteFails() error                       { return errors.New("it failed") }
func (c *counter) RemoteSucceeds() error                    { return nil }
func (c *counter) RemoteBoth(fail bool) (string, error)     { return "both", ifTrue(fail) }
func (c *counter) RemotePair() (int, string)                { return 1, "two" }
func (c *counter) RemoteTriple(f bool) (int, string, error) { return 1, "two", ifTrue(f) }
func (c *counter) RemoteLater() *actor.Deferred             { return actor.Succeeded("later") }
func (c *counter) RemoteNever() *actor.Deferred             { return nil }
func (c *counter) RemoteLaterOr(f bool) (*actor.Deferred, error) {
	return actor.Succeeded("later"), ifTrue(f)
}
func (c *counter) RemoteCtx(ctx context.Context, s string) string {
	return ctx.Value(contextKey{}).(string) + " " + s
}
func (c *counter) RemoteInv(inv *Invocation) string { return inv.Method }
func (c *counter) RemoteCtxInv(ctx context.Context, inv *Invocation, n int) int {
	return n + len(inv.Args)
}
func (c *counter) RemoteGet_two() int           { return 2 } //nolint:staticcheck // The underscore is what is tested.
func (c *counter) RemoteGetTwo() int            { return 22 }
func (c *counter) RemoteGetThree() int          { return 3 }
func (c *counter) RemoteGet4() int              { return 4 }
func (c *counter) RemoteÉtat() string           { return "accent" }
func (c *counter) Remotely() string             { return "not a wire method" }
func (c *counter) Remote() string               { return "not a wire method" }
func (c *counter) PerspectiveIncr() string      { return "for avatars" }
func (c *counter) ObserveIncr() string          { return "for caches" }
func (c *counter) RemoteAny(x any) any          { return x }
func (c *counter) RemotePanic()                 { panic("boom") }
func (c *counter) unexported() int              { return 0 }
func (c *counter) RemoteSlice(x []int) int      { return len(x) }
func (c *counter) RemoteDict(d *jelly.Dict) int { return d.Len() }

func ifTrue(fail bool) error {
	if fail {
		return ValueError.New("asked for")
	}
	return nil
}

func TestMethodNames(t *testing.T) {
	(&counter{}).unexported()
	for _, tc := range []struct {
		wire string
		want any // nil: no such method
	}{
		{"value", 5},
		{"Value", 5},
		{"get_two", 2},
		{"getTwo", 22},
		{"GetTwo", 22},
		{"get_three", 3},
		{"Get_Three", 3},
		{"getThree", 3},
		{"get_4", 4},
		{"get4", 4},
		{"état", "accent"},
		{"get__three", nil},
		{"_get_three", nil},
		{"get_three_", nil},
		{"_value", nil},
		{"_", nil},
		{"", nil},
		{"ly", nil},
		{"remote_value", nil},
		{"RemoteValue", nil},
		{"unexported", nil},
		{"jellyTo", nil},
		{"VALUE", nil},
		{strings.Repeat("a_", 100_000) + "b", nil},
		{"\xff_\xff", nil},
	} {
		name := tc.wire
		if len(name) > 20 {
			name = name[:20]
		}
		t.Run("name "+name, func(t *testing.T) {
			got, err := callRemote(t, &counter{n: 5}, tc.wire)
			if tc.want != nil {
				require.NoError(t, err)
				assert.Equal(t, tc.want, got)
				return
			}
			require.ErrorIs(t, err, NoSuchMethod)
			require.ErrorIs(t, err, AttributeError)
			assert.Less(t, len(err.Error()), 300)
			if len(tc.wire) < 20 && tc.wire != "\xff_\xff" {
				assert.Equal(t, "No such method: remote_"+tc.wire, err.Error())
			}
		})
	}
}

func TestMethodPrefixes(t *testing.T) {
	for prefix, want := range map[Prefix]any{
		PrefixRemote: 7, PrefixPerspective: "for avatars", PrefixObserve: "for caches",
	} {
		call := wireCall{method: "incr"}
		if prefix == PrefixRemote {
			call.args = []any{int64(2)}
		}
		got, err := tableFor(t, &counter{}, prefix).Invoke(&counter{n: 5}, call.invocation())
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for prefix, text := range map[Prefix]string{
		PrefixRemote: "remote_x", PrefixPerspective: "perspective_x", PrefixView: "view_x", PrefixObserve: "observe_x",
		"Other": "Other_x",
	} {
		_, err := tableFor(t, &counter{}, prefix).Invoke(&counter{}, wireCall{method: "x"}.invocation())
		require.EqualError(t, err, "No such method: "+text)
	}
}

func TestMethodResults(t *testing.T) {
	for _, tc := range []struct {
		method string
		args   []any
		want   any
		err    string
	}{
		{"nothing", nil, nil, ""},
		{"fails", nil, nil, "it failed"},
		{"succeeds", nil, nil, ""},
		{"both", []any{false}, "both", ""},
		{"both", []any{true}, nil, "asked for"},
		{"pair", nil, jelly.Tuple{1, "two"}, ""},
		{"triple", []any{false}, jelly.Tuple{1, "two"}, ""},
		{"triple", []any{true}, nil, "asked for"},
		{"never", nil, nil, ""},
		{"laterOr", []any{true}, nil, "asked for"},
		{"ctx", []any{"x"}, "the connection's x", ""},
		{"inv", nil, "inv", ""},
		{"ctxInv", []any{int64(4)}, 5, ""},
		{"any", []any{nil}, nil, ""},
		{"slice", []any{nil}, 0, ""},
		{"dict", []any{dict("a", 1)}, 1, ""},
	} {
		t.Run(tc.method, func(t *testing.T) {
			got, err := callRemote(t, &counter{}, tc.method, tc.args...)
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				assert.Nil(t, got)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
	for _, method := range []string{"later", "laterOr"} {
		var args []any
		if method == "laterOr" {
			args = []any{false}
		}
		got, err := callRemote(t, &counter{}, method, args...)
		require.NoError(t, err)
		v, err := got.(*actor.Deferred).Await(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "later", v)
	}
}

func TestMethodArgumentErrors(t *testing.T) {
	for _, tc := range []struct {
		args []any
		want string
	}{
		{[]any{"x"}, "counter.incr() argument 1: cannot use str as int"},
		{nil, "counter.incr() misses argument 1"},
		{[]any{int64(1), int64(2)}, "counter.incr() takes at most 1 positional argument, 2 were given"},
	} {
		c := &counter{}
		_, err := callRemote(t, c, "incr", tc.args...)
		require.EqualError(t, err, tc.want)
		require.ErrorIs(t, err, TypeError)
		assert.False(t, c.ran, "the method must not run")
	}
	_, err := callRemote(t, &counter{}, "value", int64(1))
	require.EqualError(t, err, "counter.value() takes no positional arguments, 1 were given")
	var assign *jelly.AssignError
	_, err = callRemote(t, &counter{}, "incr", "x")
	require.ErrorAs(t, err, &assign)
}

func TestMethodPanic(t *testing.T) {
	assert.PanicsWithValue(t, "boom", func() { _, _ = callRemote(t, &counter{}, "panic") })
	got, err := callRemote(t, &counter{}, "incr", int64(3))
	require.NoError(t, err)
	assert.Equal(t, 3, got)
}

func TestFramesCleared(t *testing.T) {
	c := &counter{}
	table := tableFor(t, c, PrefixRemote)
	_, err := table.Invoke(c, wireCall{method: "any", args: []any{"kept?"}}.invocation())
	require.NoError(t, err)
	m := table.methods["any"].(*method)
	f := m.frames.Get().(*frame)
	assert.False(t, f.in[0].IsValid())
	assert.True(t, f.in[1].IsZero())
}

func TestMethodConcurrentCalls(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				got, err := callRemote(t, &counter{n: i}, "incr", int64(1))
				assert.NoError(t, err)
				assert.Equal(t, i+1, got)
			}
		})
	}
	wg.Wait()
}

type badMethods struct{ Referenceable }

func (*badMethods) RemoteChan(c chan int) {}
func (*badMethods) RemoteFunc() func()    { return nil }

func (*badMethods) RemoteLateCtx(
	n int,
	ctx context.Context,
) {
}
func (*badMethods) RemoteTwoCtx(a, b context.Context)                   {}
func (*badMethods) RemoteTwoInv(a, b *Invocation)                       {}
func (*badMethods) RemoteErrs() (error, error)                          { return nil, nil } //nolint:revive // likewise
func (*badMethods) RemoteDeferreds() (*actor.Deferred, *actor.Deferred) { return nil, nil }
func (*badMethods) RemoteFuncs(fs ...func())                            {}
func (*badMethods) RemoteChans(cs []chan int)                           {}
func (*badMethods) RemoteKwFirst(kw Kw, n int)                          {}
func (*badMethods) RemoteFine(n int)                                    {}
func (*badMethods) ViewNothing()                                        {}
func (*badMethods) ViewVariadic(persp ...any)                           {}

func TestUnsupportedSignatures(t *testing.T) {
	_, err := methodsFor(reflect.TypeFor[*badMethods](), PrefixRemote)
	require.Error(t, err)
	for _, part := range []string{
		"*flavors.badMethods cannot be published",
		"method RemoteChan: parameter 1 cannot be filled from the wire: nothing on the wire is a chan int",
		"method RemoteFunc: its result 1, a func(), cannot be sent",
		"method RemoteLateCtx: parameter 2 cannot be filled from the wire: context.Context must come before the " +
			"arguments, and once",
		"method RemoteTwoCtx: parameter 2",
		"method RemoteTwoInv: parameter 2",
		"method RemoteErrs: its result 1 is an error; an error is returned last",
		"method RemoteDeferreds: its result 1 is a Deferred among other values",
		"method RemoteFuncs: its last parameter cannot be filled",
		"method RemoteChans: parameter 1",
		"method RemoteKwFirst: parameter 1 cannot be filled from the wire: flavors.Kw must be the last parameter",
	} {
		assert.ErrorContains(t, err, part)
	}
	assert.NotContains(t, err.Error(), "RemoteFine")
	_, again := methodsFor(reflect.TypeFor[*badMethods](), PrefixRemote)
	assert.Equal(t, err, again, "the verdict is remembered")

	_, err = methodsFor(reflect.TypeFor[*badMethods](), PrefixView)
	require.ErrorContains(
		t,
		err,
		"method ViewNothing: a View method takes the caller's perspective as its first parameter",
	)
	require.ErrorContains(t, err, "method ViewVariadic: ")
}

type raw struct {
	Referenceable
	last *Invocation
}

func (r *raw) HandleRemote(inv *Invocation) (any, error) { r.last = inv; return inv.Method, nil }
func (r *raw) RemoteHidden() string                      { return "never" }

func TestHandler(t *testing.T) {
	r := &raw{}
	for _, name := range []string{"hidden", "anything at all", ""} {
		got, err := callRemote(t, r, name, int64(1))
		require.NoError(t, err)
		assert.Equal(t, name, got)
		assert.Equal(t, jelly.Tuple{int64(1)}, r.last.Args)
	}
	assert.Empty(t, tableFor(t, r, PrefixRemote).Names())
}

type player struct{ name string }

type named interface{ Name() string }

func (p *player) Name() string { return p.name }

type board struct{ Referenceable }

func (b *board) ViewDraw(p *player, x, y int) jelly.Tuple { return jelly.Tuple{p == nil, x, y} }
func (b *board) ViewName(ctx context.Context, inv *Invocation, p named, s string) string {
	return p.Name() + s
}
func (b *board) ViewAny(p any) bool             { return p == nil }
func (b *board) ViewByValue(p int, n int) int   { return p + n }
func (b *board) ViewCount(p any, xs ...int) int { return len(xs) }

func TestViewMethods(t *testing.T) {
	b := &board{}
	table := tableFor(t, b, PrefixView)
	call := func(perspective any, method string, args ...any) (any, error) {
		return table.Invoke(b, wireCall{method: method, args: args, perspective: perspective}.invocation())
	}
	got, err := call(&player{"ann"}, "draw", int64(1), int64(2))
	require.NoError(t, err)
	assert.Equal(t, jelly.Tuple{false, 1, 2}, got)
	for _, nobody := range []any{nil, (*player)(nil)} {
		_, err = call(nobody, "draw", int64(1), int64(2))
		require.EqualError(
			t,
			err,
			"board.draw() wants the caller's perspective, a *flavors.player, but the call came without one",
		)
		_, err = call(nobody, "name", "!")
		require.ErrorIs(t, err, TypeError)
	}
	got, err = call(&player{"ann"}, "name", "!")
	require.NoError(t, err)
	assert.Equal(t, "ann!", got)
	got, err = call(nil, "any")
	require.NoError(t, err)
	assert.Equal(t, true, got)
	got, err = call(nil, "count", int64(1), int64(2))
	require.NoError(t, err)
	assert.Equal(t, 2, got)
	got, err = call(40, "byValue", int64(2))
	require.NoError(t, err)
	assert.Equal(t, 42, got)

	_, err = call("a string", "draw", int64(1), int64(2))
	require.EqualError(t, err, "board.draw() is for callers with the perspective *flavors.player, not string")
	require.ErrorIs(t, err, TypeError)
	_, err = call(nil, "byValue", int64(2))
	require.ErrorContains(t, err, "came without one")
	_, err = call(&player{}, "draw", int64(1))
	require.EqualError(t, err, "board.draw() misses argument 2")
}

func TestNames(t *testing.T) {
	assert.Equal(t, []string{"any", "byValue", "count", "draw", "name"}, tableFor(t, &board{}, PrefixView).Names())
	assert.Equal(t, "board", dispatch.TypeName(reflect.TypeFor[**board]()))
	assert.Equal(t, "box", dispatch.TypeName(reflect.TypeFor[box[map[string]int]]()))
	assert.Equal(t, "object", dispatch.TypeName(reflect.TypeFor[*struct{}]()))
}

// middleware wraps each call of its methods.
type middleware struct {
	Referenceable
	table *MethodTable
	calls []string
	n     int
}

func (m *middleware) HandleRemote(inv *Invocation) (any, error) {
	m.calls = append(m.calls, inv.Method)
	return m.table.Invoke(m, inv)
}
func (m *middleware) RemoteIncr(by int) int { m.n += by; return m.n }
func (*middleware) RemoteBoom()             { panic("boom") }

// TestInvokeInHandler calls the method and not the handler again.
func TestInvokeInHandler(t *testing.T) {
	m := &middleware{}
	m.table = tableFor(t, m, PrefixRemote)
	got, err := callRemote(t, m, "incr", int64(2))
	require.NoError(t, err)
	assert.Equal(t, 2, got)
	_, err = callRemote(t, m, "incr", "two")
	require.ErrorIs(t, err, TypeError)
	_, err = callRemote(t, m, "other")
	require.ErrorIs(t, err, NoSuchMethod)
	assert.PanicsWithValue(t, "boom", func() { _, _ = callRemote(t, m, "boom") })
	assert.Equal(t, []string{"incr", "incr", "other", "boom"}, m.calls)
}

type unfit struct{ Referenceable }

func (*unfit) HandleRemote(*Invocation) (any, error) { return "handled", nil }
func (*unfit) RemoteChan(chan int)                   {}

func TestInvokeNil(t *testing.T) {
	table := tableFor(t, &counter{}, PrefixRemote)
	inv := wireCall{method: "value"}.invocation()
	for name, f := range map[string]func() (any, error){
		"nil receiver":    func() (any, error) { return table.Invoke(nil, inv) },
		"typed nil":       func() (any, error) { return table.Invoke((*counter)(nil), inv) },
		"another type":    func() (any, error) { return table.Invoke(&middleware{}, inv) },
		"nil invocation":  func() (any, error) { return table.Invoke(&counter{}, nil) },
		"nil table":       func() (any, error) { return (*MethodTable)(nil).Invoke(&counter{}, inv) },
		"zero table":      func() (any, error) { return new(MethodTable).Invoke(&counter{}, inv) },
		"unfit methods":   func() (any, error) { return tableFor(t, &unfit{}, PrefixRemote).Invoke(&unfit{}, inv) },
		"zero invocation": func() (any, error) { return table.Invoke(&counter{}, &Invocation{}) },
	} {
		_, err := f()
		assert.Error(t, err, name)
	}
	got, err := callRemote(t, &unfit{}, "anything")
	require.NoError(t, err)
	assert.Equal(t, "handled", got)
}
