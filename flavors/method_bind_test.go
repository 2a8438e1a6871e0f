package flavors

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type addOptions struct {
	B     int    `pb:"b,default=10"`
	Label string `pb:"label,omitempty"`
	Extra *int   `pb:"extra"`
	Local int    // no tag: no keyword
}

type required struct {
	Path string `pb:"path"`
	Mode int    `pb:"mode,default=0o644"`
}

type listed struct {
	Words string `pb:"words,default=a,b,c"`
	Any   any    `pb:"any,default=None"`
}

type base struct {
	Verbose bool `pb:"verbose,omitempty"`
}

type withBase struct {
	base
	Depth int `pb:"depth,omitempty"`
}

type point struct {
	X int `pb:"x"`
	Y int `pb:"y"`
}

type anyFirst struct {
	State any `pb:"state"`
	Mode  int `pb:"mode,omitempty"`
}

type binder struct {
	Referenceable
	last string
}

func (b *binder) said(format string, args ...any) string {
	b.last = fmt.Sprintf(format, args...)
	return b.last
}

func (b *binder) RemoteNamed(a, c int) string              { return b.said("%d %d", a, c) }
func (b *binder) RemoteAdd(a int, o addOptions) string     { return b.said("%d %s", a, o.text()) }
func (b *binder) RemoteAddPtr(a int, o *addOptions) string { return b.said("%d %s", a, o.text()) }
func (b *binder) RemoteOpen(r required) string             { return b.said("%s %o", r.Path, r.Mode) }
func (b *binder) RemoteListed(l listed) string             { return b.said("%s %v", l.Words, l.Any) }
func (b *binder) RemoteBase(w withBase) string             { return b.said("%v %d", w.Verbose, w.Depth) }
func (b *binder) RemotePoint(p point) string               { return b.said("%d,%d", p.X, p.Y) }
func (b *binder) RemotePointPtr(p *point) string           { return b.said("%d,%d", p.X, p.Y) }
func (b *binder) RemoteState(s anyFirst) string            { return b.said("%T %d", s.State, s.Mode) }
func (b *binder) RemoteKw(a int, kw Kw) string {
	return b.said("%d %v %v", a, kw == nil, map[string]any(kw))
}
func (b *binder) RemoteKwargs(kw Kw, args ...any) jelly.Tuple { return jelly.Tuple{args, kw} }
func (b *binder) RemotePrint(o addOptions, args ...int) string {
	return b.said("%v %s", args, o.text())
}
func (b *binder) RemoteMixed(a int, kw Kw) string { return b.said("%d %v", a, map[string]any(kw)) }
func (b *binder) RemoteSum(first int, rest ...int) int {
	for _, n := range rest {
		first += n
	}
	return first
}
func (b *binder) RemoteDefaults(i int, s string, f float64, t bool, n any, g any, p *int) string {
	return b.said("%d %q %g %v %v %v %v", i, s, f, t, n, g, p == nil)
}

func (o *addOptions) text() string {
	extra := "-"
	if o.Extra != nil {
		extra = fmt.Sprint(*o.Extra)
	}
	return fmt.Sprintf("%d %q %s", o.B, o.Label, extra)
}

func (b *binder) PublishMethods(Prefix) MethodSet {
	return Methods(
		Publish("named", "RemoteNamed", "a", "c=10"),
		Publish("mixed", "RemoteMixed", "a=1"),
		Publish("wholePoint", "RemotePoint", "p"),
		Publish("defaults", "RemoteDefaults", "i=-3", "s=two words", "f=2.5", "t=True", "n=None", "g=0x10", "p=None"),
		Publish("onlyFirst", "RemoteNamed", "a"),
	)
}

