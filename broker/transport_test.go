package broker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

func TestPipeListener(t *testing.T) {
	rt := newRuntime(t)
	pipe := broker.NewPipeListener()
	ln, err := broker.ListenOn(rt, pipe, &service{})
	require.NoError(t, err)
	require.Equal(t, "pipe", ln.Addr().Network())
	for range 3 {
		sock, err := pipe.Dial(t.Context())
		require.NoError(t, err)
		conn, err := broker.NewClientConn(t.Context(), rt, sock)
		require.NoError(t, err)
		sum, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
		require.NoError(t, err)
		require.Equal(t, 3, sum)
	}
	require.NoError(t, ln.Close())
	_, err = pipe.Dial(t.Context())
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = pipe.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, pipe.Close())

	nobody := broker.NewPipeListener()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errPlain)
	_, err = nobody.Dial(ctx)
	require.ErrorIs(t, err, errPlain)
}

func TestLoginByUnixPeer(t *testing.T) {
	h := &house{}
	uid := uint32(os.Getuid())
	portalFor := func(uid uint32) *cred.Portal[*flavors.RemoteReference, *player] {
		peers, err := cred.NewUnixPeers(cred.ByUID(uid, "alice"))
		require.NoError(t, err)
		users, err := cred.NewInMemory(map[string]cred.Entry{"bob": cred.Plaintext("bread")})
		require.NoError(t, err)
		portal, err := cred.NewPortal(h, peers, users)
		require.NoError(t, err)
		return portal
	}
	rt := newRuntime(t)
	dial := func(uid uint32) *broker.Conn {
		path := filepath.Join(t.TempDir(), "s")
		_, err := broker.Listen(rt, "pb+unix://"+path, broker.LoginRoot(portalFor(uid)))
		require.NoError(t, err)
		conn, err := broker.Dial(t.Context(), rt, "pb+unix://"+path)
		require.NoError(t, err)
		return conn
	}
	conn := dial(uid)
	avatar, err := conn.LoginPeer(t.Context(), nil)
	require.NoError(t, err)
	name, err := flavors.Call[string](t.Context(), avatar, "whoami")
	require.NoError(t, err)
	require.Equal(t, "alice", name)
	methods, err := flavors.Call[[]string](t.Context(), conn.Root(), "loginMethods")
	require.NoError(t, err)
	require.Equal(t, []string{"login", "loginPeer"}, methods, "a password in the clear is for TLS alone")
	_, err = conn.Login(t.Context(), cred.UsernamePassword{Username: "bob", Password: "bread"}, nil)
	require.NoError(t, err)

	_, err = dial(uid+1).LoginPeer(t.Context(), nil)
	require.ErrorIs(t, err, flavors.UnauthorizedLogin)
}

// wrapped is a user's wrapper of a socket.
type wrapped struct {
	net.Conn
	read atomic.Int64 // Close does not wait for the reader
}

func (w *wrapped) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.read.Add(int64(n))
	return n, err
}

func TestUserSockets(t *testing.T) {
	rt := newRuntime(t)
	sock, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln, err := broker.ListenOn(rt, sock, &service{})
	require.NoError(t, err)
	require.Equal(t, "pb://"+sock.Addr().String(), ln.URL())
	raw, err := net.Dial("tcp", sock.Addr().String())
	require.NoError(t, err)
	mine := &wrapped{Conn: raw}
	conn, err := broker.NewClientConn(t.Context(), rt, mine)
	require.NoError(t, err)
	sum, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, sum)
	require.NoError(t, conn.Close(t.Context()))
	require.Positive(t, mine.read.Load())
	_, err = raw.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed, "the connection closes its socket")
}

// nowhere is a connection with another remote address.
type nowhere struct {
	net.Conn
	addr net.Addr
}

func (n nowhere) RemoteAddr() net.Addr { return n.addr }

// Attempts to log in are counted by address, or by the /64 network for IPv6.
func TestThrottleKey(t *testing.T) {
	throttle := cred.NewThrottle(cred.WithFreeFailures(1), cred.WithDelays(time.Hour, time.Hour), cred.WithMaxWait(0))
	h := &house{}
	s := newServer(t, broker.LoginRoot(h.portal(t), broker.WithThrottle(throttle)))
	for _, test := range []struct {
		addr net.Addr
		key  string
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.7"), Port: 1234}, "192.0.2.7"},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.8"), Port: 1234}, "192.0.2.8"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3:4:5:6"), Port: 1234}, "2001:db8:1:2::/64"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1234}, "fe80::/64"},
		{newPipeListener().Addr(), "pipe"},
	} {
		t.Run(test.key, func(t *testing.T) {
			ours, theirs := net.Pipe()
			s.pipe.Conns <- nowhere{theirs, test.addr}
			defer ours.Close()
			require.Zero(t, throttle.Wait(test.key))
			p := peerOver(t, ours)
			for i := range 3 {
				challenged(p, 10*i, "alice")
				respond(p, 10*i+1, "guess", `[None]`)
				wantRefused(t, p, 10*i+1)
			}
			require.Positive(t, throttle.Wait(test.key))
		})
	}
}

func ExampleNewPipeListener() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)
	pipe := broker.NewPipeListener()
	if _, err := broker.ListenOn(rt, pipe, &Account{}); err != nil {
		fmt.Println(err)
		return
	}
	sock, err := pipe.Dial(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := broker.NewClientConn(ctx, rt, sock)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(flavors.Call[int](ctx, conn.Root(), "deposit", 7))
	// Output: 7 <nil>
}
