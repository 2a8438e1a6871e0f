package supervision_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/supervision"
)

func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		leases := supervision.LeasesOf(rt)
		assert.Same(t, leases, supervision.LeasesOf(rt))
		r := &record{}
		holder := rt.Root().Spawn(r.props(rt, "holder"))
		hold := func(name string) *supervision.Lease { return leases.Hold(holder, func() { r.add(name) }) }
		first, _, third := hold("first"), hold("second"), hold("third")
		assert.Equal(t, 3, leases.Len())
		synctest.Wait()
		r.take()
		first.Release()
		first.Release()
		assert.False(t, first.Held())
		assert.Equal(t, []string{"first"}, r.take())

		fail(rt, holder)
		synctest.Wait()
		assert.Equal(t, []string{"holder restarting", "holder started"}, r.take())
		assert.True(t, third.Held(), "a restart does not end a lease")

		stop(rt, holder)
		assert.Equal(t, []string{"holder stopping", "holder stopped", "second", "third"}, r.take())
		third.Release()
		assert.False(t, hold("too late").Held())
		assert.Equal(t, []string{"too late"}, r.take())
		assert.Zero(t, leases.Len())
	})
}

// TestLeaseReleasedOnce stops the holder while other goroutines release and take leases.
func TestLeaseReleasedOnce(t *testing.T) {
	rt := newRuntime(t)
	leases := supervision.LeasesOf(rt)
	rapid.Check(t, func(t *rapid.T) {
		before, during := rapid.IntRange(0, 20).Draw(t, "before"), rapid.IntRange(0, 20).Draw(t, "during")
		holder := rt.Root().Spawn((&record{}).props(rt, "holder"))
		released := make([]atomic.Int32, before+during)
		var ends sync.WaitGroup // a Watch that meets the actor in its last turn is answered in a later one
		ends.Add(before + during)
		release := func(i int) func() {
			return func() {
				released[i].Add(1)
				ends.Done()
			}
		}
		held := make([]*supervision.Lease, before)
		for i := range held {
			held[i] = leases.Hold(holder, release(i))
		}
		var all sync.WaitGroup
		all.Go(func() { stop(rt, holder) })
		for i := range before {
			if i%2 == 0 {
				all.Go(held[i].Release)
			}
		}
		for i := range during {
			all.Go(func() { leases.Hold(holder, release(before+i)) })
		}
		all.Wait()
		ends.Wait()
		for i := range released {
			if n := released[i].Load(); n != 1 {
				t.Fatalf("lease %d was released %d times", i, n)
			}
		}
		if leases.Len() != 0 {
			t.Fatalf("%d are held", leases.Len())
		}
	})
}
