package broker_test

import (
	"bytes"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// border is a limit, messages that just keep it, and messages that just break it.
type border struct {
	name   string
	limits broker.Limits
	root   func() any // a *service by default
	opts   func(t *testing.T) []broker.ListenOption
	// within keeps the limit.
	within func(t *testing.T, p *wire.Peer)
	// beyond breaks the limit, after within on the same connection.
	beyond func(t *testing.T, p *wire.Peer)
	closes bool // breaking the limit ends the connection
	reason broker.Rejection
}

// echo makes a call with one argument and wants an answer.
func echo(request int, arg string) func(t *testing.T, p *wire.Peer) {
	return func(t *testing.T, p *wire.Peer) {
		p.Write(fmt.Sprintf(`[message %d root echo 1 [tuple %s] [dictionary]]`, request, arg))
		p.Want(fmt.Sprintf(`[answer %d _]`, request))
	}
}

func say(texts ...string) func(t *testing.T, p *wire.Peer) {
	return func(t *testing.T, p *wire.Peer) { p.Write(texts...) }
}

// declare sends bytes that end with the header that breaks a limit.
func declare(b []byte) func(t *testing.T, p *wire.Peer) {
	return func(t *testing.T, p *wire.Peer) { p.WriteBytes(b) }
}

// sevenBit returns an integer whose header has n digits.
func sevenBit(n int) string {
	return new(big.Int).Lsh(big.NewInt(1), uint(7*n-1)).String()
}

// sized encodes a call whose frame has size bytes.
func sized(t *testing.T, request int, method string, size int) []byte {
	t.Helper()
	for n := size; n >= 0; n-- {
		if b := callOf(request, method, 1, bytesOf(bytes.Repeat([]byte{'x'}, n))); len(b) == size {
			return b
		}
	}
	require.FailNow(t, "no call has this size")
	return nil
}

func list(n int) string { return "[list" + strings.Repeat(" 1", n-1) + "]" }

func nested(n int) string { return strings.Repeat("[list ", n) + strings.Repeat("]", n) }

// tooBusy makes a call that is refused with Busy.
func tooBusy(request int) func(t *testing.T, p *wire.Peer) {
	return func(t *testing.T, p *wire.Peer) {
		p.Write(fmt.Sprintf(`[message %d root echo 1 [tuple 1] [dictionary]]`, request))
		wantError(t, p, request, "perspectivebroker.Busy")
	}
}

func asking(request, size int) func(t *testing.T, p *wire.Peer) {
	return func(t *testing.T, p *wire.Peer) { p.WriteBytes(sized(t, request, "ask", size)) }
}

func all(plays ...func(t *testing.T, p *wire.Peer)) func(t *testing.T, p *wire.Peer) {
	return func(t *testing.T, p *wire.Peer) {
		for _, play := range plays {
			play(t, p)
		}
	}
}

func borders() []border {
	const besides = 800 // what such a call costs apart from its string, which is rounded up by 8 KiB
	asked := func() any { return &desk{} }
	fails := func(request int, text string) func(t *testing.T, p *wire.Peer) {
		return func(t *testing.T, p *wire.Peer) {
			p.Write(text)
			wantAnyError(p, request)
		}
	}
	more := func(n int) func(t *testing.T, p *wire.Peer) {
		return func(t *testing.T, p *wire.Peer) {
			p.Write(fmt.Sprintf(`[message %d root more 1 [tuple] [dictionary]]`, n))
			p.Want(fmt.Sprintf(`[answer %d ["test.Sluice" _ _]]`, n))
		}
	}
	return []border{
		{
			name: "Banana.Prefix", limits: broker.Limits{Banana: banana.Limits{Prefix: 10}},
			within: echo(1, sevenBit(10)), beyond: say(`[message 2 root echo 1 [tuple ` + sevenBit(11) + `] [dictionary]]`),
			closes: true, reason: "prefix",
		}, {
			name: "Banana.String", limits: broker.Limits{Banana: banana.Limits{String: 50}},
			within: echo(1, strings.Repeat("x", 50)), beyond: declare([]byte{2, 0x80, 51, 0x82}),
			closes: true, reason: "string",
		}, {
			name: "Banana.List", limits: broker.Limits{Banana: banana.Limits{List: 20}},
			within: echo(1, list(20)), beyond: declare([]byte{21, 0x80}),
			closes: true, reason: "list",
		}, {
			name: "Banana.Depth", limits: broker.Limits{Banana: banana.Limits{Depth: 10}},
			within: echo(1, nested(8)), beyond: fails(2, `[message 2 root echo 1 [tuple `+nested(9)+`] [dictionary]]`),
			reason: "depth",
		}, {
			name: "Nesting", limits: broker.Limits{Nesting: 10},
			within: echo(1, nested(9)), beyond: fails(2, `[message 2 root echo 1 [tuple `+nested(10)+`] [dictionary]]`),
			reason: "depth",
		}, {
			name: "Banana.Frame", limits: broker.Limits{Banana: banana.Limits{Frame: 400}},
			within: func(t *testing.T, p *wire.Peer) {
				p.WriteBytes(sized(t, 1, "echo", 400))
				p.Want(`[answer 1 _]`)
			},
			beyond: func(t *testing.T, p *wire.Peer) { p.WriteBytes(sized(t, 2, "echo", 401)[:400]) },
			closes: true, reason: "frame",
		}, {
			name: "Exports", limits: broker.Limits{Exports: 1},
			within: func(t *testing.T, p *wire.Peer) {
				p.Write(`[message 1 root new 1 [tuple] [dictionary]]`)
				p.Want(`[answer 1 [remote 1]]`)
			},
			beyond: fails(2, `[message 2 root new 1 [tuple] [dictionary]]`), reason: "exports",
		}, {
			name: "Caches of ours", limits: broker.Limits{Caches: 2}, root: func() any { return newLocks(false) },
			within: all(
				more(1),
				more(2),
			), beyond: fails(3, `[message 3 root more 1 [tuple] [dictionary]]`), reason: "caches",
		}, {
			name: "Caches of theirs", limits: broker.Limits{Caches: 1}, root: func() any { return &ponds{} },
			opts: func(t *testing.T) []broker.ListenOption { return []broker.ListenOption{pondRegistry(t)} },
			within: func(t *testing.T, p *wire.Peer) {
				p.Write(`[message 1 root take 1 [tuple ["test.Pond" 1 [list]]] [dictionary]]`)
				p.Want(`[answer 1 [None]]`)
			},
			beyond: func(t *testing.T, p *wire.Peer) {
				p.Write(`[message 2 root take 1 [tuple ["test.Pond" 2 [list]]] [dictionary]]`)
				p.Want(`[decache 2]`)
				wantAnyError(p, 2)
				p.Write(`[uncache 2]`)
			},
			reason: "caches",
		}, {
			name: "Imports", limits: broker.Limits{Imports: 2}, root: func() any { return &shelf{} },
			within: func(t *testing.T, p *wire.Peer) {
				p.Write(`[message 1 root put 1 [tuple [remote 1] [remote 2]] [dictionary]]`)
				p.Want(`[answer 1 2]`)
			},
			beyond: func(t *testing.T, p *wire.Peer) {
				p.Write(`[message 2 root put 1 [tuple [remote 3]] [dictionary]]`)
				p.Want(`[decref 3]`)
				wantAnyError(p, 2)
			},
			reason: "imports",
		}, {
			name: "CallsIn", limits: broker.Limits{CallsIn: 2}, root: asked,
			within: all(asking(1, 100), asking(2, 100)), beyond: tooBusy(3), reason: "calls in",
		}, {
			// The call that reaches the limit is taken, and so is the next, which finds it kept.
			name: "BytesIn", limits: broker.Limits{BytesIn: 1000}, root: asked,
			within: all(asking(1, 1000), asking(2, 100)), beyond: tooBusy(3), reason: "bytes in",
		}, {
			// A call counts for more than its bytes.
			name: "Total", limits: broker.Limits{MemoryTotal: 1, BytesIn: 1 << 20}, root: asked,
			within: all(asking(1, 256<<10-8192-2*besides), asking(2, 100)), beyond: tooBusy(3), reason: "memory total",
		},
	}
}

func TestLimitBorders(t *testing.T) {
	for _, b := range borders() {
		t.Run(b.name, func(t *testing.T) {
			var root any = &service{}
			if b.root != nil {
				root = b.root()
			}
			opts := []broker.ListenOption{broker.WithLimits(b.limits)}
			if b.opts != nil {
				opts = append(opts, b.opts(t)...)
			}
			s := newServer(t, root, opts...)
			p := s.peer()
			b.within(t, p)
			conn := only(t, s)
			require.Empty(t, conn.Stats().Refusals)
			b.beyond(t, p)
			if b.closes {
				p.WantClosed()
				<-conn.Done()
				require.EqualValues(t, 1, broker.StatsOf(s.rt).Conns.Closed["protocol"])
			} else {
				require.NoError(t, conn.Context().Err())
			}
			assert.Equal(t, map[broker.Rejection]uint64{b.reason: 1}, conn.Stats().Refusals)
			assert.EqualValues(t, 1, broker.StatsOf(s.rt).Refusals[b.reason])
			if d, ok := root.(*desk); ok {
				d.Do(func() { d.RemoteAnswer() })
			}
		})
	}
}

// only waits for the server's one connection and returns it.
func only(t *testing.T, s *server) *broker.Conn {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.ln.Conns()) == 1 }, patience, tick)
	return s.ln.Conns()[0]
}

