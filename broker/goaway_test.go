package broker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/freeport"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGoawayWhenClosing tells a client that the server goes away, and answers what is under way (P-9.14, P-9.15).
func TestGoawayWhenClosing(t *testing.T) {
	for _, how := range []string{"Shutdown", "Close"} {
		t.Run(how, func(t *testing.T) {
			w := newWorkshop()
			s, p := visitWorkshop(t, w, 2)
			p.Write(`[message 1 $w1 work 1 [tuple] [dictionary]]`)
			<-w.began
			closed := make(chan error, 1)
			go func() {
				if how == "Close" {
					closed <- s.Runtime.Close(context.Background())
				} else {
					closed <- s.Listener.Shutdown(context.Background())
				}
			}()
			p.Want(`[goaway "the server is shutting down"]`)
			// The client may have called before it read this.
			p.Write(`[message 2 $w2 quick 1 [tuple] [dictionary]]`)
			p.Want(`[answer 2 [unicode quick]]`)
			close(w.gate)
			p.Want(`[answer 1 [unicode done]]`)
			p.WantClosed()
			require.NoError(t, <-closed)
		})
	}
}

// TestNoGoawayForStock tells a client that speaks pb nothing (P-9.2).
func TestNoGoawayForStock(t *testing.T) {
	s := pbtest.NewServer(t, &courier{})
	p := s.Peer()
	p.Write(`[message 1 root echo 1 [tuple 1] [dictionary]]`)
	p.Want(`[answer 1 1]`)
	require.NoError(t, s.Listener.Shutdown(t.Context()))
	p.WantClosed()
}

// TestGoawayReceived shows a program that its server goes away (P-9.14).
func TestGoawayReceived(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(banana.ProfilePB1) })
	require.NoError(t, err)
	p.Write(`[goaway "be seeing you"]`, `[goaway again]`)
	<-conn.GoingAway()
	require.NoError(t, conn.Context().Err())
	_ = conn.Root().CallRemote("last")
	p.Want(`[message 1 root last 1 [tuple] [dictionary]]`)

	other := joinCourier(t, banana.ProfilePB1)
	other.Write(`[goaway "a client may say so too"]`)
	other.WantIdle()
	other.Write(`[goaway 7]`)
	other.WantClosed()
}

// namedServer says which one it is.
type namedServer struct {
	flavors.Referenceable
	name string
}

func (s *namedServer) RemoteName() string { return s.name }

// TestServerReplacedUnderLoad replaces a server by another at the next address. No call fails.
func TestServerReplacedUnderLoad(t *testing.T) {
	old := pbtest.NewServer(t, &namedServer{name: "old"})
	next := pbtest.NewServer(t, &namedServer{name: "new"})
	url := old.Listener.URL() + "," + strings.TrimPrefix(next.Listener.URL(), "pb://")
	client, err := broker.Reconnect(newRuntime(t), url,
		func(_ context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) { return conn.Root(), nil })
	require.NoError(t, err)
	root, err := client.Session(t.Context())
	require.NoError(t, err)
	_, err = flavors.Call[string](t.Context(), root, "name") // The server has negotiated too.
	require.NoError(t, err)

	var moved atomic.Int64
	over := make(chan struct{})
	var callers sync.WaitGroup
	var failed atomic.Value
	for range 4 {
		callers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				root, err := client.Session(context.Background())
				if err == nil {
					var name string
					if name, err = flavors.Call[string](context.Background(), root, "name"); name == "new" {
						moved.Add(1)
					}
				}
				if err != nil {
					failed.Store(fmt.Sprint(err))
					return
				}
			}
		})
	}
	require.NoError(t, old.Runtime.Close(context.Background()))
	done := func() bool { return moved.Load() > 100 || failed.Load() != nil }
	require.Eventually(t, done, wire.Timeout, time.Millisecond)
	close(over)
	callers.Wait()
	assert.Nil(t, failed.Load())
	require.NoError(t, client.Close(t.Context()))
}

