package broker_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// adder has the method of the benchmarks, without reflection.
type adder struct{ flavors.Root }

func (*adder) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Method2("add", func(_ *adder, a, b int) (int, error) { return a + b, nil }))
}

// TestHotPathAllocations checks what a small call allocates on both sides together. On a busy machine a benchmark would
// not show that a call has come to take a little more; this does.
func TestHotPathAllocations(t *testing.T) {
	ctx := context.Background()
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", &adder{})
	require.NoError(t, err)
	conn, err := broker.Dial(ctx, newRuntime(t), ln.URL())
	require.NoError(t, err)
	root := conn.Root()
	call := func() {
		n, err := flavors.Call[int](ctx, root, "add", 1, 2)
		require.NoError(t, err)
		require.Equal(t, 3, n)
	}
	for range 100 {
		call() // The pools are filled.
	}
	assert.LessOrEqual(t, testing.AllocsPerRun(1000, call), float64(mostCallAllocs))
}

// TestManyConnectionsCall has more connections in use than there are processors.
func TestManyConnectionsCall(t *testing.T) {
	ctx := context.Background()
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", &adder{})
	require.NoError(t, err)
	client := newRuntime(t)
	var all sync.WaitGroup
	for caller := range 4 * runtime.GOMAXPROCS(0) {
		conn, err := broker.Dial(ctx, client, ln.URL())
		require.NoError(t, err)
		all.Go(func() {
			for n := range 200 {
				sum, err := flavors.Call[int](ctx, conn.Root(), "add", caller, n)
				assert.NoError(t, err)
				assert.Equal(t, caller+n, sum)
			}
		})
	}
	all.Wait()
}

// TestUpdateAllocations checks what an update allocates for each of many observers.
func TestUpdateAllocations(t *testing.T) {
	const observers = 50
	f := newFannedOut(t, observers)
	defer f.close(t)
	update := func() {
		require.NoError(t, waitFor(f.update()))
		f.settle()
	}
	update() // The pools are filled.
	assert.LessOrEqual(t, testing.AllocsPerRun(50, update)/observers, mostUpdateAllocs)
}
