package broker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTurnstile(t *testing.T) {
	full := func(t *testing.T) *turnstile {
		x := newTurnstile()
		for range encodings {
			x.enter(t.Context())
		}
		return &x
	}
	t.Run("whoever comes waits for one to leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := full(t)
			var in atomic.Int64
			for range 3 {
				go func() { x.enter(t.Context()); in.Add(1) }()
			}
			for i := range int64(3) {
				synctest.Wait()
				assert.Equal(t, i, in.Load())
				x.leave()
			}
			synctest.Wait()
			assert.EqualValues(t, 3, in.Load())
			assert.EqualValues(t, encodings, x.inside.Load())
		})
	})
	t.Run("nobody waits for long for those who never leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x, start := full(t), time.Now()
			x.enter(t.Context())
			assert.Equal(t, encodingPatience, time.Since(start))
			x.leave()
			assert.EqualValues(t, encodings, x.inside.Load())
		})
	})
	t.Run("nor behind the end of the connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			x, start := full(t), time.Now()
			x.enter(ctx)
			assert.Equal(t, time.Millisecond, time.Since(start))
		})
	})
	t.Run("all who come get in, and never too many at once", func(t *testing.T) {
		x := newTurnstile()
		var inside, most atomic.Int64
		var all sync.WaitGroup
		for range 2000 {
			all.Go(func() {
				x.enter(t.Context())
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				inside.Add(-1)
				x.leave()
			})
		}
		all.Wait()
		assert.LessOrEqual(t, most.Load(), int64(encodings))
		assert.Zero(t, x.inside.Load())
		assert.Zero(t, x.waiting.Load())
	})
	t.Run("only where answers are long", func(t *testing.T) {
		x := newTurnstile()
		x.made(longAnswer - 1)
		assert.False(t, x.isNeeded())
		x.made(longAnswer)
		for range longMemory {
			assert.True(t, x.isNeeded())
			x.made(1)
		}
		assert.False(t, x.isNeeded())
	})
}
