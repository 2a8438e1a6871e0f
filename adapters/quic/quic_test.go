package quic_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/quic"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// echoer is the object that the tests publish.
type echoer struct{ flavors.Root }

// RemoteEcho returns its argument.
func (*echoer) RemoteEcho(v any) any { return v }

// RemoteMeet calls a method of the caller's object.
func (*echoer) RemoteMeet(inv *flavors.Invocation, guest *flavors.RemoteReference) *actor.Deferred {
	return guest.CallRemote("greet", inv.Conn().RemoteAddr().Network())
}

// guest is an object of the caller's.
type guest struct{ flavors.Referenceable }

// RemoteGreet returns a greeting.
func (*guest) RemoteGreet(how string) string { return "hello over " + how }

// house is a server and what its clients need.
type house struct {
	rt     *actor.Runtime
	ln     *broker.Listener
	client *tls.Config
	dialer broker.Option
}

// newHouse listens with a root, and with a change of the server's TLS configuration.
func newHouse(t *testing.T, root any, change func(ca *authority.Authority, server, client *tls.Config)) *house {
	ca := authority.New(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}}
	h := &house{rt: pbtest.NewRuntime(t), client: &tls.Config{RootCAs: ca.Pool()}}
	if change != nil {
		change(ca, server, h.client)
	}
	h.dialer = broker.WithTransport(quic.Transport(quic.Config{}))
	var err error
	h.ln, err = broker.Listen(h.rt, "pbq://127.0.0.1:0", root, h.dialer, broker.WithTLS(server))
	require.NoError(t, err)
	return h
}

func (h *house) dial(t *testing.T, url string) *broker.Conn {
	conn, err := broker.Dial(t.Context(), h.rt, url, h.dialer, broker.WithTLS(h.client))
	require.NoError(t, err)
	return conn
}

func TestCallsBothWays(t *testing.T) {
	h := newHouse(t, &echoer{}, nil)
	conn := h.dial(t, h.ln.URL())
	assert.EqualValues(t, tls.VersionTLS13, conn.TLS().Version)
	assert.Equal(t, "udp", conn.RemoteAddr().Network())

	big := bytes.Repeat([]byte("0123456789"), 60_000)
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			got, err := flavors.Call[[]byte](t.Context(), conn.Root(), "echo", big)
			assert.NoError(t, err)
			assert.True(t, bytes.Equal(big, got))
		})
	}
	calls.Wait()
	text, err := flavors.Call[string](t.Context(), conn.Root(), "meet", &guest{})
	require.NoError(t, err)
	assert.Equal(t, "hello over udp", text)

	require.NoError(t, conn.Close(t.Context()))
	pbtest.Eventually(t, func() bool { return len(h.ln.Conns()) == 0 })
}

// The server's answers to what came before its Close arrive, as over TCP.
func TestCloseDeliversAnswers(t *testing.T) {
	h := newHouse(t, &echoer{}, nil)
	for range 20 {
		conn := h.dial(t, h.ln.URL())
		answer := conn.Root().CallRemote("echo", "last words")
		pbtest.Eventually(t, func() bool { return len(h.ln.Conns()) == 1 })
		go func() { _ = h.ln.Conns()[0].Close(context.Background()) }()
		if got, err := answer.Await(t.Context()); err == nil {
			assert.Equal(t, "last words", got)
		} else {
			require.ErrorIs(t, err, broker.ErrPeerClosed)
		}
		<-conn.Done()
		require.ErrorIs(t, context.Cause(conn.Context()), broker.ErrPeerClosed)
		pbtest.Eventually(t, func() bool { return len(h.ln.Conns()) == 0 })
	}
}

func TestClientCertificate(t *testing.T) {
	users, err := cred.NewClientCertificates(cred.ByCommonName("harriet", "harriet"))
	require.NoError(t, err)
	enter := func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*welcome, func(), error) {
		return &welcome{name: id.Name()}, nil, nil
	}
	root := broker.Login(enter, users)
	var ca *authority.Authority
	h := newHouse(t, root, func(a *authority.Authority, server, client *tls.Config) {
		ca = a
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool()
		client.Certificates = []tls.Certificate{a.Issue("harriet", nil)}
	})
	conn := h.dial(t, h.ln.URL())
	avatar, err := conn.LoginCertificate(t.Context(), nil)
	require.NoError(t, err)
	name, err := flavors.Call[string](t.Context(), avatar, "whoami")
	require.NoError(t, err)
	assert.Equal(t, "harriet", name)
	require.NoError(t, conn.Close(t.Context()))

	mallory := authority.New(t).Issue("mallory", nil)
	for what, client := range map[string]*tls.Config{
		"no certificate":      {RootCAs: ca.Pool()},
		"another authority's": {RootCAs: ca.Pool(), Certificates: []tls.Certificate{mallory}},
	} {
		// Under TLS 1.3 a client learns that it was refused only after its handshake.
		_, err := broker.Dial(t.Context(), h.rt, h.ln.URL(), h.dialer, broker.WithTLS(client))
		require.Error(t, err, what)
	}
	pbtest.Eventually(t, func() bool { return len(h.ln.Conns()) == 0 })
}

