package broker_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// depot takes and returns bytes that are lent.
type depot struct {
	flavors.Referenceable
	seen   chan *flavors.Lent // what the methods got
	began  chan struct{}
	gate   chan struct{}
	answer chan *actor.Deferred
	others chan []byte
}

func newDepot() *depot {
	return &depot{
		seen: make(chan *flavors.Lent, 1000), began: make(chan struct{}, 1000), gate: make(chan struct{}),
		answer: make(chan *actor.Deferred, 1000), others: make(chan []byte, 1000),
	}
}

func (d *depot) RemoteEcho(l *flavors.Lent) *flavors.Lent { return l }

// RemoteShow also gets the invocation.
func (d *depot) RemoteShow(inv *flavors.Invocation, l *flavors.Lent, n int) string {
	d.seen <- l
	return fmt.Sprintf("%T %d %d", inv.Args[0], l.Len(), n)
}

// RemoteKeep keeps what is lent to it.
func (d *depot) RemoteKeep(l *flavors.Lent) int {
	d.seen <- l
	return l.Len()
}

// RemoteLater returns what is lent to it when the test says so.
func (d *depot) RemoteLater(inv *flavors.Invocation, l *flavors.Lent) *actor.Deferred {
	later := actor.NewDeferred(inv.Conn().Runtime())
	d.seen <- l
	d.answer <- later
	return later
}

// RemoteWork works with what is lent to it until the gate opens, and returns its first byte.
func (d *depot) RemoteWork(l *flavors.Lent) int {
	d.seen <- l
	b := l.Bytes()
	d.began <- struct{}{}
	<-d.gate
	return int(b[0])
}

// RemoteHold is RemoteEcho that keeps what is lent to it.
func (d *depot) RemoteHold(l *flavors.Lent) *flavors.Lent {
	d.seen <- l
	return l
}

func (d *depot) RemoteTwo(a *flavors.Lent, b any) bool {
	d.seen <- a
	if list, ok := b.([]any); ok {
		b = list[0]
	}
	other, _ := b.([]byte)
	d.others <- other
	return bytes.Equal(a.Bytes(), other)
}

func (*depot) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Method1("typed", func(_ *depot, l *flavors.Lent) (*flavors.Lent, error) { return l, nil }),
		flavors.Func1("func", func(_ *depot, _ *flavors.Invocation, l *flavors.Lent) (any, error) { return l, nil }),
	)
}

// lentConn connects to a depot, and has it called once by each method, so that its arguments are lent.
func lentConn(t *testing.T, network string, d *depot, opts ...broker.Option) *broker.Conn {
	t.Helper()
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	listen, dial := []broker.ListenOption{}, []broker.DialOption{}
	for _, o := range opts {
		listen, dial = append(listen, o), append(dial, o)
	}
	var conn *broker.Conn
	switch network {
	case "pipe":
		pipe := broker.NewPipeListener()
		_, err := broker.ListenOn(rt, pipe, d, listen...)
		require.NoError(t, err)
		sock, err := pipe.Dial(t.Context())
		require.NoError(t, err)
		conn, err = broker.NewClientConn(t.Context(), rt, sock, dial...)
		require.NoError(t, err)
	default:
		ca := authority.New(t)
		url := "pb://127.0.0.1:0"
		if network == "tls" {
			url = "pbs://127.0.0.1:0"
			listen = append(listen, broker.WithTLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}}))
			dial = append(dial, broker.WithTLS(&tls.Config{RootCAs: ca.Pool()}))
		}
		ln, err := broker.Listen(rt, url, d, listen...)
		require.NoError(t, err)
		conn, err = broker.Dial(t.Context(), rt, ln.URL(), dial...)
		require.NoError(t, err)
	}
	for _, method := range []string{"echo", "typed", "func", "keep"} {
		_, err := flavors.Call[any](t.Context(), conn.Root(), method, "")
		require.NoError(t, err)
	}
	_, err := flavors.Call[any](t.Context(), conn.Root(), "show", "", 0)
	require.NoError(t, err)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "two", "", "")
	require.NoError(t, err)
	for range 3 {
		<-d.seen
	}
	return conn
}