func TestCallsOutBorder(t *testing.T) {
	conn, p := client(t, broker.WithLimits(broker.Limits{CallsOut: 2}))
	for i := 1; i <= 2; i++ {
		conn.Root().CallRemote("f")
		p.Want(fmt.Sprintf(`[message %d root f 1 [tuple] [dictionary]]`, i))
	}
	require.Empty(t, conn.Stats().Refusals)
	require.ErrorIs(t, errorOf(conn.Root().CallRemote("f")), broker.ErrTooManyCalls)
	require.Equal(t, map[broker.Rejection]uint64{"calls out": 1}, conn.Stats().Refusals)
	require.Equal(t, broker.Calls{Made: 2, Pending: 2}, conn.Stats().CallsOut, "a refused call is not made")
}

func TestWriteHighWaterBorder(t *testing.T) {
	waiting := func(t *testing.T, limit int) (*broker.Conn, int) {
		conn, _ := client(t, broker.WithLimits(broker.Limits{WriteHighWater: limit}))
		payload := bytes.Repeat([]byte("x"), 1000)
		conn.Root().CallRemote("note", payload)
		// The peer does not read. Once everything before it has been written, only this frame waits.
		n := len(noteOf(1, 1, payload))
		require.Eventually(t, func() bool { return conn.Stats().BytesWaiting == n }, patience, tick)
		return conn, n
	}
	_, n := waiting(t, 0)
	kept, _ := waiting(t, n)
	d := kept.Root().CallRemote("g")
	require.Empty(t, kept.Stats().Refusals)
	_, _, done := d.Result()
	require.False(t, done)
	broken, _ := waiting(t, n-1)
	require.ErrorIs(t, errorOf(broken.Root().CallRemote("g")), broker.ErrBackedUp)
	require.ErrorIs(t, broken.Root().CallRemoteNoAnswer("g"), broker.ErrBackedUp)
	require.Equal(t, map[broker.Rejection]uint64{"write high water": 2}, broken.Stats().Refusals)
}