func TestBinding(t *testing.T) {
	for _, tc := range []struct {
		name, method string
		args         []any
		kw           *jelly.Dict
		want         any
		err          string
	}{
		{"by position", "named", []any{int64(1), int64(2)}, nil, "1 2", ""},
		{"default", "named", []any{int64(1)}, nil, "1 10", ""},
		{"by keyword", "named", []any{int64(1)}, dict("c", int64(3)), "1 3", ""},
		{"all by keyword", "named", nil, dict("c", int64(3), "a", int64(4)), "4 3", ""},
		{"bytes names", "named", nil, dict([]byte("a"), int64(4)), "4 10", ""},
		{"empty keywords", "named", []any{int64(1), int64(2)}, dict(), "1 2", ""},
		{"a name repeated: the last wins", "named", nil, dict("a", int64(1), "a", int64(2)), "2 10", ""},
		{"the others are not converted", "named", nil, dict("a", "x", "a", int64(2)), "2 10", ""},
		{"missing", "named", nil, nil, nil, "binder.named() misses argument 1 (a)"},
		{"missing, keyword given", "named", nil, dict("c", int64(1)), nil, "binder.named() misses argument 1 (a)"},
		{"twice", "named", []any{int64(1)}, dict("a", int64(1)), nil,
			"binder.named() argument a was given twice, by position and by keyword"},
		{"unknown", "named", []any{int64(1)}, dict("z", int64(1)), nil, `binder.named(): unknown keyword "z"; it knows a, c`},
		{"wrong type", "named", []any{"x"}, nil, nil, "binder.named() argument 1 (a): cannot use str as int"},
		{"wrong type by keyword", "named", []any{int64(1)}, dict("c", "x"), nil,
			"binder.named() argument c: cannot use str as int"},
		{"keyword that is no name", "named", []any{int64(1)}, dict(int64(1), "x"), nil,
			"binder.named(): the name of a keyword must be a str, not a int64"},
		{"too many", "named", []any{int64(1), int64(2), int64(3)}, nil, nil,
			"binder.named() takes at most 2 positional arguments, 3 were given"},
		{"no names", "sum", []any{int64(1)}, dict("first", int64(1)), nil,
			`binder.sum(): unknown keyword "first"; it takes no keywords`},
		{"empty name", "onlyFirst", []any{int64(1), int64(2)}, dict("", int64(1)), nil,
			`binder.onlyFirst(): unknown keyword ""; it knows a`},
		{"first named only", "onlyFirst", []any{int64(1), int64(2)}, nil, "1 2", ""},

		{"struct, defaults", "add", []any{int64(1)}, nil, `1 10 "" -`, ""},
		{"struct, by keyword", "add", []any{int64(1)}, dict("b", int64(2), "label", "l", "extra", int64(7)), `1 2 "l" 7`, ""},
		{"struct, by position", "add", []any{int64(1), int64(2), "l", int64(7)}, nil, `1 2 "l" 7`, ""},
		{"struct, mixed", "add", []any{int64(1), int64(2)}, dict("extra", nil), `1 2 "" -`, ""},
		{"struct, twice", "add", []any{int64(1), int64(2)}, dict("b", int64(2)), nil,
			"binder.add() argument b was given twice, by position and by keyword"},
		{"struct, unknown", "add", []any{int64(1)}, dict("local", int64(2)), nil,
			`binder.add(): unknown keyword "local"; it knows b, label, extra`},
		{"struct, too many", "add", []any{int64(1), int64(2), "l", nil, nil}, nil, nil,
			"binder.add() takes at most 4 positional arguments, 5 were given"},
		{"struct, wrong type by position", "add", []any{int64(1), "b"}, nil, nil,
			"binder.add() argument 2 (b): cannot use str as int"},
		{"struct, wrong type by keyword", "add", []any{int64(1)}, dict("b", "b"), nil,
			"binder.add() argument b: cannot use str as int"},
		{"struct, fixed missing", "add", nil, dict("b", int64(1)), nil, "binder.add() misses argument 1"},
		{"pointer, defaults", "addPtr", []any{int64(1)}, nil, `1 10 "" -`, ""},
		{"pointer, by keyword", "addPtr", []any{int64(1)}, dict("b", int64(2)), `1 2 "" -`, ""},
		{"pointer, by position", "addPtr", []any{int64(1), int64(2)}, nil, `1 2 "" -`, ""},
		{"required", "open", nil, dict("path", "/p"), "/p 644", ""},
		{"required, positional", "open", []any{"/p", int64(0o600)}, nil, "/p 600", ""},
		{"required, missing", "open", nil, nil, nil, "binder.open() misses argument path"},
		{"commas in a default", "listed", nil, nil, "a,b,c <nil>", ""},
		{"embedded struct", "base", nil, dict("verbose", true, "depth", int64(3)), "true 3", ""},

		{"a dictionary for the whole struct", "point", []any{dict("x", int64(1), "y", int64(2))}, nil, "1,2", ""},
		{"a dictionary for a pointer", "pointPtr", []any{dict("x", int64(1), []byte("y"), int64(2))}, nil, "1,2", ""},
		{"a dictionary lacks a field", "point", []any{dict("x", int64(1))}, nil, nil, "binder.point() misses argument y"},
		{"a dictionary with a strange field", "point", []any{dict("z", int64(1))}, nil, nil,
			`binder.point(): unknown keyword "z"; it knows x, y`},
		{"a dictionary for the first field", "state", []any{dict("state", int64(1))}, nil, "*jelly.Dict 0", ""},
		{"a copy for the struct", "point", []any{point{1, 2}}, nil, "1,2", ""},
		{"a pointer for the struct", "point", []any{&point{1, 2}}, nil, "1,2", ""},
		{"a copy for the pointer", "pointPtr", []any{point{1, 2}}, nil, "1,2", ""},
		{"a pointer for the pointer", "pointPtr", []any{&point{1, 2}}, nil, "1,2", ""},
		{"a nil pointer", "pointPtr", []any{(*point)(nil)}, nil, nil, "binder.pointPtr() argument 1 (x): "},
		{"None for the struct", "point", []any{nil}, nil, nil, "binder.point() argument 1 (x): "},
		{"as an ordinary argument", "wholePoint", []any{dict("x", int64(1), "y", int64(2))}, nil, "1,2", ""},
		{"the same, by keyword", "wholePoint", nil, dict("p", dict("x", int64(1), "y", int64(2))), "1,2", ""},

		{"Kw", "kw", []any{int64(1)}, dict("b", int64(2)), "1 false map[b:2]", ""},
		{"Kw, a name repeated", "kw", []any{int64(1)}, dict("b", int64(2), "b", int64(3)), "1 false map[b:3]", ""},
		{"Kw, none", "kw", []any{int64(1)}, nil, "1 true map[]", ""},
		{"Kw, too many", "kw", []any{int64(1), int64(2)}, nil, nil,
			"binder.kw() takes at most 1 positional argument, 2 were given"},
		{"Kw and names", "mixed", nil, dict("a", int64(2), "b", int64(3)), "2 map[b:3]", ""},
		{"Kw and names, default", "mixed", nil, dict("b", int64(3)), "1 map[b:3]", ""},
		{"anything", "kwargs", []any{int64(1), "a"}, dict("k", "v"), jelly.Tuple{[]any{int64(1), "a"}, Kw{"k": "v"}}, ""},
		{"anything: nothing", "kwargs", nil, nil, jelly.Tuple{[]any(nil), Kw(nil)}, ""},
		{"keywords only", "print", []any{int64(1), int64(2)}, dict("b", int64(3)), `[1 2] 3 "" -`, ""},
		{"keywords only, wrong type", "print", []any{int64(1), "x"}, nil, nil,
			"binder.print() argument 2: cannot use str as int"},
		{"variadic", "sum", []any{int64(1), int64(2), int64(3)}, nil, 6, ""},
		{"variadic, none", "sum", []any{int64(1)}, nil, 1, ""},
		{"variadic, fixed missing", "sum", nil, nil, nil, "binder.sum() misses argument 1"},
		{"variadic, wrong type", "sum", []any{int64(1), int64(2), "x"}, nil, nil,
			"binder.sum() argument 3: cannot use str as int"},
		{"defaults of all kinds", "defaults", nil, nil, `-3 "two words" 2.5 true <nil> 16 true`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := &binder{}
			got, err := tableFor(
				t,
				b,
				PrefixRemote,
			).Invoke(b, wireCall{method: tc.method, args: tc.args, kw: tc.kw}.invocation())
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				require.ErrorIs(t, err, TypeError)
				assert.Empty(t, b.last, "the method must not run")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

// keeps keeps its arguments, which must not change when frames are reused.
type keeps struct {
	Referenceable
	structs []*point
	slices  [][]int
	kws     []Kw
}

func (k *keeps) RemoteStruct(p *point)   { k.structs = append(k.structs, p) }
func (k *keeps) RemoteSlice(s []int)     { k.slices = append(k.slices, s) }
func (k *keeps) RemoteVariadic(s ...int) { k.slices = append(k.slices, s) }
func (k *keeps) RemoteKw(kw Kw)          { k.kws = append(k.kws, kw) }

func TestMethodKeepsArguments(t *testing.T) {
	k := &keeps{}
	table := tableFor(t, k, PrefixRemote)
	for i := range int64(3) {
		for _, call := range []wireCall{
			{method: "struct", kw: dict("x", i, "y", i)},
			{method: "slice", args: []any{[]any{i}}},
			{method: "variadic", args: []any{i, i}},
			{method: "kw", kw: dict("i", i)},
		} {
			_, err := table.Invoke(k, call.invocation())
			require.NoError(t, err)
		}
	}
	assert.Equal(t, []*point{{0, 0}, {1, 1}, {2, 2}}, k.structs)
	assert.Equal(t, [][]int{{0}, {0, 0}, {1}, {1, 1}, {2}, {2, 2}}, k.slices)
	assert.Equal(t, []Kw{{"i": int64(0)}, {"i": int64(1)}, {"i": int64(2)}}, k.kws)
}

func (k *keeps) RemoteLists(s ...[]int) { k.slices = append(k.slices, s...) }

// A list that a peer mentions in many arguments, for a few bytes each, is converted once.
func TestVariadicSharing(t *testing.T) {
	shared := []any{int64(1), int64(2), int64(3), int64(4), int64(5), int64(6), int64(7), int64(8), int64(9)}
	k := &keeps{}
	_, err := callRemote(t, k, "lists", shared, shared, shared)
	require.NoError(t, err)
	require.Len(t, k.slices, 3)
	assert.Same(t, &k.slices[0][0], &k.slices[2][0])
	_, err = callRemote(t, k, "lists", shared, []any{int64(1), "x"})
	require.EqualError(t, err, "keeps.lists() argument 2: cannot use str as int at [1]")
	args := []any{"own"}
	got, err := callRemote(t, &binder{}, "kwargs", args...)
	require.NoError(t, err)
	args[0] = "changed"
	assert.Equal(t, jelly.Tuple{[]any{"own"}, Kw(nil)}, got)
}

type python struct{ Referenceable }

func (*python) RemoteF(a, b, c int) jelly.Tuple { return jelly.Tuple{a, b, c} }
func (*python) PublishMethods(Prefix) MethodSet {
	return Methods(
		Publish("f", "RemoteF", "a", "b=20", "c=30"),
		Func3("g", func(_ *python, _ *Invocation, a, b, c int) (jelly.Tuple, error) {
			return jelly.Tuple{a, b, c}, nil
		}, "a", "b=20", "c=30"),
	)
}

// The model is Python's binding for def f(a, b=20, c=30).
func TestBindingModel(t *testing.T) {
	p := &python{}
	table := tableFor(t, p, PrefixRemote)
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.SliceOfN(rapid.Int64Range(0, 9), 0, 4).Draw(t, "args")
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4).Draw(t, "names")
		call := wireCall{}
		want, bad := map[string]int{"b": 20, "c": 30}, len(args) > 3
		for i, v := range args {
			call.args = append(call.args, v)
			if i < 3 {
				want[string(rune('a'+i))] = int(v)
			}
		}
		if len(names) > 0 {
			call.kw = dict()
		}
		for i, name := range names {
			bad = bad || name == "d" || int(name[0]-'a') < len(args)
			call.kw.Set(name, int64(100+i))
			want[name] = 100 + i
		}
		_, hasA := want["a"]
		bad = bad || !hasA
		for _, method := range []string{"f", "g"} {
			call.method = method
			got, err := table.Invoke(p, call.invocation())
			if bad {
				if reflect.TypeOf(err) != reflect.TypeFor[*Failure]() {
					t.Fatalf("%s: %v, %v", method, got, err)
				}
				continue
			}
			if err != nil || !reflect.DeepEqual(got, jelly.Tuple{want["a"], want["b"], want["c"]}) {
				t.Fatalf("%s: %v, %v; want %v", method, got, err, want)
			}
		}
	})
}
