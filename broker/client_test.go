package broker_test

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// pipe gives the two ends of a connection that needs no network.
func pipe() (here, there net.Conn) { return net.Pipe() }

func TestDialNegotiatesEachProfile(t *testing.T) {
	for _, profile := range []banana.Profile{banana.ProfilePB1, banana.ProfilePB, banana.ProfileNone} {
		t.Run(profile.String(), func(t *testing.T) {
			conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(profile) })
			require.NoError(t, err)
			require.Equal(t, profile, conn.Profile())
			d := conn.Root().CallRemote("add", 1, 2)
			p.Want(`[message 1 root add 1 [tuple 1 2] [dictionary]]`)
			p.Write(`[answer 1 3]`)
			v, err := d.Await(context.Background())
			require.NoError(t, err)
			require.EqualValues(t, 3, v)
		})
	}
}

func TestDialFailsOnBadNegotiation(t *testing.T) {
	for name, test := range map[string]struct {
		host func(p *wire.Peer)
		says string
	}{
		"only unknown profiles":    {func(p *wire.Peer) { p.Write(`[esperanto volapük]`) }, "no common profile"},
		"an empty offer":           {func(p *wire.Peer) { p.Write(`[]`) }, "no common profile"},
		"an offer that is no list": {func(p *wire.Peer) { p.Write(`pb`) }, "no common profile"},
		"an offer of numbers":      {func(p *wire.Peer) { p.Write(`[1 2]`) }, "no common profile"},
		"garbage": {func(p *wire.Peer) { p.WriteBytes([]byte("HTTP/1.1 400 Bad Request\r\n\r\n\xff")) },
			"not valid Banana"},
		"a prefix without end":   {func(p *wire.Peer) { p.WriteBytes(make([]byte, 65)) }, "not valid Banana"},
		"the end, before a word": {func(p *wire.Peer) { p.Close() }, "the peer closed the connection"},
		"the end, in the middle of one": {func(p *wire.Peer) { p.WriteBytes([]byte{2, byte(banana.List)}); p.Close() },
			"in the middle of a message"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p, err := dialScripted(t, newRuntime(t), test.host)
			require.Nil(t, conn)
			require.ErrorContains(t, err, test.says)
			p.WantClosed()
		})
	}
}

func TestDialHonoursItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	here, there := pipe()
	p := wire.New(t, there)
	done := make(chan error, 1)
	rt := newRuntime(t)
	go func() {
		_, err := broker.NewClientConn(ctx, rt, here)
		done <- err
	}()
	offer := banana.AppendOffer(nil)
	p.WriteBytes(
		offer[:len(offer)-1],
	) // Now the client is in the middle of the negotiation; with the last byte it would be through.
	cancel(errPlain)
	require.ErrorIs(t, <-done, errPlain)
	_, _ = io.Copy(io.Discard, there) // What it may have sent of its choice is of no interest.
}

func TestServerOfAnotherVersion(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) {
		p.Write(`[pb none]`)
		p.Want(`pb`)
		p.Speak(banana.ProfilePB)
		p.Want(`[version 6]`)
	})
	require.NoError(t, err)
	d := conn.Root().CallRemote("add")
	p.Want(`[message 1 root add 1 [tuple] [dictionary]]`)
	p.Write(`[version 7]`)
	p.WantClosed()
	_, err = d.Await(context.Background())
	var protocol *broker.ProtocolError
	require.ErrorAs(t, err, &protocol)
	require.ErrorContains(t, protocol, "version 7")
	require.Same(t, protocol, context.Cause(conn.Context()))
}
