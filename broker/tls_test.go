package broker_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/stretchr/testify/require"
)

// serveSecurely listens at a pbs:// URL.
func serveSecurely(t *testing.T, root any, config *tls.Config, opts ...broker.ListenOption) *broker.Listener {
	t.Helper()
	ln, err := broker.Listen(newRuntime(t), "pbs://127.0.0.1:0", root, append(opts, broker.WithTLS(config))...)
	require.NoError(t, err)
	return ln
}

func TestTLS(t *testing.T) {
	ca := authority.New(t)
	ln := serveSecurely(t, &service{}, &tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}})
	require.Contains(t, ln.URL(), "pbs://127.0.0.1:")
	conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL(), broker.WithTLS(&tls.Config{RootCAs: ca.Pool()}))
	require.NoError(t, err)
	sum, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, sum)
	require.NoError(t, conn.Close(t.Context()))
}

func TestTLSClientsRefuse(t *testing.T) {
	ca, other := authority.New(t), authority.New(t)
	for name, test := range map[string]struct {
		server *tls.Config
		client *tls.Config
		says   string
	}{
		"a server of another authority": {
			&tls.Config{Certificates: []tls.Certificate{other.Issue("server", nil)}}, &tls.Config{RootCAs: ca.Pool()},
			"unknown authority",
		},
		"a server that the system does not trust": {
			&tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}}, nil, "unknown authority",
		},
		"a certificate that has expired": {
			&tls.Config{Certificates: []tls.Certificate{ca.Issue("server", authority.Expired)}}, &tls.Config{RootCAs: ca.Pool()},
			"expired",
		},
		"another name": {
			&tls.Config{Certificates: []tls.Certificate{ca.Issue("server", func(c *x509.Certificate) {
				c.IPAddresses, c.DNSNames = nil, []string{"elsewhere.example"}
			})}},
			&tls.Config{RootCAs: ca.Pool()}, "IP SANs",
		},
		"TLS 1.2": {
			&tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}, MinVersion: tls.VersionTLS12,
				MaxVersion: tls.VersionTLS12},
			&tls.Config{RootCAs: ca.Pool()}, "protocol version",
		},
	} {
		t.Run(name, func(t *testing.T) {
			ln := serveSecurely(t, &service{}, test.server)
			var opts []broker.DialOption
			if test.client != nil {
				opts = append(opts, broker.WithTLS(test.client))
			}
			_, err := broker.Dial(t.Context(), newRuntime(t), ln.URL(), opts...)
			require.ErrorContains(t, err, test.says)
			require.Empty(t, ln.Conns())
		})
	}
}

func TestTLSServersRefuse(t *testing.T) {
	ca, other := authority.New(t), authority.New(t)
	server := &tls.Config{
		Certificates: []tls.Certificate{ca.Issue("server", nil)},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
	}
	for name, client := range map[string]*tls.Config{
		"no certificate":           {},
		"one of another authority": {Certificates: []tls.Certificate{other.Issue("alice", nil)}},
		"one that has expired":     {Certificates: []tls.Certificate{ca.Issue("alice", authority.Expired)}},
		"TLS 1.2, with a right one": {Certificates: []tls.Certificate{ca.Issue("alice", nil)}, MinVersion: tls.VersionTLS12,
			MaxVersion: tls.VersionTLS12},
		"one that is for servers alone": {Certificates: []tls.Certificate{ca.Issue("alice", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})}},
	} {
		t.Run(name, func(t *testing.T) {
			ln := serveSecurely(t, &service{}, server)
			client.RootCAs = ca.Pool()
			// With TLS 1.3 a client hears of it only with what it reads next, which is the offer of profiles.
			_, err := broker.Dial(t.Context(), newRuntime(t), ln.URL(), broker.WithTLS(client))
			require.Error(t, err)
			require.ErrorContains(t, err, "tls: ")
			require.Empty(t, ln.Conns())
		})
	}
}

func TestTLSIsNeverLeftOut(t *testing.T) {
	ca := authority.New(t)
	config := broker.WithTLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}, RootCAs: ca.Pool()})
	rt := newRuntime(t)
	_, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{}, config)
	require.ErrorContains(t, err, "pbs://")
	_, err = broker.Listen(rt, "pb+unix://"+t.TempDir()+"/s", &service{}, config)
	require.ErrorContains(t, err, "WithTLS")
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &service{})
	require.NoError(t, err)
	_, err = broker.Dial(t.Context(), rt, ln.URL(), config)
	require.ErrorContains(t, err, "pbs://")
	_, err = broker.Listen(rt, "pbs://127.0.0.1:0", &service{})
	require.ErrorContains(t, err, "certificate")
	_, err = broker.Listen(rt, "pbs://127.0.0.1:0", &service{}, broker.WithTLS(&tls.Config{}))
	require.ErrorContains(t, err, "certificate")
	// If one end speaks TLS and the other does not, neither waits forever.
	secure := serveSecurely(t, &service{}, &tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}},
		broker.WithLimits(broker.Limits{Handshake: time.Second}))
	_, err = broker.Dial(
		t.Context(),
		rt,
		"pb://"+secure.Addr().String(),
		broker.WithLimits(broker.Limits{Handshake: time.Second}),
	)
	require.Error(t, err)
	_, err = broker.Dial(t.Context(), rt, "pbs://"+ln.Addr().String(), config)
	require.ErrorContains(t, err, "TLS handshake")
}