// welcome is the avatar of TestClientCertificate.
type welcome struct {
	flavors.Avatar
	name string
}

// PerspectiveWhoami returns the user's name.
func (w *welcome) PerspectiveWhoami() string { return w.name }

func TestServerIsVerified(t *testing.T) {
	h := newHouse(t, &echoer{}, nil)
	other := &tls.Config{RootCAs: authority.New(t).Pool()}
	_, err := broker.Dial(t.Context(), h.rt, h.ln.URL(), h.dialer, broker.WithTLS(other))
	require.ErrorContains(t, err, "unknown authority")
	named := h.client.Clone()
	named.ServerName = "elsewhere.example"
	_, err = broker.Dial(t.Context(), h.rt, h.ln.URL(), h.dialer, broker.WithTLS(named))
	require.ErrorContains(t, err, "elsewhere.example")
}

// A client that reconnects resumes its session with the server.
func TestReconnectResumes(t *testing.T) {
	h := newHouse(t, &echoer{}, nil)
	c, err := broker.Reconnect[any](h.rt, h.ln.URL(), nil, h.dialer, broker.WithTLS(h.client))
	require.NoError(t, err)
	for i := range 3 {
		conn, err := c.Conn(t.Context())
		require.NoError(t, err)
		assert.Equal(t, i > 0, conn.TLS().DidResume)
		_, err = flavors.Call[string](t.Context(), conn.Root(), "echo", "hello")
		require.NoError(t, err)
		conn.Abort(errors.New("the test cuts it"))
		<-conn.Done()
	}
	require.NoError(t, c.Close(t.Context()))
}

// Dialers resume the sessions of a cache in their configuration, and no others.
func TestResumption(t *testing.T) {
	h := newHouse(t, &echoer{}, nil)
	alone := h.dial(t, h.ln.URL())
	_, err := flavors.Call[string](t.Context(), alone.Root(), "echo", "hello")
	require.NoError(t, err)
	require.NoError(t, alone.Close(t.Context()))
	h.client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	first := h.dial(t, h.ln.URL())
	assert.False(t, first.TLS().DidResume)
	_, err = flavors.Call[string](t.Context(), first.Root(), "echo", "hello")
	require.NoError(t, err)
	require.NoError(t, first.Close(t.Context()))
	again := h.dial(t, h.ln.URL())
	assert.True(t, again.TLS().DidResume)
	got, err := flavors.Call[string](t.Context(), again.Root(), "echo", "hello again")
	require.NoError(t, err)
	assert.Equal(t, "hello again", got)
}

// A server that was started anew has forgotten the session. The client's Transport has not, and connects all the same.
func TestReconnect(t *testing.T) {
	ca := authority.New(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}}
	transport := broker.WithTransport(quic.Transport(quic.Config{}))
	client := pbtest.NewRuntime(t)
	start := func(url string) (*actor.Runtime, *broker.Listener) {
		rt, err := actor.NewRuntime()
		require.NoError(t, err)
		var ln *broker.Listener
		pbtest.Eventually(t, func() bool { // The server before has the port until its last connection has ended.
			ln, err = broker.Listen(rt, url, &echoer{}, transport, broker.WithTLS(server))
			return !errors.Is(err, syscall.EADDRINUSE)
		})
		require.NoError(t, err)
		return rt, ln
	}
	rt, ln := start("pbq://127.0.0.1:0")
	url := ln.URL()
	session := func(_ context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) { return conn.Root(), nil }
	trust := broker.WithTLS(&tls.Config{RootCAs: ca.Pool()})
	c, err := broker.Reconnect(client, url, session, transport, trust)
	require.NoError(t, err)
	for range 3 {
		root, err := c.Session(t.Context())
		require.NoError(t, err)
		_, err = flavors.Call[string](t.Context(), root, "echo", "hello")
		require.NoError(t, err)
		require.NoError(t, rt.Close(t.Context()))
		<-root.Conn().Context().Done()
		rt, _ = start(url)
	}
	require.NoError(t, c.Close(t.Context()))
	require.NoError(t, rt.Close(t.Context()))
}

