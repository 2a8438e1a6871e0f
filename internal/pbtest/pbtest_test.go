package pbtest_test

import (
	"net"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClient(t *testing.T) {
	conn, p := pbtest.Client(t)
	ref := pbtest.Receive(t, conn, p, 7)
	d := ref.CallRemote("add", 1)
	p.Want(`[message 2 7 add 1 [tuple 1] [dictionary]]`)
	p.Write(`[answer 2 2]`)
	v, err := pbtest.Result(t, d)
	require.NoError(t, err)
	require.EqualValues(t, 2, v)
	go p.Drain()
	require.NoError(t, conn.Close(t.Context()))
}

type root struct{ flavors.Referenceable }

func TestPipeListener(t *testing.T) {
	pipes := pbtest.NewPipeListener()
	ln, err := broker.ListenOn(pbtest.NewRuntime(t), pipes, &root{})
	require.NoError(t, err)
	require.Equal(t, "pipe", ln.Addr().String())
	require.Equal(t, "pipe", ln.Addr().Network())
	p := wire.New(t, pipes.Dial())
	p.Join()
	p.Write(`[message 1 root none 1 [tuple] [dictionary]]`)
	pbtest.WantError(t, p, 1, "twisted.spread.flavors.NoSuchMethod")
	tries := 0
	pbtest.Eventually(t, func() bool { tries++; return tries == 2 })
	require.NoError(t, ln.Close())
	_, err = pipes.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
