package paging_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// library sends and receives pages.
type library struct {
	flavors.Root
	book   []byte
	broken error
	sent   *actor.Deferred // of the last Send
	taken  *paging.Reader  // of the last Deposit
	more   chan struct{}   // closed by the first Endless
	begun  sync.Once
}

func (l *library) RemotePage(collector *flavors.RemoteReference, size int) *actor.Deferred {
	return paging.Send(collector, paging.FromBytes(l.book, size))
}

// RemoteLend replaces the book.
func (l *library) RemoteLend(book []byte) { l.book = book }

func (l *library) RemoteShelved(collector *flavors.RemoteReference, size int) *actor.Deferred {
	return paging.Send(collector, paging.FromReader(iotest.HalfReader(bytes.NewReader(l.book)), size))
}

func (l *library) RemoteBroken(collector *flavors.RemoteReference) *actor.Deferred {
	return paging.Send(
		collector,
		paging.FromReader(io.MultiReader(bytes.NewReader(l.book), iotest.ErrReader(l.broken)), 1000),
	)
}

func (l *library) RemoteEndless(collector *flavors.RemoteReference) {
	l.sent = paging.Send(collector, endless{})
	l.begun.Do(func() { close(l.more) })
}

func (l *library) RemoteWritten(inv *flavors.Invocation, collector *flavors.RemoteReference, size int) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	inv.Conn().Runtime().Go("writing a book", func() {
		w := paging.NewWriter(inv.Context(), collector, size, nil)
		_, err := w.Write(l.book)
		d.Complete(nil, errors.Join(err, w.Close()))
	})
	return d
}

// RemoteDeposit returns a collector.
func (l *library) RemoteDeposit(limit int) any {
	l.taken = paging.NewReader(limit)
	return l.taken.Collector()
}

// endless pages never end.
type endless struct{}

func (endless) NextPage() (any, error) { return make([]byte, 50_000), nil }

// enterLibrary connects to a library.
func enterLibrary(t *testing.T, l *library) *broker.Conn {
	t.Helper()
	s := newServer(t, l)
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), s.Listener.URL())
	require.NoError(t, err)
	return conn
}

