package broker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// rudeSocket is a socket of the application's own, one method of which panics.
type rudeSocket struct {
	net.Conn
	method string
	begun  atomic.Bool // from then on
}

func (s *rudeSocket) fail(method string) {
	if method == s.method && s.begun.Load() {
		panic(selfPanics{})
	}
}
func (s *rudeSocket) Read(b []byte) (int, error)  { s.fail("Read"); return s.Conn.Read(b) }
func (s *rudeSocket) Write(b []byte) (int, error) { s.fail("Write"); return s.Conn.Write(b) }
func (s *rudeSocket) Close() error                { _ = s.Conn.Close(); s.fail("Close"); return nil }
func (s *rudeSocket) RemoteAddr() net.Addr        { s.fail("RemoteAddr"); return s.Conn.RemoteAddr() }
func (s *rudeSocket) LocalAddr() net.Addr         { s.fail("LocalAddr"); return s.Conn.LocalAddr() }

// TestSocketThatPanics: such a socket costs its connection; calls on it end, and the listener and other connections
// live.
func TestSocketThatPanics(t *testing.T) {
	for _, method := range []string{"Read", "Write", "Close", "RemoteAddr", "LocalAddr"} {
		t.Run(method, func(t *testing.T) {
			rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
			s := serveOn(t, rt, &rude{rt: rt})
			bystander := s.peer()
			sock := &rudeSocket{Conn: s.dial(), method: method}
			sock.begun.Store(method == "RemoteAddr" || method == "LocalAddr")
			conn, err := broker.NewClientConn(t.Context(), rt, sock)
			require.NoError(t, err)
			sock.begun.Store(true)
			_, _ = flavors.Call[any](t.Context(), conn.Root(), "ping") // It ends.
			conn.Abort(errors.New("over"))
			<-conn.Done()

			theirs, ours := net.Pipe()
			rudely := &rudeSocket{Conn: theirs, method: method}
			rudely.begun.Store(true)
			s.pipe.Conns <- rudely
			_ = ours.Close()
			bystander.Write(`[message 1 root ping 1 [tuple] [dictionary]]`)
			bystander.Want(`[answer 1 [unicode pong]]`)
		})
	}
}

// rudeListener accepts only after it has panicked.
type rudeListener struct {
	*pipeListener
	panics atomic.Int64
}

func (l *rudeListener) Accept() (net.Conn, error) {
	if l.panics.Add(-1) >= 0 {
		panic("Accept")
	}
	return l.pipeListener.Accept()
}

func TestListenerThatPanics(t *testing.T) {
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	sock := &rudeListener{pipeListener: newPipeListener()}
	sock.panics.Store(3)
	ln, err := broker.ListenOn(rt, sock, &rude{rt: rt})
	require.NoError(t, err)
	s := &server{t: t, rt: rt, pipe: sock.pipeListener, ln: ln}
	p := s.peer()
	p.Write(`[message 1 root ping 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [unicode pong]]`)
}

// TestDialingCodeThatPanics makes errors of what the application's code does while a connection is made.
func TestDialingCodeThatPanics(t *testing.T) {
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &rude{rt: rt})
	require.NoError(t, err)
	dialer := func(f func() (net.Conn, error)) broker.DialOption {
		return broker.WithDialer(func(context.Context, string, string) (net.Conn, error) { return f() })
	}
	for name, opt := range map[string]broker.DialOption{
		"panics":          dialer(func() (net.Conn, error) { panic(selfPanics{}) }),
		"nothing":         dialer(func() (net.Conn, error) { return nil, nil }),
		"error panics":    dialer(func() (net.Conn, error) { return nil, selfPanics{} }),
		"typed nil error": dialer(func() (net.Conn, error) { return nil, (*nilError)(nil) }),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := broker.Dial(t.Context(), rt, ln.URL(), opt)
			require.Error(t, err)
			require.NotEmpty(t, err.Error())
			client, err := broker.Reconnect[any](rt, ln.URL(), nil, opt)
			require.NoError(t, err)
			require.NoError(t, client.Close(t.Context()), "it can be closed, so its actor has not lost its way")
		})
	}
	t.Run("TLS", func(t *testing.T) {
		config := &tls.Config{
			InsecureSkipVerify: true,
			VerifyConnection:   func(tls.ConnectionState) error { panic("verify") },
		} //nolint:gosec // a test
		server := &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("certificate") },
		} //nolint:gosec // a test
		ln, err := broker.Listen(rt, "pbs://127.0.0.1:0", &rude{rt: rt}, broker.WithTLS(server))
		require.NoError(t, err)
		for range 2 {
			_, err = broker.Dial(t.Context(), rt, ln.URL(), broker.WithTLS(config))
			require.Error(t, err)
		}
	})
}

