package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cluster/internal/etcdtest"
)

// TestEtcdSilent stops etcd for less than the lease, and then for more.
func TestEtcdSilent(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, 15*time.Second, "a", "b")
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
	t.Parallel()
	w := newWorld(t, "a", "b")
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

// TestLeaderLost kills the leader of three servers of etcd, or stops it, for longer than the lease of the nodes. Users
// of rooms that live do not notice, no node is fenced, and rooms are placed.
func TestLeaderLost(t *testing.T) {
	t.Parallel()
	const lease = 10 * time.Second
	for name, lose := range map[string]func(s *etcdtest.Server){
		"killed":  (*etcdtest.Server).Kill,
		"stopped": func(s *etcdtest.Server) { s.Signal(syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorldOn(t, 3, lease, "a", "b")
			alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
			rooms := []string{w.roomOn(alice, "a", "leader"), w.roomOn(alice, "b", "leader")}
			for _, room := range rooms {
				bob.room(room)
			}
			c := w.newCrowd([]*user{alice, bob}, rooms)
			leader, others := w.etcd.Leader()
			lose(leader)
			w.etcd.WaitLeader(others...)
			placed := 0
			var calls []*increment
			for end := time.Now().Add(lease + lease/2); time.Now().Before(end); placed++ {
				for _, room := range rooms {
					c.awaitAnswers(alice, room)
					c.awaitAnswers(bob, room)
				}
				id := fmt.Sprintf("new-%d", placed)
				alice.room(id)
				w.eventually("a new room is placed", func() bool {
					calls = append(calls, w.incr(alice, id))
					r := calls[len(calls)-1].wait()
					if r.Error != "" {
						require.Equal(t, unavailable, r.Error, "%s", r.Text)
					}
					return r.Error == ""
				})
			}
			require.NotZero(t, placed)
			c.end(calls...)
			w.mu.Lock()
			defer w.mu.Unlock()
			require.Zero(t, w.fenced)
			for _, i := range c.calls {
				if !i.isOpen() {
					require.Empty(t, i.report.Error, "%s", i.report.Text)
				}
			}
		})
	}
}

// TestLeaveWithoutEtcd has nodes leave of which one has brought the etcd along: the others may have to leave without
// it.
func TestLeaveWithoutEtcd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world){
		"all at once": func(w *world) {
			for _, n := range w.nodes {
				n.signal(syscall.SIGTERM)
			}
			require.Zero(t, w.nodes["a"].exit())
		},
		"etcd first": func(w *world) {
			w.nodes["a"].kill()
			for _, n := range w.nodes {
				n.signal(syscall.SIGTERM)
			}
			w.nodes["b"].line("cannot tell the others that this node leaves")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			dir := t.TempDir()
			w.launch("a", func(args []string) []string {
				return append(slices.DeleteFunc(args, func(arg string) bool {
					return arg == "-etcd" || strings.HasPrefix(arg, "http://")
				}), "-embedded", dir)
			}).awaitURL()
			url, err := os.ReadFile(filepath.Join(dir, "url"))
			require.NoError(t, err)
			for _, name := range []string{"b", "c"} {
				w.launch(name, replace("-etcd", strings.TrimSpace(string(url)))).awaitURL()
			}
			w.know("a", "b", "c")
			alice := w.users.login("alice", w.nodes["b"])
			for _, name := range []string{"b", "c"} {
				w.roomOn(alice, name, "leave")
			}
			alice.do("disconnect", nil).value()
			end(w)
			require.Zero(t, w.nodes["b"].exit())
			require.Zero(t, w.nodes["c"].exit())
		})
	}
}
