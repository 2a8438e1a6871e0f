package broker_test

import (
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// desk keeps what it is asked until it is told to answer.
type desk struct {
	flavors.Root
	open []*actor.Deferred
}

func (d *desk) RemoteAsk(inv *flavors.Invocation, _ []byte) *actor.Deferred {
	answer := actor.NewDeferred(inv.Conn().Runtime())
	d.open = append(d.open, answer)
	return answer
}

func (d *desk) RemoteAnswer() int {
	n := len(d.open)
	for _, answer := range d.open {
		answer.Complete(nil, nil)
	}
	d.open = nil
	return n
}

func TestUnansweredBytesAreBounded(t *testing.T) {
	for name, limits := range map[string]broker.Limits{
		"of a connection":           {BytesIn: 10_000},
		"of all of them":            {Total: 1, BytesIn: 1 << 20},
		"as much as has to be read": {BytesIn: 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{}
			ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", d, broker.WithLimits(limits))
			require.NoError(t, err)
			conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL())
			require.NoError(t, err)
			most := 300_000
			if limits.Total == 0 {
				most = limits.BytesIn
			}
			taken := conn.Root().CallRemote("ask", make([]byte, most+1))
			refused := conn.Root().CallRemote("ask", []byte("one more"))
			_, err = result(t, refused)
			require.ErrorIs(t, err, broker.Busy)
			_, err = flavors.Call[int](t.Context(), conn.Root(), "answer")
			require.ErrorIs(t, err, broker.Busy, "no call is taken, not even that which would help")
			_, _, done := taken.Result()
			assert.False(t, done)
			d.Do(func() { d.RemoteAnswer() })
			_, err = result(t, taken)
			require.NoError(t, err)
		})
	}
}

func TestWhatWasAnsweredNoLongerCounts(t *testing.T) {
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", &desk{}, broker.WithLimits(broker.Limits{BytesIn: 100_000}))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL())
	require.NoError(t, err)
	for range 20 {
		asked := conn.Root().CallRemote("ask", make([]byte, 50_000))
		n, err := flavors.Call[int](t.Context(), conn.Root(), "answer")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = result(t, asked)
		require.NoError(t, err)
	}
}
