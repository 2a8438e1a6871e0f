package quic

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// TestConn holds a connection against what a net.Conn must do.
func TestConn(t *testing.T) {
	ca := authority.New(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}, MinVersion: tls.VersionTLS13}
	transport := Transport(Config{})
	ln, err := transport.Listen("127.0.0.1:0", server)
	require.NoError(t, err)
	defer ln.Close()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		accepted := make(chan net.Conn, 1)
		go func() {
			c, err := ln.Accept()
			if err == nil {
				_, err = c.Write([]byte{0}) // The server speaks first; until then the client waits.
			}
			if err == nil {
				accepted <- c
			}
			close(accepted)
		}()
		client := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
		c1, err = transport.Dial(t.Context(), ln.Addr().String(), client)
		if err != nil {
			return nil, nil, nil, err
		}
		if _, err := c1.Read(make([]byte, 1)); err != nil {
			return nil, nil, nil, err
		}
		c2 = <-accepted
		return c1, c2, func() { _, _ = c1.Close(), c2.Close() }, nil
	})
}
