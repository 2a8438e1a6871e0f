package logins

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/stock"
)

// loopback is a certificate for a server called localhost.
func loopback(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }

func TestStockServerOverTLS(t *testing.T) {
	stock.Require(t) // Debian's package also installs what TLS needs.
	ca := authority.New(t)
	cert, key, root := ca.Files(ca.Issue("server", loopback))
	alice := cred.UsernamePassword{Username: "alice", Password: "sesame"}

	t.Run("our client logs in, and keeps its password to itself", func(t *testing.T) {
		server := stock.Start(t, script(t, "tls_peer.py"), "server", cert, key, root)
		conn, err := broker.Dial(
			t.Context(),
			newRuntime(t),
			"pbs://"+server.Addr(),
			broker.WithTLS(&tls.Config{RootCAs: ca.Pool()}),
		)
		require.NoError(t, err)
		_, err = conn.LoginPassword(t.Context(), alice, nil)
		require.ErrorIs(t, err, broker.ErrNotOffered)
		avatar, err := conn.Login(t.Context(), alice, nil)
		require.NoError(t, err)
		name, err := flavors.Call[string](t.Context(), avatar, "whoami")
		require.NoError(t, err)
		assert.Equal(t, "alice", name)
		conn.Logout(avatar)
		server.WaitLine("logout alice")
		assert.NotContains(t, server.Lines(), "called loginPassword")
		assert.Contains(t, server.Lines(), "called loginMethods")
	})
	t.Run("not if it is of another authority", func(t *testing.T) {
		server := stock.Start(t, script(t, "tls_peer.py"), "server", cert, key, root)
		_, err := broker.Dial(
			t.Context(),
			newRuntime(t),
			"pbs://"+server.Addr(),
			broker.WithTLS(&tls.Config{RootCAs: authority.New(t).Pool()}),
		)
		require.ErrorContains(t, err, "unknown authority")
	})
	t.Run("mutual", func(t *testing.T) {
		server := stock.Start(t, script(t, "tls_peer.py"), "server", cert, key, root, "--mutual")
		config := &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Issue("client", nil)}}
		conn, err := broker.Dial(t.Context(), newRuntime(t), "pbs://"+server.Addr(), broker.WithTLS(config))
		require.NoError(t, err)
		_, err = conn.Login(t.Context(), alice, nil)
		require.NoError(t, err)
		_, err = broker.Dial(
			t.Context(),
			newRuntime(t),
			"pbs://"+server.Addr(),
			broker.WithTLS(&tls.Config{RootCAs: ca.Pool()}),
		)
		require.Error(t, err, "without a certificate nobody gets in")
	})
}

func TestStockClientOverTLS(t *testing.T) {
	stock.Require(t) // Debian's package also installs what TLS needs.
	ca := authority.New(t)
	cert, key, root := ca.Files(ca.Issue("client", nil))
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	require.NoError(t, err)
	portal, err := cred.NewPortal(stockUsers{}, users)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		certificate tls.Certificate
		says        string
	}{
		"it logs in":                         {ca.Issue("server", loopback), "I am alice"},
		"not if we are of another authority": {authority.New(t).Issue("server", loopback), "failed"},
		"not if we have another name":        {ca.Issue("server", nil), "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := broker.Listen(newRuntime(t), "pbs://127.0.0.1:0", broker.LoginRoot(portal), broker.WithTLS(&tls.Config{
				Certificates: []tls.Certificate{test.certificate},
				ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
			}))
			require.NoError(t, err)
			client := stock.Start(t, script(t, "tls_peer.py"), "client", port(t, ln), cert, key, root)
			client.WaitLine(test.says)
			assert.Zero(t, client.Exit())
		})
	}
}

func port(t *testing.T, ln *broker.Listener) string {
	t.Helper()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	return port
}
