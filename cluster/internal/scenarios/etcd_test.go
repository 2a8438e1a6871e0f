package scenarios

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestEtcdSilent stops etcd for less than the lease, and then for more.
func TestEtcdSilent(t *testing.T) {
	w := newWorldWith(t, 4*time.Second, "a", "b")
	alice := w.users.login("alice", w.nodes["a"])
	room := w.roomOn(alice, "b", "silent")
	var calls []*increment
	incr := func() report {
		calls = append(calls, w.incr(alice, room))
		return calls[len(calls)-1].wait()
	}
	etcd := w.etcd.Servers[0]

	etcd.Signal(syscall.SIGSTOP)
	for range 20 {
		require.Empty(t, incr().Error, "nodes go on as long as their leases are good")
	}
	etcd.Signal(syscall.SIGCONT)
	require.Empty(t, incr().Error)

	etcd.Signal(syscall.SIGSTOP)
	w.eventually("the nodes have lost their leases", func() bool {
		r := incr()
		if r.Error != "" {
			require.Equal(t, unavailable, r.Error, "%s", r.Text)
		}
		return r.Error != ""
	})
	etcd.Signal(syscall.SIGCONT)
	w.eventually("the room is placed again", func() bool { return incr().Error == "" })
	// It may have moved since, because the other node has joined anew too.
	require.Contains(t, []int64{0, calls[len(calls)-1].by}, alice.call(room, "value").integer(), "it began anew")
	require.Empty(t, alice.eventsOf("disconnected"), "a fenced node keeps its clients")
	w.check(calls...)
}

// TestEtcdStartedAnew kills etcd and starts it again with its data.
func TestEtcdStartedAnew(t *testing.T) {
	w := newWorldWith(t, longLease, "a", "b")
	alice := w.users.login("alice", w.nodes["a"])
	room := w.roomOn(alice, "b", "anew")
	calls := []*increment{w.incr(alice, room)}
	calls[0].value()
	w.etcd.Servers[0].Kill()
	calls = append(calls, w.incr(alice, room))
	calls[1].value()
	w.etcd.Servers[0].Run(t)
	w.etcd.WaitReady()
	calls = append(calls, w.incr(alice, room))
	require.Equal(t, calls[0].by+calls[1].by+calls[2].by, calls[2].integer(), "the room has lived on")
	w.check(calls...)
}
