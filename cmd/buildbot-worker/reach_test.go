//go:build unix

package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cmd/buildbot-worker/internal/tac"
	"github.com/perspectivebroker/pb/internal/authority"
)

// tlsMaster is a master at the name localhost that wants a client certificate.
func tlsMaster(t *testing.T) (m *testMaster, ca *authority.Authority) {
	ca = authority.New(t)
	server := ca.Issue("localhost", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"}; c.IPAddresses = nil })
	m = listenOnly(t, broker.WithTLS(&tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
		MinVersion: tls.VersionTLS12,
	}))
	return m, ca
}

// TestTLSMaster reaches a master with an authority of its own that wants a client certificate.
func TestTLSMaster(t *testing.T) {
	m, ca := tlsMaster(t)
	cert, key, roots := ca.Files(ca.Issue("worker", nil))
	_, _, foreign := authority.New(t).Files(ca.Issue("x", nil))
	program := buildBinary(t)
	s := m.settings()
	s.Host, s.UseTLS = "localhost", true
	m.writeTac(s)
	for want, args := range map[string][]string{
		"unknown authority":    {"-ca", foreign, "-cert", cert, "-key", key},
		"certificate required": {"-ca", roots},
		"not elsewhere":        {"-ca", roots, "-cert", cert, "-key", key, "-server-name", "elsewhere"},
	} {
		w := startBinary(t, program, append([]string{"run", m.base}, args...)...)
		w.said(want, 1)
		assert.NoError(t, w.cmd.Process.Kill())
		require.Error(t, w.exit())
	}
	m.start("run", m.base, "-ca", roots, "-cert", cert, "-key", key)
	a := m.session()
	o, err := a.do(t, "shell", sh("echo secure"))
	require.NoError(t, err)
	assert.Equal(t, "secure\n", o.text("stdout"))
}

// The files may be in the connection string, and relative to the base directory, as with Twisted.
func TestTLSConnectionString(t *testing.T) {
	m, ca := tlsMaster(t)
	cert, key, roots := ca.Files(ca.Issue("worker", nil))
	for _, file := range []string{cert, key, roots} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Join(m.base, "ca"), 0o700))
		name := filepath.Base(file)
		if file == roots {
			name = filepath.Join("ca", name)
		}
		require.NoError(t, os.WriteFile(filepath.Join(m.base, name), text, 0o600))
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(m.url, "pbs://"))
	require.NoError(t, err)
	m.writeTac(tac.Settings{
		Name: "w", Password: "sesame",
		Connection: "ssl:localhost:" + port + ":caCertsDir=ca:certKey=cert.pem:privateKey=key.pem:bindAddress=127.0.0.1",
	})
	m.start("run", m.base)
	m.session()
}

func TestUnixMaster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.sock")
	m := listenAt(t, "pb+unix://"+path)
	m.writeTac(tac.Settings{Name: "w", Password: "sesame", Connection: "unix:" + path})
	m.start("run", m.base)
	m.session()
}

// newProxy starts an HTTP proxy and counts what it carries. It wants a login if user is set.
func newProxy(t *testing.T, user string) (url string, carried chan string) {
	carried = make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if u, p, _ := got.BasicAuth(); user != "" && (u != user || p != "secret") {
			http.Error(w, "no", http.StatusProxyAuthRequired)
			return
		}
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, "bad", http.StatusBadGateway)
			return
		}
		from, _, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		carried <- r.Host
		_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(to, from)
			to.Close()
		}()
		_, _ = io.Copy(from, to)
		from.Close()
	}))
	t.Cleanup(server.Close)
	return server.URL, carried
}

func TestProxiedMaster(t *testing.T) {
	m := listenOnly(t)
	proxy, carried := newProxy(t, "")
	s := m.settings()
	s.Proxy = "tcp:" + strings.TrimPrefix(proxy, "http://")
	m.writeTac(s)
	m.start("run", m.base)
	m.session()
	assert.Equal(t, strings.TrimPrefix(m.url, "pb://"), <-carried)
}

// TestProxiedTLS reaches a master with TLS through a proxy with a login, which must not be logged.
func TestProxiedTLS(t *testing.T) {
	m, ca := tlsMaster(t)
	cert, key, roots := ca.Files(ca.Issue("worker", nil))
	proxy, carried := newProxy(t, "anna")
	program := buildBinary(t)
	s := m.settings()
	s.Host, s.UseTLS = "localhost", true
	m.writeTac(s)
	flags := []string{"run", m.base, "-ca", roots, "-cert", cert, "-key", key, "-proxy"}
	wrong := startBinary(t, program, append(flags, strings.Replace(proxy, "//", "//anna:hunter2@", 1))...)
	wrong.said("the proxy wants a user and a password", 1)
	assert.NotContains(t, wrong.everything(), "hunter2")
	assert.NoError(t, wrong.cmd.Process.Kill())
	require.Error(t, wrong.exit())

	startBinary(t, program, append(flags, strings.Replace(proxy, "//", "//anna:secret@", 1))...)
	m.session()
	assert.True(t, strings.HasPrefix(<-carried, "localhost:"))
}
