package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// hello is the profile and the version that a client sends.
const hello = "\x02\x82pb\x02\x80\x13\x87\x06\x81"

// raw connects without speaking Perspective Broker.
func (e endpoint) raw(t *testing.T) net.Conn {
	t.Helper()
	at, err := url.Parse(e.url)
	require.NoError(t, err)
	network, address := "tcp", at.Host
	if e.transport == "unix" {
		network, address = "unix", at.Path
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), network, address)
	require.NoError(t, err)
	if config := e.tls(t); config != nil {
		config.ServerName = "localhost"
		conn = tls.Client(conn, config)
	}
	require.NoError(t, conn.SetDeadline(time.Now().Add(stock.Timeout)))
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func hostileChecks() []clientCheck {
	checks := []clientCheck{
		{"hostile streams", "connections that say nothing, or half a thing", func(t *testing.T, m *meeting) {
			for i := range 50 {
				conn := m.raw(t)
				_, err := io.WriteString(conn, hello[:i%len(hello)])
				require.NoError(t, err)
				if i%2 == 0 {
					require.NoError(t, conn.Close())
				}
			}
			assert.Equal(t, 11, call[int](t, m.conn, "add", 1))
		}},
		{"hostile streams", "an answer that is not taken fails its call", func(t *testing.T, m *meeting) {
			opts := []broker.DialOption{}
			if config := m.tls(t); config != nil {
				opts = append(opts, broker.WithTLS(config))
			}
			conn, err := broker.Dial(t.Context(), newRuntime(t), m.url, opts...) // without classes
			require.NoError(t, err)
			_, err = flavors.Call[any](t.Context(), conn.Root(), "point", 1, 2)
			require.ErrorIs(t, err, flavors.InsecureJelly)
			assert.False(t, flavors.IsRemote(err))
			assert.Equal(t, 11, call[int](t, conn, "add", 1))
		}},
		{"hostile streams", "the server hangs up", func(t *testing.T, m *meeting) {
			pending := m.conn.Root().CallRemote("never")
			_, err := m.conn.Root().CallRemote("close").Await(t.Context())
			require.ErrorIs(t, err, flavors.ConnectionLost)
			_, err = pending.Await(t.Context())
			require.ErrorIs(t, err, flavors.ConnectionLost)
			<-m.conn.Done()
			assert.ErrorIs(t, context.Cause(m.conn.Context()), broker.ErrPeerClosed)
			assert.Equal(t, 11, call[int](t, m.dial(t), "add", 1))
		}},
	}
	for _, stream := range []struct{ name, bytes string }{
		{"HTTP", "GET / HTTP/1.1\r\nHost: a-name-that-is-long-enough-to-fill-the-prefix-of-a-banana.example\r\n\r\n"},
		{"another version", hello[:len(hello)-2] + "\x05\x81"},
		{"a type byte that does not exist", hello + "\x01\x99"},
		{"a header without end", hello + strings.Repeat("\x01", 5000)},
		{"a string of a terabyte", hello + "\x00\x00\x00\x00\x00\x20\x82abc"},
		{"a list of a trillion", hello + "\x00\x00\x00\x00\x00\x20\x80"},
	} {
		checks = append(checks, clientCheck{"hostile streams", stream.name, func(t *testing.T, m *meeting) {
			conn := m.raw(t)
			_, _ = io.WriteString(conn, stream.bytes) // The server may close before the end.
			var got bytes.Buffer
			_, err := io.Copy(&got, conn) // A reset is as good as EOF.
			var timeout net.Error
			if assert.ErrorAs(t, orEOF(err), &timeout) {
				assert.False(t, timeout.Timeout(), "the connection is still open; it said %q", got.String())
			}
			assert.Equal(t, 11, call[int](t, m.conn, "add", 1), "the others go on")
		}})
	}
	return checks
}

// orEOF returns io.EOF for a connection that was closed in order.
func orEOF(err error) error {
	if err == nil {
		return &net.OpError{Op: "read", Err: io.EOF}
	}
	return err
}
