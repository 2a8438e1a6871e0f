package scenarios

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster/internal/etcdtest"
	"github.com/perspectivebroker/pb/cluster/internal/netns"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/stock"
)

// newNetwork is newWorld with a host of its own for etcd, for the users, and for each node.
func newNetwork(t *testing.T, names ...string) *world {
	t.Helper()
	stock.Require(t)
	w := &world{t: t, lease: longLease, ca: authority.New(t), nodes: map[string]*node{}}
	w.net = netns.New(t, append([]string{"etcd", "users"}, names...)...)
	w.etcd = etcdtest.StartOn(t, etcdtest.Host{Address: w.net.Address("etcd"), Command: w.net.Command("etcd")})
	w.startAll(names...)
	w.users = newDriver(t, w.net.Command("users")...)
	w.know(names...)
	return w
}

// crowd makes calls until it is stopped.
type crowd struct {
	w    *world
	stop chan struct{}
	work sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	calls  []*increment
	counts map[outcome]int
}

// outcome is how calls of a user to a room ended: with an error, or "" without.
type outcome struct{ user, room, err string }

// newCrowd has each user call each room, one call after the other.
func (w *world) newCrowd(users []*user, rooms []string) *crowd {
	c := &crowd{w: w, stop: make(chan struct{}), counts: map[outcome]int{}}
	for _, u := range users {
		for _, room := range rooms {
			c.work.Go(func() { c.call(u, room) })
		}
	}
	return c
}

func (c *crowd) call(u *user, room string) {
	for {
		i := c.w.incr(u, room)
		c.mu.Lock()
		c.calls = append(c.calls, i)
		c.mu.Unlock()
		select {
		case <-i.done:
		case <-u.d.p.ended:
			return
		case <-c.stop:
			return // The call counts as lost if it is not answered by the end.
		}
		c.mu.Lock()
		c.counts[outcome{u.key, room, i.report.Error}]++
		c.mu.Unlock()
		select {
		case <-c.stop:
			return
		case <-time.After(10 * time.Millisecond): // so that there are not too many
		}
	}
}

// count returns how many calls of a user to a room have ended so.
func (c *crowd) count(u *user, room, err string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[outcome{u.key, room, err}]
}

// awaitAnswers waits until more calls of a user to a room are answered without an error.
func (c *crowd) awaitAnswers(u *user, room string) {
	c.w.t.Helper()
	before := c.count(u, room, "")
	c.w.eventually(fmt.Sprintf("calls of %s to %s are answered", u.key, room), func() bool {
		return c.count(u, room, "") >= before+10
	})
}

// awaitError waits until a call of a user to a room has failed with an error.
func (c *crowd) awaitError(u *user, room, kind string) {
	c.w.t.Helper()
	c.w.eventually(fmt.Sprintf("calls of %s to %s fail with %s", u.key, room, kind), func() bool {
		return c.count(u, room, kind) > 0
	})
}

// end stops the calls and judges them, with others that were made meanwhile.
func (c *crowd) end(others ...*increment) {
	c.w.t.Helper()
	close(c.stop)
	c.work.Wait()
	for _, i := range c.calls {
		if i.isOpen() {
			continue
		}
		require.Contains(c.w.t, []string{"", unavailable, nodeLost}, i.report.Error, "%s", i.report.Text)
	}
	c.w.check(append(others, c.calls...)...)
}

// TestPartitions cuts a node off from etcd, from the other node, and from both, with users who call all the time, and
// heals the network. Packets are lost, and nobody is told.
func TestPartitions(t *testing.T) {
	t.Parallel()
	for name, from := range map[string][]string{
		"from etcd": {"etcd"}, "from the peer": {"a"}, "from both": {"etcd", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNetwork(t, "a", "b")
			alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
			atA, atB := w.roomOn(alice, "a", "here"), w.roomOn(alice, "b", "there")
			bob.room(atA)
			bob.room(atB)
			c := w.newCrowd([]*user{alice, bob}, []string{atA, atB})
			everywhere := func() {
				for _, u := range []*user{alice, bob} {
					c.awaitAnswers(u, atA)
					c.awaitAnswers(u, atB)
				}
			}
			everywhere()
			for _, host := range from {
				w.net.Cut("b", host)
			}
			switch name {
			case "from etcd":
				// The links are up, and all rooms move to a.
				c.awaitError(alice, atB, unavailable)
				c.awaitAnswers(alice, atB)
				w.nodes["b"].line("the lease is not good any more")
			case "from the peer":
				// Both have their leases, so no room moves.
				c.awaitError(alice, atB, unavailable)
				c.awaitError(bob, atA, unavailable)
				c.awaitAnswers(alice, atA)
				c.awaitAnswers(bob, atB)
			case "from both":
				c.awaitError(bob, atB, unavailable)
				c.awaitError(bob, atA, unavailable)
				c.awaitAnswers(alice, atB)
			}
			c.awaitAnswers(alice, atA)
			for _, host := range from {
				w.net.Heal("b", host)
			}
			everywhere()
			if name == "from the peer" {
				require.Equal(t, "b", alice.call(atB, "node").value(), "the room has lived on")
			}
			w.eventually("both are members", func() bool {
				return fmt.Sprint(alice.call("avatar", "members").value(), bob.call("avatar", "members").value()) ==
					"[a b] [a b]"
			})
			require.Empty(t, bob.eventsOf("disconnected"), "a fenced node keeps its clients")
			require.Empty(t, alice.eventsOf("disconnected"))
			c.end()
		})
	}
}
