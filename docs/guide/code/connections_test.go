package code

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/perspectivebroker/pb/supervision"
)

//guide:begin tls-server
func listenTLS(rt *actor.Runtime, url string, root any, certFile, keyFile string) (*broker.Listener, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12, // the default is TLS 1.3
	}
	return broker.Listen(rt, url, root, broker.WithTLS(config)) // url is pbs://host:port
}

//guide:end

//guide:begin tls-client
func dialTLS(ctx context.Context, rt *actor.Runtime, url, caFile string) (*broker.Conn, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, errors.New(caFile + " has no certificate")
	}
	return broker.Dial(ctx, rt, url, broker.WithTLS(&tls.Config{RootCAs: authorities}))
}

//guide:end

// TestTLS connects from Go and from Python, and rejects a client that does not trust the server.
func TestTLS(t *testing.T) {
	ca := authority.New(t)
	cert, key, caFile := ca.Files(ca.Issue("server", nil))
	rt := pbtest.NewRuntime(t)
	ln, err := listenTLS(rt, "pbs://127.0.0.1:0", &Shop{}, cert, key)
	require.NoError(t, err)
	conn, err := dialTLS(t.Context(), rt, ln.URL(), caFile)
	require.NoError(t, err)
	price, err := flavors.Call[string](t.Context(), conn.Root(), "price", "plums")
	require.NoError(t, err)
	assert.Equal(t, "one coin for plums", price)
	_, err = broker.Dial(t.Context(), rt, ln.URL())
	require.Error(t, err)

	stock.Require(t)
	client := stock.Start(t, "tls.py", ln.Addr().String(), caFile)
	client.WaitLine("one coin for plums")
	assert.Zero(t, client.Exit())
}

//guide:begin reconnect

// Session is what the application needs on each connection.
type Session struct {
	Avatar, Room *flavors.RemoteReference
}

// connect keeps a session with the server.
func connect(rt *actor.Runtime, url string, screen *Screen) (*broker.ReconnectingClient[*Session], error) {
	prepare := func(ctx context.Context, conn *broker.Conn) (*Session, error) {
		avatar, err := conn.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "sesame"}, screen)
		if errors.Is(err, flavors.UnauthorizedLogin) {
			return nil, errors.Join(err, broker.ErrPermanent) // trying again will not help
		}
		if err != nil {
			return nil, err
		}
		room, err := flavors.Call[*flavors.RemoteReference](ctx, avatar, "join")
		if err != nil {
			return nil, err
		}
		return &Session{Avatar: avatar, Room: room}, nil
	}
	return broker.Reconnect(rt, url, prepare,
		broker.WithKeepalive(20*time.Second, 10*time.Second),
		broker.WithBackoff(supervision.Backoff{Min: 50 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.5}))
}

// say uses the present session, and waits for one if there is none.
func say(ctx context.Context, client *broker.ReconnectingClient[*Session], text string) error {
	session, err := client.Session(ctx)
	if err != nil {
		return err
	}
	_, err = flavors.Call[int](ctx, session.Room, "say", text)
	return err
}

//guide:end

//guide:begin keepalive
var (
	// pinging ends a connection whose peer has been silent for thirty seconds. The cause is broker.ErrSilent.
	pinging = broker.WithKeepalive(20*time.Second, 10*time.Second)
	// patient turns keepalive off, as by default, for example while a debugger stops the peer.
	patient = broker.WithKeepalive(0, 0)
)

//guide:end

// TestKeepaliveOptions pings a peer, and turns pinging off again.
func TestKeepaliveOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			opts []broker.ListenOption
			ends bool
		}{
			{[]broker.ListenOption{pinging}, true},
			{[]broker.ListenOption{pinging, patient}, false},
		} {
			rt := pbtest.NewRuntime(t)
			pipe := broker.NewPipeListener()
			ln, err := broker.ListenOn(rt, pipe, &Shop{}, test.opts...)
			require.NoError(t, err)
			sock, err := pipe.Dial(t.Context())
			require.NoError(t, err)
			p := wire.New(t, sock)
			p.Join()
			go func() { _, _ = io.Copy(io.Discard, sock) }() // answers nothing
			synctest.Wait()
			conn := ln.Conns()[0]
			time.Sleep(time.Hour)
			synctest.Wait()
			if test.ends {
				require.ErrorIs(t, context.Cause(conn.Context()), broker.ErrSilent)
			} else {
				require.NoError(t, conn.Context().Err())
			}
		}
	})
}

//guide:begin session-events

// Monitor is an actor that learns of sessions after client.Watch(pid).
type Monitor struct{ events chan<- string }

func (m *Monitor) Receive(ctx protoactor.Context) {
	switch e := ctx.Message().(type) {
	case broker.SessionUp[*Session]: // a value, not a pointer
		m.events <- "up: " + e.Conn.RemoteAddr().String()
	case broker.SessionDown[*Session]:
		m.events <- "down: " + e.Cause.Error()
	}
}

//guide:end

// TestReconnect loses a connection and gets another.
func TestReconnect(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	ln, err := listen(rt, "pb://127.0.0.1:0")
	require.NoError(t, err)
	screen := &Screen{heard: make(chan string, 1)}
	client, err := connect(rt, ln.URL(), screen)
	require.NoError(t, err)
	first, err := client.Conn(t.Context())
	require.NoError(t, err)
	events := make(chan string, 8)
	client.Watch(rt.Root().Spawn(protoactor.PropsFromProducer(func() protoactor.Actor { return &Monitor{events} })))
	assert.Contains(t, <-events, "up: 127.0.0.1")
	first.Abort(errors.New("a test"))
	assert.Contains(t, <-events, "down: a test")
	assert.Contains(t, <-events, "up: 127.0.0.1")
	require.NoError(t, say(t.Context(), client, "back again"))
	assert.Equal(t, "back again", <-screen.heard)
	second, err := client.Conn(t.Context())
	require.NoError(t, err)
	assert.NotSame(t, first, second)
	require.NoError(t, client.Close(t.Context()))
}
