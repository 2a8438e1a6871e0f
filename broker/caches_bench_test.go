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

// fannedOut is a tally that many connections observe, whose peers only count bytes.
type fannedOut struct {
	rt        *actor.Runtime
	root      *tallies
	observers int64
	socks     []net.Conn
	readers   sync.WaitGroup

	updates  int   // so far
	sent     int64 // bytes of them
	received atomic.Int64
}

func newFannedOut(t testing.TB, observers int) *fannedOut {
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	f := &fannedOut{rt: rt, root: &tallies{}, observers: int64(observers), socks: make([]net.Conn, observers)}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", f.root)
	require.NoError(t, err)
	for i := range f.socks {
		f.socks[i], err = net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		p := wire.New(t, f.socks[i])
		p.Join()
		p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
		p.Want(`[answer 1 ["test.Tally" 1 _]]`)
		f.readers.Go(func() { _, _ = io.Copy(fanOutBytes{&f.received}, f.socks[i]) })
	}
	return f
}

// update updates all copies.
func (f *fannedOut) update() *actor.Deferred {
	f.updates++
	f.sent += f.observers * updateSize(f.updates)
	return flavors.Update(&f.root.tally, func(o flavors.Observers) {
		f.root.tally.n++
		// All updates have the same size.
		_ = o.CallRemote("next", 1<<30+f.root.tally.n)
	})
}

// settle waits until all updates have been received.
func (f *fannedOut) settle() {
	for f.received.Load() < f.sent {
		runtime.Gosched()
	}
}

func (f *fannedOut) close(t testing.TB) {
	for _, sock := range f.socks {
		_ = sock.Close()
	}
	f.readers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), wire.Timeout)
	defer cancel()
	require.NoError(t, f.rt.Close(ctx))
}

func fanOut(b *testing.B, observers int) {
	f := newFannedOut(b, observers)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	const burst = 64 // updates under way at a time, so that no outbox fills up
	for i := range b.N {
		d := f.update()
		if i%burst == burst-1 || i == b.N-1 {
			_ = waitFor(d)
			f.settle()
		}
	}
	b.StopTimer()
	elapsed := time.Since(start)
	runtime.ReadMemStats(&after)
	n := float64(b.N) * float64(observers)
	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "updates/s")
	b.ReportMetric(float64(f.received.Load())/n, "B/observer")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/observer")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "heapB/observer")
	f.close(b)
}

// updateSize returns the length of [cachemessage id 1 "next" 0 [tuple n] [dictionary]] in bytes.
func updateSize(id int) int64 { return int64(28 + len(banana.AppendInt(nil, int64(id)))) }

type fanOutBytes struct{ n *atomic.Int64 }

func (c fanOutBytes) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}
