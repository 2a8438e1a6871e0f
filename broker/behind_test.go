package broker_test

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNothingIsReadBehindACopyThatTakesItsTime: whatever stands behind it in the stream has to wait, calls or not, and
// it waits in the network rather than in our memory.
func TestNothingIsReadBehindACopyThatTakesItsTime(t *testing.T) {
	const bytesIn, flood = 20_000, 1_000_000
	version := banana.AppendInt(banana.AppendSymbol(banana.AppendList(nil, 2), banana.ProfilePB, banana.SymVersion), 6)
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
					time.Sleep(10 * time.Minute) // It would be given up as silent long ago.
					synctest.Wait()
					read := written.Load()
					most := int64(bytesIn)
					if limits.MemoryTotal > 0 {
						most = connShare
					}
					assert.Less(t, read, most+70_000, "beyond the limit by what one read brings")
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