// held returns how many bytes the connections of the test's runtime hold.
func held(conn *broker.Conn) int { return broker.StatsOf(conn.Runtime()).BytesHeld }

// What is lent equals what is not, over each kind of socket.
func TestLentEqualsOther(t *testing.T) {
	for _, network := range []string{"tcp", "tls", "pipe"} {
		for _, profile := range []banana.Profile{banana.ProfilePB, banana.ProfilePB1} {
			t.Run(fmt.Sprint(network, " ", profile), func(t *testing.T) {
				d := newDepot()
				conn := lentConn(t, network, d, broker.WithDialects(profile))
				rapid.Check(t, func(rt *rapid.T) {
					var all sync.WaitGroup
					for i := range rapid.IntRange(1, 4).Draw(rt, "calls") {
						size := rapid.SampledFrom([]int{
							0, 1, 4 << 10, 31 << 10, 33 << 10, 64 << 10, 100_000, 256 << 10, 300_000, 512 << 10,
						}).Draw(rt, "size") + rapid.IntRange(0, 100).Draw(rt, "more")
						method := rapid.SampledFrom([]string{"echo", "typed", "func"}).Draw(rt, "method")
						lends, wants := rapid.Bool().Draw(rt, "lends"), rapid.Bool().Draw(rt, "wants")
						all.Go(func() { checkEcho(t, conn.Root(), method, pattern(i, size), lends, wants) })
					}
					all.Wait()
				})
			})
		}
	}
}

// checkEcho echoes b. It changes b as soon as it may.
func checkEcho(t *testing.T, root *flavors.RemoteReference, method string, b []byte, lends, wants bool) {
	want := bytes.Clone(b)
	var arg any = b
	if lends {
		lent := flavors.Lend(b)
		defer func() {
			lent.Release()
			<-lent.Done()
			clear(b)
		}()
		arg = lent
	}
	if !wants {
		got, err := flavors.Call[[]byte](t.Context(), root, method, arg)
		assert.NoError(t, err)
		assert.True(t, bytes.Equal(want, got))
		return
	}
	got, err := flavors.Call[*flavors.Lent](t.Context(), root, method, arg)
	if assert.NoError(t, err) {
		assert.True(t, bytes.Equal(want, got.Bytes()))
		got.Release()
		got.Release()
		assert.Nil(t, got.Bytes())
		<-got.Done()
	}
}

// An argument is given back when the call has been answered, and a method that keeps it sees that.
func TestLentArgumentIsGivenBack(t *testing.T) {
	d := newDepot()
	conn := lentConn(t, "tcp", d)
	n, err := flavors.Call[int](t.Context(), conn.Root(), "keep", pattern(1, 512<<10))
	require.NoError(t, err)
	require.Equal(t, 512<<10, n)
	kept := <-d.seen
	<-kept.Done()
	require.Nil(t, kept.Bytes())
	require.Zero(t, kept.Len())
	_, err = flavors.Call[any](t.Context(), conn.Root(), "echo", kept)
	require.ErrorIs(t, err, flavors.DeadReference)
	shown, err := flavors.Call[string](t.Context(), conn.Root(), "show", pattern(1, 512<<10), 7)
	require.NoError(t, err)
	require.Equal(t, "*flavors.Lent 524288 7", shown)
	<-(<-d.seen).Done()
}

// An argument is lent until a Deferred completes, and then until it has been written.
func TestLentArgumentOfLaterAnswer(t *testing.T) {
	d := newDepot()
	conn := lentConn(t, "tcp", d)
	for range 2 { // The first is not lent.
		answer := flavors.Start(t.Context(), conn.Root(), "later", pattern(3, 512<<10))
		lent := <-d.seen
		require.True(t, bytes.Equal(pattern(3, 512<<10), lent.Bytes()))
		_, err := flavors.Call[int](t.Context(), conn.Root(), "keep", pattern(4, 512<<10))
		require.NoError(t, err)
		<-d.seen
		require.True(t, bytes.Equal(pattern(3, 512<<10), lent.Bytes()))
		(<-d.answer).Complete(lent, nil)
		v, err := answer.Await(t.Context())
		require.NoError(t, err)
		require.True(t, bytes.Equal(pattern(3, 512<<10), v.([]byte)))
		if lent.Bytes() == nil {
			<-lent.Done()
		}
	}
}