// TestEndsWithBadErrors ends connections with causes whose methods panic: every call on them ends.
func TestEndsWithBadErrors(t *testing.T) {
	for name, cause := range badErrors {
		if name == "Error exits" || name == "As exits" || name == "JellyTo's error" || name == "StateToCopy exits" {
			continue // They would end the goroutine of the test.
		}
		t.Run(name, func(t *testing.T) {
			conn, p := client(t)
			d := conn.Root().CallRemote("never")
			p.Want(`[message 1 root never 1 [tuple] [dictionary]]`)
			conn.Abort(cause)
			_, err := d.Await(t.Context())
			require.ErrorIs(t, err, flavors.ConnectionLost)
			<-conn.Done()
			require.Error(t, conn.Root().Err())
		})
	}
}

// TestRootFactoryThatFails refuses its connection with one line in the log, and serves the next.
func TestRootFactoryThatFails(t *testing.T) {
	var lines logLines
	rt := newRuntime(t, actor.WithLogger(zerolog.New(&lines)))
	good := &rude{rt: rt}
	ways := []func() (any, error){
		func() (any, error) { panic(selfPanics{}) },
		func() (any, error) { return nil, selfPanics{} },
		func() (any, error) { return nil, (*nilError)(nil) },
		func() (any, error) { return nil, nil },
		func() (any, error) { return (*rude)(nil), nil },
		func() (any, error) { runtime.Goexit(); return nil, nil },
	}
	var next atomic.Int64
	s := serveOn(t, rt, broker.RootFactory(func(*broker.Conn) (any, error) {
		if n := int(next.Add(1)) - 1; n < len(ways) {
			return ways[n]()
		}
		return good, nil
	}))
	for range ways {
		s.connect().WantClosed()
	}
	p := s.peer()
	p.Write(`[message 1 root ping 1 [tuple] [dictionary]]`)
	p.Want(`[answer 1 [unicode pong]]`)
	require.GreaterOrEqual(t, lines.count("connection rejected"), len(ways)-1)
}

// rudeChecker is a checker that fails in one way.
type rudeChecker struct{ check func() (cred.AvatarID, error) }

func (rudeChecker) Accepts(kind cred.Kind) bool { return kind == cred.KindAnonymous }
func (c rudeChecker) Check(context.Context, cred.Credentials) (cred.AvatarID, error) {
	return c.check()
}

type rudeHandler struct{ slog.Handler }

