package bench

import (
	"context"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/bench/internal/clusters"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/cluster/store"
	"github.com/perspectivebroker/pb/flavors"
)

// entrance is the root of a gateway.
type entrance struct {
	flavors.Referenceable
	object any
}

// RemoteObject returns the object that the gateway passes calls on to.
func (e *entrance) RemoteObject() any { return e.object }

// BenchmarkRelayed measures many callers whose calls pass through a gateway: over clear connections, and to a placed
// object over a link with mutual TLS. All ends are in this process, each with a runtime of its own.
func BenchmarkRelayed(b *testing.B) {
	b.Run("clear", func(b *testing.B) {
		gateway := newRuntime(b)
		behind, err := broker.Listen(newRuntime(b), "pb://127.0.0.1:0", &typed{})
		if err != nil {
			b.Fatal(err)
		}
		conn, err := broker.Dial(context.Background(), gateway, behind.URL(), broker.WithRelaying())
		if err != nil {
			b.Fatal(err)
		}
		callThrough(b, gateway, conn.Root())
	})
	b.Run("mtls", func(b *testing.B) {
		const kind = "object"
		dir, memory := b.TempDir(), store.NewMemory()
		if err := clusters.Certify(dir, "a", "b"); err != nil {
			b.Fatal(err)
		}
		gateway := newRuntime(b)
		node := join(b, gateway, memory, dir, "a")
		owner := join(b, newRuntime(b), memory, dir, "b")
		if err := owner.Kind(kind, func(string) *typed { return &typed{} }); err != nil {
			b.Fatal(err)
		}
		callThrough(b, gateway, node.Get(kind, "one"))
	})
}

// join starts a node, which leaves at the end.
func join(b *testing.B, rt *actor.Runtime, s store.Store, dir, name string) *cluster.Node {
	b.Helper()
	tls, err := cluster.LoadTLS(systems.NodeFiles(dir, name))
	if err != nil {
		b.Fatal(err)
	}
	node, err := cluster.Join(context.Background(), rt, cluster.Options{
		Name: name, Listen: "pbs://127.0.0.1:0", TLS: tls, Store: s,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := node.Leave(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return node
}

// callThrough calls an object of a gateway's.
func callThrough(b *testing.B, gateway *actor.Runtime, object any) {
	b.Helper()
	ln, err := broker.Listen(gateway, "pb://127.0.0.1:0", &entrance{object: object}, broker.WithRelaying())
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	conn, err := broker.Dial(ctx, newRuntime(b), ln.URL())
	if err != nil {
		b.Fatal(err)
	}
	ref, err := flavors.Call[*flavors.RemoteReference](ctx, conn.Root(), "object")
	if err != nil {
		b.Fatal(err)
	}
	if err := variants[1].call(ctx, ref); err != nil { // It is placed with the first call.
		b.Fatal(err)
	}
	callMany(b, ref, variants[1].call)
}
