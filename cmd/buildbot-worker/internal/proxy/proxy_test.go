package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tunnel is a proxy's handler. It wants a login if user is set.
func tunnel(t *testing.T, user, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := &http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if u, p, _ := got.BasicAuth(); u != user || p != password {
			http.Error(w, "no", http.StatusProxyAuthRequired)
			return
		}
		assert.Equal(t, http.MethodConnect, r.Method)
		server, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, "bad", http.StatusBadGateway)
			return
		}
		client, buffer, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\nX-A: b\r\n\r\n")
		go func() {
			_, _ = io.Copy(server, buffer)
			server.Close()
		}()
		_, _ = io.Copy(client, server)
		client.Close()
	})
}

// echo is a server that greets first and then returns what it gets.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.WriteString(conn, "hello\n")
				_, _ = io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func checkEcho(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := io.WriteString(conn, "again\n")
	require.NoError(t, err)
	lines := bufio.NewReader(conn)
	for _, want := range []string{"hello\n", "again\n"} {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, want, line)
	}
	conn.Close()
}

var plain = new(net.Dialer).DialContext

func TestThrough(t *testing.T) {
	server := echo(t)
	for _, secure := range []bool{false, true} {
		var config *tls.Config
		s := httptest.NewUnstartedServer(tunnel(t, "anna", "p@ss/word"))
		if secure {
			s.StartTLS()
			roots := x509.NewCertPool()
			roots.AddCert(s.Certificate())
			config = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		u, err := Parse(s.URL)
		require.NoError(t, err)
		_, err = Through(Always(u), plain, config)(t.Context(), "tcp", server)
		assert.ErrorContains(t, err, "the proxy wants a user and a password")

		u.User = url.UserPassword("anna", "p@ss/word")
		conn, err := Through(Always(u), plain, config)(t.Context(), "tcp", server)
		require.NoError(t, err)
		checkEcho(t, conn)

		_, err = Through(Always(u), plain, config)(t.Context(), "tcp", "127.0.0.1:1")
		assert.ErrorContains(t, err, "502 Bad Gateway")
		assert.NotContains(t, err.Error(), "p@ss")
		assert.NotContains(t, err.Error(), "p%40ss")
	}
}

// TestEnvironment runs itself as a process for each case: the standard library reads the environment once.
func TestEnvironment(t *testing.T) {
	if address := os.Getenv("PB_ADDRESS"); address != "" {
		u, err := FromEnvironment()(address)
		fmt.Println("chosen:", u, err)
		return
	}
	for _, c := range []struct{ proxy, address, want string }{
		{"http://proxy.example.org:3128", "n.example.org:9989", "chosen: http://proxy.example.org:3128 <nil>"},
		{"proxy.example.org:3128", "n.example.org:9989", "chosen: http://proxy.example.org:3128 <nil>"},
		{"http://proxy.example.org:3128", "m.example.org:9989", "chosen: <nil> <nil>"},
		{"http://proxy.example.org:3128", "127.0.0.1:9989", "chosen: <nil> <nil>"},
		{"socks5://h:1", "n.example.org:9989", "must be http://"},
		{"", "n.example.org:9989", "chosen: <nil> <nil>"},
	} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnvironment$", "-test.v")
		cmd.Env = []string{"PB_ADDRESS=" + c.address, "HTTPS_PROXY=" + c.proxy, "NO_PROXY=m.example.org"}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		assert.Contains(t, string(out), c.want, c.proxy)
	}
}

func TestBadProxies(t *testing.T) {
	for name, c := range map[string]struct{ answer, want string }{
		"closes":         {"", "unexpected EOF"},
		"not HTTP":       {"SSH-2.0-OpenSSH\r\n", "malformed HTTP"},
		"refuses":        {"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"},
		"redirects":      {"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "302 Found"},
		"endless header": {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 50_000), "more than 65536 bytes"},
		"only interim":   {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10), "interim"},
		"half a header":  {"HTTP/1.1 200 OK\r\nX: ", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err == nil {
					_, _ = http.ReadRequest(bufio.NewReader(conn))
					_, _ = io.WriteString(conn, c.answer)
					conn.Close()
				}
			}()
			u, err := Parse("http://u:secret@" + l.Addr().String())
			require.NoError(t, err)
			_, err = Through(Always(u), plain, nil)(t.Context(), "tcp", "m:9989")
			assert.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}

// A proxy that says nothing is given up after a minute, or when the context ends.
func TestSilentProxy(t *testing.T) {
	for _, early := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			forward := func(context.Context, string, string) (net.Conn, error) { return ours, nil }
			u, err := Parse("http://p:1")
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			want := "the proxy does not answer"
			if early {
				go cancel()
				want = "context canceled"
			}
			_, err = Through(Always(u), forward, nil)(ctx, "tcp", "m:9989")
			assert.ErrorContains(t, err, want)
			cancel()
		})
	}
}

func TestParseProxy(t *testing.T) {
	for _, text := range []string{"", "proxy:3128", "ftp://h", "http://", "http://u:secret@h\x7f", "http://u:secret@:80"} {
		_, err := Parse(text)
		require.Error(t, err, text)
		assert.NotContains(t, err.Error(), "secret")
	}
}
