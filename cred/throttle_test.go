package cred_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/cred"
)

var errWrong = cred.Refuse(cred.ReasonWrong, "")

// TestThrottleSlowsDown: when the attempts of somebody who guesses without a pause begin.
func TestThrottleSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := cred.NewThrottle(nil)
		begun := time.Now()
		var at []int
		for range 7 {
			attempt, err := throttle.Enter(t.Context(), "a")
			require.NoError(t, err)
			at = append(at, int(time.Since(begun).Seconds()))
			attempt.End(errWrong)
		}
		assert.Equal(t, []int{0, 0, 0, 1, 3, 7, 15}, at)
		assert.Equal(t, 16*time.Second, throttle.Wait("a"))
		assert.Zero(t, throttle.Wait("b"))

		other, err := throttle.Enter(t.Context(), "b")
		require.NoError(t, err, "another key is another matter")
		other.End(nil)

		attempt, err := throttle.Enter(t.Context(), "a")
		require.NoError(t, err)
		attempt.End(errWrong)
		_, err = throttle.Enter(t.Context(), "a")
		assert.Contains(t, wantRefused(t, err, cred.ReasonThrottled).Log(), "32s", "beyond MaxWait nobody waits")

		time.Sleep(time.Hour)
		assert.Zero(t, throttle.Wait("a"))
		for range 3 {
			attempt, err := throttle.Enter(t.Context(), "a")
			require.NoError(t, err)
			attempt.End(errWrong)
		}
		assert.Equal(t, time.Second, throttle.Wait("a"), "all was forgotten")
	})
}

// TestThrottleAtOnce: many attempts at the same time get no more than as many one after the other.
func TestThrottleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := cred.NewThrottle(
			cred.WithFreeFailures(2),
			cred.WithDelays(time.Second, 4*time.Second),
			cred.WithMaxWait(10*time.Second),
		)
		begun := time.Now()
		var mu sync.Mutex
		var at []int
		refused := 0
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				attempt, err := throttle.Enter(t.Context(), "a")
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					wantRefused(t, err, cred.ReasonThrottled)
					refused++
					return
				}
				at = append(at, int(time.Since(begun).Seconds()))
				attempt.End(errWrong)
			})
		}
		all.Wait()
		assert.Equal(t, []int{0, 0, 1, 3, 7}, at)
		assert.Equal(t, 15, refused)
	})
}

func TestThrottleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := cred.NewThrottle(cred.WithFreeFailures(0), cred.WithDelays(time.Second, time.Minute))
		ended, end := context.WithCancel(t.Context())
		end()
		down := cred.Fault(t.Context(), cred.ReasonStore, errors.New("down"))
		for _, c := range []struct {
			err   error
			waits time.Duration
		}{
			{nil, time.Second},
			{down, time.Second},
			{errWrong, 2 * time.Second},
			{fmt.Errorf("wrapped: %w", down), 2 * time.Second},
			{cred.Fault(ended, cred.ReasonStore, errors.New("gone")), 4 * time.Second},
			{errors.New("another"), 8 * time.Second},
		} {
			attempt, err := throttle.Enter(t.Context(), "a")
			require.NoError(t, err)
			attempt.End(c.err)
			attempt.End(errWrong) // It has ended already.
			assert.Equal(t, c.waits, throttle.Wait("a"), "%v", c.err)
		}
	})
}

// TestThrottleGivenUp: who goes away while he waits has not been let in and has not failed.
func TestThrottleGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := cred.NewThrottle(cred.WithFreeFailures(1))
		first, err := throttle.Enter(t.Context(), "a")
		require.NoError(t, err)
		first.End(errWrong)
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err = throttle.Enter(ctx, "a")
			wantRefused(t, err, cred.ReasonEnded)
			cancel()
		}
		assert.LessOrEqual(t, throttle.Wait("a"), time.Second)
	})
}

func TestThrottleForgetsOldestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := cred.NewThrottle(
			cred.WithMaxKeys(3),
			cred.WithFreeFailures(0),
			cred.WithForgetAfter(time.Hour),
			cred.WithMaxWait(0),
		)
		enter := func(key string) *cred.Attempt {
			t.Helper()
			attempt, err := throttle.Enter(t.Context(), key)
			require.NoError(t, err)
			return attempt
		}
		held := enter("held")
		enter("a").End(errWrong)
		enter("b").End(errWrong)
		enter("c").End(errWrong)
		assert.Zero(t, throttle.Wait("a"), "the oldest without an attempt under way")
		assert.NotZero(t, throttle.Wait("b"))
		assert.NotZero(t, throttle.Wait("held"))
		x, y := enter("x"), enter("y")
		enter("z").End(nil) // Attempts under way from as many keys as there is room for refuse nobody.
		x.End(nil)
		held.End(nil)
		y.End(nil)
	})
}

// bubbled hides the Deadline of a test, for which rapid would ask and which a bubble does not have.
type bubbled struct{ rapid.TB }

// TestThrottleModel: whatever happens, no more attempts begin than the delays allow, a key that has not failed is
// never held up, and what failed is forgotten in the end.
func TestThrottleModel(t *testing.T) {
	synctest.Test(t, func(st *testing.T) {
		rapid.Check(bubbled{st}, func(t *rapid.T) {
			const free, fade = 2, time.Minute
			throttle := cred.NewThrottle(cred.WithFreeFailures(free), cred.WithDelays(time.Second, 16*time.Second),
				cred.WithMaxWait(0), cred.WithForgetAfter(fade))
			key := rapid.SampledFrom([]string{"a", "b"})
			running := map[string][]*cred.Attempt{}
			charged := map[string]int{} // at least as many as the throttle counts
			t.Repeat(map[string]func(*rapid.T){
				"enter": func(t *rapid.T) {
					k := key.Draw(t, "key")
					wait := throttle.Wait(k)
					attempt, err := throttle.Enter(context.Background(), k)
					if (err == nil) != (wait == 0) {
						t.Fatalf("%s should wait %v and got %v", k, wait, err)
					}
					if err != nil {
						if charged[k]+len(running[k]) < free {
							t.Fatalf("%s has to wait after %d failures and %d attempts under way", k, charged[k], len(running[k]))
						}
						return
					}
					running[k] = append(running[k], attempt)
					if len(running[k]) > free && throttle.Wait(k) == 0 {
						t.Fatalf("%d attempts of %s are under way, and one more may begin", len(running[k]), k)
					}
				},
				"end": func(t *rapid.T) {
					k := key.Draw(t, "key")
					if len(running[k]) == 0 {
						t.Skip("none")
					}
					attempt := running[k][0]
					running[k] = running[k][1:]
					if rapid.Bool().Draw(t, "failed") {
						charged[k]++
						attempt.End(errWrong)
					} else {
						attempt.End(nil)
					}
				},
				"wait": func(t *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
				},
				"wait long": func(t *rapid.T) {
					for k, attempts := range running {
						for _, a := range attempts {
							a.End(nil)
						}
						delete(running, k)
					}
					time.Sleep(100 * fade)
					for _, k := range []string{"a", "b"} {
						charged[k] = 0
						if wait := throttle.Wait(k); wait != 0 {
							t.Fatalf("%s still has to wait %v", k, wait)
						}
					}
				},
			})
		})
	})
}
