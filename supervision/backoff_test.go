package supervision_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/supervision"
)

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

func TestBackoffStaysInBounds(t *testing.T) {
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
