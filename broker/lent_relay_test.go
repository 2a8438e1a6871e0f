package broker_test

import (
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// What is lent at both ends passes a relay, which reads and writes it without decoding it. It is given back at both.
func TestLentThroughRelay(t *testing.T) {
	rt := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &store{}, broker.WithRelaying())
	require.NoError(t, err)
	connect := func() *broker.Conn {
		conn, err := broker.Dial(t.Context(), newRuntime(t, actor.WithLogger(zerolog.Nop())), ln.URL())
		require.NoError(t, err)
		return conn
	}
	owner, caller := connect(), connect()
	d := newDepot()
	_, err = flavors.Call[any](t.Context(), owner.Root(), "leave", "depot", d)
	require.NoError(t, err)
	ref, err := flavors.Call[*flavors.RemoteReference](t.Context(), caller.Root(), "fetch", "depot")
	require.NoError(t, err)
	for round := range 5 { // The first is not lent.
		for _, size := range []int{0, 1, 31 << 10, 64 << 10, 100_000, 512 << 10} {
			checkEcho(t, ref, "typed", pattern(round, size), true, true)
			checkEcho(t, ref, "echo", pattern(round, size), round%2 == 0, round%2 == 1)
			n, err := flavors.Call[int](t.Context(), ref, "keep", flavors.Lend(pattern(round, size)))
			require.NoError(t, err)
			require.Equal(t, size, n)
			if kept := <-d.seen; round > 0 && size >= 512<<10 {
				<-kept.Done()
				require.Nil(t, kept.Bytes())
			}
		}
	}
	for _, conn := range []*broker.Conn{owner, caller} {
		pbtest.Eventually(t, func() bool { return held(conn) < 64<<10 })
	}
	pbtest.Eventually(t, func() bool { return broker.StatsOf(rt).BytesHeld < 64<<10 })
}
