package actor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
)

func quietRuntime(t *testing.T) *actor.Runtime {
	t.Helper()
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	return rt
}

func TestClosePhases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := quietRuntime(t)
		var mu sync.Mutex
		var order []string
		for i, phase := range []actor.Phase{
			actor.PhaseStop, actor.PhaseDrain, actor.PhaseRefuse, actor.PhaseDisconnect, actor.PhaseRefuse, 99,
		} {
			rt.OnClose(phase, "hook", func(ctx context.Context) error {
				assert.NoError(t, ctx.Err())
				time.Sleep(time.Duration(i) * time.Second) // on the bubble's clock: hooks of one phase overlap
				mu.Lock()
				defer mu.Unlock()
				order = append(order, phase.String())
				return nil
			})
		}
		rt.OnClose(actor.PhaseDrain, "cancelled", func(context.Context) error {
			t.Error("was cancelled")
			return nil
		})()
		select {
		case <-rt.Closing():
			t.Error("not yet")
		default:
		}
		begin := time.Now()
		require.NoError(t, rt.Close(t.Context()))
		<-rt.Closing()
		assert.Equal(t, []string{"refuse", "refuse", "drain", "disconnect", "stop", "phase 99"}, order)
		assert.Equal(t, 13*time.Second, time.Since(begin).Truncate(time.Second), "4 for refuse, 1, 3, 5 for stop")
		assert.True(t, rt.System().IsStopped())
		assert.NoError(t, rt.Close(t.Context()))
	})
}

func TestCloseHookErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := quietRuntime(t)
		last := false
		rt.OnClose(actor.PhaseRefuse, "first", func(context.Context) error { return errTest })
		rt.OnClose(actor.PhaseDrain, "second", func(context.Context) error { panic("secret") })
		rt.OnClose(actor.PhaseStop, "third", func(context.Context) error {
			last = true
			return nil
		})
		var results [3]error
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() { results[i] = rt.Close(t.Context()) })
		}
		all.Wait()
		for _, err := range results {
			require.ErrorIs(t, err, errTest)
			assert.Equal(t, results[0], err)
			assert.EqualError(t, err, "actor: close: refuse: first: test\n"+
				"actor: close: drain: second: panicked; the log has the details")
		}
		assert.True(t, last)
	})
}

func TestCloseNamesStragglers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := quietRuntime(t)
		release := make(chan struct{})
		require.True(t, rt.Go("reader", func() { <-release }))
		require.True(t, rt.Go("reader", func() { <-release }))
		require.True(t, rt.Go("writer", func() { <-release }))
		var stopped atomic.Bool
		var told error
		rt.OnClose(actor.PhaseDrain, "answers", func(ctx context.Context) error {
			<-ctx.Done()
			told = ctx.Err()
			<-release
			return errTest
		})
		rt.OnClose(actor.PhaseStop, "tree", func(context.Context) error {
			stopped.Store(true)
			return nil
		})
		cancel := rt.OnStraggler(func() []string { return []string{"never"} })
		cancel()
		rt.OnStraggler(func() []string { return []string{"pb/objects/$1"} })
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		err := rt.Close(ctx)
		var running *actor.StillRunningError
		require.ErrorAs(t, err, &running)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, []string{"drain: answers", "pb/objects/$1", "reader (2 times)", "writer"}, running.Names)
		assert.EqualError(t, err, "actor: close: context deadline exceeded; still running: "+
			"drain: answers, pb/objects/$1, reader (2 times), writer")

		synctest.Wait()
		require.ErrorIs(t, told, context.DeadlineExceeded)
		assert.True(t, stopped.Load(), "closing continues")
		assert.True(t, rt.Go("late", func() {}), "Close still waits for tasks")
		close(release)
		err = rt.Close(t.Context())
		assert.EqualError(t, err, "actor: close: drain: answers: test")
		assert.Equal(t, err, rt.Close(ctx), "the result does not depend on the context")
		assert.False(t, rt.Go("too late", func() { t.Error("ran") }))
	})
}

func TestCloseNamesBlockedTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := quietRuntime(t)
		release := make(chan struct{})
		pid := obey(rt)
		rt.Root().Send(pid, do(func(protoactor.Context) { <-release }))
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		assert.EqualError(t, rt.Close(ctx),
			"actor: close: context deadline exceeded; still running: dispatcher: 1 turns of actors")
		close(release)
		assert.NoError(t, rt.Close(t.Context()))
		stop(rt, pid) // also afterwards
	})
}

func TestLateHooksRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := quietRuntime(t)
		var ran atomic.Int32
		late := func(context.Context) error {
			ran.Add(1)
			return nil
		}
		rt.OnClose(actor.PhaseDrain, "drain", func(context.Context) error {
			rt.OnClose(actor.PhaseRefuse, "late", late)()
			synctest.Wait()
			assert.EqualValues(t, 1, ran.Load())
			rt.OnClose(actor.PhaseStop, "in time", late)
			return nil
		})
		require.NoError(t, rt.Close(t.Context()))
		assert.EqualValues(t, 2, ran.Load())
		rt.OnClose(actor.PhaseStop, "after the end", late)
		synctest.Wait()
		assert.EqualValues(t, 3, ran.Load())
	})
}

