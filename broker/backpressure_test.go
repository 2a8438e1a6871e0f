package broker_test

import (
	"context"
	"fmt"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// archive answers all calls when answer is called, each with as many bytes as the call asked for.
type archive struct {
	flavors.Root
	open  []*actor.Deferred
	sizes []int
}

func (a *archive) RemoteFetch(inv *flavors.Invocation, n int) *actor.Deferred {
	answer := actor.NewDeferred(inv.Conn().Runtime())
	a.open, a.sizes = append(a.open, answer), append(a.sizes, n)
	return answer
}

func (a *archive) answer() {
	for i, d := range a.open {
		d.Complete([]byte(strings.Repeat("x", a.sizes[i])), nil)
	}
	a.open, a.sizes = nil, nil
}

// answerAll answers the calls when all have reached the archive.
func (a *archive) answerAll(t *testing.T, calls int) {
	t.Helper()
	require.Eventually(t, func() bool {
		all := false
		require.NoError(t, await(t, a.Do(func() {
			if all = len(a.open) == calls; all {
				a.answer()
			}
		})))
		return all
	}, patience, tick)
}

// Methods that have returned cannot be held back, so only memory could hold their answers.
func TestLateAnswersDropped(t *testing.T) {
	const pause, size, calls = 10_000, 5_000, 100
	a := &archive{}
	s := newServer(
		t,
		a,
		broker.WithLimits(broker.Limits{MaxWriteBacklog: pause}),
		broker.WithPublished("bystander", &service{}),
	)
	p, bystander := s.peer(), s.peer()
	for i := range calls {
		p.Write(fmt.Sprintf(`[message %d root fetch 1 [tuple %d] [dictionary]]`, i+1, size))
	}
	stats := func() broker.Stats { return broker.StatsOf(s.rt).Stats }
	a.answerAll(t, calls)
	require.Eventually(t, func() bool { return stats().CallsIn.Pending == 0 }, patience, tick)
	s1 := stats()
	dropped := s1.Refusals["write backlog"]
	require.GreaterOrEqual(t, dropped, uint64(calls-10))
	// Four times the limit, the answer that exceeds it, and a short error for each that was dropped.
	require.Less(t, s1.BytesWaiting, 4*pause+2*size+int(dropped)*800)
	bystander.Write(`[message 1 bystander add 1 [tuple 1 2] [dictionary]]`)
	bystander.Want(`[answer 1 3]`)

	// The peer gets an answer or an error for each call.
	failed := uint64(0)
	for i := range calls {
		p.Forget("kind")
		p.Forget("value")
		p.Want(fmt.Sprintf(`[$kind %d $value]`, i+1))
		if kind, _ := p.Var("kind").([]byte); string(kind) == "error" {
			failed++
			require.Contains(t, banana.Format(p.Var("value")), "perspectivebroker.Busy")
		}
	}
	require.Equal(t, dropped, failed)
	require.Equal(t, broker.Calls{Made: calls + 1, Answered: calls + 1 - dropped, Failed: dropped}, stats().CallsIn)
	require.Eventually(t, func() bool { return broker.StatsOf(s.rt).BytesHeld == 0 }, patience, tick)
}

func TestWriteHighWater(t *testing.T) {
	conn, p := client(t, broker.WithLimits(broker.Limits{WriteHighWater: 1000}))
	first := conn.Root().CallRemote("f", strings.Repeat("x", 5000))
	require.Eventually(t, func() bool { return conn.Stats().FramesOut == 3 }, patience, tick)

	require.ErrorIs(t, errorOf(conn.Root().CallRemote("g")), broker.ErrBackedUp)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := flavors.Call[int](ctx, conn.Root(), "g")
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, broker.Calls{Made: 1, Pending: 1}, conn.Stats().CallsOut, "neither call was made")

	waiting := make(chan error, 1)
	go func() {
		n, err := flavors.Call[int](t.Context(), conn.Root(), "h")
		if err == nil && n != 8 {
			err = fmt.Errorf("the answer is %d", n)
		}
		waiting <- err
	}()
	p.Want(`[message 1 root f 1 _ _]`, `[message 2 root h 1 _ _]`)
	p.Write(`[answer 1 7]`, `[answer 2 8]`)
	require.NoError(t, <-waiting)
	_, err = result(t, first)
	require.NoError(t, err)
	require.Equal(t, broker.Calls{Made: 2, Answered: 2}, conn.Stats().CallsOut)
	require.Eventually(t, func() bool { return conn.Stats().BytesWaiting == 0 }, patience, tick)
}