func (rudeHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (rudeHandler) Handle(context.Context, slog.Record) error { panic("slog") }

type rudeAvatar struct{ flavors.Avatar }

// TestLoginCodeThatFails refuses in the usual words whatever checkers and realms do, and survives logouts and loggers
// that panic.
func TestLoginCodeThatFails(t *testing.T) {
	good := rudeChecker{func() (cred.AvatarID, error) { return cred.ID("ann"), nil }}
	type realm = cred.RealmFunc[*flavors.RemoteReference, *rudeAvatar]
	enter := func(f func() (*rudeAvatar, func(), error)) realm {
		return func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*rudeAvatar, func(), error) {
			return f()
		}
	}
	for name, of := range map[string]struct {
		realm   realm
		checker cred.Checker
	}{
		"checker panics":      {nil, rudeChecker{func() (cred.AvatarID, error) { panic(selfPanics{}) }}},
		"checker's bad error": {nil, rudeChecker{func() (cred.AvatarID, error) { return cred.AvatarID{}, selfPanics{} }}},
		"checker's typed nil": {nil, rudeChecker{func() (cred.AvatarID, error) { return cred.AvatarID{}, (*nilError)(nil) }}},
		"checker exits": {nil,
			rudeChecker{func() (cred.AvatarID, error) { runtime.Goexit(); return cred.AvatarID{}, nil }}},
		"realm panics":      {enter(func() (*rudeAvatar, func(), error) { panic(selfPanics{}) }), good},
		"realm's bad error": {enter(func() (*rudeAvatar, func(), error) { return nil, nil, selfPanics{} }), good},
		"realm's typed nil": {enter(func() (*rudeAvatar, func(), error) { return nil, nil, (*nilError)(nil) }), good},
		"realm's circle":    {enter(func() (*rudeAvatar, func(), error) { return nil, nil, &circle{} }), good},
		"realm exits":       {enter(func() (*rudeAvatar, func(), error) { runtime.Goexit(); return nil, nil, nil }), good},
		"no avatar":         {enter(func() (*rudeAvatar, func(), error) { return nil, nil, nil }), good},
	} {
		t.Run(name, func(t *testing.T) {
			rt := newRuntime(t, actor.WithLogger(zerolog.New(badWriter{})))
			if of.realm == nil {
				of.realm = enter(func() (*rudeAvatar, func(), error) { return &rudeAvatar{}, nil, nil })
			}
			portal, err := cred.NewPortal(of.realm, of.checker)
			require.NoError(t, err)
			p := serveOn(t, rt, broker.LoginRoot(portal)).peer()
			for i := range 10 { // More than may be under way at once.
				p.Write(fmt.Sprintf(`[message %d root loginAnonymous 1 [tuple [None]] [dictionary]]`, i))
				require.Contains(t, wantError(t, p, i, "twisted.cred.error.UnauthorizedLogin"), "login refused")
			}
		})
	}
	t.Run("logout", func(t *testing.T) {
		rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
		out := make(chan struct{}, 1)
		portal, err := cred.NewPortal(enter(func() (*rudeAvatar, func(), error) {
			return &rudeAvatar{}, func() { out <- struct{}{}; panic(selfPanics{}) }, nil
		}), good)
		require.NoError(t, err)
		portal = portal.With(cred.WithLogger(slog.New(rudeHandler{})))
		p := serveOn(t, rt, broker.LoginRoot(portal)).peer()
		for i := range 3 {
			p.Forget("avatar")
			p.Write(fmt.Sprintf(`[message %d root loginAnonymous 1 [tuple [None]] [dictionary]]`, i))
			p.Want(fmt.Sprintf(`[answer %d [remote $avatar]]`, i))
			p.Write(`[decref $avatar]`)
			<-out
		}
	})
}

// TestSessionFunctionThatPanics has another attempt made.
func TestSessionFunctionThatPanics(t *testing.T) {
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &rude{rt: rt})
	require.NoError(t, err)
	ways := []func() error{
		func() error { panic(selfPanics{}) },
		func() error { return selfPanics{} },
		func() error { return (*nilError)(nil) },
		func() error { return &circle{} },
	}
	var next atomic.Int64
	client, err := broker.Reconnect(rt, ln.URL(), func(context.Context, *broker.Conn) (int64, error) {
		n := next.Add(1)
		if int(n) <= len(ways) {
			return 0, ways[n-1]()
		}
		return n, nil
	}, quick)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), wire.Timeout)
	defer cancel()
	conn, err := client.Conn(ctx)
	require.NoError(t, err)
	_, err = flavors.Call[any](ctx, conn.Root(), "ping")
	require.NoError(t, err)
	require.NoError(t, client.Close(ctx))
}

// TestWatchersThatPanic: later watchers are told in any case.
func TestWatchersThatPanic(t *testing.T) {
	conn, p := client(t)
	told := make(chan error, 2)
	conn.Root().NotifyOnDisconnect(func(error) { panic(selfPanics{}) })
	conn.Root().NotifyOnDisconnect(func(cause error) { told <- cause })
	rt := conn.Runtime()
	rt.WhenStopped(conn.PID(), func() { panic(selfPanics{}) })
	rt.WhenStopped(conn.PID(), func() { runtime.Goexit() })
	rt.WhenStopped(conn.PID(), func() { told <- nil })
	rt.OnClose(actor.PhaseStop, "rude", nil)
	p.Close()
	<-told
	<-told
	<-conn.Done()
}