// TestGoawayLoopIsBounded connects to a server that goes away at once (P-9.16).
func TestGoawayLoopIsBounded(t *testing.T) {
	const wait = time.Hour
	ln := wire.Listen(t)
	client, err := broker.Reconnect[struct{}](newRuntime(t), "pb://"+ln.Addr().String(), nil,
		broker.WithBackoff(supervision.Backoff{Min: wait, Max: wait, Factor: 1}))
	require.NoError(t, err)
	p := wire.Accept(t, ln)
	p.HostAs(banana.ProfilePB1)
	p.Write(`[goaway now]`, `[goaway now]`)
	conn, err := client.Conn(t.Context())
	require.NoError(t, err)
	<-conn.GoingAway()
	// The session goes on until there is another one, which is not looked for before the delay is over.
	_ = conn.Root().CallRemote("name")
	p.Want(`[message 1 root name 1 [tuple] [dictionary]]`)
	require.NoError(t, ln.SetDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = ln.Accept()
	require.Error(t, err)
	require.NoError(t, client.Close(t.Context()))
}

// TestGoawayLoopOfServers sends a client round several servers that all go away at once (P-9.16).
func TestGoawayLoopOfServers(t *testing.T) {
	const servers, wait = 3, time.Hour
	var listeners []*net.TCPListener
	var addresses []string
	for range servers {
		ln := wire.Listen(t)
		listeners = append(listeners, ln)
		addresses = append(addresses, ln.Addr().String())
	}
	client, err := broker.Reconnect[struct{}](newRuntime(t), "pb://"+strings.Join(addresses, ","), nil,
		broker.WithBackoff(supervision.Backoff{Min: wait, Max: wait, Factor: 1}))
	require.NoError(t, err)
	p := wire.Accept(t, listeners[0])
	p.HostAs(banana.ProfilePB1)
	for range 1000 {
		p.Write(`[goaway now]`)
	}
	conn, err := client.Conn(t.Context())
	require.NoError(t, err)
	<-conn.GoingAway()
	for _, ln := range listeners { // It waits before it goes to the next one.
		require.NoError(t, ln.SetDeadline(time.Now().Add(20*time.Millisecond)))
		_, err = ln.Accept()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	now, err := client.Conn(t.Context())
	require.NoError(t, err)
	assert.Same(t, conn, now, "the session stays until there is another")
	require.NoError(t, client.Close(t.Context()))
}

// TestMovedConnectionCloses closes the connection of a session that has moved, once its calls have been answered
// (P-9.16).
func TestMovedConnectionCloses(t *testing.T) {
	ln := wire.Listen(t)
	client, err := broker.Reconnect[struct{}](newRuntime(t), "pb://"+ln.Addr().String(), nil,
		broker.WithBackoff(supervision.Backoff{Min: time.Nanosecond, Max: time.Millisecond, Factor: 2}))
	require.NoError(t, err)
	p := wire.Accept(t, ln)
	p.HostAs(banana.ProfilePB1)
	conn, err := client.Conn(t.Context())
	require.NoError(t, err)
	d := conn.Root().CallRemote("slow")
	p.Want(`[message 1 root slow 1 [tuple] [dictionary]]`)
	p.Write(`[goaway now]`)
	again := wire.Accept(t, ln)
	again.HostAs(banana.ProfilePB1)
	require.Eventually(t, func() bool { now, err := client.Conn(t.Context()); return err == nil && now != conn },
		wire.Timeout, time.Millisecond)
	p.Write(`[answer 1 1]`)
	_, err = d.Await(t.Context())
	require.NoError(t, err)
	p.WantClosed()
	require.NoError(t, client.Close(t.Context()))
}

// TestDialSeveralAddresses takes the first server that answers.
func TestDialSeveralAddresses(t *testing.T) {
	rt := newRuntime(t)
	listen := func(name string) *broker.Listener {
		ln, err := broker.Listen(rt, "pb://"+freeport.Address(t), &namedServer{name: name})
		require.NoError(t, err)
		return ln
	}
	gone, there := listen("gone"), listen("there")
	require.NoError(t, gone.Close())
	url := gone.URL() + "," + there.Addr().String()
	conn, err := broker.Dial(t.Context(), newRuntime(t), url)
	require.NoError(t, err)
	name, err := flavors.Call[string](t.Context(), conn.Root(), "name")
	require.NoError(t, err)
	assert.Equal(t, "there", name)
	assert.Equal(t, url, conn.ServerIdentity())

	require.NoError(t, rt.Close(t.Context()))
	_, err = broker.Dial(t.Context(), newRuntime(t), url)
	require.ErrorContains(t, err, gone.Addr().String())
	require.ErrorContains(t, err, there.Addr().String())
	_, err = broker.Listen(newRuntime(t), "pb://127.0.0.1:0,127.0.0.2:0", &courier{})
	require.ErrorContains(t, err, "one address")
}
