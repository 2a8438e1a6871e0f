package broker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/freeport"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plain is a transport over TCP that records what it is asked for.
func plain(asked *[]string) broker.Transport {
	return broker.Transport{
		Scheme: "plain",
		Listen: func(address string, config *tls.Config) (net.Listener, error) {
			*asked = append(*asked, "listen "+address)
			return net.Listen("tcp", address)
		},
		Dial: func(ctx context.Context, _ string, config *tls.Config) (net.Conn, error) {
			*asked = append(*asked, "dial "+config.ServerName)
			return new(net.Dialer).DialContext(ctx, "tcp", (*asked)[0][len("listen "):])
		},
	}
}

func TestTransport(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	address := freeport.Address(t)

	var asked []string
	transport := broker.WithTransport(plain(&asked))
	ln, err := broker.Listen(rt, "plain://"+address, &summer{}, transport)
	require.NoError(t, err)
	assert.Equal(t, "plain://"+address, ln.URL())
	conn, err := broker.Dial(t.Context(), rt, "plain://hub.example:1/root", transport)
	require.NoError(t, err)
	got, err := flavors.Call[int](t.Context(), conn.Root(), "add", 40, 2)
	require.NoError(t, err)
	assert.Equal(t, 42, got)
	assert.Equal(t, []string{"listen " + address, "dial hub.example"}, asked)
	assert.Equal(t, "plain://hub.example:1", conn.ServerIdentity())
}

// summer adds.
type summer struct{ flavors.Root }

func (*summer) RemoteAdd(a, b int) int { return a + b }

func TestTransportMistakes(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	dial := func(context.Context, string, *tls.Config) (net.Conn, error) { return nil, nil }
	listen := func(string, *tls.Config) (net.Listener, error) { return nil, nil }
	nothing := broker.Transport{Scheme: "plain", Listen: listen, Dial: dial}
	asNothing := broker.WithTransport(nothing)
	taken := broker.Transport{Scheme: "pbs", Listen: listen, Dial: dial}
	fails := broker.Transport{
		Scheme: "plain",
		Listen: func(string, *tls.Config) (net.Listener, error) { panic("no wires") },
		Dial:   func(context.Context, string, *tls.Config) (net.Conn, error) { return nil, errors.New("no wires") },
	}
	for name, c := range map[string]struct {
		opts               []broker.Option
		listening, dialing string
	}{
		"none":       {nil, "unknown scheme", "unknown scheme"},
		"no scheme":  {[]broker.Option{broker.WithTransport(broker.Transport{})}, "set all three", "set all three"},
		"our scheme": {[]broker.Option{broker.WithTransport(taken)}, "itself", "itself"},
		"two":        {[]broker.Option{asNothing, asNothing}, "two transports", "two transports"},
		"nothing":    {[]broker.Option{broker.WithTransport(nothing)}, "no listener", "no connection"},
		"failing":    {[]broker.Option{broker.WithTransport(fails)}, "no wires", "no wires"},
	} {
		var listenOpts []broker.ListenOption
		var dialOpts []broker.DialOption
		for _, o := range c.opts {
			listenOpts, dialOpts = append(listenOpts, o), append(dialOpts, o)
		}
		_, err := broker.Listen(rt, "plain://127.0.0.1:1", &summer{}, listenOpts...)
		require.ErrorContains(t, err, c.listening, name)
		_, err = broker.Dial(t.Context(), rt, "plain://127.0.0.1:1", dialOpts...)
		require.ErrorContains(t, err, c.dialing, name)
	}
	dialer := broker.WithDialer(func(context.Context, string, string) (net.Conn, error) { return nil, nil })
	_, err := broker.Dial(t.Context(), rt, "plain://127.0.0.1:1", broker.WithTransport(nothing), dialer)
	require.ErrorContains(t, err, "WithDialer is for pb, pbs and pb+unix")
}
