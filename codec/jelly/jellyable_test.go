package jelly

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
)

// remote is a minimal Referenceable: [remote luid], with a hole for the luid.
type remote struct{ name string }

func (x *remote) JellyTo(e *Encoder, self any) error {
	if err := e.List(2); err != nil {
		return err
	}
	e.Symbol(banana.SymRemote)
	e.Hole(self)
	e.Keep(self)
	return nil
}

// outer embeds one, as users do.
type outer struct {
	remote
	_ int
}

// copied is a minimal Copyable.
type copied struct {
	class string
	state func() any
	asked int
}

func (x *copied) JellyTo(e *Encoder, self any) error {
	return e.Instance(self, x.class, func() error {
		x.asked++
		return e.Value(x.state())
	})
}

// cached is a minimal Cacheable: a hole.
type cached struct{ name string }

func (x *cached) JellyTo(e *Encoder, self any) error {
	e.Hole(self)
	return nil
}

// luids assigns ids in wire order, as a broker does.
type luids struct{ seen []any }

func (l *luids) fill(dst []byte, payload any) ([]byte, error) {
	l.seen = append(l.seen, payload)
	return banana.AppendInt(dst, int64(len(l.seen))), nil
}

func copyOut(t testing.TB, f *Fragment, fill func([]byte, any) ([]byte, error)) string {
	t.Helper()
	b, err := f.Append([]byte("before"), fill)
	require.NoError(t, err)
	require.Equal(t, "before", string(b[:6]))
	return format(t, b[6:], f.e.ctx.Profile)
}

func TestHolesAreFilledInOrder(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	a, b := &remote{"a"}, &outer{remote: remote{"b"}}
	list := []any{a, b}
	require.NoError(t, f.Jelly([]any{list, a, list, (*remote)(nil)}))
	assert.Equal(t, 3, f.Holes())
	assert.Equal(t, 1, f.MaxRef())
	for range 2 { // A fragment can be appended more than once.
		var l luids
		assert.Equal(
			t,
			"[list [reference 1 [list [remote 1] [remote 2]]] [remote 3] [dereference 1] [None]]",
			copyOut(t, f, l.fill),
		)
		assert.Equal(t, []any{a, b, a}, l.seen, "self is the outer value")
	}
}

// A hole and a wrapped object at the same position keep their order.
func TestHoleBeforeWrap(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	shared := []any{}
	shared = append(shared, 5)
	require.NoError(t, f.Jelly([]any{&cached{"x"}, &cached{"y"}, shared, &cached{"z"}, shared}))
	var l luids
	assert.Equal(t, "[list 1 2 [reference 1 [list 5]] 3 [dereference 1]]", copyOut(t, f, l.fill))
	require.NoError(t, f.Jelly(&cached{"alone"}))
}

func TestFailedFill(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	require.NoError(t, f.JellyTuple([]any{1, &remote{}}))
	b, err := f.Append([]byte("kept"), func(dst []byte, _ any) ([]byte, error) {
		return append(dst, "rubbish"...), errors.New("no more room")
	})
	assert.EqualError(t, err, "no more room")
	assert.Equal(t, "kept", string(b))
}

// The state of an object is written once in a call, even if it contains the object.
func TestInstanceStateWrittenOnce(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	x := &copied{class: "m.C"}
	x.state = func() any { return map[string]any{"me": x} }
	require.NoError(t, f.Jelly(Tuple{x, x}))
	assert.Equal(
		t,
		`[tuple [reference 1 ["m.C" [dictionary [["unicode" "me"] [dereference 1]]]]] [dereference 1]]`,
		copyOut(t, f, nil),
	)
	assert.Equal(t, 1, x.asked)
}

