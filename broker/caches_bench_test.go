package broker_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// BenchmarkFanOut measures one update of a Cacheable that many connections observe, over loopback TCP. ns/op is one
// update to all of them. The peers only count bytes, so this measures the owner's side.
//
//	go test -run '^$' -bench FanOut -benchmem ./broker
func BenchmarkFanOut(b *testing.B) {
	for _, observers := range []int{1, 100, 1000} {
		b.Run(strconv.Itoa(observers), func(b *testing.B) { fanOut(b, observers) })
	}
}

func fanOut(b *testing.B, observers int) {
	rt, err := actor.NewRuntime()
	require.NoError(b, err)
	root := &tallies{}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root)
	require.NoError(b, err)
	var received atomic.Int64
	var readers sync.WaitGroup
	socks := make([]net.Conn, observers)
	for i := range socks {
		socks[i], err = net.Dial("tcp", ln.Addr().String())
		require.NoError(b, err)
		p := wire.New(b, socks[i])
		p.Join()
		p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
		p.Want(`[answer 1 ["test.Tally" 1 _]]`)
		readers.Go(func() { _, _ = io.Copy(fanOutBytes{&received}, socks[i]) })
	}
	update := func() *actor.Deferred {
		return flavors.Update(&root.tally, func(o flavors.Observers) {
			root.tally.n++
			// All updates have the same size.
			_ = o.CallRemote("next", 1<<30+root.tally.n)
		})
	}
	settle := func(want int64) {
		for received.Load() < want {
			runtime.Gosched()
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	const burst = 64 // updates under way at a time, so that no outbox fills up
	sent := int64(0)
	for i := range b.N {
		d := update()
		sent += int64(observers) * updateSize(i+1)
		if i%burst == burst-1 || i == b.N-1 {
			_ = waitFor(d)
			settle(sent)
		}
	}
	b.StopTimer()
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	n := float64(b.N) * float64(observers)
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "updates/s")
	b.ReportMetric(float64(received.Load())/n, "B/observer")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/observer")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "heapB/observer")
	for _, sock := range socks {
		_ = sock.Close()
	}
	readers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), wire.Timeout)
	defer cancel()
	require.NoError(b, rt.Close(ctx))
}

// updateSize returns the length of [cachemessage id 1 "next" 0 [tuple n] [dictionary]] in bytes.
func updateSize(id int) int64 { return int64(28 + len(banana.AppendInt(nil, int64(id)))) }

type fanOutBytes struct{ n *atomic.Int64 }

func (c fanOutBytes) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
