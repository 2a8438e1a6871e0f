package inspect

import (
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// BenchmarkSnapshot takes snapshots of a program with 10,000 connections.
func BenchmarkSnapshot(b *testing.B) {
	const many = 10_000
	rt := pbtest.NewRuntime(b)
	pipes := broker.NewPipeListener()
	if _, err := broker.ListenOn(rt, pipes, newShop()); err != nil {
		b.Fatal(err)
	}
	far := pbtest.NewRuntime(b)
	for range many {
		sock, err := pipes.Dial(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := broker.NewClientConn(b.Context(), far, sock); err != nil {
			b.Fatal(err)
		}
	}
	s := newSampler(rt)
	b.ReportAllocs()
	for b.Loop() {
		s.take()
	}
	if n := s.take().snapshot; n.MoreConnections != many-maxConnections {
		b.Fatal(n.MoreConnections)
	}
}
