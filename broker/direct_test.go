package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type drink struct {
	Name  string         `pb:"name"`
	Price float64        `pb:"price,omitempty"`
	Units int            `pb:"units,default=1"`
	Notes map[string]int `pb:"notes,omitempty"`
	Tags  []string       `pb:"tags,omitempty"`
	Any   any            `pb:"any,omitempty"`
}

// bar has methods whose arguments are decoded directly, and one of each kind whose are not.
type bar struct{ flavors.Referenceable }

func (*bar) RemoteStruct(d drink) drink                { return d }
func (*bar) RemotePointer(d *drink) *drink             { return d }
func (*bar) RemoteBehind(n int, d drink) string        { return fmt.Sprint(n, d) }
func (*bar) RemoteList(d []drink) []drink              { return d }
func (*bar) RemoteMap(m map[string]drink, n []int) any { return []any{m, n} }
func (*bar) RemoteSeen(inv *flavors.Invocation, d drink) string {
	return fmt.Sprint(d, len(inv.Args), jelly.Formatted{Value: inv.Args[0]})
}

func (*bar) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Method1("typed", func(_ *bar, d drink) (drink, error) { return d, nil }, "d"),
		flavors.Method2("two", func(_ *bar, d []*drink, n int) (string, error) { return fmt.Sprint(len(d), n), nil }),
		flavors.Publish("named", "RemoteStruct", "d"),
	)
}

// passOn is an interceptor that does nothing. What it sees is decoded in the general way.
var passOn = flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
	return func(ctx context.Context, call *flavors.CallInfo) (any, error) { return next(ctx, call) }
})

// Arguments and results that are decoded directly are those that are decoded in the general way, and so are the errors.
func TestDirectCallsEqualGeneralOnes(t *testing.T) {
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	direct, general := connectTo(rt, &bar{}, nil, nil), connectTo(rt, &bar{}, passOn, passOn)
	rapid.Check(t, func(rt *rapid.T) {
		method := rapid.SampledFrom([]string{
			"struct", "pointer", "behind", "list", "map", "seen", "typed", "two", "named",
		}).Draw(rt, "method")
		var args []any
		switch one := drawDrink(rt); method {
		case "behind":
			args = []any{5, one}
		case "list":
			args = []any{[]any{one, drawDrink(rt), one}}
		case "map":
			args = []any{map[string]any{"a": one}, []int{1, -2, 3}}
		case "two":
			args = []any{[]any{one, nil}, 4}
		default:
			args = []any{one}
		}
		switch rapid.IntRange(0, 12).Draw(rt, "odd") {
		case 0:
			args = append(args, "more")
		case 1:
			args = args[1:]
		case 2:
			args = append(args, flavors.Kw{"d": 1})
		}
		call := func(root *flavors.RemoteReference) (any, error) {
			if method == "pointer" || method == "typed" {
				return flavors.Call[drink](t.Context(), root, method, args...)
			}
			return flavors.Call[any](t.Context(), root, method, args...)
		}
		want, wantErr := call(general)
		got, err := call(direct)
		require.Equal(rt, fmt.Sprint(wantErr), fmt.Sprint(err))
		if typed, ok := want.(drink); ok {
			require.Equal(rt, typed, got)
		} else {
			require.Equal(rt, jelly.Format(want), jelly.Format(got))
		}
	})
}

// drawDrink draws a value that a drink mostly takes.
func drawDrink(rt *rapid.T) any {
	d := jelly.NewDict()
	set := func(name string, values ...any) {
		if v := rapid.SampledFrom(append(values, "leave", "leave")).Draw(rt, name); v != "leave" {
			d.Set(name, v)
		}
	}
	set("name", "mead", "gin", "rum", []byte("ale"), 7)
	set("price", 2.5, 3, "dear")
	set("units", 2, 1<<40, nil)
	set("notes", map[string]any{"x": 1}, nil, []any{})
	set("tags", []any{"a", "b"}, []any{"a", []byte("b")}, jelly.NewSet("s"))
	shared := []any{1}
	set("any", "x", []any{shared, shared}, map[string]any{"y": nil}, &flavors.Referenceable{})
	if rapid.IntRange(0, 6).Draw(rt, "unknown") == 0 {
		d.Set("unknown", 1)
	}
	return d
}

