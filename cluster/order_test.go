package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
)

// probe is a placed object that tells what reaches it of a call's circumstances.
type probe struct {
	flavors.Viewable
	node string
	*probeLog
}

// probeLog is what all activations of a probe have in common.
type probeLog struct {
	ended chan error
	began chan struct{}

	mu    sync.Mutex
	notes map[string][]int // by node
}

func newProbeLog() *probeLog {
	return &probeLog{ended: make(chan error, 9), began: make(chan struct{}, 9), notes: map[string][]int{}}
}

func (c *testCluster) probes() *probeLog {
	log := newProbeLog()
	for _, n := range c.nodes {
		c.offerProbe(n, log)
	}
	return log
}

func (c *testCluster) offerProbe(n *cluster.Node, log *probeLog) {
	require.NoError(c.t, n.Kind("hall", func(string) *probe { return &probe{probeLog: log, node: n.Name()} }))
}

func (p *probe) ViewNode(any) string { return p.node }

// ViewNote notes a number, and answers what was sent.
func (p *probe) ViewNote(_ any, i int, pad string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.notes[p.node] = append(p.notes[p.node], i)
	return pad
}

func (l *probeLog) noted(node string) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.notes[node])
}

func (p *probe) ViewWait(ctx context.Context, _ any) {
	p.began <- struct{}{}
	<-ctx.Done()
	p.ended <- ctx.Err()
}

func (p *probe) ViewSeen(inv *flavors.Invocation, _ any) []any {
	_, limited := inv.Context().Deadline()
	trace, _ := inv.Metadata()["traceparent"].(string)
	return []any{limited, trace}
}

// TestCallsEndAtTheOwner: what ends a call, and what it carries, reaches the object on whatever node it lives.
func TestCallsEndAtTheOwner(t *testing.T) {
	c := newCluster(t, "a", "b")
	p := c.probes()
	url := c.gateway("a")
	for _, home := range []string{"a", "b"} {
		t.Run(home, func(t *testing.T) {
			id := c.idOn("hall", home)
			conn, ann := c.login(url, "ann")
			ref := ask[*flavors.RemoteReference](t, ann, "hall", id)

			const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
			ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
			defer cancel()
			ctx = flavors.WithMetadata(ctx, flavors.Metadata{"traceparent": trace})
			seen, err := flavors.Call[[]any](ctx, ref, "seen")
			require.NoError(t, err)
			assert.Equal(t, []any{true, trace}, seen)

			t.Run("cancelled", func(t *testing.T) {
				ctx, cancel := context.WithCancel(testContext(t))
				d := flavors.Start(ctx, ref, "wait")
				<-p.began
				cancel()
				d.Cancel()
				require.ErrorIs(t, <-p.ended, context.Canceled)
			})
			t.Run("too late", func(t *testing.T) {
				for left, began := 50*time.Millisecond, false; !began; { // Time may be up before the method begins.
					left *= 2
					ctx, cancel := context.WithTimeout(testContext(t), left)
					// The method may return before the caller's deadline.
					_, _ = flavors.Start(ctx, ref, "wait").Await(testContext(t))
					cancel()
					ask[any](t, ref, "seen") // It comes behind.
					select {
					case <-p.began:
						require.Error(t, <-p.ended)
						began = true
					default:
					}
				}
			})
			t.Run("caller gone", func(t *testing.T) {
				_ = ref.CallRemote("wait")
				<-p.began
				conn.Abort(nil)
				require.Error(t, <-p.ended)
			})
		})
	}
}

// lobby gives out placed objects to anybody.
type lobby struct {
	flavors.Root
	node *cluster.Node
}

func (l *lobby) RemoteHall(id string) *cluster.Ref { return l.node.Get("hall", id) }

// TestCallsComeBackInOrder: calls of a client that does not read wait at its gateway. If the object's node is lost
// meanwhile, they are made again where the object is placed anew, in order.
func TestCallsComeBackInOrder(t *testing.T) {
	c := newCluster(t, "a", "b")
	p := c.probes()
	ln, err := broker.Listen(c.rts["a"], "pb://127.0.0.1:0", &lobby{node: c.nodes["a"]}, broker.WithRelaying(),
		broker.WithLimits(broker.Limits{WriteHighWater: 64 << 10}))
	require.NoError(t, err)
	client := wire.Connect(t, strings.TrimPrefix(ln.URL(), "pb://"))
	client.Join()
	client.Write(`[message 1 "root" "hall" 1 [tuple ["unicode" "` + c.idOn("hall", "b") + `"]] [dictionary]]`)
	client.Want(`[answer 1 [remote 1]]`)
	pad := strings.Repeat("x", 256<<10)
	const calls, long = 120, 60
	for i := range calls {
		if i == long {
			pad = ""
		}
		client.Write(fmt.Sprintf(`[message %d 1 "note" 1 [tuple %d ["unicode" "%s"]] [dictionary]]`, 10+i, i, pad))
	}
	pbtest.Eventually(t, func() bool { return len(p.noted("b")) > 1 })
	c.nodes["b"].Close()
	c.endLease("b", "a")
	for range calls { // Some fail, because they were under way.
		client.Forget("answer")
		client.Want(`$answer`)
	}
	all := append(p.noted("b"), p.noted("a")...)
	assert.True(t, slices.IsSorted(all), "%v", all)
	assert.NotEmpty(t, p.noted("a"))
}
