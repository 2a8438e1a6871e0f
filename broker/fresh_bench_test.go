package broker_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// BenchmarkFreshReferences measures what collections cost. It makes one call after the other, each with a new object
// that is not kept; "none" passes no object. The heap consists of small pieces with pointers.
func BenchmarkFreshReferences(b *testing.B) {
	for _, c := range []struct {
		name string
		mib  int
		arg  func() any
	}{
		{"none", 0, func() any { return 1 }},
		{"small heap", 0, func() any { return &two{} }},
		{"heap of 256 MiB", 256, func() any { return &two{} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			ballast := newBallast(c.mib)
			conn := connectedPair(b)
			b.ResetTimer()
			for b.Loop() {
				if _, err := flavors.Call[int](context.Background(), conn.Root(), "take", c.arg()); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			runtime.KeepAlive(ballast)
		})
	}
}

type ballastPiece struct {
	next *ballastPiece
	_    [112]byte
}

func newBallast(mib int) (first *ballastPiece) {
	for range mib << 20 / 128 {
		first = &ballastPiece{next: first}
	}
	runtime.GC()
	return first
}

func connectedPair(b *testing.B) *broker.Conn {
	b.Helper()
	// Large enough to compare with a version that requests no collections.
	limits := broker.WithLimits(broker.Limits{Exports: 1 << 30, Imports: 1 << 30})
	rts := make([]*actor.Runtime, 2)
	for i := range rts {
		rt, err := actor.NewRuntime()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = rt.Close(context.Background()) })
		rts[i] = rt
	}
	ln, err := broker.Listen(rts[0], "pb://127.0.0.1:0", &freshTaker{}, limits)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := broker.Dial(context.Background(), rts[1], ln.URL(), limits)
	if err != nil {
		b.Fatal(err)
	}
	return conn
}

type freshTaker struct{ flavors.Root }

func (*freshTaker) RemoteTake(any) int { return 1 }