// The peer keeps calling a slow object and reads its refusals.
func TestFloodBytesIn(t *testing.T) {
	const bytesIn, size, calls = 20_000, 1_000, 200
	d := &desk{}
	s := newServer(t, d, broker.WithLimits(broker.Limits{BytesIn: bytesIn}),
		broker.WithPublished("bystander", &service{}))
	p, bystander := s.peer(), s.peer()
	var flood []byte
	for i := range calls {
		flood = append(flood, sized(t, i+1, "ask", size)...)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		p.WriteBytes(flood)
	}()
	for range calls - bytesIn/size - 1 {
		p.Want(`[error _ _]`)
		// What was read and not handled counts as well: one read, which is at most one pooled buffer.
		require.Less(t, broker.StatsOf(s.rt).BytesUnanswered, 2*bytesIn)
	}
	<-sent
	bystander.Write(`[message 1 bystander add 1 [tuple 1 2] [dictionary]]`)
	bystander.Want(`[answer 1 3]`)
	in := broker.StatsOf(s.rt)
	require.Equal(t, bytesIn/size+1, in.CallsIn.Pending)
	require.Equal(t, in.CallsIn.Failed, in.Refusals["bytes in"])
	d.Do(func() { d.RemoteAnswer() })
	for range bytesIn/size + 1 {
		p.Want(`[answer _ _]`)
	}
	require.Eventually(t, func() bool { return broker.StatsOf(s.rt).BytesHeld == 0 }, patience, tick)
}

// An answer that will be dropped is not encoded, even if thousands of calls are answered at the same time.
func TestDroppedAnswersNotEncoded(t *testing.T) {
	const size, calls = 600_000, 1000
	value := make([]byte, size)
	mostOfAnswers(t, size, calls, func() any { return value })
}

// hesitant is a copy whose states are made when all others have been asked for theirs.
type hesitant struct {
	flavors.Copyable
	asked *sync.WaitGroup
	state []byte
}

func (h *hesitant) StateToCopy() any {
	h.asked.Done()
	h.asked.Wait()
	return h.state
}

// How long an answer is may not be known before its state is there. By then many others may have begun.
func TestLongStatesOneByOne(t *testing.T) {
	const size, calls = 600_000, 1000
	h := &hesitant{asked: new(sync.WaitGroup), state: make([]byte, size)}
	h.asked.Add(calls)
	mostOfAnswers(t, size, calls, func() any { return &hesitant{asked: h.asked, state: h.state} })
}

// mostOfAnswers answers many calls at once, whose peer does not read, and requires that few of the answers are encoded.
func mostOfAnswers(t *testing.T, size, calls int, value func() any) {
	t.Helper()
	d := &desk{}
	s := newServer(t, d, broker.WithLimits(broker.Limits{MaxWriteBacklog: 1 << 20}))
	p := s.peer()
	for i := range calls {
		p.Write(fmt.Sprintf(`[message %d root ask 1 [tuple x] [dictionary]]`, i+1))
	}
	var open []*actor.Deferred
	require.Eventually(t, func() bool {
		require.NoError(t, await(t, d.Do(func() { open = d.open })))
		return len(open) == calls
	}, patience, tick)

	before := heapInUse()
	var start, done sync.WaitGroup
	start.Add(1)
	for _, d := range open {
		done.Add(1)
		go func() {
			defer done.Done()
			start.Wait()
			d.Complete(value(), nil)
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
