package otel_test

import (
	"context"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/otel"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// sums returns the values of a metric by the values of its attributes.
func sums(t *testing.T, data metricdata.Aggregation) map[string]int64 {
	t.Helper()
	sum, ok := data.(metricdata.Sum[int64])
	require.True(t, ok, "%T", data)
	found := map[string]int64{}
	for _, p := range sum.DataPoints {
		text := ""
		for _, kv := range p.Attributes.ToSlice() {
			text += " " + kv.Value.String()
		}
		found[text] = p.Value
	}
	return found
}

// keeper keeps a reference that the peer gives it.
type keeper struct {
	flavors.Root
	kept *flavors.RemoteReference
}

// RemoteKeep keeps a reference.
func (k *keeper) RemoteKeep(ref *flavors.RemoteReference) { k.kept = ref }

// RemoteNever returns a result that never comes.
func (*keeper) RemoteNever(inv *flavors.Invocation) *actor.Deferred {
	return actor.NewDeferred(inv.Conn().Runtime())
}

func TestObserve(t *testing.T) {
	l := newLab(t)
	server := pbtest.NewServer(t, &keeper{})
	require.NoError(t, otel.Observe(server.Runtime, l.meters.Meter("test"), attribute.String("which", "first")))
	conn := server.Dial() // in the same runtime, so each call is counted in both directions
	_, err := flavors.Call[any](t.Context(), conn.Root(), "keep", &guest{})
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "steal")
	require.Error(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Published("safe"), "open")
	require.Error(t, err)
	pending := conn.Root().CallRemote("never")
	require.NoError(t, conn.WaitSent(t.Context()))
	pbtest.Eventually(t, func() bool { return server.Listener.Conns()[0].Stats().CallsIn.Pending == 1 })

	m := l.collect()
	assert.Equal(t, map[string]int64{" open first": 2, " negotiating first": 0}, sums(t, m["pb.connections"]))
	assert.Equal(t, map[string]int64{" first": 1}, sums(t, m["pb.exports"]))
	assert.Equal(t, map[string]int64{" first": 1}, sums(t, m["pb.imports"]))
	assert.Equal(t, map[string]int64{" in first": 1, " out first": 1}, sums(t, m["pb.calls.pending"]))
	assert.Equal(t, map[string]int64{" unknown object first": 1}, sums(t, m["pb.refusals"]))
	assert.Equal(t, map[string]int64{
		" in answered keep keeper perspectivebroker first": 1,
		" in failed _OTHER perspectivebroker first":        1,
		" out answered keep root perspectivebroker first":  1,
		" out failed open safe perspectivebroker first":    1,
		" out failed _OTHER perspectivebroker first":       1,
	}, sums(t, m["pb.calls"]))
	for key, n := range sums(t, m["pb.network.io"]) {
		assert.Positive(t, n, key)
	}
	assert.Len(t, sums(t, m["pb.caches"]), 2)
	assert.Contains(t, m, "pb.unwritten")
	assert.Contains(t, m, "pb.memory")

	conn.Abort(nil)
	require.Error(t, pbtest.ErrorOf(pending))
	pbtest.Eventually(t, func() bool { return broker.StatsOf(server.Runtime).Conns.Open == 0 })
	m = l.collect()
	assert.Equal(t, map[string]int64{" open first": 0, " negotiating first": 0}, sums(t, m["pb.connections"]))
	total := int64(0)
	for _, n := range sums(t, m["pb.connections.closed"]) {
		total += n
	}
	assert.EqualValues(t, 2, total)
}

func TestObserveEnds(t *testing.T) {
	l := newLab(t)
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	meter := l.meters.Meter("test")
	require.NoError(t, otel.Observe(rt, meter))
	assert.Contains(t, l.collect(), "pb.connections")
	require.NoError(t, rt.Close(context.Background()))
	assert.Empty(t, l.collect())
	require.ErrorContains(t, otel.Observe(rt, meter), "otel: observing a runtime: ")
	require.Error(t, otel.Observe(nil, meter))
	require.Error(t, otel.Observe(rt, nil))
	require.NoError(t, otel.Observe(pbtest.NewRuntime(t), noop.Meter{}))
}
