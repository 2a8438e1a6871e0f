package broker_test

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// TestDroppedReferenceInBubble: the collector's goroutine belongs to no synctest bubble, and must not wake a goroutine
// in one. That would end the process, so this test fails for all.
func TestDroppedReferenceInBubble(t *testing.T) {
	passes := make(chan struct{}) // The cleanup runs outside the bubble, in real time.
	go func() {
		for t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
			select {
			case passes <- struct{}{}:
			case <-t.Context().Done():
			}
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		conn, p := client(t)
		receive(t, conn, p, 7)
		told := make(chan struct{})
		go func() {
			defer close(told)
			p.Want(`[decref 7]`)
		}()
		synctest.Wait()
		for start := time.Now(); time.Since(start) < wire.Timeout; time.Sleep(10 * time.Millisecond) {
			runtime.GC()
			<-passes
			select {
			case <-told:
				require.NoError(t, conn.Root().Err())
				return
			default:
			}
		}
		t.Error("the peer was not told")
	})
}
