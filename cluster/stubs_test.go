package cluster_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/cluster/internal/typed"
	"github.com/perspectivebroker/pb/flavors"
)

// hallOf is the typed.Hall of a gateway.
type hallOf struct{ node *cluster.Node }

func (h *hallOf) Place(_ context.Context, id string) (*cluster.Ref, error) {
	return h.node.Get("desk", id), nil
}
func (h *hallOf) Desk(_ context.Context, id string) (typed.Desk, error) {
	return typed.NewDeskClient(h.node.Get("desk", id)), nil
}

// desk is a typed.Desk on a node.
type desk struct{ node *cluster.Node }

func (d *desk) Node(context.Context) (string, error) { return d.node.Name(), nil }
func (d *desk) Compare(_ context.Context, other typed.Desk, id string) (bool, error) {
	client, ok := other.(*typed.DeskClient)
	return ok && client.Callee() == flavors.Callee(d.node.Get("desk", id)), nil
}

// drawers are typed.Drawers, which return what they are given.
type drawers struct{}

type (
	callees = map[string]flavors.Callee
	placedX = struct {
		X *cluster.Ref `pb:"x"`
	}
	keptX = struct {
		X *flavors.Relayed `pb:"x"`
	}
)

func (*drawers) Placed(_ context.Context, x *cluster.Ref) (*cluster.Ref, error) { return x, nil }
func (*drawers) Places(_ context.Context, x []*cluster.Ref, more ...*cluster.Ref) ([]*cluster.Ref, error) {
	return append(x, more...), nil
}
func (*drawers) PlacedBy(_ context.Context, o placedX) (int, *cluster.Ref, error)     { return 1, o.X, nil }
func (*drawers) Callee(_ context.Context, x flavors.Callee) (flavors.Callee, error)   { return x, nil }
func (*drawers) Kept(_ context.Context, x *flavors.Relayed) (*flavors.Relayed, error) { return x, nil }
func (*drawers) KeptBy(_ context.Context, _ int, o keptX, _ ...int) (*flavors.Relayed, error) {
	return o.X, nil
}
func (*drawers) CalleeEach(_ context.Context, x callees, more ...flavors.Callee) ([]flavors.Callee, error) {
	return append(more, x["k"]), nil
}
func (*drawers) KeptMore(_ context.Context, _ int, more ...*flavors.Relayed) (*flavors.Relayed, error) {
	return more[len(more)-1], nil
}

// typedWorld is a cluster with typed objects, and a connection to the gateway on a.
func typedWorld(t *testing.T) (c *testCluster, root *flavors.RemoteReference) {
	c = newCluster(t, "a", "b")
	for _, n := range c.nodes {
		require.NoError(t, n.Kind("desk", func(string) *typed.DeskServer { return typed.NewDeskServer(&desk{n}) }))
		require.NoError(t, n.Kind("drawers", func(string) *typed.DrawersServer {
			return typed.NewDrawersServer(new(drawers))
		}))
		require.NoError(t, n.Kind("hall", func(string) *typed.HallServer { return typed.NewHallServer(&hallOf{n}) }))
	}
	ln, err := broker.Listen(
		c.rts["a"], "pb://127.0.0.1:0", typed.NewHallServer(&hallOf{c.nodes["a"]}), broker.WithRelaying(),
	)
	require.NoError(t, err)
	return c, c.dial(ln.URL())
}

// TestStubsOfPlacedObjects: clients that pb gen made call placed objects, through a gateway and on a node.
func TestStubsOfPlacedObjects(t *testing.T) {
	c, root := typedWorld(t)
	ctx := testContext(t)
	halls := map[string]*typed.HallClient{"through a gateway": typed.NewHallClient(root)}
	for _, home := range []string{"a", "b"} {
		halls["on "+home] = typed.NewHallClient(c.nodes["a"].Get("hall", c.idOn("hall", home)))
	}
	for way, hall := range halls {
		for _, home := range []string{"a", "b"} {
			id := c.idOn("desk", home)
			d, err := hall.Desk(ctx, id)
			require.NoError(t, err, way)
			node, err := d.Node(ctx)
			require.NoError(t, err, way)
			assert.Equal(t, home, node, way)
			ref, err := hall.Place(ctx, id)
			require.NoError(t, err, way)
			for _, of := range []string{id, c.idOn("desk", "a") + "other"} {
				equal, err := d.Compare(ctx, typed.NewDeskClient(ref), of)
				require.NoError(t, err, way)
				assert.Equal(t, of == id, equal, "%s: %s and %s", way, id, of)
			}
		}
	}
	onNode := c.nodes["a"].Get("hall", "x")
	ref, err := typed.NewHallClient(onNode).Place(ctx, "y")
	require.NoError(t, err)
	assert.Same(t, c.nodes["a"].Get("desk", "y"), ref, "a node gets its own reference")
}

// same requires what a call returned to be what was passed.
func same[T any](t *testing.T, want any) func(got T, err error) {
	return func(got T, err error) {
		t.Helper()
		require.NoError(t, err)
		assert.Equal(t, want, any(got))
	}
}

// TestStubsPassReferences: servers that pb gen made take placed objects, objects of clients, and values that are not
// decoded, wherever they are in the signature.
func TestStubsPassReferences(t *testing.T) {
	c, _ := typedWorld(t)
	ctx := testContext(t)
	ann := c.loginWithOddities(c.gateway("a"), "ann")
	placed := ask[*flavors.RemoteReference](t, ann, "get", "counter", "x")
	own, odd := &listener{}, &oddity{Size: 3}
	for _, home := range []string{"a", "b"} {
		id := c.idOn("drawers", home)
		far := ask[*flavors.RemoteReference](t, ann, "get", "drawers", id)
		d := typed.NewDrawersClient(far)
		same[flavors.Callee](t, placed)(d.Placed(ctx, placed))
		same[[]flavors.Callee](t, []flavors.Callee{placed, placed})(d.Places(ctx, []flavors.Callee{placed}, placed))
		for _, x := range []any{placed, own} {
			same[any](t, x)(d.Callee(ctx, x))
			same[[]any](t, []any{placed, x})(d.CalleeEach(ctx, map[string]any{"k": x}, placed))
		}
		for _, x := range []any{placed, own, odd, nil, []any{own, odd}} {
			same[any](t, x)(d.Kept(ctx, x))
			same[any](t, x)(d.KeptMore(ctx, 1, nil, x))
			same[any](t, x)(flavors.Call[any](ctx, far, "keptBy", 1, 2, flavors.Kw{"x": x}))
		}
		for _, wrong := range []any{own, 5, nil} {
			for _, method := range []string{"placed", "places", "placedBy", "callee"} {
				if method == "callee" && wrong == any(own) {
					continue
				}
				arg := wrong
				if method == "places" {
					arg = []any{wrong}
				}
				_, err := flavors.Call[any](ctx, far, method, arg)
				require.ErrorContains(t, err, "cannot use", "%s of %v", method, wrong)
			}
		}

		near := typed.NewDrawersClient(c.nodes["a"].Get("drawers", id))
		ref := c.nodes["a"].Get("counter", "x")
		same[flavors.Callee](t, ref)(near.Placed(ctx, ref))
		same[any](t, ref)(near.Callee(ctx, ref))
		n, by, err := near.PlacedBy(ctx, placedX{ref})
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		assert.Same(t, ref, by)
	}
}