func book(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

func TestGetAll(t *testing.T) {
	for _, test := range []struct{ size, page, pages int }{
		{0, 10, 0}, {1, 10, 1}, {20, 10, 2}, {21, 10, 3}, {3 << 20, 0, 96},
	} {
		conn := enterLibrary(t, &library{book: book(test.size)})
		pages, err := paging.GetAll(t.Context(), conn.Root(), "page", test.page)
		require.NoError(t, err)
		var whole []byte
		for _, p := range pages {
			whole = append(whole, p.([]byte)...)
		}
		assert.Len(t, pages, test.pages)
		assert.True(t, bytes.Equal(book(test.size), whole))
	}
}

func TestPagerFails(t *testing.T) {
	conn := enterLibrary(t, &library{book: book(5000), broken: errors.New("the shelf fell")})
	_, err := paging.GetAll(t.Context(), conn.Root(), "broken")
	require.ErrorContains(t, err, "the shelf fell")
	_, err = paging.GetAll(t.Context(), conn.Root(), "nothing")
	require.ErrorIs(t, err, flavors.NoSuchMethod)
	got, err := io.ReadAll(paging.Open(t.Context(), conn.Root(), "broken"))
	require.ErrorContains(t, err, "the shelf fell")
	assert.LessOrEqual(t, len(got), 5000)
}

func TestOpen(t *testing.T) {
	for _, method := range []string{"page", "written"} {
		conn := enterLibrary(t, &library{book: book(2_000_001)})
		r := paging.Open(t.Context(), conn.Root(), method, 1000)
		require.NoError(t, iotest.TestReader(r, book(2_000_001)), method)
		require.NoError(t, r.Close())
	}
}

func TestSendCancelled(t *testing.T) {
	l := &library{more: make(chan struct{})}
	conn := enterLibrary(t, l)
	r := paging.NewReader(1 << 30) // The pages come without pause until the Cancel, and must not be too many.
	require.NoError(t, conn.Root().CallRemoteNoAnswer("endless", r.Collector()))
	_, err := io.ReadFull(r, make([]byte, 100_000))
	require.NoError(t, err)
	<-l.more
	l.sent.Cancel()
	_, err = pbtest.Result(t, l.sent)
	require.ErrorIs(t, err, actor.ErrCancelled)
	_, err = io.Copy(io.Discard, r)
	require.ErrorContains(t, err, "ended its paging early")
	assert.Positive(t, r.Received())
}

// pagingFailed is sent although the connection has too many unwritten bytes for a CallRemote.
func TestPagingFailedWhileBackedUp(t *testing.T) {
	l := &library{more: make(chan struct{})}
	s := newServer(t, l, broker.WithLimits(broker.Limits{WriteHighWater: 1000}))
	p := s.Peer()
	p.Write(`[message 1 root endless 1 [tuple [remote 5]] [dictionary]]`)
	<-l.more
	written := uint64(0)
	require.Eventually(t, func() bool {
		before, now := written, broker.StatsOf(s.Runtime)
		written = now.BytesOut
		return now.BytesWaiting > 1000 && now.BytesOut == before // the sockets are full
	}, wire.Timeout, 10*time.Millisecond)
	l.sent.Cancel()
	p.Ignore(`[answer 1 [None]]`) // It may come between any two pages.
	method := ""
	for method != "pagingFailed" {
		p.Forget("method")
		p.Want(`[message _ 5 $method 0 _ _]`)
		method = string(p.Var("method").([]byte))
	}
}

func TestReaderContext(t *testing.T) {
	conn := enterLibrary(t, &library{more: make(chan struct{})})
	ctx, cancel := context.WithCancelCause(t.Context())
	r := paging.Open(ctx, conn.Root(), "endless")
	enough := errors.New("enough")
	cancel(enough)
	_, err := io.Copy(io.Discard, r)
	require.ErrorIs(t, err, enough)

	r = paging.Open(t.Context(), conn.Root(), "endless")
	conn.Abort(nil)
	_, err = io.Copy(io.Discard, r)
	require.ErrorIs(t, err, flavors.ConnectionLost)
}

// RemoteDepositHere returns a collector whose reader ends with the caller's connection.
func (l *library) RemoteDepositHere(ctx context.Context) any {
	l.taken = paging.NewReader(0)
	l.taken.EndWith(ctx)
	return l.taken.Collector()
}

// TestReaderEndsWithCaller has the peer go before and between its pages, and after the last.
func TestReaderEndsWithCaller(t *testing.T) {
	for name, test := range map[string]struct {
		pages [][]byte
		whole bool
	}{
		"before the first": {},
		"in between":       {pages: [][]byte{book(100), book(50)}},
		"behind the last":  {pages: [][]byte{book(100)}, whole: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := &library{}
			conn := enterLibrary(t, l)
			collector, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "depositHere")
			require.NoError(t, err)
			var sent []byte
			for _, page := range test.pages {
				_, err := flavors.Call[any](t.Context(), collector, "gotPage", page)
				require.NoError(t, err)
				sent = append(sent, page...)
			}
			if test.whole {
				_, err := flavors.Call[any](t.Context(), collector, "endedPaging")
				require.NoError(t, err)
			}
			require.NoError(t, conn.Close(t.Context()))
			got, err := io.ReadAll(l.taken) // does not wait for ever
			assert.Len(t, got, len(sent))
			assert.Equal(t, test.whole, err == nil, "%v", err)
		})
	}
	r := paging.NewReader(0)
	r.EndWith(nil) //nolint:staticcheck // A mistake.
	_, err := r.Read(make([]byte, 1))
	require.ErrorIs(t, err, actor.ErrNilContext)
}