// The caller leaves while the method works with the argument, which stays as it is.
func TestLentArgumentOfCancelledCall(t *testing.T) {
	d := newDepot()
	other := broker.WithPublished("other", newDepot())
	conn := lentConn(t, "tcp", d, broker.WithDialects(banana.ProfilePB1), other)
	close(d.gate)
	_, err := flavors.Call[int](t.Context(), conn.Root(), "work", "x")
	require.NoError(t, err)
	<-d.seen
	<-d.began
	d.gate = make(chan struct{})
	open := sync.OnceFunc(func() { close(d.gate) })
	defer open()

	ctx, cancel := context.WithCancel(t.Context())
	answer := flavors.Start(ctx, conn.Root(), "work", pattern(5, 512<<10))
	<-d.began
	lent := <-d.seen
	slice := lent.Bytes()
	answer.Cancel()
	cancel()
	for range 5 { // They come after the cancel. Their buffers are used again.
		_, err := flavors.Call[*flavors.Lent](t.Context(), conn.Published("other"), "echo", pattern(6, 512<<10))
		require.NoError(t, err)
	}
	require.True(t, bytes.Equal(pattern(5, 512<<10), slice))
	require.True(t, bytes.Equal(slice, lent.Bytes()))
	open()
	n, err := flavors.Call[int](t.Context(), conn.Root(), "keep", "x")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	select {
	case <-lent.Done():
		require.Fail(t, "its memory is used again")
	default:
	}
}

// The peer reads no answers, and then leaves: everything lent is given back.
func TestLentAfterDisconnectInWrite(t *testing.T) {
	const calls = 24
	d := newDepot()
	rt := newRuntime(t)
	limits := broker.Limits{WriteHighWater: 64 << 20, MaxWriteBacklog: 64 << 20, BytesIn: 64 << 20}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", d, broker.WithLimits(limits))
	require.NoError(t, err)
	sock, err := net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	peer := peerOver(t, sock)
	peer.Write(`[message 2 root hold 0 [tuple "x"] [dictionary]]`)
	<-d.seen
	for i := range calls {
		peer.WriteBytes(callOf(3+i, "hold", 1, bytesOf(pattern(i, 512<<10))))
	}
	var all []*flavors.Lent
	for range calls {
		all = append(all, <-d.seen)
	}
	peer.Close()
	for _, l := range all {
		<-l.Done()
		require.Nil(t, l.Bytes())
	}
	pbtest.Eventually(t, func() bool { return broker.StatsOf(rt).BytesHeld == 0 })
}

// A result counts until it is released, or collected.
func TestLentResultCounts(t *testing.T) {
	conn := lentConn(t, "tcp", newDepot())
	ask := func() *flavors.Lent {
		l, err := flavors.Call[*flavors.Lent](t.Context(), conn.Root(), "echo", pattern(1, 512<<10))
		require.NoError(t, err)
		return l
	}
	low := func() bool { return held(conn) < 512<<10 }
	one, other := ask(), ask()
	require.GreaterOrEqual(t, held(conn), 1<<20)
	one.Release()
	other.Release()
	pbtest.Eventually(t, low)
	kept := ask().Bytes()
	pbtest.Eventually(t, func() bool {
		runtime.GC()
		return low()
	})
	for range 5 {
		ask().Release()
	}
	require.True(t, bytes.Equal(pattern(1, 512<<10), kept), "memory that slices are in is not used again")
}

