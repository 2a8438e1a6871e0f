package supervision_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/supervision"
)

var all = []supervision.Branch{supervision.Listeners, supervision.Dialers, supervision.Objects, supervision.Caches}

func TestTree(t *testing.T) {
	rt := newRuntime(t)
	var trees [10]*supervision.Tree
	var makers sync.WaitGroup
	for i := range trees {
		makers.Go(func() { trees[i] = supervision.TreeOf(rt) })
	}
	makers.Wait()
	tree := trees[0]
	for _, another := range trees {
		assert.Same(t, tree, another)
	}
	assert.Equal(t, "pb", tree.Root().Id)
	r := &record{}
	for _, b := range all {
		assert.Equal(t, "pb/"+b.String(), tree.PID(b).Id)
		pid, err := tree.Spawn(b, r.props(rt, b.String()), "thing-")
		require.NoError(t, err)
		assert.Regexp(t, "^pb/"+b.String()+`/thing-\$`, pid.Id)
		inTurn(rt, pid, func(ctx protoactor.Context) { assert.Equal(t, tree.PID(b).Id, ctx.Parent().Id) })
	}
	assert.Nil(t, tree.PID(9))
	assert.Equal(t, "branch 9", supervision.Branch(9).String())
}

func TestSpawnErrors(t *testing.T) {
	rt := newRuntime(t)
	tree := supervision.TreeOf(rt)
	explode := func(protoactor.Context) { panic("in the option") }
	const panicked = ": the producer or an option of the props panicked; the log has the stack"
	type pid = *protoactor.PID
	for want, spawn := range map[string]func() (pid, error){
		"supervision: spawn x: there is no branch 7": func() (pid, error) {
			return tree.Spawn(7, rt.Props(nil), "x")
		},
		"supervision: spawn x below caches: the props are nil": func() (pid, error) {
			return tree.Spawn(supervision.Caches, nil, "x")
		},
		"supervision: spawn x below objects" + panicked: func() (pid, error) {
			return tree.Spawn(supervision.Objects, rt.Props(func() protoactor.Actor { panic("in the producer") }), "x")
		},
		"supervision: spawn y below objects" + panicked: func() (pid, error) {
			return tree.Spawn(supervision.Objects, (&record{}).props(rt, "y", protoactor.WithOnInit(explode)), "y")
		},
		"supervision: spawn x below objects: test": func() (pid, error) {
			return tree.Spawn(supervision.Objects, (&record{}).props(rt, "x", protoactor.WithSpawnFunc(
				func(*protoactor.ActorSystem, string, *protoactor.Props, protoactor.SpawnerContext) (*protoactor.PID, error) {
					return nil, errTest
				})), "x")
		},
	} {
		pid, err := spawn()
		assert.Nil(t, pid)
		require.EqualError(t, err, want)
	}
	_, err := tree.Spawn(supervision.Objects, (&record{}).props(rt, "still"), "still")
	require.NoError(t, err)
	tree.SpawnAsync(supervision.Objects, nil, "nobody asks", nil)
}

func TestConcurrentSpawn(t *testing.T) {
	rt := newRuntime(t)
	tree := supervision.TreeOf(rt)
	r := &record{}
	var spawners sync.WaitGroup
	var mu sync.Mutex
	names := map[string]bool{}
	for range 20 {
		spawners.Go(func() {
			for range 20 {
				pid, err := tree.Spawn(supervision.Objects, r.props(rt, "o"), "o")
				assert.NoError(t, err)
				mu.Lock()
				names[pid.Id] = true
				mu.Unlock()
			}
		})
	}
	spawners.Wait()
	assert.Len(t, names, 400)
}

func TestBranchesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		decisions := map[supervision.Branch][]supervision.Decision{}
		var mu sync.Mutex
		tree := supervision.TreeOf(rt,
			supervision.WithListenerBackoff(supervision.Backoff{Min: time.Second}),
			supervision.WithDialerBackoff(supervision.Backoff{Min: time.Minute}),
			supervision.WithObjectLimit(supervision.Limit{Restarts: 2}),
			nil,
			supervision.WithDecisions(func(b supervision.Branch, d supervision.Decision) {
				mu.Lock()
				defer mu.Unlock()
				decisions[b] = append(decisions[b], d)
			}))
		r := &record{}
		for _, b := range all {
			pid, err := tree.Spawn(b, r.props(rt, "child"), "child")
			require.NoError(t, err)
			for range 4 {
				fail(rt, pid)
				synctest.Wait()
				time.Sleep(time.Second)
			}
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, time.Second, decisions[supervision.Listeners][0].Delay)
		assert.Equal(t, time.Minute, decisions[supervision.Dialers][0].Delay)
		for _, b := range []supervision.Branch{supervision.Objects, supervision.Caches} {
			require.Len(t, decisions[b], 4, "shared objects are never stopped")
			assert.Equal(t, protoactor.RestartDirective, decisions[b][3].Directive)
			assert.Zero(t, decisions[b][0].Delay)
		}
	})
}

// TestBranchSurvives has a callback panic in the branch's turn. Its children stay.
func TestBranchSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		tree := supervision.TreeOf(rt)
		r := &record{}
		_, err := tree.Spawn(supervision.Objects, r.props(rt, "child"), "child")
		require.NoError(t, err)
		tree.SpawnAsync(
			supervision.Objects,
			r.props(rt, "second"),
			"second",
			func(*protoactor.PID, error) { panic("in done") },
		)
		synctest.Wait()
		assert.ElementsMatch(t, []string{"child started", "second started"}, r.take())
		_, err = tree.Spawn(supervision.Objects, r.props(rt, "third"), "third")
		require.NoError(t, err)
	})
}

func TestTreeStopOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		tree := supervision.TreeOf(rt)
		r := &record{}
		for i, b := range all {
			pid, err := tree.Spawn(b, r.props(rt, b.String()), "")
			require.NoError(t, err)
			inTurn(rt, pid, func(ctx protoactor.Context) { ctx.Spawn(r.props(rt, fmt.Sprint("child ", i))) })
		}
		synctest.Wait()
		r.take()
		rt.OnClose(actor.PhaseDrain, "spawn", func(context.Context) error {
			for _, b := range all {
				_, err := tree.Spawn(b, r.props(rt, "late"), "late")
				if b <= supervision.Dialers {
					assert.ErrorIs(t, err, supervision.ErrClosing)
				} else {
					assert.NoError(t, err, "answers under way may need it")
				}
			}
			return nil
		})
		require.NoError(t, rt.Close(t.Context()))
		events := slices.DeleteFunc(r.take(), func(e string) bool { return e[:4] == "late" })
		before := func(a, b string) {
			i, j := slices.Index(events, a), slices.Index(events, b)
			assert.True(t, 0 <= i && i < j, "%q before %q in %v", a, b, events)
		}
		for i, b := range all {
			before(b.String()+" stopping", fmt.Sprintf("child %d stopping", i))
			before(fmt.Sprintf("child %d stopped", i), b.String()+" stopped")
		}
		for _, first := range []string{"listeners stopped", "dialers stopped"} {
			before(first, "objects stopping")
			before(first, "caches stopping")
		}
		for _, b := range all {
			_, err := tree.Spawn(b, r.props(rt, "x"), "x")
			assert.ErrorIs(t, err, supervision.ErrClosing)
		}
	})
}