// deposit returns a collector of the library.
func deposit(t *testing.T, conn *broker.Conn, limit int) *flavors.RemoteReference {
	t.Helper()
	c, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "deposit", limit)
	require.NoError(t, err)
	return c
}

// TestCloseAfterCancel cancels before Close with nothing left to send. The reader must learn of it each time, and never
// take what it has for the whole.
func TestCloseAfterCancel(t *testing.T) {
	l := &library{}
	conn := enterLibrary(t, l)
	for range 2_000 {
		collector := deposit(t, conn, 0)
		ctx, cancel := context.WithCancelCause(t.Context())
		w := paging.NewWriter(ctx, collector, 0, nil)
		cancel(errors.New("time to go"))
		require.ErrorContains(t, w.Close(), "time to go")
		_, err := l.taken.Read(make([]byte, 1))
		require.ErrorContains(t, err, "time to go")
		collector.Release()
	}
}

func TestWriterWaitsForReader(t *testing.T) {
	const size, limit = 16 << 20, 1 << 20
	l := &library{}
	conn := enterLibrary(t, l)
	collector := deposit(t, conn, limit)
	written := make(chan error, 1)
	go func() {
		w := paging.NewWriter(t.Context(), collector, 0, nil)
		_, err := io.Copy(w, io.LimitReader(zeros{}, size))
		written <- errors.Join(err, w.Close())
	}()
	total, most := int64(0), int64(0)
	buf := make([]byte, 10_000)
	for {
		n, err := l.taken.Read(buf)
		total += int64(n)
		most = max(most, l.taken.Received()-total)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		runtime.Gosched()
	}
	require.NoError(t, <-written)
	assert.EqualValues(t, size, total)
	assert.LessOrEqual(t, most, int64(limit+9*paging.DefaultSize), "the unread bytes are bounded")
}

func TestWriterReaderClosed(t *testing.T) {
	l := &library{}
	conn := enterLibrary(t, l)
	w := paging.NewWriter(t.Context(), deposit(t, conn, 0), 100, nil)
	require.NoError(t, l.taken.Close())
	_, err := io.Copy(w, zeros{})
	require.ErrorContains(t, err, "nobody reads any more")
	require.Error(t, w.Close())
	_, err = w.Write([]byte("more"))
	require.ErrorIs(t, err, paging.ErrEnded)
	require.NoError(t, w.Close(), "closing twice is harmless")
}

func TestWriterCloseWithError(t *testing.T) {
	l := &library{}
	conn := enterLibrary(t, l)
	last := int64(0)
	w := paging.NewWriter(t.Context(), deposit(t, conn, 0), 100, func(written int64) { last = written })
	_, err := w.Write(book(250))
	require.NoError(t, err)
	assert.EqualValues(t, 200, last)
	w.CloseWithError(errors.New("out of ink"))
	got, err := io.ReadAll(l.taken)
	require.ErrorContains(t, err, "out of ink")
	assert.Equal(t, book(200), got)
}

func TestWriterContext(t *testing.T) {
	l := &library{}
	conn := enterLibrary(t, l)
	ctx, cancel := context.WithCancelCause(t.Context())
	w := paging.NewWriter(ctx, deposit(t, conn, 1000), 500, func(written int64) {
		if written == 4000 {
			cancel(errors.New("time to go"))
		}
	})
	_, err := io.Copy(w, zeros{})
	require.ErrorContains(t, err, "time to go")
}

