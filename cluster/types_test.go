package cluster_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Tray is a placed object that returns what it is given, by methods that are published in every way.
type Tray[T any] struct {
	flavors.Viewable
	kept T
}

// trayOptions are keywords.
type trayOptions[T any] struct {
	N int `pb:"n,omitempty"`
	X T   `pb:"x"`
}

func (*Tray[T]) ViewPlain(_ cluster.User, x T) T                      { return x }
func (*Tray[T]) ViewNamed(_ cluster.User, _ int, x T) T               { return x }
func (*Tray[T]) ViewRest(_ cluster.User, _ int, x ...T) T             { return x[len(x)-1] }
func (*Tray[T]) ViewOption(_ cluster.User, _ int, o trayOptions[T]) T { return o.X }
func (*Tray[T]) ViewOptions(_ cluster.User, o *trayOptions[T]) T      { return o.X }
func (*Tray[T]) ViewBoth(_ cluster.User, o *trayOptions[T], n ...int) []any {
	return []any{o.X, len(n)}
}
func (*Tray[T]) method1(x T) (T, error)           { return x, nil }
func (*Tray[T]) method2(_ int, x T) (T, error)    { return x, nil }
func (*Tray[T]) method3(x T, _, _ int) (T, error) { return x, nil }

func (t *Tray[T]) keep(x T) error {
	t.kept = x
	return nil
}

func (*Tray[T]) PublishMethods(flavors.Prefix) flavors.MethodSet {
	type inv = flavors.Invocation
	var kept []flavors.KeptArgument
	if _, ok := any(new(T)).(**flavors.Relayed); ok {
		kept = []flavors.KeptArgument{{Name: "x", Position: 1, Rest: true}, {Name: "only", Position: -1}}
	}
	return flavors.Methods(
		flavors.Publish("named", "ViewNamed", "n", "x"),
		flavors.Func1("func1", func(_ *Tray[T], _ *inv, x T) (T, error) { return x, nil }, "x"),
		flavors.Func2("func2", func(_ *Tray[T], _ *inv, _ int, x T) (T, error) { return x, nil }, "n", "x"),
		flavors.Func3("func3", func(_ *Tray[T], _ *inv, x T, _, _ int) (T, error) { return x, nil }),
		flavors.Method1("method1", (*Tray[T]).method1, "x"),
		flavors.Method2("method2", (*Tray[T]).method2, "n", "x"),
		flavors.Method3("method3", (*Tray[T]).method3),
		flavors.Proc1("proc1", func(t *Tray[T], _ *inv, x T) error { return t.keep(x) }, "x"),
		flavors.Proc2("proc2", func(t *Tray[T], _ *inv, _ int, x T) error { return t.keep(x) }),
		flavors.Proc3("proc3", func(t *Tray[T], _ *inv, _, _ int, x T) error { return t.keep(x) }),
		flavors.Func0("func0", func(t *Tray[T], _ *inv) (T, error) { return t.kept, nil }),
		flavors.Method0("method0", func(t *Tray[T]) (T, error) { return t.kept, nil }),
		flavors.FuncCall("whole", func(_ *Tray[T], inv *inv) (any, error) {
			if inv.Kw != nil {
				return flavors.As[T](inv.Kw.Entries()[0].Value, nil)
			}
			return flavors.As[T](inv.Args[len(inv.Args)-1], nil)
		}, kept...),
	)
}

// lists has parameters that are lists and dictionaries of T.
type lists[T any] struct{ Tray[T] }

func (*lists[T]) ViewList(_ cluster.User, x []T) []T                   { return x }
func (*lists[T]) ViewDict(_ cluster.User, x map[string]T) map[string]T { return x }

// oddity is a copy whose class no node knows.
type oddity struct {
	flavors.Copyable
	Size int `pb:"size"`
}

func (*oddity) TypeToCopy() string { return "pond.Oddity" }

// loginWithOddities logs in as a client that knows the class.
func (c *testCluster) loginWithOddities(url, name string) *flavors.RemoteReference {
	known := jelly.NewRegistry()
	require.NoError(c.t, flavors.RegisterCopy[oddity](known, "pond.Oddity"))
	_, avatar := c.loginWith(known, url, name)
	return avatar
}