// Each call numbers its references from 1, and a failed call leaves no trace.
func TestCallsNumberReferences(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	x := []any{1}
	require.NoError(t, f.JellyTuple([]any{x, x, &remote{}}))
	before := f.Len()
	err := f.Jelly([]any{x, x, x, &remote{}, map[string]any{"k": []any{make(chan int)}}})
	require.Error(t, err)
	assert.Equal(t, `value[4]["k"][0]: chan int is not transferable`, err.Error())
	var insecure *InsecureJellyError
	require.ErrorAs(t, err, &insecure)
	assert.Equal(t, []any{before, 1, 1}, []any{f.Len(), f.Holes(), f.MaxRef()})
	require.NoError(t, f.JellyKw([]string{"a", "b"}, []any{x, x}))
	require.NoError(t, f.JellyDict(nil))
	var l luids
	b, err := f.Append(nil, l.fill)
	require.NoError(t, err)
	want := []string{
		"[tuple [reference 1 [list 1]] [dereference 1] [remote 1]]",
		`[dictionary [["unicode" "a"] [reference 1 [list 1]]] [["unicode" "b"] [dereference 1]]]`,
		"[dictionary]",
	}
	for _, w := range want {
		expr, n, err := banana.DecodeExpr(b, banana.ProfilePB, banana.Limits{})
		require.NoError(t, err)
		assert.Equal(t, w, banana.Format(expr))
		b = b[n:]
	}
	assert.Empty(t, b)
}

// A fragment can fill a hole of another one: its ids follow the other's.
func TestAppendRebased(t *testing.T) {
	for _, base := range []int{0, 1, 100, 1 << 20} {
		t.Run(fmt.Sprint(base), func(t *testing.T) {
			island := NewFragment(Context{Profile: banana.ProfilePB})
			defer island.Free()
			a, b := []any{1}, []any{2}
			require.NoError(t, island.Jelly([]any{a, b, b, &remote{}, a, []any{a}}))
			assert.Equal(t, 2, island.MaxRef())
			var l luids
			got, err := island.AppendRebased(nil, base, l.fill)
			require.NoError(t, err)
			assert.Equal(
				t,
				fmt.Sprintf(
					"[list [reference %d [list 1]] [reference %d [list 2]] [dereference %[2]d] [remote 1] [dereference %[1]d] "+
						"[list [dereference %[1]d]]]",
					base+2,
					base+1,
				),
				format(t, got, banana.ProfilePB),
			)
		})
	}
}

func TestFragmentInAnother(t *testing.T) {
	c := Context{Profile: banana.ProfilePB}
	island, whole := NewFragment(c), NewFragment(c)
	defer island.Free()
	defer whole.Free()
	x, y := []any{1}, []any{2}
	require.NoError(t, island.Jelly([]any{y, y}))
	require.NoError(t, whole.Jelly([]any{x, &cached{}, x}))
	b, err := whole.Append(nil, func(dst []byte, _ any) ([]byte, error) {
		return island.AppendRebased(dst, whole.MaxRef(), nil)
	})
	require.NoError(t, err)
	var d Decoder
	v, err := decodeAll(&d, b, banana.ProfilePB)
	require.NoError(t, err)
	one, two := []any{int64(1)}, []any{int64(2)}
	assert.Equal(t, []any{one, []any{two, two}, one}, v)
}

// Faults of JellyTo methods are errors of the call.
func TestBadJellyTo(t *testing.T) {
	type table = map[string]struct {
		v    any
		want string
	}
	for name, c := range (table{
		"panics": {&curious{func(*Encoder) { panic("ouch") }}, "value: the code of this type panicked"},
		"panics with List": {&curious{func(e *Encoder) { _ = e.List(5); e.Hole(1); panic("ouch") }},
			"value: the code of this type panicked"},
		"writes nothing":     {&silent{}, "value[0]: the JellyTo method of *jelly.silent wrote nothing"},
		"returns an error":   {&failing{}, "value[0]: out of ink"},
		"swallows an error":  {&careless{}, "chan int is not transferable"},
		"goes on and on":     {&endlessly{}, "the JellyTo method of *jelly.endlessly does not terminate"},
		"instance of a func": {&copied{"m.C", func() any { return func() {} }, 0}, "value[0]: func() is not transferable"},
	}) {
		t.Run(name, func(t *testing.T) {
			f := NewFragment(Context{})
			defer f.Free()
			err := f.Jelly([]any{c.v})
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
			assert.Zero(t, f.Len())
		})
	}
}

