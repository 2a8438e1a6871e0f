package broker_test

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// desk does not answer ask before answer is called.
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

func TestBytesIn(t *testing.T) {
	for name, test := range map[string]struct {
		limits broker.Limits
		fill   []int // sizes of the calls that leave no room for another
	}{
		"one connection": {broker.Limits{BytesIn: 10_000}, []int{10_001}},
		// A message that is larger than a share would be refused once the total is reached.
		"all connections": {broker.Limits{MemoryTotal: 1, BytesIn: 1 << 20}, []int{150_000, 94_000}},
		"one read":        {broker.Limits{BytesIn: 1}, []int{2}},
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
			require.ErrorIs(t, err, broker.Busy, "no call is admitted, not even answer")
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

func TestBytesInReturned(t *testing.T) {
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

// While application code makes a copy, what the peer sends next waits in the network and not in memory.
func TestSlowCopyStopsReading(t *testing.T) {
	const bytesIn, flood = 20_000, 1_000_000
	version := command.AppendVersion(nil, banana.ProfilePB, 6)
	for name, frame := range map[string][]byte{"versions": version, "calls": sized(t, 2, "count", 100)} {
		for limit, limits := range map[string]broker.Limits{
			"its own": {BytesIn: bytesIn}, "the runtime's": {BytesIn: 1 << 30, MemoryTotal: 1},
		} {
			t.Run(name+", "+limit, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					gate := make(chan struct{})
					r := jelly.NewRegistry()
					slow := func() *unmakeable { return &unmakeable{state: func() { <-gate }} }
					require.NoError(t, flavors.RegisterCopyFactory(r, "test.Copy", slow))
					s := newServer(t, &fragile{}, broker.WithRegistry(r), broker.WithLimits(limits),
						broker.WithKeepalive(time.Minute, time.Minute))
					raw := s.dial()
					p := peerOver(t, raw)
					conn := only(t, s)
					p.Write(`[message 1 root take 1 [tuple ["test.Copy" [dictionary]]] [dictionary]]`)
					var written atomic.Int64
					sent := make(chan error, 1)
					go func() {
						piece := bytes.Repeat(frame, 1000/len(frame))
						for written.Load() < flood {
							n, err := raw.Write(piece)
							written.Add(int64(n))
							if err != nil {
								sent <- err
								return
							}
						}
						sent <- nil
					}()
					go func() { _, _ = io.Copy(io.Discard, raw) }()
					time.Sleep(10 * time.Minute) // Keepalive would have ended it long ago.
					synctest.Wait()
					read := written.Load()
					most := int64(bytesIn)
					if limits.MemoryTotal > 0 {
						most = connShare
					}
					assert.Less(t, read, most+70_000, "beyond the limit by one read")
					assert.LessOrEqual(t, broker.StatsOf(s.rt).BytesHeld, int(most)+70_000)
					require.NoError(t, conn.Context().Err())
					bystander := s.peer()
					bystander.Write(`[message 1 root count 1 [tuple] [dictionary]]`)
					bystander.Want(`[answer 1 _]`)

					close(gate)
					require.NoError(t, <-sent)
					synctest.Wait()
					assert.Zero(t, broker.StatsOf(s.rt).BytesHeld)
					require.NoError(t, conn.Context().Err())
				})
			})
		}
	}
}
