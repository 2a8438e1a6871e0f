package supervision_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// below spawns an actor whose parent uses the strategy.
func below(
	rt *actor.Runtime,
	strategy protoactor.SupervisorStrategy,
	props *protoactor.Props,
) (parent, child *protoactor.PID) {
	parent = rt.Root().Spawn((&record{}).props(rt, "parent", protoactor.WithSupervisor(strategy)))
	inTurn(rt, parent, func(ctx protoactor.Context) { child = ctx.Spawn(props) })
	return parent, child
}

func TestStrategies(t *testing.T) {
	restarted := []string{"child restarting", "child started"}
	stopped := []string{"child stopping", "child stopped"}
	is := func(d protoactor.Directive) supervision.StrategyOption {
		return supervision.Decide(func(reason any) protoactor.Directive {
			if !errors.Is(reason.(error), errTest) {
				panic("not the reason")
			}
			return d
		})
	}
	for name, c := range map[string]struct {
		make func(*actor.Runtime, ...supervision.StrategyOption) protoactor.SupervisorStrategy
		opts []supervision.StrategyOption
		want []string
		is   protoactor.Directive
	}{
		"stop":   {supervision.StopStrategy, nil, stopped, protoactor.StopDirective},
		"resume": {supervision.ResumeStrategy, nil, nil, protoactor.ResumeDirective},
		"restart": {func(rt *actor.Runtime, opts ...supervision.StrategyOption) protoactor.SupervisorStrategy {
			return supervision.RestartStrategy(rt, supervision.Limit{}, opts...)
		}, nil, restarted, protoactor.RestartDirective},
		"never restart": {func(rt *actor.Runtime, opts ...supervision.StrategyOption) protoactor.SupervisorStrategy {
			return supervision.RestartStrategy(rt, supervision.Limit{Restarts: -1}, opts...)
		}, nil, stopped, protoactor.StopDirective},
		"decided to restart": {
			supervision.StopStrategy, []supervision.StrategyOption{is(protoactor.RestartDirective)},
			restarted, protoactor.RestartDirective,
		},
		"decided to resume": {
			supervision.StopStrategy, []supervision.StrategyOption{is(protoactor.ResumeDirective)},
			nil, protoactor.ResumeDirective,
		},
		"decided to stop": {
			supervision.ResumeStrategy, []supervision.StrategyOption{is(protoactor.StopDirective)},
			stopped, protoactor.StopDirective,
		},
		"decided to escalate": {
			supervision.ResumeStrategy, []supervision.StrategyOption{nil, is(protoactor.EscalateDirective)},
			stopped, protoactor.StopDirective,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				rt := newRuntime(t, actor.WithLogger(zerolog.New(&log).Level(zerolog.WarnLevel)))
				var decisions []supervision.Decision
				opts := append(c.opts, supervision.OnDecision(func(d supervision.Decision) { decisions = append(decisions, d) }))
				r := &record{}
				parent, child := below(rt, c.make(rt, opts...), r.props(rt, "child"))
				synctest.Wait()
				r.take()
				fail(rt, child)
				synctest.Wait()
				assert.Equal(t, c.want, r.take())
				require.Len(t, decisions, 1)
				assert.Same(t, child, decisions[0].Child)
				assert.Equal(t, errTest, decisions[0].Reason)
				assert.IsType(t, do(nil), decisions[0].Message)
				assert.Equal(t, c.is, decisions[0].Directive)
				lines := bytes.Split(bytes.TrimSpace(log.Bytes()), []byte("\n"))
				require.Len(t, lines, 2, "the panic and the decision")
				var line struct{ Child, Reason, Directive, Message string }
				require.NoError(t, json.Unmarshal(lines[1], &line))
				assert.Equal(t, child.Id, line.Child)
				assert.Equal(t, "test", line.Reason)
				assert.Equal(t, "an actor failed", line.Message)
				stop(rt, parent)
			})
		})
	}
}

func TestRestartLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		r := &record{}
		var failures []int
		parent, child := below(rt, supervision.RestartStrategy(
			rt,
			supervision.Limit{Restarts: 3, Within: 10 * time.Second},
			supervision.OnDecision(
				func(d supervision.Decision) { failures = append(failures, d.Failures) },
			),
		), r.props(rt, "child"))
		for range 10 { // never more than three in ten seconds
			for range 3 {
				fail(rt, child)
				synctest.Wait()
			}
			time.Sleep(11 * time.Second)
		}
		assert.NotContains(t, r.take(), "child stopped")
		for range 3 {
			fail(rt, child)
			synctest.Wait()
		}
		assert.NotContains(t, r.take(), "child stopped")
		gone := false
		rt.WhenStopped(child, func() { gone = true })
		fail(rt, child)
		synctest.Wait()
		assert.Equal(t, []string{"child stopping", "child stopped"}, r.take(), "one failure more than the limit")
		assert.True(t, gone)
		assert.Equal(t, []int{1, 2, 3, 4}, failures[len(failures)-4:])
		stop(rt, parent)
	})
}

func TestBackoffDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		r := &record{}
		var delays []time.Duration
		b := supervision.Backoff{Min: time.Second, Max: 8 * time.Second, Factor: 2}
		parent, child := below(rt, supervision.BackoffStrategy(rt, b,
			supervision.OnDecision(func(d supervision.Decision) { delays = append(delays, d.Delay) })), r.props(rt, "child"))
		for range 3 {
			fail(rt, child)
			synctest.Wait()
		}
		assert.Equal(t, []string{"child started"}, r.take(), "it waits")
		assert.Equal(t, []time.Duration{time.Second}, delays, "its messages wait too")
		inTurn(rt, parent, func(protoactor.Context) {})
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		assert.Empty(t, r.take())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		assert.Equal(t, []string{"child restarting", "child started"}, r.take())
		time.Sleep(2*time.Second + 4*time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"child restarting", "child started", "child restarting", "child started"}, r.take())
		for range 3 {
			fail(rt, child)
			time.Sleep(8 * time.Second)
			synctest.Wait()
		}
		assert.Equal(t, []time.Duration{1, 2, 4, 8, 8, 8}, inSeconds(delays))
		time.Sleep(5 * 8 * time.Second)
		fail(rt, child)
		synctest.Wait()
		assert.Equal(t, time.Second, delays[6], "the delay starts again after a time without failures")

		r.take()
		stop(rt, parent) // the child waits for its restart
		assert.Equal(t, []string{"child stopping", "child stopped"}, r.take())
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, r.take(), "it is not restarted")
	})
}

func inSeconds(delays []time.Duration) []time.Duration {
	for i := range delays {
		delays[i] /= time.Second
	}
	return delays
}

func TestBackoffChildStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		r := &record{}
		parent, child := below(
			rt,
			supervision.BackoffStrategy(rt, supervision.Backoff{Min: time.Second}),
			r.props(rt, "child"),
		)
		fail(rt, child)
		synctest.Wait()
		stop(rt, child)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"child started", "child stopping", "child stopped"}, r.take())
		stop(rt, parent)
	})
}

// TestOldFailuresForgotten checks that an actor that fails forever does not take more and more memory.
func TestOldFailuresForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRuntime(t)
		for name, strategy := range map[string]protoactor.SupervisorStrategy{
			"restart": supervision.RestartStrategy(rt, supervision.Limit{Restarts: 1 << 20, Within: time.Hour}),
			"backoff": supervision.BackoffStrategy(rt, supervision.Backoff{Min: time.Nanosecond, Max: time.Second}),
			"decided": supervision.StopStrategy(rt,
				supervision.Decide(func(any) protoactor.Directive { return protoactor.RestartDirective })),
		} {
			stats := protoactor.NewRestartStatistics()
			for range 2000 {
				strategy.HandleFailure(rt.System(), supervisor{}, rt.Discard(), stats, 7, nil)
				assert.LessOrEqual(t, stats.FailureCount(), 257, name)
			}
			assert.GreaterOrEqual(t, stats.FailureCount(), 100, name)
		}
		time.Sleep(time.Minute)
	})
}

// supervisor does nothing.
type supervisor struct{ protoactor.Supervisor }

func (supervisor) RestartChildren(...*protoactor.PID) {}

func TestPersistentStrategy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		rt := newRuntime(t, actor.WithLogger(zerolog.New(&log).Level(zerolog.WarnLevel)))
		r := &record{}
		parent, child := below(rt, supervision.PersistentStrategy(rt, supervision.Limit{Restarts: 3}), r.props(rt, "child"))
		for range 1000 {
			fail(rt, child)
			synctest.Wait()
		}
		assert.NotContains(t, r.take(), "child stopped")
		assert.Equal(t, 3, bytes.Count(log.Bytes(), []byte("an actor failed")), "later failures are not logged as warnings")
		stop(rt, parent)
	})
}

