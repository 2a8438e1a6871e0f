package interop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/internal/stock"
)

// fileSize is a gigabyte with PB_SOAK=1, and otherwise enough to tell streaming from buffering.
func fileSize() int64 {
	if os.Getenv("PB_SOAK") != "" {
		return 1 << 30
	}
	return 96 << 20
}

// heapBound limits the growth of the heap during a transfer: buffers of both ends and garbage. It is well below the
// smaller file size.
const heapBound = 48 << 20

// patterned is a reader of size bytes, of which byte i is i modulo 251. It samples the heap.
type patterned struct {
	at, size int64
	watch    *heapWatch
}

func (p *patterned) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.size-p.at))
	for i := range b[:n] {
		b[i] = byte((p.at + int64(i)) % 251)
	}
	p.at += int64(n)
	p.watch.look(p.at)
	return n, nil
}

// heapWatch keeps the largest heap, sampled every four megabytes.
type heapWatch struct {
	before, most uint64
	next         int64
}

func heapInUse() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// watchHeap begins after a collection, because garbage of earlier tests would count. What they keep counts anyway, and
// delays the next collection; so it comes after as much garbage as there would be without them.
func watchHeap(t *testing.T) *heapWatch {
	runtime.GC()
	runtime.GC() // pooled buffers survive the first
	w := &heapWatch{before: heapInUse()}
	percent := debug.SetGCPercent(int(max(1, min(100, 100*(heapBound/3)/w.before))))
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	return w
}

func (w *heapWatch) look(at int64) {
	if at >= w.next {
		w.next = at + 4<<20
		w.most = max(w.most, heapInUse())
	}
}

func (w *heapWatch) check(t *testing.T, size int64) {
	t.Helper()
	grown := int64(w.most) - int64(w.before)
	t.Logf(
		"%d MiB passed; the heap was %.1f MiB before and %.1f MiB at most",
		size>>20,
		float64(w.before)/(1<<20),
		float64(w.most)/(1<<20),
	)
	assert.Less(t, grown, int64(heapBound), "the heap grows with the file")
}

// digest returns the length and the sum of r.
func digest(t *testing.T, r io.Reader, w *heapWatch) (size int64, sum string) {
	t.Helper()
	h := sha256.New()
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		size += int64(n)
		w.look(size)
		if errors.Is(err, io.EOF) {
			return size, hex.EncodeToString(h.Sum(nil))
		}
		require.NoError(t, err)
	}
}

func patternSum(t *testing.T, size int64) string {
	t.Helper()
	_, sum := digest(t, &patterned{size: size, watch: &heapWatch{}}, &heapWatch{})
	return sum
}

// vault sends and receives large files.
type vault struct {
	flavors.Root
	watch *heapWatch
}

func (v *vault) RemoteSend(collector *flavors.RemoteReference, size int64) *actor.Deferred {
	return paging.Send(collector, paging.FromReader(&patterned{size: size, watch: v.watch}, 0))
}

func (v *vault) RemoteWrite(inv *flavors.Invocation, collector *flavors.RemoteReference, size int64) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	inv.Conn().
		Runtime().
		Go("writing a file", func() { d.Complete(nil, writeFile(inv.Context(), collector, size, v.watch)) })
	return d
}

func writeFile(ctx context.Context, collector *flavors.RemoteReference, size int64, watch *heapWatch) error {
	w := paging.NewWriter(ctx, collector, 0, nil)
	_, err := io.Copy(w, &patterned{size: size, watch: watch})
	return errors.Join(err, w.Close())
}

// TestGigabyte sends a file between two of our programs, in pages with answers.
func TestGigabyte(t *testing.T) {
	size := fileSize()
	v := &vault{watch: watchHeap(t)}
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", v)
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL())
	require.NoError(t, err)
	r := paging.Open(t.Context(), conn.Root(), "write", size)
	got, sum := digest(t, r, &heapWatch{})
	require.NoError(t, r.Close())
	assert.Equal(t, size, got)
	assert.Equal(t, patternSum(t, size), sum)
	v.watch.check(t, size)
}

// TestGigabyteToStock writes to a stock collector, with answers, and without as Twisted's pagers do.
func TestGigabyteToStock(t *testing.T) {
	stock.Require(t)
	size := fileSize()
	conn := dialGigabyte(t)
	want := patternSum(t, size)
	for name, send := range map[string]func(*flavors.RemoteReference, *heapWatch) error{
		"Writer": func(c *flavors.RemoteReference, w *heapWatch) error { return writeFile(t.Context(), c, size, w) },
		"Send": func(c *flavors.RemoteReference, w *heapWatch) error {
			_, err := paging.Send(c, paging.FromReader(&patterned{size: size, watch: w}, 0)).Await(t.Context())
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			watch := watchHeap(t)
			collector := call[*flavors.RemoteReference](t, conn, "take")
			require.NoError(t, send(collector, watch))
			taken := call[[]any](t, conn, "taken")
			assert.EqualValues(t, size, taken[0])
			assert.Equal(t, want, taken[1])
			watch.check(t, size)
		})
	}
}

// TestGigabyteFromStock reads from Twisted's FilePager, which only the network can slow down.
func TestGigabyteFromStock(t *testing.T) {
	stock.Require(t)
	size := fileSize()
	conn := dialGigabyte(t)
	watch := watchHeap(t)
	r := paging.Open(t.Context(), conn.Root(), "send", size)
	got, sum := digest(t, r, watch)
	require.NoError(t, r.Close())
	assert.Equal(t, size, got)
	assert.Equal(t, patternSum(t, size), sum)
	watch.check(t, size)
}

func dialGigabyte(t *testing.T) *broker.Conn {
	t.Helper()
	server := stock.Start(t, filepath.Join(unpack(t), "gigabyte.py"))
	conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr())
	require.NoError(t, err)
	return conn
}