// zeros reads as zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Other calls compete for room in the connection's write buffer. A page without room must wait and must not be lost.
func TestBusyConnection(t *testing.T) {
	for _, method := range []string{"page", "written"} {
		t.Run(method, func(t *testing.T) {
			s := newServer(t, &library{book: book(500_000)}, broker.WithLimits(broker.Limits{WriteHighWater: 2_000}))
			conn := s.Dial(broker.WithPublished("root", &library{}))
			_, err := flavors.Call[any](t.Context(), conn.Root(), "lend", book(500_000))
			require.NoError(t, err)
			there := s.Listener.Conns()[0].Root()
			var refused atomic.Int64
			var busy sync.WaitGroup
			done := make(chan struct{})
			for range 4 {
				busy.Go(func() {
					for more := book(3_000); ; {
						select {
						case <-done:
							return
						default:
						}
						if err := there.CallRemoteNoAnswer("lend", more); errors.Is(err, broker.ErrBackedUp) {
							refused.Add(1)
							runtime.Gosched()
						}
					}
				})
			}
			pages, err := paging.GetAll(t.Context(), conn.Root(), method, 1_000)
			close(done)
			busy.Wait()
			require.NoError(t, err)
			var whole []byte
			for _, p := range pages {
				whole = append(whole, p.([]byte)...)
			}
			assert.True(t, bytes.Equal(book(500_000), whole), "%d bytes of 500000 came", len(whole))
			assert.Positive(t, refused.Load(), "the connection was busy")
		})
	}
}

// pagesSent is told how many pages RemoteCountless has sent, when that ends.
var pagesSent = make(chan int, 1)

// RemoteCountless sends pages of a kind until the collector fails.
func (l *library) RemoteCountless(
	inv *flavors.Invocation,
	collector *flavors.RemoteReference,
	kind string,
) *actor.Deferred {
	pages := map[string]any{
		"empty": []byte{}, "one byte": []byte{1}, "None": nil, "empty lists": []any{}, "long": book(10_000),
		"many parts": []any{make([]any, 1000)}, "text": "ü",
	}
	d := actor.NewDeferred(inv.Conn().Runtime())
	inv.Conn().Runtime().Go("countless pages", func() {
		for n := 0; ; n++ {
			_, err := flavors.Call[any](inv.Context(), collector, "gotPage", pages[kind])
			if err != nil || n == 100_000 {
				d.Complete(n, nil)
				pagesSent <- n + 1
				return
			}
		}
	})
	return d
}

// GetAll counts the memory of pages of any kind.
func TestGetAllCountsMemory(t *testing.T) {
	conn := enterLibrary(t, &library{})
	const limit = 100_000
	for kind, most := range map[string]int{
		"empty": limit / 128, "one byte": limit / 128, "None": limit / 128, "empty lists": limit / 128,
		"text": limit / 128, "long": limit / 10_000,
		"many parts": limit / 16_000,
	} {
		t.Run(kind, func(t *testing.T) {
			_, err := paging.GetAllWithin(t.Context(), conn.Root(), limit, "countless", []any{kind})
			require.ErrorContains(t, err, "take more than 100000 bytes")
			assert.LessOrEqual(t, <-pagesSent, most+1)
		})
	}
}

func TestReaderJoinsSmallPages(t *testing.T) {
	l := &library{}
	conn := enterLibrary(t, l)
	collector := deposit(t, conn, 0)
	want := book(50_000)
	for i := range want {
		for collector.CallRemoteNoAnswer("gotPage", want[i:i+1]) != nil {
			runtime.Gosched()
		}
		_ = collector.CallRemoteNoAnswer("gotPage", []byte{})
		if i%10_000 == 0 { // A reader far behind would refuse calls.
			_, err := flavors.Call[any](t.Context(), collector, "gotPage", []byte{})
			require.NoError(t, err)
		}
	}
	_, err := flavors.Call[any](t.Context(), collector, "gotPage", book(2000))
	require.NoError(t, err)
	pieces, size := l.taken.Waiting()
	assert.Equal(t, 52_000, size)
	assert.LessOrEqual(t, pieces, 6)
	_, err = flavors.Call[any](t.Context(), collector, "endedPaging")
	require.NoError(t, err)
	got, err := io.ReadAll(l.taken)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(append(want, book(2000)...), got))
}
