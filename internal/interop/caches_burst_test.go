package interop

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// leader is the root; stock programs follow its pond.
type leader struct {
	flavors.Root
	pond    pond
	waiting []*actor.Deferred
	here    chan struct{} // receives one value for each waiting observer
	dropped atomic.Int64
}

func (l *leader) RemoteGetPond() *pond { return &l.pond }

func (l *leader) RemoteWait(inv *flavors.Invocation) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	l.waiting = append(l.waiting, d)
	l.here <- struct{}{}
	return d
}

func (l *leader) RemoteDropped() { l.dropped.Add(1) }

func (l *leader) add(item any) *actor.Deferred {
	return flavors.Update(&l.pond, func(observers flavors.Observers) {
		l.pond.items = append(l.pond.items, item)
		_ = observers.CallRemote("add", item)
	})
}

func (l *leader) observers(t *testing.T) (n int) {
	t.Helper()
	_, err := flavors.Update(&l.pond, func(o flavors.Observers) { n = o.Len() }).Await(t.Context())
	require.NoError(t, err)
	return n
}

// TestStockFollowsBurst adds stock observers during updates, sends them a thousand more at once, and kills the last
// while updates are under way.
func TestStockFollowsBurst(t *testing.T) {
	stock.Require(t)
	const observers, updates = 20, 1000
	root := &leader{here: make(chan struct{}, observers)}
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", root)
	require.NoError(t, err)
	client := stock.Start(t, unpack(t)+"/follow_client.py", ln.Addr().String(), fmt.Sprint(observers))
	n := 0
	add := func() *actor.Deferred { n++; return root.add(n) }
	for range observers {
		<-root.here
		for range 10 { // while the other observers attach
			_, err := add().Await(t.Context())
			require.NoError(t, err)
		}
	}
	var last *actor.Deferred
	for range updates {
		last = add()
	}
	_, err = last.Await(t.Context())
	require.NoError(t, err)
	_, err = root.Do(func() {
		for _, d := range root.waiting {
			d.Complete(nil, nil)
		}
	}).Await(t.Context())
	require.NoError(t, err)
	want := "followed " + strings.ReplaceAll(fmt.Sprint(sequence(n)), " ", ", ")
	for _, line := range client.WaitLines("followed", observers) {
		require.Equal(t, want, line)
	}
	require.Eventually(t, func() bool { return root.dropped.Load() == observers-1 && root.observers(t) == 1 },
		stock.Timeout, time.Millisecond)
	for range updates {
		add()
	}
	client.Kill()
	for range updates {
		last = add()
	}
	_, err = last.Await(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return root.observers(t) == 0 }, stock.Timeout, time.Millisecond)
}

func sequence(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i + 1
	}
	return list
}

// TestFollowStockBurst makes a thousand updates of a stock original that several connections follow.
func TestFollowStockBurst(t *testing.T) {
	server := Server(t)
	rt := newRuntime(t)
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCache[remotePond](registry, pondClass))
	type follower struct {
		conn *broker.Conn
		pond *flavors.Cached[remotePond]
	}
	var followers []follower
	for range 5 {
		conn, err := broker.Dial(t.Context(), rt, "pb://"+server.Addr(), broker.WithRegistry(registry))
		require.NoError(t, err)
		p := call[*flavors.Cached[remotePond]](t, conn, "pond", "burst", []any{})
		followers = append(followers, follower{conn, p})
	}
	var under []*actor.Deferred
	for i := range 1000 {
		under = append(under, followers[0].conn.Root().CallRemote("pondAdd", "burst", i+1))
	}
	for _, d := range under {
		_, err := d.Await(t.Context())
		require.NoError(t, err)
	}
	for _, f := range followers {
		assert.Equal(t, 5, call[int](t, f.conn, "pondObservers", "burst")) // The updates arrive before the answer.
		require.NoError(t, f.pond.View(func(p *remotePond) {
			items := make([]int, len(p.items))
			require.NoError(t, jelly.Assign(&items, p.items))
			assert.Equal(t, sequence(1000), items)
		}))
	}
	server.Kill()
	for _, f := range followers {
		<-f.conn.Done()
		_, stale := f.pond.Stale()
		assert.True(t, stale)
		require.NoError(t, f.pond.View(func(p *remotePond) { assert.Len(t, p.items, 1000) }))
	}
}
