package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/actor"
)

var errTest = errors.New("test")

func TestDeferredCompletesOnce(t *testing.T) {
	d := actor.NewDeferred(nil)
	_, _, ok := d.Result()
	assert.False(t, ok)
	assert.True(t, d.Complete(1, nil))
	assert.False(t, d.Complete(2, errTest))
	value, err, ok := d.Result()
	assert.Equal(t, 1, value)
	require.NoError(t, err)
	assert.True(t, ok)
	<-d.Done()
	_, err = actor.Failed(errTest).Await(context.Background())
	assert.Equal(t, errTest, err)
	value, err = actor.Succeeded((*actor.Deferred)(nil)).Await(context.Background())
	require.NoError(t, err)
	assert.Nil(t, value, "a nil Deferred counts as a nil value")
}

// TestDeferredCompletionRace completes, cancels and listens from many goroutines.
func TestDeferredCompletionRace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := actor.NewDeferred(nil)
		before := rapid.IntRange(0, 4).Draw(t, "listeners before")
		during := rapid.IntRange(0, 4).Draw(t, "listeners during")
		after := rapid.IntRange(0, 4).Draw(t, "listeners after")
		completers := rapid.IntRange(1, 4).Draw(t, "completers")
		cancels := rapid.Bool().Draw(t, "cancels")
		var told [12]atomic.Int32
		var results sync.Map
		var winners, hooks atomic.Int32
		listen := func(i int) {
			d.OnComplete(func(value any, err error) {
				told[i].Add(1)
				results.Store(fmt.Sprint(value, err), true)
			})
		}
		d.OnCancel(func() { hooks.Add(1) })
		for i := range before {
			listen(i)
		}
		var all sync.WaitGroup
		for i := range completers {
			all.Go(func() {
				if d.Complete(i, nil) {
					winners.Add(1)
				}
			})
		}
		if cancels {
			all.Go(d.Cancel)
		}
		for i := range during {
			all.Go(func() { listen(before + i) })
		}
		all.Wait()
		for i := range after {
			listen(before + during + i)
		}
		for i := range before + during + after {
			if n := told[i].Load(); n != 1 {
				t.Fatalf("listener %d was told %d times", i, n)
			}
		}
		value, err, ok := d.Result()
		if !ok {
			t.Fatal("no result")
		}
		results.Range(func(key, _ any) bool {
			if key != fmt.Sprint(value, err) {
				t.Fatalf("somebody was told %v, the result is %v, %v", key, value, err)
			}
			return true
		})
		cancelled := errors.Is(err, actor.ErrCancelled)
		if n := winners.Load(); n > 1 || (n == 1) == cancelled {
			t.Fatalf("%d completed it, error %v", n, err)
		}
		if hooks.Load() > 1 || cancelled && hooks.Load() != 1 {
			t.Fatalf("hook ran %d times, error %v", hooks.Load(), err)
		}
	})
}

func TestListenerOrder(t *testing.T) {
	d := actor.NewDeferred(nil)
	var order []int
	for i := range 3 {
		d.OnComplete(func(any, error) {
			order = append(order, i)
			if i == 0 {
				d.OnComplete(func(any, error) { order = append(order, 3) })
			}
		})
	}
	d.Complete(nil, nil)
	d.OnComplete(func(any, error) { order = append(order, 4) })
	assert.Equal(t, []int{0, 1, 2, 3, 4}, order)
}

func TestListenerPanic(t *testing.T) {
	rt, log := newRuntime(t)
	d := actor.NewDeferred(rt)
	d.OnComplete(func(any, error) { panic("no") })
	told := false
	d.OnComplete(func(any, error) { told = true })
	d.Complete(nil, nil)
	assert.True(t, told)
	require.Len(t, log.lines(t), 1)
	actor.Succeeded(1).OnComplete(func(any, error) { panic("without a log") })
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := actor.NewDeferred(nil)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errTest)
		defer cancel()
		_, err := d.Await(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, errTest, "with its cause")
		ctx, cancel = context.WithCancel(t.Context())
		cancel()
		_, err = d.Await(ctx)
		assert.Equal(t, context.Canceled, err)
		_, _, ok := d.Result()
		assert.False(t, ok, "the end of the context does not complete the Deferred")

		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				value, err := d.Await(t.Context())
				assert.Equal(t, "now", value)
				assert.NoError(t, err)
			})
		}
		synctest.Wait()
		d.Complete("now", nil)
		waiting.Wait()
		value, err := d.Await(ctx)
		assert.Equal(t, "now", value, "an existing result comes first")
		assert.NoError(t, err)
	})
}

