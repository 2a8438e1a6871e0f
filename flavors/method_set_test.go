package flavors

import (
	"context"
	"net"
	"reflect"
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type publisher struct {
	Referenceable
	net.Conn
	addr string
}

type fixedAddr string

func (a fixedAddr) Network() string { return "test" }
func (a fixedAddr) String() string  { return string(a) }

func (p *publisher) RemoteAddr() net.Addr           { return fixedAddr(p.addr) }
func (p *publisher) RemoteSecret() string           { return "secret" }
func (p *publisher) RemoteOld() string              { return "old" }
func (p *publisher) Helper(n int) int               { return n * 2 }
func (p *publisher) PerspectiveBan(u string) string { return "banned " + u }
func (p *publisher) PublishMethods(prefix Prefix) MethodSet {
	if prefix == PrefixPerspective {
		return Methods(Publish("ban", "PerspectiveBan", "user=nobody"))
	}
	return Methods(
		Hide("RemoteSecret", "RemoteOld"),
		Publish("new-name!", "RemoteOld"),
		Publish("double", "Helper", "n"),
		Publish("", "Helper"),
		Publish("shut", "Close"), // promoted
	)
}

func TestPublishAndHide(t *testing.T) {
	p := &publisher{addr: "here"}
	assert.Equal(t, []string{"", "addr", "double", "new-name!", "shut"}, tableFor(t, p, PrefixRemote).Names())
	got, err := callRemote(t, p, "new-name!")
	require.NoError(t, err)
	assert.Equal(t, "old", got)
	_, err = callRemote(t, p, "old")
	require.ErrorIs(t, err, NoSuchMethod)
	_, err = callRemote(t, p, "secret")
	require.ErrorIs(t, err, NoSuchMethod)
	got, err = callRemote(t, p, "double", int64(4))
	require.NoError(t, err)
	assert.Equal(t, 8, got)
	a, b := net.Pipe()
	defer b.Close()
	p.Conn = a
	_, err = callRemote(t, p, "shut")
	require.NoError(t, err)
	got, err = tableFor(t, p, PrefixPerspective).Invoke(p, wireCall{method: "ban"}.invocation())
	require.NoError(t, err)
	assert.Equal(t, "banned nobody", got)
}

func TestPublishKeepsOtherSpellings(t *testing.T) {
	c := &spelled{}
	for _, wire := range []string{"getTwo", "GetTwo", "get_two"} {
		got, err := tableFor(t, c, PrefixRemote).Invoke(c, wireCall{method: wire, kw: dict("n", int64(2))}.invocation())
		require.NoError(t, err, wire)
		assert.Equal(t, 2, got)
	}
}

type spelled struct{ Referenceable }

func (*spelled) RemoteGetTwo(n int) int { return n }
func (*spelled) PublishMethods(Prefix) MethodSet {
	return Methods(Publish("getTwo", "RemoteGetTwo", "n"))
}

// misprinted returns one bad entry at a time.
type misprinted struct{ Referenceable }

var misprints = map[Prefix]struct {
	entry MethodEntry
	want  string
}{
	"1":  {Publish("x", "Nowhere"), `method Nowhere, to be published as "x": *flavors.misprinted has no such method`},
	"2":  {Publish("x", "Two", "a", "b", "c"), "3 names for 2 parameters"},
	"3":  {Publish("x", "Two", "a", "a"), "two parameters are called a"},
	"4":  {Publish("x", "Two", "a=1", "b"), "parameter b has no default, but the one before it has"},
	"5":  {Publish("x", "Two", "a=1"), "parameter a has a default, but the one behind it has no name"},
	"6":  {Publish("x", "Two", "a=one"), `the default of a: "one" is no int: invalid syntax`},
	"7":  {Publish("x", "Named", "b"), "both a parameter and a keyword field are called b"},
	"8":  {Publish("x", "BadDefault"), `field b: "ten" is no int`},
	"9":  {Publish("x", "BadField"), "field c: nothing on the wire is a chan int"},
	"10": {Publish("x", "Behind"), "field x lies behind an embedded pointer"},
	"11": {Publish("x", "Unexported"), "is not exported"},
	"12": {Publish("x", "Structs", "s=1"), "cannot have the default"},
	"13": {Publish("x", "Many"), "it takes 65 parameters and keywords; 64 is the most"},
	"14": {
		Func0("x", func(*other, *Invocation) (int, error) { return 0, nil }),
		`function "x" is for *flavors.other, which *flavors.misprinted neither is nor embeds`,
	},
	"15": {
		Func1("x", func(*misprinted, *Invocation, chan int) (int, error) { return 0, nil }),
		`function "x": nothing on the wire is a chan int`,
	},
	"16": {
		Func1("x", func(*misprinted, *Invocation, int) (int, error) { return 0, nil }, "a", "b"),
		`function "x": 2 names for 1 parameters`,
	},
	"17": {Publish("x", "Iface", "a=1"), "a error cannot have a default"},
	"18": {Publish("x", "Bools", "a=perhaps", "b=1", "c=1"), `"perhaps" is no bool`},
	"19": {Publish("x", "Bools", "a=true", "b=-1", "c=1"), `"-1" is no uint8`},
	"20": {Publish("x", "Bools", "a=true", "b=1", "c=x"), `"x" is no float64`},
}

type panicky struct {
	Referenceable
	names map[string]string
}

func (p *panicky) PublishMethods(Prefix) MethodSet {
	p.names["x"] = "written to a nil map"
	return MethodSet{}
}

func TestPublishMethodsPanics(t *testing.T) {
	_, err := TableOf(&panicky{}, PrefixRemote)
	require.ErrorContains(t, err, "PublishMethods panicked, called on a zero value: assignment to entry in nil map")
	_, err = TableOf(nil, PrefixRemote)
	require.Error(t, err)
}

type badDefault struct {
	B int `pb:"b,default=ten"`
}
type badField struct {
	C chan int `pb:"c"`
}
type behind struct {
	*Embeddable
}
type Embeddable struct {
	X int `pb:"x"`
}
type unexportedField struct {
	c int `pb:"c"`
}

func (*misprinted) Two(a, b int)                     {}
func (*misprinted) Named(a int, o addOptions)        {}
func (*misprinted) BadDefault(o badDefault)          {}
func (*misprinted) BadField(o badField)              {}
func (*misprinted) Behind(o behind)                  {}
func (*misprinted) Unexported(o unexportedField)     { _ = o.c }
func (*misprinted) Structs(s struct{})               {}
func (*misprinted) Iface(e error)                    {}
func (*misprinted) Bools(a bool, b uint8, c float64) {}

func (*misprinted) Many(
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _ int,
	_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _ int,
) {
}
func (*misprinted) PublishMethods(p Prefix) MethodSet { return Methods(misprints[p].entry) }

func TestMethodSetMistakes(t *testing.T) {
	for p, tc := range misprints {
		t.Run(string(p), func(t *testing.T) {
			_, err := methodsFor(reflect.TypeFor[*misprinted](), p)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestDefaults(t *testing.T) {
	for _, tc := range []struct {
		text string
		typ  reflect.Type
		want any
	}{
		{"7", reflect.TypeFor[any](), int64(7)},
		{"7.5", reflect.TypeFor[any](), 7.5},
		{"True", reflect.TypeFor[any](), true},
		{"false", reflect.TypeFor[any](), false},
		{"None", reflect.TypeFor[any](), nil},
		{"x y", reflect.TypeFor[any](), "x y"},
		{"None", reflect.TypeFor[string](), "None"},
		{"", reflect.TypeFor[string](), ""},
		{"200", reflect.TypeFor[uint8](), uint8(200)},
		{"None", reflect.TypeFor[[]int](), []int(nil)},
		{"None", reflect.TypeFor[map[string]int](), map[string]int(nil)},
	} {
		v, err := dispatch.ParseDefault(tc.typ, tc.text)
		require.NoError(t, err)
		assert.Equal(t, tc.want, v.Interface())
	}
	_, err := dispatch.ParseDefault(reflect.TypeFor[uint8](), "300")
	require.EqualError(t, err, `"300" is no uint8: value out of range`)
	_, err = dispatch.ParseDefault(reflect.TypeFor[[]int](), "1")
	require.Error(t, err)
}

// methodConn is a connection for method tables.
type methodConn struct {
	seam.Conn
	ctx context.Context
}

func (c methodConn) Context() context.Context { return c.ctx }
func (c methodConn) Interceptor() any         { return nil }

// contextKey marks the context that methods must get.
type contextKey struct{}

// wireCall is a decoded call.
type wireCall struct {
	method      string
	args        []any
	kw          *jelly.Dict
	perspective any
}

func (c wireCall) invocation() *Invocation {
	inv := newInvocation()
	(*incoming)(inv).Begin(&seam.IncomingCall{
		Conn:   methodConn{ctx: context.WithValue(context.Background(), contextKey{}, "the connection's")},
		Method: c.method, Args: c.args, Kw: c.kw, Perspective: c.perspective,
	})
	return inv
}

// dict returns a dictionary of keywords.
func dict(pairs ...any) *jelly.Dict {
	var entries []jelly.Entry
	for i := 0; i < len(pairs); i += 2 {
		entries = append(entries, jelly.Entry{Key: pairs[i], Value: pairs[i+1]})
	}
	return jelly.NewDict(entries...)
}

func tableFor(t testing.TB, recv any, p Prefix) *MethodTable {
	t.Helper()
	table, err := methodsFor(reflect.TypeOf(recv), p)
	require.NoError(t, err)
	return table
}

func callRemote(t testing.TB, recv any, method string, args ...any) (any, error) {
	t.Helper()
	table := tableFor(t, recv, PrefixRemote)
	v, _, err := table.invoke(recv, wireCall{method: method, args: args}.invocation(), table.lookup(method))
	return v, err
}