type silent struct{ _ int }

func (*silent) JellyTo(*Encoder, any) error { return nil }

type failing struct{ _ int }

func (*failing) JellyTo(*Encoder, any) error { return errors.New("out of ink") }

type careless struct{ _ int }

func (*careless) JellyTo(e *Encoder, _ any) error {
	_ = e.Value(make(chan int))
	e.None()
	return nil
}

type endlessly struct{ _ int }

func (*endlessly) JellyTo(e *Encoder, self any) error { return e.Value(self) }

// JellyTo methods can query the context.
func TestEncoderContext(t *testing.T) {
	f := NewFragment(
		Context{Profile: banana.ProfilePB, Invoker: "conn", Perspective: "alice", Limits: banana.Limits{Depth: 9}},
	)
	defer f.Free()
	require.NoError(t, f.Jelly(&curious{func(e *Encoder) {
		assert.Equal(t, []any{banana.ProfilePB, "conn", "alice", 9, banana.DefaultString},
			[]any{e.Profile(), e.Invoker(), e.Perspective(), e.Limits().Depth, e.Limits().String})
	}}))
}

type curious struct{ ask func(*Encoder) }

func (c *curious) JellyTo(e *Encoder, _ any) error {
	c.ask(e)
	e.None()
	return nil
}

func TestFreeOfNil(t *testing.T) {
	var f *Fragment
	f.Free()
}

func TestFreedFragments(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB, Invoker: "secret"})
	x := []any{1}
	require.NoError(t, f.Jelly([]any{x, x, &remote{}, map[string]any{"k": x}}))
	f.Keep(x)
	f.Free()
	g := NewFragment(Context{})
	defer g.Free()
	assert.Equal(t, []any{0, 0, 0}, []any{g.Len(), g.Holes(), g.MaxRef()})
	assert.Nil(t, g.e.ctx.Invoker)
	for _, m := range g.e.sharing.met[:cap(g.e.sharing.met)] {
		assert.Nil(t, m.id.at)
	}
}

func TestPersonalFragments(t *testing.T) {
	f := NewFragment(Context{})
	defer f.Free()
	require.NoError(t, f.Jelly([]any{1, &copied{class: "m.C", state: func() any { return nil }}}))
	assert.False(t, f.Personal())
	require.NoError(t, f.Jelly(&curious{func(e *Encoder) { e.Perspective() }}))
	assert.True(t, f.Personal())
	g := NewFragment(Context{})
	defer g.Free()
	a, b := &remote{"a"}, &remote{"b"}
	require.NoError(t, g.Jelly([]any{a, b, a}))
	assert.True(t, g.Personal())
	var seen []any
	for payload := range g.AllHoles() {
		if seen = append(seen, payload); len(seen) == 2 {
			break
		}
	}
	assert.Equal(t, []any{a, b}, seen)
}

// The checked depth is that of the appended bytes.
func TestWrappedDepth(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := NewFragment(Context{Profile: banana.ProfilePB})
		defer f.Free()
		require.NoError(rt, f.Jelly([]any{&cached{"first"}, drawGraph(rt), &remote{}, []any{&cached{"last"}}}))
		var l luids
		b, err := f.Append(nil, l.fill)
		require.NoError(rt, err)
		expr, _, err := banana.DecodeExpr(b, banana.ProfilePB, banana.Limits{})
		require.NoError(rt, err)
		s := &f.e.sharing
		require.Equal(rt, depthOf(expr), wrappedDepth(f.e.buf, 0, banana.ProfilePB, s.wraps, f.e.holes))
	})
}

func depthOf(e banana.Expr) int {
	list, ok := e.([]banana.Expr)
	if !ok {
		return 0
	}
	deepest := 0
	for _, e := range list {
		deepest = max(deepest, depthOf(e))
	}
	return deepest + 1
}