func TestCloseWaitsForPanickedTasks(t *testing.T) {
	rt, log := newRuntime(t)
	rt.Go("careless", func() { panic(fmt.Errorf("oh: %w", errTest)) })
	require.NoError(t, rt.Close(t.Context()))
	lines := log.lines(t)
	require.Len(t, lines, 1)
	assert.Equal(t, "careless", lines[0]["task"])
	assert.Equal(t, "oh: test", lines[0]["panic"])
}

func TestCloseAfterSystemShutdown(t *testing.T) {
	rt := quietRuntime(t)
	rt.System().Shutdown()
	assert.NoError(t, rt.Close(t.Context()))
}

func TestAdopt(t *testing.T) {
	system := newSystem()
	theirs := system.Root.Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return &obedient{} }))
	rt, err := actor.Adopt(system, actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	second, err := actor.Adopt(system, actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	assert.Same(t, system, rt.System())
	ours := obey(rt)

	// Continuations also run in the application's actors, for results of the Runtime's actors.
	d := actor.NewDeferred(second)
	var next *actor.Deferred
	inTurn(rt, theirs, func(ctx protoactor.Context) { next = d.Then(ctx, nil) })
	inTurn(rt, ours, func(protoactor.Context) { d.Complete("result", nil) })
	value, err := next.Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "result", value)
	told := make(chan struct{}, 2)
	rt.WhenStopped(ours, func() { told <- struct{}{} })
	second.WhenStopped(ours, func() { told <- struct{}{} })
	stop(rt, ours)
	<-told
	<-told

	require.NoError(t, rt.Close(t.Context()))
	assert.False(t, system.IsStopped(), "an adopted system keeps running")
	inTurn(second, theirs, func(protoactor.Context) {})
	stop(second, theirs)
	require.NoError(t, second.Close(t.Context()))
	system.Shutdown()
}

func TestAdoptWithNameConflicts(t *testing.T) {
	system := newSystem()
	defer system.Shutdown()
	squatter, err := system.Root.SpawnNamed(
		protoactor.PropsFromProducer(func() protoactor.Actor { return &obedient{} }),
		"pb-watcher",
	)
	require.NoError(t, err)
	rt, err := actor.Adopt(system, actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	stop(rt, squatter)
	require.NoError(t, rt.Close(t.Context()))
}

func TestNewRuntimeErrors(t *testing.T) {
	stopped := newSystem()
	stopped.Shutdown()
	for _, c := range []struct {
		system *protoactor.ActorSystem
		opts   []actor.Option
		err    string
	}{
		{nil, nil, "actor: adopt: the actor system is nil; pass one, or use NewRuntime"},
		{stopped, nil, "actor: adopt: the actor system " + stopped.ID + " has been shut down; pass a running one"},
		{newSystem(), []actor.Option{actor.WithIdleWorkers(-1)}, "actor: WithIdleWorkers(-1): must not be negative"},
		{newSystem(), []actor.Option{nil, actor.WithThroughput(0)}, "actor: WithThroughput(0): must be at least 1"},
	} {
		_, err := actor.Adopt(c.system, c.opts...)
		require.EqualError(t, err, c.err)
	}
	_, err := actor.NewRuntime(actor.WithThroughput(-1))
	assert.Error(t, err)
}

func TestOptions(t *testing.T) {
	theirs := protoactor.NewDefaultDispatcher(9)
	rt, _ := newRuntime(
		t,
		actor.WithDispatcher(theirs),
		actor.WithSystemOptions(protoactor.WithDeveloperSupervisionLogging(true)),
	)
	assert.Equal(t, theirs, rt.Dispatcher())
	assert.True(t, rt.System().Config.DeveloperSupervisionLogging)
	pid := obey(rt)
	inTurn(rt, pid, func(protoactor.Context) {})
	stop(rt, pid)
	rt, _ = newRuntime(t, actor.WithThroughput(3))
	assert.Equal(t, 3, rt.Dispatcher().Throughput())
	assert.NotNil(t, rt.Logger())
}

func TestExtensionOnce(t *testing.T) {
	rt, _ := newRuntime(t)
	type key string
	var made atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			v := rt.Extension(key("outer"), func() any {
				made.Add(1)
				return rt.Extension(key("inner"), func() any { return new(int) })
			})
			assert.Same(t, v, rt.Extension(key("inner"), nil))
		})
	}
	all.Wait()
	assert.EqualValues(t, 1, made.Load())
}

func TestErrorTexts(t *testing.T) {
	for _, err := range []error{
		actor.ErrStopped, actor.ErrRestarted, actor.ErrCancelled, actor.ErrCycle, actor.ErrNoTurn,
	} {
		assert.Regexp(t, "^actor: .{20,}", err.Error())
	}
	assert.NoError(t, errors.Unwrap(&actor.PanicError{Value: "no error"}))
}
