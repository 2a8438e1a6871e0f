package broker_test

import (
	"fmt"
	"runtime/metrics"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/stretchr/testify/require"
)

// TestLateAnswersThatComeAtOnceTakeNoMemoryBeforeTheyAreDropped: what will be dropped is not encoded, even where
// thousands are answered in the same moment.
func TestLateAnswersThatComeAtOnceTakeNoMemoryBeforeTheyAreDropped(t *testing.T) {
	const pause, size, calls = 1 << 20, 600_000, 1000
	d := &desk{}
	s := newServer(t, d, broker.WithLimits(broker.Limits{MaxWriteBacklog: pause}))
	p := s.peer()
	for i := range calls {
		p.Write(fmt.Sprintf(`[message %d root ask 1 [tuple x] [dictionary]]`, i+1))
	}
	var open []*actor.Deferred
	require.Eventually(t, func() bool {
		require.NoError(t, await(t, d.Do(func() { open = d.open })))
		return len(open) == calls
	}, patience, tick)

	value := make([]byte, size)
	before := heapInUse()
	var start, done sync.WaitGroup
	start.Add(1)
	for _, d := range open {
		done.Add(1)
		go func() {
			defer done.Done()
			start.Wait()
			d.Complete(value, nil)
		}()
	}
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	start.Done()
	most := 0
	for running := true; running; {
		select {
		case <-finished:
			running = false
		default:
			most = max(most, heapInUse()-before)
		}
	}
	t.Logf("%d MiB at most, %d refused", most>>20, broker.StatsOf(s.rt).Refusals["write backlog"])
	require.Less(t, most, calls*size/4)
}

func heapInUse() int {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}