// TestAwaitAndReset uses one Deferred again and again, as pooled calls do, beside a goroutine that completes it.
func TestAwaitAndReset(t *testing.T) {
	rt, _ := newRuntime(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := new(actor.Deferred)
	given := make(chan int)
	go func() {
		for n := range given {
			d.Complete(n, nil)
		}
	}()
	for n := range 1000 {
		w := d.InitAwaited(rt, nil)
		given <- n
		if n%2 == 0 {
			runtime.Gosched()
		}
		v, err := d.AwaitAndReset(ctx, w)
		require.NoError(t, err)
		require.Equal(t, n, v)
	}
	close(given)
	w := d.InitAwaited(rt, nil)
	cancel()
	_, err := d.AwaitAndReset(ctx, w)
	require.ErrorIs(t, err, context.Canceled)
	assert.True(t, d.Complete(1, nil), "it stays pending")
	failed := new(actor.Deferred)
	w = failed.InitAwaited(rt, nil)
	failed.Complete(nil, errTest)
	v, err := failed.AwaitAndReset(context.Background(), w)
	assert.Nil(t, v)
	assert.Equal(t, errTest, err)
	_, err = failed.AwaitAndReset(context.Background(), nil)
	assert.ErrorIs(t, err, actor.ErrNilDeferred)
}

func TestCompleteWithDeferred(t *testing.T) {
	for _, first := range []string{"outer", "inner"} {
		inner, outer := actor.NewDeferred(nil), actor.NewDeferred(nil)
		if first == "inner" {
			inner.Complete(7, errTest)
		}
		assert.True(t, outer.Complete(inner, nil))
		assert.False(t, outer.Complete(8, nil), "already completed with a Deferred")
		if first == "outer" {
			_, _, ok := outer.Result()
			assert.False(t, ok)
			inner.Complete(7, errTest)
		}
		value, err, ok := outer.Result()
		assert.True(t, ok)
		assert.Equal(t, 7, value)
		assert.Equal(t, errTest, err)
	}
}

func TestLongChainStack(t *testing.T) {
	const length = 100_000
	first := actor.NewDeferred(nil)
	last := first
	for range length {
		next := actor.NewDeferred(nil)
		next.Complete(last, nil)
		last = next
	}
	told := 0
	last.OnComplete(func(any, error) { told++ })
	first.Complete(nil, nil)
	assert.Equal(t, 1, told)
}

func TestDeferredCycles(t *testing.T) {
	d := actor.NewDeferred(nil)
	d.Complete(d, nil)
	_, err, _ := d.Result()
	require.ErrorIs(t, err, actor.ErrCycle)

	ring := make([]*actor.Deferred, 5)
	for i := range ring {
		ring[i] = actor.NewDeferred(nil)
	}
	var all sync.WaitGroup
	for i := range ring {
		all.Go(func() { ring[i].Complete(ring[(i+1)%len(ring)], nil) })
	}
	all.Wait()
	for _, d := range ring {
		_, err, ok := d.Result()
		assert.True(t, ok)
		assert.ErrorIs(t, err, actor.ErrCycle)
	}

	rt, _ := newRuntime(t)
	pid := obey(rt)
	inTurn(rt, pid, func(ctx protoactor.Context) {
		source := actor.NewDeferred(rt)
		next := source.Then(ctx, nil)
		source.Complete(next, nil)
		_, err, _ := source.Result()
		assert.ErrorIs(t, err, actor.ErrCycle, "a Deferred that waits for its follower")
	})
	stop(rt, pid)
}

func TestCancel(t *testing.T) {
	t.Run("hook", func(t *testing.T) {
		d := actor.NewDeferred(nil)
		calls := 0
		d.OnCancel(func() { t.Error("was replaced") })
		d.OnCancel(func() { calls++ })
		d.Cancel()
		d.Cancel()
		assert.Equal(t, 1, calls)
		_, err, _ := d.Result()
		require.ErrorIs(t, err, actor.ErrCancelled)
		d.OnCancel(func() { t.Error("too late") })
		d.Cancel()
	})
	t.Run("hook completes", func(t *testing.T) {
		d := actor.NewDeferred(nil)
		d.OnCancel(func() { d.Complete("in time", nil) })
		d.Cancel()
		value, err, _ := d.Result()
		assert.Equal(t, "in time", value)
		assert.NoError(t, err)
	})
	t.Run("source", func(t *testing.T) {
		source, middle, last := actor.NewDeferred(nil), actor.NewDeferred(nil), actor.NewDeferred(nil)
		middle.Complete(source, nil)
		last.Complete(middle, nil)
		last.Cancel()
		for _, d := range []*actor.Deferred{source, middle, last} {
			_, err, _ := d.Result()
			require.ErrorIs(t, err, actor.ErrCancelled)
		}
	})
	t.Run("through continuations", func(t *testing.T) {
		rt, _ := newRuntime(t)
		pid := obey(rt)
		source := actor.NewDeferred(rt)
		var next *actor.Deferred
		inTurn(rt, pid, func(ctx protoactor.Context) {
			next = source.Then(ctx, func(_ any, err error) (any, error) {
				return "handled", fmt.Errorf("seen: %w", err)
			})
		})
		next.Cancel()
		value, err := next.Await(t.Context())
		assert.Equal(t, "handled", value)
		require.EqualError(t, err, "seen: "+actor.ErrCancelled.Error())
		inTurn(rt, pid, func(ctx protoactor.Context) {
			ran := false
			next := actor.Succeeded(1).Then(ctx, func(any, error) (any, error) {
				ran = true
				return 1, nil
			})
			next.Cancel()
			_, err, _ := next.Result()
			assert.ErrorIs(t, err, actor.ErrCancelled, "its continuation is already queued")
			assert.False(t, ran)
		})
		stop(rt, pid)
	})
}

func TestAll(t *testing.T) {
	rt, _ := newRuntime(t)
	value, err, ok := actor.All().Result()
	assert.True(t, ok)
	assert.Empty(t, value)
	require.NoError(t, err)

	ds := []*actor.Deferred{actor.Succeeded(1), actor.NewDeferred(rt), actor.NewDeferred(rt)}
	all := actor.All(ds...)
	ds[2].Complete(3, nil)
	_, _, ok = all.Result()
	assert.False(t, ok)
	ds[1].Complete(2, nil)
	value, err = all.Await(t.Context())
	assert.Equal(t, []any{1, 2, 3}, value)
	require.NoError(t, err)

	ds = []*actor.Deferred{actor.NewDeferred(nil), actor.NewDeferred(nil)}
	all = actor.All(ds...)
	ds[1].Complete(nil, errTest)
	_, err, _ = all.Result()
	assert.Equal(t, errTest, err)
	ds[0].Complete(nil, nil)

	ds = []*actor.Deferred{actor.NewDeferred(nil), actor.NewDeferred(nil)}
	actor.All(ds...).Cancel()
	_, err, _ = ds[1].Result()
	assert.ErrorIs(t, err, actor.ErrCancelled)
}

func TestPipeTo(t *testing.T) {
	rt, _ := newRuntime(t)
	got := make(chan *actor.Result, 1)
	pid := rt.Root().Spawn(scripted(rt, func(_ *script, ctx protoactor.Context) {
		if r, ok := ctx.Message().(*actor.Result); ok {
			got <- r
		}
	}))
	d := actor.NewDeferred(rt)
	assert.True(t, d.PipeTo(pid))
	d.Complete(1, errTest)
	assert.Equal(t, &actor.Result{Value: 1, Err: errTest}, <-got)
	assert.False(t, d.PipeTo(nil))
	assert.False(t, actor.Succeeded(1).PipeTo(pid), "it has no actor system")
	stop(rt, pid)
}

// TestListenerGoexit has a listener call runtime.Goexit. Later listeners and followers are still notified.
func TestListenerGoexit(t *testing.T) {
	d, follower := actor.NewDeferred(nil), actor.NewDeferred(nil)
	follower.Complete(d, nil)
	told := make(chan any, 1)
	d.OnComplete(func(any, error) { runtime.Goexit() })
	d.OnComplete(func(value any, _ error) { told <- value })
	go d.Complete(7, nil)
	assert.Equal(t, 7, <-told)
	value, err := follower.Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 7, value)
}

func TestOnCancelPanic(t *testing.T) {
	d := actor.NewDeferred(nil)
	d.OnCancel(func() { panic("OnCancel") })
	d.Cancel()
	_, err, _ := d.Result()
	require.ErrorIs(t, err, actor.ErrCancelled)
}
