package cred_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
)

// TestConcurrentHashes blocks in the observer. No more hashes than the limit begin.
func TestConcurrentHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		h := cred.NewHasher(cred.WithConcurrentHashes(3), cred.WithHashObserver(func(cred.Scheme) {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(time.Second)
			running.Add(-1)
		}))
		begun := time.Now()
		results := make(chan bool)
		for range 12 {
			go func() {
				ok, err := h.Verify(t.Context(), cred.Plaintext("sesame"), "sesame")
				results <- ok && err == nil
			}()
		}
		for range 12 {
			assert.True(t, <-results)
		}
		assert.Equal(t, int32(3), most.Load())
		assert.Equal(t, 4*time.Second, time.Since(begun))
	})
}

func TestHashWaitCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := cred.NewHasher(cred.WithConcurrentHashes(0), cred.WithHashObserver(func(cred.Scheme) { <-release }))
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := h.Verify(context.Background(), cred.Plaintext("x"), "x")
			assert.NoError(t, err)
		}()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("x")}, cred.WithHasher(h))
		require.NoError(t, err)
		_, err = users.Check(ctx, plain("alice", "x"))
		wantRefused(t, err, cred.ReasonEnded)
		_, err = h.Argon2id(ctx, "x")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = h.Bcrypt(ctx, "x", 4)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		close(release)
		<-done
		_, err = h.Verify(ctx, cred.Plaintext("x"), "x")
		assert.ErrorIs(t, err, context.DeadlineExceeded, "an ended context gets no slot")
	})
}
