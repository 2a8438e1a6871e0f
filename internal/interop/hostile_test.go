package interop

import (
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/perspectivebroker/pb/internal/wire"
)

// outcome is what happens to a connection after a stream of the catalogue.
type outcome uint8

const (
	closed outcome = iota // the server closes it, after any answers
	served                // it stays open: a call after the stream is answered
	left                  // the peer closes it
)

// stream is an entry of the catalogue of hostile input. play writes it and wants the expected answers. A raw stream
// begins with the connection's first byte, the others after the versions.
type stream struct {
	name string
	raw  bool
	pb1  bool // speaks pb+1, instead of pb
	then outcome
	play func(p *wire.Peer)
}

// send returns a stream of expressions without an answer.
func send(name string, then outcome, texts ...string) stream {
	return stream{name: name, then: then, play: func(p *wire.Peer) { p.Write(texts...) }}
}

// refused returns a call that is answered with an error.
func refused(name, call string) stream {
	return stream{name: name, then: served, play: func(p *wire.Peer) {
		p.Write(call)
		p.Want(`[error 1 ...]`)
	}}
}

// raw returns a stream of bytes.
func raw(name string, then outcome, data []byte) stream {
	return stream{name: name, then: then, play: func(p *wire.Peer) { p.WriteBytes(data) }}
}

// opening returns a stream of bytes that begins with the first byte.
func opening(name string, then outcome, data string) stream {
	return stream{name: name, raw: true, then: then, play: func(p *wire.Peer) { p.WriteBytes([]byte(data)) }}
}

// TestHostileStreams sends the catalogue to examples/conformance while another client calls all the time. Each of its
// calls must be answered, and in the end the server must have released everything.
func TestHostileStreams(t *testing.T) {
	catalogue := slices.Concat(openings(), frames(), commands(), targets(), answers(), values(), classes(),
		metadata(), promised(), departures(), deadlines(), packed())
	names := map[string]bool{}
	for _, s := range catalogue {
		require.False(t, names[s.name], "two streams are called %s", s.name)
		names[s.name] = true
	}
	require.GreaterOrEqual(t, len(catalogue), 60)

	url := startConformance(t, stock.Build(t, "conformance"), "-listen", "pb://127.0.0.1:0")
	b := newBystander(t, url)
	before := b.stats(t)
	addr := strings.TrimPrefix(url, "pb://")
	for _, s := range catalogue {
		t.Run(s.name, func(t *testing.T) {
			replay(t, addr, s)
			b.served(t)
		})
	}
	t.Run("a thousand connects", func(t *testing.T) { connects(t, addr, 1000); b.served(t) })
	t.Run("two hundred that say nothing", func(t *testing.T) { silent(t, addr, 200, b) })
	b.leave(t)
	b.wantBack(t, before)
	t.Logf("%d streams; the bystander had %d calls answered meanwhile", len(catalogue), b.calls.Load())
}

func replay(t *testing.T, addr string, s stream) {
	p := wire.Connect(t, addr)
	switch {
	case s.raw:
	case s.pb1:
		p.JoinAs(banana.ProfilePB1)
	default:
		p.Join()
	}
	s.play(p)
	switch s.then {
	case closed:
		p.Drain()
	case served:
		p.WantIdle()
	case left:
	}
	p.Close()
}

// connects opens and closes connections, mostly without sending anything, sometimes with a reset.
func connects(t *testing.T, addr string, n int) {
	dice := rand.New(rand.NewPCG(1, 2))
	for range n {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		switch dice.IntN(3) {
		case 0:
			_ = conn.(*net.TCPConn).SetLinger(0)
		case 1:
			_, err = conn.Write([]byte("\x02\x82pb")[:1+dice.IntN(4)])
			require.NoError(t, err)
		}
		require.NoError(t, conn.Close())
	}
}

// silent keeps idle connections open while the bystander is served.
func silent(t *testing.T, addr string, n int, b *bystander) {
	for range n {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer conn.Close()
	}
	b.served(t)
}

// bystander is a well-behaved client.
type bystander struct {
	root  *flavors.RemoteReference
	calls atomic.Int64
	stop  chan struct{}
	ended chan error
}

func newBystander(t *testing.T, url string) *bystander {
	conn, err := broker.Dial(t.Context(), newRuntime(t), url)
	require.NoError(t, err)
	return attend(t, conn.Root())
}

// newGuest returns a bystander that has logged in.
func newGuest(t *testing.T, url string) *bystander {
	conn, err := broker.Dial(t.Context(), newRuntime(t), url)
	require.NoError(t, err)
	avatar, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "moe", Password: "secret"}, nil)
	require.NoError(t, err)
	root, err := flavors.Call[*flavors.RemoteReference](t.Context(), avatar, "root")
	require.NoError(t, err)
	return attend(t, root)
}

func attend(t *testing.T, root *flavors.RemoteReference) *bystander {
	b := &bystander{root: root, stop: make(chan struct{}), ended: make(chan error, 1)}
	go func() { b.ended <- b.work(t) }()
	return b
}

// work makes calls until it is stopped or an answer is wrong.
func (b *bystander) work(t *testing.T) error {
	for i := 0; ; i++ {
		select {
		case <-b.stop:
			return nil
		default:
		}
		sum, err := flavors.Call[int](t.Context(), b.root, "add", i, 1)
		if err != nil || sum != i+1 {
			return assert.AnError
		}
		b.calls.Add(1)
	}
}

// served wants an answer to a call that begins now.
func (b *bystander) served(t *testing.T) {
	t.Helper()
	for from := b.calls.Load(); b.calls.Load() < from+2; {
		select {
		case err := <-b.ended:
			require.NoError(t, err, "the bystander was not served")
		case <-time.After(time.Millisecond):
		}
	}
}

func (b *bystander) leave(t *testing.T) {
	t.Helper()
	close(b.stop)
	require.NoError(t, <-b.ended)
}

func (b *bystander) stats(t *testing.T) map[string]int {
	t.Helper()
	s, err := flavors.Call[map[string]int](t.Context(), b.root, "stats")
	require.NoError(t, err)
	return s
}

// wantBack waits until the server has released what it acquired since before. Connections end later than their sockets.
func (b *bystander) wantBack(t *testing.T, before map[string]int) {
	t.Helper()
	var now map[string]int
	require.Eventually(t, func() bool {
		now = b.stats(t)
		return now["connections"] == before["connections"] && now["exports"] == before["exports"] &&
			now["goroutines"] <= before["goroutines"]+10
	}, stock.Timeout, 10*time.Millisecond)
	t.Logf("before %v, afterwards %v", before, now)
}