// The answer of a call whose caller has left is given back.
func TestLentResultOfCancelledCall(t *testing.T) {
	d := newDepot()
	conn := lentConn(t, "tcp", d)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := flavors.Call[*flavors.Lent](ctx, conn.Root(), "later", pattern(1, 512<<10))
		ended <- err
	}()
	later := <-d.answer
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	later.Complete(pattern(1, 512<<10), nil)
	_, err := flavors.Call[any](t.Context(), conn.Root(), "echo", "x")
	require.NoError(t, err)
	pbtest.Eventually(t, func() bool { return held(conn) < 512<<10 })
}

// A string that is mentioned twice is not lent: the other mention is the method's.
func TestLentStringMentionedTwice(t *testing.T) {
	d := newDepot()
	s := newServer(t, d)
	peer := s.peer()
	peer.Write(`[message 1 root two 1 [tuple "x" "x"] [dictionary]]`)
	peer.Want(`[answer 1 [boolean true]]`)
	<-d.seen
	reference := banana.AppendSymbol(banana.AppendList(nil, 3), banana.ProfilePB, banana.SymReference)
	reference = append(banana.AppendInt(reference, 1), bytesOf(pattern(7, 512<<10))...)
	list := banana.AppendSymbol(banana.AppendList(nil, 2), banana.ProfilePB, banana.SymList)
	list = banana.AppendSymbol(banana.AppendList(list, 2), banana.ProfilePB, banana.SymDereference)
	<-d.others
	for i := range 3 {
		peer.WriteBytes(callOf(2+i, "two", 1, reference, banana.AppendInt(list, 1)))
		peer.Want(fmt.Sprintf(`[answer %d [boolean true]]`, 2+i))
		require.True(t, bytes.Equal(pattern(7, 512<<10), (<-d.seen).Bytes()))
		require.True(t, bytes.Equal(pattern(7, 512<<10), <-d.others))
	}
}

// Interceptors see bytes that are theirs.
func TestLentIntercepted(t *testing.T) {
	var seen [][]byte
	note := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if b, ok := call.Args()[0].([]byte); ok {
				seen = append(seen, b)
			}
			return next(ctx, call)
		}
	})
	root := connectTo(newRuntime(t), newDepot(), note, passOn)
	for i := range 4 {
		checkEcho(t, root, "echo", pattern(i, 512<<10), false, true)
	}
	require.Len(t, seen, 4)
	for i, b := range seen {
		require.True(t, bytes.Equal(pattern(i, 512<<10), b))
	}
}

// pawnshop and fence are two types of one published object.
type (
	pawnshop struct {
		flavors.Referenceable
		enter, leave chan struct{}
	}
	fence struct{ flavors.Referenceable }
)

func (*pawnshop) RemoteTake(l *flavors.Lent) int { return l.Len() }
func (l *pawnshop) RemoteBreak() {
	l.enter <- struct{}{}
	<-l.leave
	panic("broken")
}
func (*fence) RemoteTake(b []byte) []byte { return b }

// What was lent to a method of the object's former type becomes an argument of the present one.
func TestLentToAnotherType(t *testing.T) {
	first := &pawnshop{enter: make(chan struct{}), leave: make(chan struct{})}
	made := 0
	root := flavors.New(func() any {
		if made++; made > 1 {
			return &fence{}
		}
		return first
	})
	ref := connectTo(newRuntime(t, actor.WithLogger(zerolog.Nop())), root, nil, nil)
	_, err := flavors.Call[int](t.Context(), ref, "take", "x")
	require.NoError(t, err)
	broken := ref.CallRemote("break")
	<-first.enter
	waiting := flavors.Start(t.Context(), ref, "take", pattern(1, 512<<10))
	unknown := ref.CallRemote("nothing")
	close(first.leave)
	_, err = broken.Await(t.Context())
	require.Error(t, err)
	_, err = unknown.Await(t.Context())
	require.Error(t, err)
	v, err := waiting.Await(t.Context())
	require.NoError(t, err)
	require.True(t, bytes.Equal(pattern(1, 512<<10), v.([]byte)))
}