func TestTimeLimitBorders(t *testing.T) {
	const limit = 20 * time.Second
	t.Run("Handshake", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newServer(t, &service{}, broker.WithLimits(broker.Limits{Handshake: limit}))
			p := s.connect()
			p.WantOffer()
			late := s.connect()
			late.WantOffer()
			time.Sleep(limit - 1)
			p.Write(`pb`)
			p.Speak(banana.ProfilePB)
			p.Want(`[version 6]`)
			late.WantClosed()
			echo(1, `7`)(t, p)
			synctest.Wait() // A connection is counted just after its socket has been closed.
			all := broker.StatsOf(s.rt)
			require.Equal(t, map[broker.Rejection]uint64{"handshake": 1}, all.Refusals)
			require.Equal(t, broker.ConnStats{
				Accepted: 2, Open: 1, Unopened: 1, Closed: map[broker.CloseReason]uint64{"time": 1},
			}, all.Conns)
		})
	})
	t.Run("Stall", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			conn, _ := client(t, broker.WithLimits(broker.Limits{Stall: limit}))
			conn.Root().CallRemote("f")
			time.Sleep(limit)
			require.NoError(t, conn.Context().Err())
			<-conn.Done()
			require.Equal(t, map[broker.Rejection]uint64{"stall": 1}, conn.Stats().Refusals)
		})
	})
	t.Run("WithKeepalive", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newServer(t, &service{}, broker.WithKeepalive(limit, limit))
			p := s.peer()
			conn := only(t, s)
			p.Want(`[message _ 0 ping 1 [tuple] [dictionary]]`)
			time.Sleep(limit - time.Second)
			require.NoError(t, conn.Context().Err())
			<-conn.Done()
			require.Equal(t, map[broker.Rejection]uint64{"silence": 1}, conn.Stats().Refusals)
		})
	})
	t.Run("StateTimeout", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			root := newLocks(true)
			s := newServer(t, root, broker.WithLimits(broker.Limits{StateTimeout: limit}))
			p := s.peer()
			p.Write(`[message 1 root get 1 [tuple] [dictionary]]`)
			<-root.sluice.asked
			time.Sleep(limit - 1)
			require.Empty(t, only(t, s).Stats().Refusals)
			wantAnyError(p, 1)
			require.Equal(t, map[broker.Rejection]uint64{"state timeout": 1}, only(t, s).Stats().Refusals)
			close(root.sluice.gate)
		})
	})
	t.Run("WithLoginDeadline", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := (&house{}).serve(t, broker.WithLoginDeadline(limit))
			p := s.peer()
			conn := only(t, s)
			time.Sleep(limit - time.Second)
			require.NoError(t, conn.Context().Err())
			p.WantClosed()
			<-conn.Done()
			require.Equal(t, map[broker.Rejection]uint64{"login deadline": 1}, conn.Stats().Refusals)
			require.EqualValues(t, 1, broker.StatsOf(s.rt).Conns.Closed["time"])
		})
	})
}
