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

// fail makes failed attempts in a row and waits where it must.
func fail(t testing.TB, throttle *cred.Throttle, key string, times int) {
	t.Helper()
	for range times {
		attempt, err := throttle.Enter(context.Background(), key)
		require.NoError(t, err)
		attempt.End(errWrong)
	}
}

// enterAtOnce asserts that an attempt begins without a wait, and ends it well.
func enterAtOnce(t testing.TB, throttle *cred.Throttle, key string) {
	t.Helper()
	begun := time.Now()
	attempt, err := throttle.Enter(context.Background(), key)
	require.NoError(t, err, key)
	require.Zero(t, time.Since(begun), key)
	attempt.End(nil)
}

// TestFullThrottleLetsInnocentIn fills the table with attempts under way, some of which wait, as an attacker with
// many addresses does.
func TestFullThrottleLetsInnocentIn(t *testing.T) {
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

// TestFullThrottleKeepsGuilty: keys with fewer failures, however many, do not clear one that has more.
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

// TestFullThrottleGuessersInTurn: two new keys do not push each other out of a table that is full of guiltier ones.
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

// TestFullThrottleLateFailure: an attempt whose key was forgotten meanwhile still counts when it fails.
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

// TestFullThrottleModel compares a small table with one that has room for everything. Guessers for whom the
// table has room are slowed down alike, whatever strangers do; strangers without failures are never held up.
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
