package bench

import (
	"context"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/bench/internal/link"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// chainLength is how many calls of BenchmarkChain depend on each other.
const chainLength = 10

// chainDelay is the delay of the link in each direction.
const chainDelay = time.Millisecond

// ring is an object that returns another one like it.
type ring struct {
	flavors.Referenceable
	depth int
}

func (r *ring) RemoteNext() *ring { return &ring{depth: r.depth + 1} }
func (r *ring) RemoteDepth() int  { return r.depth }

// BenchmarkChain makes ten calls, each on the result of the one before, over a link with a delay of 1 ms: in round
// trips, and on promised results.
func BenchmarkChain(b *testing.B) {
	root := dialRing(b)
	b.Run("roundtrips", func(b *testing.B) {
		for b.Loop() {
			at := root
			for range chainLength - 1 {
				next, err := flavors.Call[*flavors.RemoteReference](b.Context(), at, "next")
				if err != nil {
					b.Fatal(err)
				}
				at = next
			}
			wantDepth(b, at)
		}
	})
	b.Run("promises", func(b *testing.B) {
		for b.Loop() {
			wantDepth(b, promisedRing(root))
		}
	})
}

func promisedRing(root *flavors.RemoteReference) *flavors.Promise {
	at := root.Begin("next")
	for range chainLength - 2 {
		at = at.Begin("next")
	}
	return at
}

func wantDepth(tb testing.TB, at flavors.Callee) {
	tb.Helper()
	n, err := flavors.Call[int](tb.Context(), at, "depth")
	if err != nil || n != chainLength-1 {
		tb.Fatal(n, err)
	}
}

// dialRing connects to a ring over a link with delay.
func dialRing(tb testing.TB) *flavors.RemoteReference {
	tb.Helper()
	rt, err := actor.NewRuntime()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = rt.Close(context.Background()) })
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &ring{})
	if err != nil {
		tb.Fatal(err)
	}
	relay, err := link.Listen(ln.Addr().String(), chainDelay)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = relay.Close() })
	conn, err := broker.Dial(tb.Context(), rt, "pb://"+relay.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	return conn.Root()
}
