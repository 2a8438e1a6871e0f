package quic_test

import (
	"context"
	"crypto/tls"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/quic"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/require"
)

// The parts of this file are those of docs/guide/connections.md.

//guide:begin quic

// overQUIC is for both sides.
var overQUIC = broker.WithTransport(quic.Transport(quic.Config{}))

// serveQUIC listens at a URL such as pbq://:8787.
func serveQUIC(rt *actor.Runtime, url string, root any, config *tls.Config) (*broker.Listener, error) {
	return broker.Listen(rt, url, root, overQUIC, broker.WithTLS(config))
}

// dialQUIC connects to a URL such as pbq://hub.example:8787.
func dialQUIC(ctx context.Context, rt *actor.Runtime, url string, config *tls.Config) (*broker.Conn, error) {
	return broker.Dial(ctx, rt, url, overQUIC, broker.WithTLS(config))
}

//guide:end

func TestGuide(t *testing.T) {
	ca, rt := authority.New(t), pbtest.NewRuntime(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}}
	ln, err := serveQUIC(rt, "pbq://127.0.0.1:0", &echoer{}, server)
	require.NoError(t, err)
	conn, err := dialQUIC(t.Context(), rt, ln.URL(), &tls.Config{RootCAs: ca.Pool()})
	require.NoError(t, err)
	got, err := flavors.Call[string](t.Context(), conn.Root(), "echo", "hello")
	require.NoError(t, err)
	require.Equal(t, "hello", got)
}
