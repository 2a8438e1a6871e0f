package cred_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/cred"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var errWrong = cred.Refuse(cred.ReasonWrong, "")

// TestThrottleSlowsDown measures when the attempts of continuous guessing begin.
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
		require.NoError(t, err, "another key is not affected")
		other.End(nil)

		attempt, err := throttle.Enter(t.Context(), "a")
		require.NoError(t, err)
		attempt.End(errWrong)
		_, err = throttle.Enter(t.Context(), "a")
		assert.Contains(t, wantRefused(t, err, cred.ReasonThrottled).Log(), "32s", "no wait exceeds MaxWait")

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

// TestThrottleConcurrent: concurrent attempts get no more than sequential ones.
func TestThrottleConcurrent(t *testing.T) {
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

// TestThrottleGivenUp: an attempt that is abandoned while it waits has neither begun nor failed.
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
		enter("z").End(nil) // not refused, though attempts of as many keys as the table holds are under way
		x.End(nil)
		held.End(nil)
		y.End(nil)
	})
}

// bubbled hides the Deadline of a test, for which rapid would ask and which a bubble does not have.
type bubbled struct{ rapid.TB }

// TestThrottleModel: no more attempts begin than the delays allow, a key without failures never waits, and failures are
// forgotten in the end.
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

// fail makes failed attempts in a row, with the necessary waits.
func fail(t testing.TB, throttle *cred.Throttle, key string, times int) {
	t.Helper()
	for range times {
		attempt, err := throttle.Enter(context.Background(), key)
		require.NoError(t, err)
		attempt.End(errWrong)
	}
}

// enterAtOnce asserts that an attempt begins without a wait, and ends it successfully.
func enterAtOnce(t testing.TB, throttle *cred.Throttle, key string) {
	t.Helper()
	begun := time.Now()
	attempt, err := throttle.Enter(context.Background(), key)
	require.NoError(t, err, key)
	require.Zero(t, time.Since(begun), key)
	attempt.End(nil)
}

// TestFullThrottleAdmitsNewKeys fills the table with attempts under way, like an attacker with many addresses.
func TestFullThrottleAdmitsNewKeys(t *testing.T) {
	for _, test := range []struct{ keys, attackers, attempts int }{
		{1, 1, 8}, {1, 10, 1}, {2, 2, 8}, {3, 9, 4}, {8, 8, 8}, {8, 100, 2},
		{500, 500, 8}, // what the attack in the issue did
	} {
		t.Run(
			fmt.Sprintf("%d keys, %d attackers, %d attempts", test.keys, test.attackers, test.attempts),
			func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					throttle := cred.NewThrottle(cred.WithMaxKeys(test.keys))
					enterAtOnce(t, throttle, "user")
					ctx, cancel := context.WithCancel(t.Context())
					var all sync.WaitGroup
					for i := range test.attackers {
						for range test.attempts {
							all.Go(func() {
								if attempt, err := throttle.Enter(ctx, fmt.Sprint("attacker ", i)); err == nil {
									<-ctx.Done()
									attempt.End(errWrong)
								}
							})
						}
					}
					synctest.Wait()
					require.NoError(t, throttle.CheckTable())
					for i := range 20 {
						enterAtOnce(t, throttle, "user")
						enterAtOnce(t, throttle, fmt.Sprint("newcomer ", i))
					}
					cancel()
					all.Wait()
					require.NoError(t, throttle.CheckTable())
					enterAtOnce(t, throttle, "user")
					time.Sleep(24 * time.Hour)
					enterAtOnce(t, throttle, "user")
				})
			},
		)
	}
}

// TestFullThrottleKeepsGuilty: keys with fewer failures, however many, do not clear a key that has more.
func TestFullThrottleKeepsGuilty(t *testing.T) {
	for _, keys := range []int{2, 3, 8, 500} {
		t.Run(fmt.Sprint(keys), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttle := cred.NewThrottle(cred.WithMaxKeys(keys), cred.WithDelays(time.Hour, 24*time.Hour), cred.WithMaxWait(0),
					cred.WithForgetAfter(24*time.Hour))
				fail(t, throttle, "guesser", 3)
				for i := range 10 * keys {
					fail(t, throttle, fmt.Sprint("other ", i), 2)
				}
				assert.Equal(t, time.Hour, throttle.Wait("guesser"))
				require.NoError(t, throttle.CheckTable())
			})
		})
	}
}

