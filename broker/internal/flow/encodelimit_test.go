package flow

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestEncodeLimit(t *testing.T) {
	full := func(t *testing.T) *EncodeLimit {
		l := NewEncodeLimit()
		for range maxEncoding {
			l.Enter(t.Context())
		}
		return l
	}
	t.Run("wait for Leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l := full(t)
			var entered atomic.Int64
			for range 3 {
				go func() { l.Enter(t.Context()); entered.Add(1) }()
			}
			for i := range int64(3) {
				synctest.Wait()
				assert.Equal(t, i, entered.Load())
				l.Leave()
			}
			synctest.Wait()
			assert.EqualValues(t, 3, entered.Load())
			assert.EqualValues(t, maxEncoding, l.active.Load())
		})
	})
	t.Run("bounded wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			l, start := full(t), time.Now()
			l.Enter(t.Context())
			assert.Equal(t, encodeWait, time.Since(start))
			l.Leave()
			assert.EqualValues(t, maxEncoding, l.active.Load())
		})
	})
	t.Run("end of the connection", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			l, start := full(t), time.Now()
			l.Enter(ctx)
			assert.Equal(t, time.Millisecond, time.Since(start))
		})
	})
	t.Run("many at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { // The wait must not end because the machine is slow.
			l := NewEncodeLimit()
			var active, most atomic.Int64
			var all sync.WaitGroup
			for range 2000 {
				all.Go(func() {
					l.Enter(t.Context())
					n := active.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					active.Add(-1)
					l.Leave()
				})
			}
			all.Wait()
			assert.LessOrEqual(t, most.Load(), int64(maxEncoding))
			assert.Zero(t, l.active.Load())
			assert.Zero(t, l.waiting.Load())
		})
	})
	t.Run("only long answers", func(t *testing.T) {
		l := NewEncodeLimit()
		l.Encoded(longAnswer - 1)
		assert.False(t, l.Applies())
		l.Encoded(longAnswer)
		for range shortAnswers {
			assert.True(t, l.Applies())
			l.Encoded(1)
		}
		assert.False(t, l.Applies())
	})
}
