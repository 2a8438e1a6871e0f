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
	for name, test := range map[string]struct {
		limits broker.Limits
		fill   []int // what is taken, and leaves no room for another
	}{
		"of a connection": {broker.Limits{BytesIn: 10_000}, []int{10_001}},
		// A message that is larger than a connection's share would not get in where there is too much already.
		"of all of them":            {broker.Limits{MemoryTotal: 1, BytesIn: 1 << 20}, []int{150_000, 94_000}},
		"as much as has to be read": {broker.Limits{BytesIn: 1}, []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			d := &desk{}
			ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", d, broker.WithLimits(test.limits))
			require.NoError(t, err)
			conn, err := broker.Dial(t.Context(), newRuntime(t), ln.URL())
			require.NoError(t, err)
			var taken []*actor.Deferred
			for _, size := range test.fill {
				taken = append(taken, conn.Root().CallRemote("ask", make([]byte, size)))
			}
			refused := conn.Root().CallRemote("ask", []byte("one more"))
			_, err = result(t, refused)
			require.ErrorIs(t, err, broker.Busy)
			_, err = flavors.Call[int](t.Context(), conn.Root(), "answer")
			require.ErrorIs(t, err, broker.Busy, "no call is taken, not even that which would help")
			for _, call := range taken {
				_, _, done := call.Result()
				assert.False(t, done)
			}
			d.Do(func() { d.RemoteAnswer() })
			for _, call := range taken {
				_, err = result(t, call)
				require.NoError(t, err)
			}
		})
	}
}

func TestWhatWasAnsweredNoLongerCounts(t *testing.T) {
	ln, err := broker.Listen(
		newRuntime(t),
		"pb://127.0.0.1:0",
		&desk{},
		broker.WithLimits(broker.Limits{BytesIn: 100_000}),
	)
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
