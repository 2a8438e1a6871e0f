package scenarios

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/internal/freeport"
)

// cable passes connections to an address on, until it is cut. Then bytes stop in both directions, and connections stay
// open: as if the network dropped every packet.
type cable struct {
	t      *testing.T
	target string
	listen net.Listener

	mu      sync.Mutex
	cut     bool
	changed *sync.Cond
	conns   []net.Conn
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &cable{t: t, target: target, listen: l}
	w.changed = sync.NewCond(&w.mu)
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go w.join(near)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		w.set(false)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range w.conns {
			c.Close()
		}
	})
	return w
}

func (w *cable) address() string { return w.listen.Addr().String() }

func (w *cable) set(cut bool) {
	w.mu.Lock()
	w.cut = cut
	w.changed.Broadcast()
	w.mu.Unlock()
}

func (w *cable) awaitWhole() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.cut {
		w.changed.Wait()
	}
}

func (w *cable) join(near net.Conn) {
	w.awaitWhole()
	far, err := net.Dial("tcp", w.target)
	if err != nil {
		near.Close()
		return
	}
	w.mu.Lock()
	w.conns = append(w.conns, near, far)
	w.mu.Unlock()
	for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			defer pair[0].Close()
			defer pair[1].Close()
			buf := make([]byte, 64<<10)
			for {
				n, err := pair[0].Read(buf)
				w.awaitWhole()
				if n > 0 {
					if _, err := pair[1].Write(buf[:n]); err != nil {
						return
					}
				}
				if err != nil {
					return
				}
			}
		}()
	}
}

// TestCutOffFromEtcd cuts a node off from etcd for longer than its lease. Its links to other nodes stay.
func TestCutOffFromEtcd(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, shortLease, "a")
	toEtcd := newCable(t, strings.TrimPrefix(w.etcd.Servers[0].URL, "http://"))
	b := w.launch("b", replace("-etcd", "http://"+toEtcd.address()))
	b.awaitURL()
	w.know("a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", b)
	room := w.roomOn(alice, "b", "cut")
	bob.room(room)
	calls := []*increment{w.incr(alice, room), w.incr(bob, room)}
	for _, c := range calls {
		c.value()
	}
	toEtcd.set(true)
	w.eventually("the room lives on the other node", func() bool {
		calls = append(calls, w.incr(alice, room), w.incr(bob, room))
		first, second := calls[len(calls)-2].wait(), calls[len(calls)-1].wait()
		for _, r := range []report{first, second} {
			if r.Error != "" {
				require.Equal(t, unavailable, r.Error, "%s", r.Text)
			}
		}
		return first.Error == "" && alice.call(room, "node").wait().Value == "a"
	})
	toEtcd.set(false)
	w.eventually("the node is a member again", func() bool {
		calls = append(calls, w.incr(bob, room))
		return calls[len(calls)-1].wait().Error == ""
	})
	require.Empty(t, bob.eventsOf("disconnected"))
	w.check(calls...)
}

// TestCutOffFromAPeer cuts the link of two nodes that both reach etcd.
func TestCutOffFromAPeer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The node with the lesser name connects to the other, through the wire.
	link := freeport.Address(t)
	between := newCable(t, link)
	b := w.launch("b", replace("-link", "pbs://"+link), func(args []string) []string {
		return append(args, "-advertise", "pbs://"+between.address())
	})
	b.awaitURL()
	a := w.start("a")
	w.know("a", "b")
	alice, bob := w.users.login("alice", a), w.users.login("bob", b)
	room := w.roomOn(alice, "b", "cut")
	bob.room(room)
	calls := []*increment{w.incr(alice, room)}
	calls[0].value()

	between.set(true)
	calls = append(calls, w.incr(alice, room))
	require.Equal(t, nodeLost, calls[1].fails(), "a silent link is lost")
	calls = append(calls, w.incr(alice, room), w.incr(bob, room))
	require.Equal(t, unavailable, calls[2].fails(), "its owner has a lease")
	lived := calls[3].integer()
	between.set(false)
	w.eventually("the link is up again", func() bool {
		calls = append(calls, w.incr(alice, room))
		return calls[len(calls)-1].wait().Error == ""
	})
	require.Equal(t, "b", alice.call(room, "node").value(), "the room has lived on")
	require.Greater(t, alice.call(room, "value").integer(), lived)
	w.check(calls...)
}