// Results of several types come to the calls that asked for them, however many are under way.
func TestDirectResults(t *testing.T) {
	here, _ := dialTCP(t, broker.WithPublished("bar", &bar{}))
	root := here.Published("bar")
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			for n := range 5 {
				sent := drink{Name: fmt.Sprint(i, n), Units: i, Tags: []string{"a"}}
				got, err := flavors.Call[drink](t.Context(), root, "struct", sent)
				assert.NoError(t, err)
				assert.Equal(t, sent, got)
				one, err := flavors.Call[*drink](t.Context(), root, "typed", sent)
				assert.NoError(t, err)
				assert.Equal(t, &sent, one)
				list, err := flavors.Call[[]drink](t.Context(), root, "list", []drink{sent, sent})
				assert.NoError(t, err)
				assert.Equal(t, []drink{sent, sent}, list)
				_, err = flavors.Call[[]int](t.Context(), root, "struct", sent)
				assert.ErrorContains(t, err, "cannot be had as []int")
				fields, err := flavors.Call[map[string]any](t.Context(), root, "struct", sent)
				assert.NoError(t, err)
				assert.Equal(t, sent.Name, fields["name"])
			}
		})
	}
	wg.Wait()
}

// older and newer have a method of the same name with other parameters.
type (
	older struct {
		flavors.Referenceable
		enter, leave chan struct{}
	}
	newer struct{ flavors.Referenceable }
)

func (o *older) RemoteTake(d drink) string { return d.Name }
func (o *older) RemoteBreak() {
	o.enter <- struct{}{}
	<-o.leave
	panic("ouch")
}

func (*newer) RemoteTake(d map[string]any) []string {
	keys := make([]string, 0, len(d))
	for k := range d {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// A producer returns an object of another type after a panic, while calls wait whose arguments were decoded for the
// first one.
func TestDirectArgumentsOfAnotherType(t *testing.T) {
	first := &older{enter: make(chan struct{}), leave: make(chan struct{})}
	made := 0
	root := flavors.New(func() any {
		if made++; made > 1 {
			return &newer{}
		}
		return first
	})
	ref := connectTo(newRuntime(t, actor.WithLogger(zerolog.Nop())), root, nil, nil)
	for range 3 {
		name, err := flavors.Call[string](t.Context(), ref, "take", drink{Name: "mead"})
		require.NoError(t, err)
		require.Equal(t, "mead", name)
	}
	broken := ref.CallRemote("break")
	<-first.enter
	var waiting []*actor.Deferred
	for range 20 {
		waiting = append(waiting, ref.CallRemote("take", map[string]any{"name": "mead", "units": 2}))
	}
	reached := flavors.Start(t.Context(), ref, "take", map[string]any{"name": "gin"})
	close(first.leave)
	_, err := broken.Await(t.Context())
	require.Error(t, err)
	for _, d := range waiting {
		v, err := d.Await(t.Context())
		require.NoError(t, err)
		require.Equal(t, []any{"name", "units"}, v)
	}
	v, err := reached.Await(t.Context())
	require.NoError(t, err)
	require.Equal(t, []any{"name"}, v)
	var bad *flavors.Failure
	_, err = flavors.Call[string](t.Context(), ref, "take", drink{Name: "mead"})
	require.NotErrorAs(t, err, &bad, "the peer does not refuse it")
}

// point and its like in lists make a dictionary each when they are decoded in the general way.
type point struct {
	X int `pb:"x"`
	Y int `pb:"y"`
}

// plotter takes and returns many of them.
type plotter struct {
	flavors.Referenceable
	points []point
}

func (p *plotter) RemotePlot(points []point) int { return len(points) }
func (p *plotter) RemoteAll() []point            { return p.points }

// TestCallsTakeTheDirectWay counts what a call over a connection allocates on both sides, against the same call through
// an interceptor on the side that decodes, which has its values decoded in the general way.
func TestCallsTakeTheDirectWay(t *testing.T) {
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	points := make([]point, 200)
	direct := connectTo(rt, &plotter{points: points}, nil, nil)
	generalArgs := connectTo(rt, &plotter{points: points}, passOn, nil)
	generalResult := connectTo(rt, &plotter{points: points}, nil, passOn)
	plot := func(root *flavors.RemoteReference) float64 {
		return testing.AllocsPerRun(20, func() {
			n, err := flavors.Call[int](t.Context(), root, "plot", points)
			require.NoError(t, err)
			require.Equal(t, len(points), n)
		})
	}
	all := func(root *flavors.RemoteReference) float64 {
		return testing.AllocsPerRun(20, func() {
			got, err := flavors.Call[[]point](t.Context(), root, "all")
			require.NoError(t, err)
			require.Len(t, got, len(points))
		})
	}
	for _, test := range []struct {
		what            string
		direct, general float64
	}{
		{"arguments", plot(direct), plot(generalArgs)},
		{"result", all(direct), all(generalResult)},
	} {
		t.Logf("%s: %v allocations directly, %v in general", test.what, test.direct, test.general)
		assert.Less(t, test.direct+float64(len(points)), test.general, "a dictionary for each struct in general")
	}
}