// trayCalls are calls of all methods of a Tray with a value.
func trayCalls(v any) (calls [][]any) {
	kw := flavors.Kw{"x": v}
	return [][]any{
		{"plain", v}, {"named", 1, v}, {"named", 1, kw}, {"rest", 1, v}, {"rest", 1, nil, v},
		{"option", 1, 2, v}, {"option", 1, kw}, {"both", 1, 2, kw},
		{"option", 1, map[string]any{"x": v}}, {"options", map[string]any{"n": 1, "x": v}},
		{"func1", v}, {"func1", kw}, {"func2", 1, v}, {"func2", 1, kw}, {"func3", v, 1, 2},
		{"method1", v}, {"method1", kw}, {"method2", 1, v}, {"method2", 1, kw}, {"method3", v, 1, 2},
		{"whole", 1, v}, {"whole", kw}, {"whole", 1, nil, v}, {"whole", flavors.Kw{"only": v}},
		{"proc1", v}, {"func0"}, {"proc1", kw}, {"method0"}, {"proc2", 1, v}, {"func0"}, {"proc3", 1, 2, v}, {"method0"},
	}
}

// TestTypesOfMethods: a placed object, an object of a client and a value that is kept as it came can be arguments and
// results of methods, in whatever way these are published.
func TestTypesOfMethods(t *testing.T) {
	c := newCluster(t, "a", "b")
	offer[lists[*cluster.Ref]](c, "ref")
	offer[Tray[*flavors.Relayed]](c, "relayed")
	offer[lists[flavors.Callee]](c, "callee")
	offer[lists[*flavors.RemoteReference]](c, "reference")
	offer[lists[any]](c, "any")
	ann := c.loginWithOddities(c.gateway("a"), "ann")
	placed := ask[*flavors.RemoteReference](t, ann, "get", "counter", "x")
	values := map[string]any{"placed": placed, "own": &listener{}, "copy": &oddity{Size: 3}, "nothing": nil}
	for kind, fits := range map[string]string{
		"ref": "placed nothing", "relayed": "placed own copy nothing", "callee": "placed own nothing",
		"reference": "own nothing", "any": "placed own nothing",
	} {
		for _, home := range []string{"a", "b"} {
			tr := ask[*flavors.RemoteReference](t, ann, "get", kind, c.idOn(kind, home))
			for _, what := range strings.Fields(fits) {
				v := values[what]
				calls := trayCalls(v)
				if kind != "relayed" {
					calls = append(calls, []any{"list", []any{v}}, []any{"dict", map[string]any{"x": v}})
				}
				for _, call := range calls {
					method := call[0].(string)
					got, err := flavors.Call[any](testContext(t), tr, method, call[1:]...)
					require.NoError(t, err, "%s on %s: %s of %s", kind, home, call, what)
					switch x := got.(type) {
					case []any:
						got = x[0]
					case *jelly.Dict:
						got = x.Entries()[0].Value
					}
					if !strings.HasPrefix(method, "proc") {
						assert.Equal(t, v, got, "%s on %s: %s of %s", kind, home, call, what)
					}
				}
			}
		}
	}
}

// TestWrongTypesOfMethods: what is no placed object is refused where one is wanted.
func TestWrongTypesOfMethods(t *testing.T) {
	c := newCluster(t, "a", "b")
	offer[Tray[*cluster.Ref]](c, "ref")
	_, ann := c.login(c.gateway("a"), "ann")
	for _, home := range []string{"a", "b"} {
		tr := ask[*flavors.RemoteReference](t, ann, "get", "ref", c.idOn("ref", home))
		for _, wrong := range []any{&listener{}, 5, []any{tr}} {
			for _, call := range trayCalls(wrong) {
				if len(call) == 1 {
					continue
				}
				_, err := flavors.Call[any](testContext(t), tr, call[0].(string), call[1:]...)
				require.ErrorIs(t, err, flavors.TypeError, "%v", call)
			}
		}
	}
}

// offer has every node offer a kind.
func offer[T any](c *testCluster, kind string) {
	for _, n := range c.nodes {
		require.NoError(c.t, n.Kind(kind, func(string) *T { return new(T) }))
	}
}
