package broker_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/stretchr/testify/require"
)

// latePipe is a pipe that reports its first missed deadline an hour late, as if the process had been paused.
type latePipe struct {
	net.Conn
	noticed chan struct{} // closed when the pause is over
	paused  bool
}

func (p *latePipe) late(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !p.paused {
		p.paused = true
		time.Sleep(time.Hour)
		close(p.noticed)
	}
	return err
}

func (p *latePipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	return n, p.late(err)
}

func (p *latePipe) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	return n, p.late(err)
}

// A pause of the process does not end a write or a partial message.
func TestPauseWithinMessage(t *testing.T) {
	limits := broker.WithLimits(broker.Limits{Stall: 20 * time.Second})
	server := func(t *testing.T) (*latePipe, net.Conn) {
		s := newServer(t, &service{}, limits)
		here, there := net.Pipe()
		late := &latePipe{Conn: there, noticed: make(chan struct{})}
		s.pipe.Conns <- late
		return late, here
	}
	t.Run("read", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			late, sock := server(t)
			p := peerOver(t, sock)
			message := halfMegabytes(1)
			begin(sock, message[:400<<10])
			<-late.noticed
			ended := begin(sock, message[400<<10:])
			wantAnyError(p, 1)
			require.NoError(t, <-ended)
		})
	})
	t.Run("write", func(t *testing.T) {
		inBubble(t, func(t *testing.T) {
			late, sock := server(t)
			p := peerOver(t, sock)
			p.Write(`[message 1 root echo 1 [tuple 7] [dictionary]]`)
			<-late.noticed
			p.Want(`[answer 1 7]`)
		})
	})
}

func TestReconnectBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		rt := newRuntime(t)
		refused := errors.New("connection refused")
		attempts := make(chan time.Time, 10)
		client, err := broker.Reconnect[any](rt, "pb://nowhere:1", nil,
			broker.WithBackoff(supervision.Backoff{Min: time.Second, Max: 10 * time.Second, Factor: 2}),
			broker.WithDialer(func(_ context.Context, _, _ string) (net.Conn, error) {
				attempts <- time.Now()
				return nil, refused
			}))
		require.NoError(t, err)
		before := <-attempts
		for _, seconds := range []time.Duration{1, 2, 4, 8, 10, 10} {
			at := <-attempts
			require.Equal(t, seconds*time.Second, at.Sub(before))
			before = at
		}
		require.NoError(t, client.Close(t.Context()))
		synctest.Wait()
	})
}

// failingListener fails to accept.
type failingListener struct {
	*pipeListener
	asked chan time.Time
}

func (l *failingListener) Accept() (net.Conn, error) {
	select {
	case <-l.Closed:
		return nil, net.ErrClosed
	case l.asked <- time.Now():
		return nil, errors.New("no file descriptors")
	}
}

func TestAcceptBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		sock := &failingListener{newPipeListener(), make(chan time.Time)}
		ln, err := broker.ListenOn(newRuntime(t), sock, &service{})
		require.NoError(t, err)
		before := <-sock.asked
		for _, milliseconds := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000} {
			at := <-sock.asked
			require.Equal(t, milliseconds*time.Millisecond, at.Sub(before))
			before = at
		}
		require.NoError(t, ln.Close())
	})
}