func TestTLSOverGivenSockets(t *testing.T) {
	ca := authority.New(t)
	rt := newRuntime(t)
	pipe := broker.NewPipeListener()
	ln, err := broker.ListenOn(
		rt,
		pipe,
		&service{},
		broker.WithTLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}}),
	)
	require.NoError(t, err)
	require.Contains(t, ln.URL(), "pbs://")
	sock, err := pipe.Dial(t.Context())
	require.NoError(t, err)
	conn, err := broker.NewClientConn(
		t.Context(),
		rt,
		sock,
		broker.WithTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}),
	)
	require.NoError(t, err)
	sum, err := flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
	require.NoError(t, err)
	require.Equal(t, 3, sum)

	sock, err = pipe.Dial(t.Context())
	require.NoError(t, err)
	_, err = broker.NewClientConn(t.Context(), rt, sock, broker.WithTLS(&tls.Config{RootCAs: ca.Pool()}))
	require.ErrorContains(t, err, "ServerName", "which server it should be must be said by somebody")
}

// TestSilentTLSServer must not hold up a client that was given no deadline.
func TestSilentTLSServer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	_, err = broker.Dial(context.Background(), newRuntime(t), "pbs://"+silent.Addr().String(),
		broker.WithLimits(broker.Limits{Handshake: 50 * time.Millisecond}))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestLoginByCertificate(t *testing.T) {
	ca := authority.New(t)
	h := &house{}
	rules, err := cred.NewClientCertificates(cred.ByCommonName("alice@example", "alice"))
	require.NoError(t, err)
	portal, err := cred.NewPortal(h, rules)
	require.NoError(t, err)
	ln := serveSecurely(t, broker.LoginRoot(portal), &tls.Config{
		Certificates: []tls.Certificate{ca.Issue("server", nil)},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: ca.Pool(),
	})
	rt := newRuntime(t)
	dial := func(certificates ...tls.Certificate) *broker.Conn {
		conn, err := broker.Dial(
			t.Context(),
			rt,
			ln.URL(),
			broker.WithTLS(&tls.Config{RootCAs: ca.Pool(), Certificates: certificates}),
		)
		require.NoError(t, err)
		return conn
	}
	conn := dial(ca.Issue("alice@example", nil))
	avatar, err := conn.LoginCertificate(t.Context(), nil)
	require.NoError(t, err)
	name, err := flavors.Call[string](t.Context(), avatar, "whoami")
	require.NoError(t, err)
	require.Equal(t, "alice", name)
	methods, err := flavors.Call[[]string](t.Context(), conn.Root(), "loginMethods")
	require.NoError(t, err)
	require.Equal(t, []string{"loginCertificate"}, methods)

	_, err = dial(ca.Issue("mallory@example", nil)).LoginCertificate(t.Context(), nil)
	require.ErrorIs(t, err, flavors.UnauthorizedLogin)
	_, err = dial().LoginCertificate(t.Context(), nil)
	require.ErrorIs(t, err, flavors.NoSuchMethod)
	// Nor does a certificate help with another kind of login.
	_, err = conn.Login(t.Context(), cred.Anonymous{}, nil)
	require.ErrorIs(t, err, flavors.UnauthorizedLogin)
}

func TestLoginByPasswordInTLS(t *testing.T) {
	ca := authority.New(t)
	h := &house{}
	hasher := cred.NewHasher()
	entry, err := hasher.Argon2id(t.Context(), "sesame")
	require.NoError(t, err)
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": entry}, cred.WithHasher(hasher))
	require.NoError(t, err)
	portal, err := cred.NewPortal(h, users)
	require.NoError(t, err)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}}
	rt := newRuntime(t)
	dial := func(root any) *broker.Conn {
		conn, err := broker.Dial(
			t.Context(),
			rt,
			serveSecurely(t, root, config).URL(),
			broker.WithTLS(&tls.Config{RootCAs: ca.Pool()}),
		)
		require.NoError(t, err)
		return conn
	}
	conn := dial(broker.LoginRoot(portal, unhurried()))
	alice := cred.UsernamePassword{Username: "alice", Password: "sesame"}
	avatar, err := conn.LoginPassword(t.Context(), alice, nil)
	require.NoError(t, err)
	name, err := flavors.Call[string](t.Context(), avatar, "whoami")
	require.NoError(t, err)
	require.Equal(t, "alice", name)
	for _, wrong := range []cred.UsernamePassword{
		{Username: "alice", Password: "guess"}, {Username: "nobody", Password: "sesame"},
	} {
		_, err = conn.LoginPassword(t.Context(), wrong, nil)
		require.ErrorIs(t, err, flavors.UnauthorizedLogin)
	}
	_, err = conn.Login(t.Context(), alice, nil)
	require.ErrorIs(t, err, flavors.UnauthorizedLogin, "what is kept as a good hash cannot answer a challenge")

	t.Run("no password to a server without password login", func(t *testing.T) {
		ear := &eavesdropper{}
		_, err := dial(ear).LoginPassword(t.Context(), alice, nil)
		require.ErrorIs(t, err, broker.ErrNotOffered)
		_, err = dial(broker.LoginRoot(onlyAnonymous(t))).LoginPassword(t.Context(), alice, nil)
		require.ErrorIs(t, err, broker.ErrNotOffered)
		require.False(t, ear.heard.Load())
	})
}
