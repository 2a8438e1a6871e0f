package broker_test

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// inBubble runs a test with a fake clock (synctest).
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func TestHandshakeTimeout(t *testing.T) {
	t.Run("silent client", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newServer(t, &service{}, broker.WithLimits(broker.Limits{Handshake: 5 * time.Second}))
			start := time.Now()
			p := s.connect()
			p.WantOffer()
			p.WantClosed()
			require.Equal(t, 5*time.Second, time.Since(start))
		})
	})
	t.Run("client that does not read", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newServer(t, &service{}, broker.WithLimits(broker.Limits{Handshake: 5 * time.Second}))
			sock := s.dial()
			time.Sleep(6 * time.Second)
			_, err := sock.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
		})
	})
	t.Run("client that sends a byte a second", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			s := newServer(t, &service{}, broker.WithLimits(broker.Limits{Handshake: 5 * time.Second}))
			start := time.Now()
			sock := s.dial()
			p := wire.New(t, sock)
			p.WantOffer()
			var err error
			for _, b := range banana.AppendString(nil, banana.ProfileNone, "a rather long profile") {
				if _, err = sock.Write([]byte{b}); err != nil {
					break
				}
				time.Sleep(time.Second)
			}
			require.Error(t, err)
			require.LessOrEqual(t, time.Since(start), 6*time.Second)
		})
	})
	t.Run("silent server", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			here, there := pipe()
			defer there.Close()
			start := time.Now()
			_, err := broker.NewClientConn(context.Background(), newRuntime(t), here)
			require.ErrorContains(t, err, "did not negotiate within 10s")
			require.Equal(t, broker.DefaultLimits().Handshake, time.Since(start))
		})
	})
	t.Run("silence after the negotiation", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			p := newServer(t, &service{}, broker.WithLimits(broker.Limits{Handshake: 5 * time.Second})).peer()
			time.Sleep(time.Hour)
			p.Write(`[message 1 root add 1 [tuple 1 2] [dictionary]]`)
			p.Want(`[answer 1 3]`)
		})
	})
}

func TestKeepalive(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		start := time.Now()
		p := newServer(t, &service{}, broker.WithKeepalive(5*time.Second, 3*time.Second)).peer()
		p.Want(`[message 1 0 ping 1 [tuple] [dictionary]]`)
		require.Equal(t, 5*time.Second, time.Since(start))
		time.Sleep(2 * time.Second)
		p.Write(`[error 1 [None]]`) // Any data counts as a sign of life.
		p.Want(`[message 2 0 ping 1 [tuple] [dictionary]]`)
		require.Equal(t, 12*time.Second, time.Since(start))
		p.WantClosed()
		require.Equal(t, 15*time.Second, time.Since(start))
	})
}

func TestKeepaliveLongDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		start := time.Now()
		p := newServer(t, &service{}, broker.WithKeepalive(5*time.Second, 30*time.Second)).peer()
		p.Want(`[message 1 0 ping 1 [tuple] [dictionary]]`)
		time.Sleep(2 * time.Second)
		p.Write(`[error 1 [None]]`)
		p.Want(`[message 2 0 ping 1 [tuple] [dictionary]]`)
		require.Equal(t, 12*time.Second, time.Since(start))
		p.WantClosed()
		require.Equal(t, 42*time.Second, time.Since(start))
	})
}

func TestReleaseGraceEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newServer(t, &service{}, broker.WithLimits(broker.Limits{ReleaseGrace: 10 * time.Second})).peer()
		p.Write(`[message 1 root new 1 [tuple] [dictionary]]`, `[message 2 root new 1 [tuple] [dictionary]]`)
		p.Want(`[answer 1 [remote 1]]`, `[answer 2 [remote 2]]`)
		// Two calls of ours are pending when the peer releases, the second object six seconds after the first.
		p.Write(`[message 3 root callback 1 [tuple [remote 5] [unicode f] [list]] [dictionary]]`)
		p.Want(`[message 1 5 f 1 [tuple] [dictionary]]`)
		p.Write(`[decref 1]`)
		time.Sleep(6 * time.Second)
		p.Write(`[decref 2]`)
		time.Sleep(3 * time.Second)
		p.Write(`[message 4 1 three 1 [tuple 4] [dictionary]]`)
		p.Want(`[answer 4 4]`) // 9 seconds
		time.Sleep(2 * time.Second)
		p.Write(`[message 5 1 three 1 [tuple 4] [dictionary]]`)
		wantError(t, p, 5, "twisted.spread.pb.Error") // 11 seconds
		p.Write(`[message 6 2 three 1 [tuple 4] [dictionary]]`)
		p.Want(`[answer 6 4]`) // 5 seconds
		time.Sleep(6 * time.Second)
		p.Write(`[message 7 2 three 1 [tuple 4] [dictionary]]`)
		wantError(t, p, 7, "twisted.spread.pb.Error") // 11 seconds
		p.Write(`[answer 1 [local 1]]`)
		wantError(t, p, 3, "twisted.spread.pb.Error") // Too late: only this call fails.
	})
}

func TestStallEndsConnection(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		conn, _ := client(t, broker.WithLimits(broker.Limits{Stall: 20 * time.Second}))
		start := time.Now()
		d := conn.Root().CallRemote("f")
		_, err := result(t, d)
		require.ErrorIs(t, err, flavors.ConnectionLost)
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		require.InDelta(t, 20, time.Since(start).Seconds(), 5)
	})
}

func TestSlowReaderDoesNotStall(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		conn, p := client(t, broker.WithLimits(broker.Limits{Stall: 20 * time.Second}))
		d := conn.Root().CallRemote("f", string(make([]byte, 1000)))
		require.NoError(t, p.Sock.SetDeadline(time.Time{}))
		buf := make([]byte, 10)
		for read := 0; read < 1000; {
			time.Sleep(5 * time.Second)
			n, err := p.Sock.Read(buf)
			require.NoError(t, err)
			read += n
		}
		go p.Drain()
		answer := command.AppendAnswer(nil, banana.ProfilePB, command.Number{Int: 1})
		_, err := p.Sock.Write(banana.AppendInt(answer, 7))
		require.NoError(t, err)
		v, err := result(t, d)
		require.NoError(t, err)
		require.EqualValues(t, 7, v)
	})
}

func TestStallBoundsClose(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		conn, _ := client(t, broker.WithLimits(broker.Limits{Stall: 20 * time.Second}))
		conn.Root().CallRemote("f") // It cannot be written.
		start := time.Now()
		require.NoError(t, conn.Close(context.Background()))
		require.InDelta(t, 20, time.Since(start).Seconds(), 5)
	})
}