// TestSpawnWhileClosing spawns actors throughout Close. Each request is answered, and no actor is left.
func TestSpawnWhileClosing(t *testing.T) {
	for range 20 {
		rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
		require.NoError(t, err)
		tree := supervision.TreeOf(rt)
		r := &record{}
		var spawners sync.WaitGroup
		for _, b := range all {
			spawners.Go(func() {
				for {
					_, err := tree.Spawn(b, r.props(rt, "x"), "x")
					if errors.Is(err, supervision.ErrClosing) {
						return
					}
					assert.NoError(t, err)
				}
			})
		}
		for len(r.take()) == 0 { // until something has begun
			inTurn(rt, rt.Root().Spawn(r.props(rt, "pause")), func(protoactor.Context) {})
		}
		require.NoError(t, rt.Close(t.Context()))
		spawners.Wait()
	}
}

func TestCloseNamesBlockedActors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		tree := supervision.TreeOf(rt)
		release := make(chan struct{})
		var names []string
		for i := range 13 {
			pid, err := tree.Spawn(supervision.Objects, (&record{}).props(rt, "stuck"), fmt.Sprintf("stuck%02d", i))
			require.NoError(t, err)
			names = append(names, pid.Id)
			rt.Root().Send(pid, do(func(protoactor.Context) { <-release }))
		}
		_, err := tree.Spawn(supervision.Objects, (&record{}).props(rt, "fine"), "fine")
		require.NoError(t, err)
		synctest.Wait() // or Stop overtakes what they are sent
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = rt.Close(ctx)
		var running *actor.StillRunningError
		require.ErrorAs(t, err, &running)
		assert.Equal(t, append([]string{"3 more below pb/objects"}, append(names[:10], "stop: actor tree")...), running.Names)
		close(release)
		assert.NoError(t, rt.Close(t.Context()))
	})
}

func TestTreesInAdoptedSystem(t *testing.T) {
	var log bytes.Buffer
	system := protoactor.NewActorSystem(protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	}))
	defer system.Shutdown()
	system.Root.WithGuardian(
		protoactor.NewOneForOneStrategy(0, 0, func(any) protoactor.Directive { return protoactor.EscalateDirective }),
	)
	var trees []*supervision.Tree
	var runtimes []*actor.Runtime
	for range 2 {
		rt, err := actor.Adopt(system, actor.WithLogger(zerolog.Nop()))
		require.NoError(t, err)
		trees, runtimes = append(trees, supervision.TreeOf(rt)), append(runtimes, rt)
	}
	assert.Equal(t, "pb", trees[0].Root().Id)
	assert.Regexp(t, `^pb\$`, trees[1].Root().Id)
	pid, err := trees[1].Spawn(supervision.Objects, (&record{}).props(runtimes[1], "o"), "o")
	require.NoError(t, err)
	fail(runtimes[1], pid)
	inTurn(runtimes[1], pid, func(protoactor.Context) {})
	require.NoError(t, runtimes[0].Close(t.Context()))
	inTurn(runtimes[1], pid, func(protoactor.Context) {})
	require.NoError(t, runtimes[1].Close(t.Context()))
	assert.Empty(t, log.String())
}

func TestTreeAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		require.NoError(t, rt.Close(t.Context()))
		tree := supervision.TreeOf(rt)
		synctest.Wait()
		_, err := tree.Spawn(supervision.Objects, (&record{}).props(rt, "o"), "o")
		assert.ErrorIs(t, err, supervision.ErrClosing)
	})
}

func ExampleTreeOf() {
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	tree := supervision.TreeOf(rt)
	pid, err := tree.Spawn(supervision.Objects, rt.Props(func() protoactor.Actor {
		return protoactor.ReceiveFunc(func(ctx protoactor.Context) {
			if _, ok := ctx.Message().(*protoactor.Stopped); ok {
				fmt.Println("stopped, as a child of", ctx.Parent().Id)
			}
		})
	}), "counter")
	if err != nil {
		fmt.Println(err)
		return
	}
	supervision.LeasesOf(rt).Hold(pid, func() { fmt.Println("let go of what it held") })
	fmt.Println(rt.Close(context.Background()))
	// Output:
	// stopped, as a child of pb/objects
	// let go of what it held
	// <nil>
}