// TestFullThrottleGuessersInTurn: two new keys do not evict each other from a table of guiltier keys.
func TestFullThrottleGuessersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := cred.NewThrottle(cred.WithMaxKeys(100), cred.WithMaxWait(0), cred.WithForgetAfter(time.Hour))
		for i := range 200 {
			fail(t, throttle, fmt.Sprint("guilty ", i), 3)
		}
		for range 3 {
			fail(t, throttle, "a", 1)
			fail(t, throttle, "b", 1)
		}
		assert.Equal(t, time.Second, throttle.Wait("a"))
		assert.Equal(t, time.Second, throttle.Wait("b"))
	})
}

// TestFullThrottleLateFailure: an attempt counts when it fails, even if its key was forgotten meanwhile.
func TestFullThrottleLateFailure(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint("known again ", again), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				throttle := cred.NewThrottle(cred.WithMaxKeys(2), cred.WithFreeFailures(1))
				late, err := throttle.Enter(t.Context(), "late")
				require.NoError(t, err)
				for i := range 3 {
					fail(t, throttle, fmt.Sprint("other ", i), 2)
				}
				require.False(t, throttle.Knows("late"))
				if again {
					enterAtOnce(t, throttle, "late")
				}
				late.End(errWrong)
				require.NoError(t, throttle.CheckTable())
				fail(t, throttle, "late", 1)
				assert.Equal(t, 2*time.Second, throttle.Wait("late"), "two have failed")
			})
		})
	}
}

// TestThrottleLongMemory: the longest time to forget does not overflow.
func TestThrottleLongMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := cred.NewThrottle(cred.WithMaxKeys(2), cred.WithForgetAfter(1<<63-1), cred.WithMaxWait(0))
		fail(t, throttle, "guesser", 3)
		for i := range 10 {
			fail(t, throttle, fmt.Sprint("other ", i), 1)
		}
		assert.Equal(t, time.Second, throttle.Wait("guesser"))
	})
}

// TestFullThrottleModel compares a small table with one that has room for everything. Guessers for whom the table has
// room are slowed down the same way, whatever strangers do. Strangers without failures never wait.
func TestFullThrottleModel(t *testing.T) {
	synctest.Test(t, func(st *testing.T) {
		rapid.Check(bubbled{st}, func(t *rapid.T) {
			keys := rapid.IntRange(4, 24).Draw(t, "keys")
			opts := []cred.ThrottleOption{cred.WithFreeFailures(2), cred.WithDelays(time.Second, 16*time.Second),
				cred.WithMaxWait(0), cred.WithForgetAfter(time.Hour)}
			small := cred.NewThrottle(append(opts, cred.WithMaxKeys(keys))...)
			large := cred.NewThrottle(append(opts, cred.WithMaxKeys(1<<20))...)
			guessers := keys - keys/4 // as many as the table has room for besides the recent keys
			strangers := 0
			var waiting []*cred.Attempt
			stranger := func() string { strangers++; return fmt.Sprint("stranger ", strangers) }
			enter := func(t *rapid.T, key string) *cred.Attempt {
				attempt, err := small.Enter(context.Background(), key)
				if err != nil {
					t.Fatalf("%s has no failures and got %v", key, err)
				}
				return attempt
			}
			t.Repeat(map[string]func(*rapid.T){
				"guess": func(t *rapid.T) {
					key := fmt.Sprint("guesser ", rapid.IntRange(1, guessers).Draw(t, "guesser"))
					for range 2 { // A guesser with one failure may be forgotten: strangers have as many.
						a, got := small.Enter(context.Background(), key)
						b, want := large.Enter(context.Background(), key)
						if (got == nil) != (want == nil) {
							t.Fatalf("%s got %v, with room for all %v", key, got, want)
						}
						if got == nil {
							a.End(errWrong)
							b.End(errWrong)
						}
					}
				},
				"fail": func(t *rapid.T) {
					for range rapid.IntRange(1, 2*keys).Draw(t, "strangers") {
						enter(t, stranger()).End(errWrong)
					}
				},
				"succeed": func(t *rapid.T) { enter(t, stranger()).End(nil) },
				"hold": func(t *rapid.T) {
					for range rapid.IntRange(1, 2*keys).Draw(t, "strangers") {
						waiting = append(waiting, enter(t, stranger()))
					}
				},
				"end": func(t *rapid.T) {
					for _, a := range waiting {
						a.End(rapid.SampledFrom([]error{nil, errWrong, errors.New("another")}).Draw(t, "how"))
					}
					waiting = nil
				},
				"wait": func(*rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
				},
				"": func(t *rapid.T) {
					if err := small.CheckTable(); err != nil {
						t.Fatal(err)
					}
					for i := range guessers {
						key := fmt.Sprint("guesser ", i+1)
						if got, want := small.Wait(key), large.Wait(key); got != want {
							t.Fatalf("%s waits %v, with room for all %v", key, got, want)
						}
					}
				},
			})
		})
	})
}