// TestPersistentStrategyFailedStart has a child fail before it can handle a message, which nothing else would stop.
func TestPersistentStrategyFailedStart(t *testing.T) {
	for name, start := range map[string]func(){
		"panic in Started":  func() { panic(errTest) },
		"Goexit in Started": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
				starts := 0
				props := rt.Props(func() protoactor.Actor {
					return protoactor.ReceiveFunc(func(ctx protoactor.Context) {
						if _, ok := ctx.Message().(*protoactor.Started); ok {
							starts++
							start()
						}
					})
				})
				parent, _ := below(rt, supervision.PersistentStrategy(rt, supervision.Limit{Restarts: 3}), props)
				synctest.Wait()
				assert.Equal(t, 4, starts)
				stop(rt, parent)
			})
		})
	}
}

// TestStrategyFunctionPanics has the application's functions panic or call runtime.Goexit while a child waits for a
// decision.
func TestStrategyFunctionPanics(t *testing.T) {
	panics := func() { panic("function") }
	for name, opt := range map[string]supervision.StrategyOption{
		"OnDecision panics": supervision.OnDecision(func(supervision.Decision) { panics() }),
		"OnDecision exits":  supervision.OnDecision(func(supervision.Decision) { runtime.Goexit() }),
		"Decide panics":     supervision.Decide(func(any) protoactor.Directive { panics(); return 0 }),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
				r := &record{}
				parent, child := below(rt, supervision.RestartStrategy(rt, supervision.Limit{}, opt), r.props(rt, "child"))
				synctest.Wait()
				r.take()
				fail(rt, child)
				synctest.Wait()
				// A supervisor that called runtime.Goexit itself fails after its decision.
				assert.Equal(t, []string{"child restarting", "child started"}, r.take()[:2])
				stop(rt, parent)
			})
		})
	}
}

func ExampleBackoff_Delay() {
	b := supervision.Backoff{Min: time.Second, Max: 10 * time.Second, Factor: 3}
	for attempt := range 4 {
		fmt.Println(b.Delay(attempt+1, nil))
	}
	// Output:
	// 1s
	// 3s
	// 9s
	// 10s
}

func TestBackoffDefaults(t *testing.T) {
	for _, b := range []supervision.Backoff{
		{},
		{Min: -1, Max: -1, Factor: 0.5, Jitter: -1},
		{Factor: math.NaN(), Jitter: math.NaN()},
	} {
		assert.Equal(t, supervision.DefaultBackoffMin, b.Delay(0, nil))
		assert.Equal(t, supervision.DefaultBackoffMin, b.Delay(1, nil))
		assert.Equal(t, 2*supervision.DefaultBackoffMin, b.Delay(2, nil))
		assert.Equal(t, supervision.DefaultBackoffMax, b.Delay(math.MaxInt, nil))
	}
	assert.Equal(t, time.Hour, supervision.Backoff{Min: time.Hour, Max: time.Minute}.Delay(5, nil), "Max is at least Min")
}

func TestBackoffBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := supervision.Backoff{
			Min:    time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "min")),
			Max:    time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "max")),
			Factor: rapid.Float64Range(1, 100).Draw(t, "factor"),
			Jitter: rapid.Float64Range(0, 2).Draw(t, "jitter"),
		}
		r := rapid.Float64Range(0, 0.999).Draw(t, "chance")
		chance := func() float64 { return r }
		if rapid.Bool().Draw(t, "math/rand") {
			chance = nil
		}
		jitter, longest := min(b.Jitter, 1), max(b.Min, b.Max)
		steady := b
		steady.Jitter = 0
		before := time.Duration(0)
		for attempt := range rapid.IntRange(1, 50).Draw(t, "attempts") {
			exact, got := steady.Delay(attempt+1, nil), b.Delay(attempt+1, chance)
			if exact < before || exact < b.Min || exact > longest {
				t.Fatalf("attempt %d: %v after %v", attempt+1, exact, before)
			}
			if least := time.Duration(float64(exact)*(1-jitter)) - 2; got < least || got > exact {
				t.Fatalf("attempt %d: %v is not between %v and %v", attempt+1, got, least, exact)
			}
			before = exact
		}
	})
}