// udpRelay passes datagrams on. It can change the address that the server sees, as a network does when a machine moves.
type udpRelay struct {
	t      *testing.T
	front  *net.UDPConn
	server *net.UDPAddr

	mu     sync.Mutex
	client *net.UDPAddr
	back   *net.UDPConn
}

func newRelay(t *testing.T, server net.Addr) *udpRelay {
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	r := &udpRelay{t: t, front: front, server: server.(*net.UDPAddr)}
	r.move()
	t.Cleanup(func() {
		_ = front.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		_ = r.back.Close()
	})
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, from, err := front.ReadFromUDP(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.client = from
			_, _ = r.back.Write(buf[:n])
			r.mu.Unlock()
		}
	}()
	return r
}

// move sends from another address from now on. What the server sends to the old one is lost.
func (r *udpRelay) move() {
	back, err := net.DialUDP("udp", nil, r.server)
	require.NoError(r.t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.back != nil {
		_ = r.back.Close()
	}
	r.back = back
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := back.Read(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			client := r.client
			r.mu.Unlock()
			_, _ = r.front.WriteToUDP(buf[:n], client)
		}
	}()
}

// The connection survives a change of the client's address, with its references.
func TestChangeOfAddress(t *testing.T) {
	h := newHouse(t, &echoer{}, nil)
	relay := newRelay(t, h.ln.Addr())
	conn := h.dial(t, "pbq://"+relay.front.LocalAddr().String())
	var seen []string
	for range 4 {
		for range 3 {
			text, err := flavors.Call[string](t.Context(), conn.Root(), "meet", &guest{})
			require.NoError(t, err)
			assert.Equal(t, "hello over udp", text)
		}
		seen = append(seen, h.ln.Conns()[0].RemoteAddr().String())
		relay.move()
	}
	assert.Len(t, h.ln.Conns(), 1, "it is one connection all the time")
	assert.NotEqual(t, seen[0], seen[3])
}

// After Listener.Close the connections go on. When the last has ended, the port is free.
func TestPortIsFreed(t *testing.T) {
	h := newHouse(t, &echoer{}, nil)
	conn := h.dial(t, h.ln.URL())
	require.NoError(t, h.ln.Close())
	got, err := flavors.Call[string](t.Context(), conn.Root(), "echo", "still here")
	require.NoError(t, err)
	assert.Equal(t, "still here", got)
	require.NoError(t, conn.Close(t.Context()))
	pbtest.Eventually(t, func() bool {
		sock, err := net.ListenUDP("udp", h.ln.Addr().(*net.UDPAddr))
		if err == nil {
			_ = sock.Close()
		}
		return err == nil
	})
}

func TestMistakes(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	transport := broker.WithTransport(quic.Transport(quic.Config{}))
	wrong := broker.WithTransport(quic.Transport(quic.Config{IdleTimeout: -1}))
	cert := &tls.Config{Certificates: []tls.Certificate{authority.New(t).Issue("server", nil)}}
	for what, c := range map[string]struct {
		url  string
		opts []broker.ListenOption
		want string
	}{
		"no transport":      {"pbq://127.0.0.1:0", nil, `unknown scheme "pbq"`},
		"no certificate":    {"pbq://127.0.0.1:0", []broker.ListenOption{transport}, "needs broker.WithTLS"},
		"two transports":    {"pbq://127.0.0.1:0", []broker.ListenOption{transport, transport}, "two transports"},
		"negative timeouts": {"pbq://127.0.0.1:0", []broker.ListenOption{wrong}, "negative"},
		"no port number":    {"pbq://127.0.0.1:zero", []broker.ListenOption{transport, broker.WithTLS(cert)}, "port"},
	} {
		_, err := broker.Listen(rt, c.url, &echoer{}, c.opts...)
		require.ErrorContains(t, err, c.want, what)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	nobody, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer nobody.Close()
	_, err = broker.Dial(ctx, rt, "pbq://"+nobody.LocalAddr().String(), transport)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// Datagrams that are no QUIC, and handshakes that never end, harm nobody.
func TestStrangers(t *testing.T) {
	h := newHouse(t, &echoer{}, nil)
	noise, err := net.DialUDP("udp", nil, h.ln.Addr().(*net.UDPAddr))
	require.NoError(t, err)
	defer noise.Close()
	for i := range 2_000 {
		_, _ = noise.Write(bytes.Repeat([]byte{byte(i), 0xc0, 0xff}, 1+i%400))
	}
	conn := h.dial(t, h.ln.URL())
	got, err := flavors.Call[string](t.Context(), conn.Root(), "echo", "undisturbed")
	require.NoError(t, err)
	assert.Equal(t, "undisturbed", got)
}
