package scenarios

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/internal/wire"
)

// client returns a client of the world's etcd.
func (w *world) client() *clientv3.Client {
	w.t.Helper()
	client, err := clientv3.New(w.etcd.Config())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { client.Close() })
	return client
}

// strangers are records that no node has written, for shards.
func strangers(lease clientv3.LeaseID) []clientv3.Op {
	huge := strings.Repeat("x", 256<<10)
	with := clientv3.WithLease(lease)
	var ops []clientv3.Op
	for i := range 4096 {
		key := "pb/s/room/" + strconv.Itoa(i)
		switch i % 6 {
		case 0:
			ops = append(ops, clientv3.OpPut(key, "\xff{nonsense"))
		case 1:
			ops = append(ops, clientv3.OpPut(key, `{"node":"a","incarnation":1}`))
		case 2:
			ops = append(ops, clientv3.OpPut(key, `{"node":"b","incarnation":1}`, with))
		case 3: // of a node that is no member; it ends with its lease
			ops = append(ops, clientv3.OpPut(key, fmt.Sprintf(`{"node":"nobody","incarnation":%d}`, lease), with))
		case 4:
			ops = append(ops, clientv3.OpPut(key, `{"node":{"node":[]},"incarnation":"1"}`, with))
		case 5:
			if i%64 == 5 {
				ops = append(ops, clientv3.OpPut(key, huge))
			}
		}
	}
	return ops
}

// TestNonsenseInTheStore fills the store with what no node has written, before nodes start and while they run.
func TestNonsenseInTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	client := w.client()
	// fillFor reports false if the lease of what it writes has ended too soon.
	fillFor := func(seconds int64) bool {
		lease, err := client.Grant(t.Context(), seconds)
		require.NoError(t, err)
		id := lease.ID
		ops := append(strangers(id),
			clientv3.OpPut("pb/", "nothing"), clientv3.OpPut("pb/z/1", "nothing"), clientv3.OpPut("pb/s/room/x", "1"),
			clientv3.OpPut("pb/s/room/-1", "1"), clientv3.OpPut("pb/s/", "1"), clientv3.OpPut("pb/m/", "\x00"),
			clientv3.OpPut("pb/m/c", "[[[[["),
			clientv3.OpPut("pb/m/d", `{"name":"d","incarnation":7,"kinds":["room"]}`),
			clientv3.OpPut("pb/m/e", `{"name":"a","kinds":["room"]}`, clientv3.WithLease(id)),
			clientv3.OpPut("pb/m/"+strings.Repeat("f", 100_000), strings.Repeat("g", 1<<20)),
			clientv3.OpPut("pb/m/g", fmt.Sprintf(`{"name":"g","address":"pbs://127.0.0.1:1","incarnation":%d}`, id),
				clientv3.WithLease(id)),
		)
		for len(ops) > 0 {
			n := min(len(ops), 100)
			_, err := client.Txn(t.Context()).Then(ops[:n]...).Commit()
			if errors.Is(err, rpctypes.ErrLeaseNotFound) {
				return false
			}
			require.NoError(t, err)
			ops = ops[n:]
		}
		return true
	}
	fill := func() {
		for seconds := int64(2); !fillFor(seconds); {
			seconds *= 2
		}
	}
	fill()
	w.startAll("a", "b")
	alice := w.users.login("alice", w.nodes["a"])
	var calls []*increment
	count := func(when string) {
		for i := range 40 {
			id := fmt.Sprintf("%s-%d", when, i)
			alice.room(id)
			w.eventually("the room is placed", func() bool {
				calls = append(calls, w.incr(alice, id))
				r := calls[len(calls)-1].wait()
				if r.Error != "" {
					require.Equal(t, unavailable, r.Error, "%s", r.Text)
				}
				return r.Error == ""
			})
		}
	}
	count("before")
	for _, name := range []string{"a", "b"} {
		w.nodes[name].line("ignoring a record of the store")
		w.nodes[name].line("ignoring a key of the store")
	}
	fill() // It takes shards away from nodes that own them.
	count("before")
	count("after")
	w.eventually("only nodes are members", func() bool {
		return fmt.Sprint(alice.call("avatar", "members").value()) == "[a b]"
	})
	if !raceEnabled {
		require.Less(t, w.nodes["a"].memory(t), maxMemory)
	}
	w.check(calls...)
}

// TestKeysDeleted deletes the records of a node that runs, one after the other.
func TestKeysDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	client := w.client()
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	room := w.roomOn(alice, "b", "deleted")
	bob.room(room)
	var calls []*increment
	incr := func() bool {
		calls = append(calls, w.incr(alice, room), w.incr(bob, room))
		good := true
		for _, c := range calls[len(calls)-2:] {
			if r := c.wait(); r.Error != "" {
				require.Contains(t, []string{unavailable, nodeLost}, r.Error, "%s", r.Text)
				good = false
			}
		}
		return good
	}
	require.True(t, incr())
	remove := func(key string, opts ...clientv3.OpOption) {
		gone, err := client.Delete(t.Context(), key, opts...)
		require.NoError(t, err)
		require.NotZero(t, gone.Deleted)
	}

	remove("pb/s/room/", clientv3.WithPrefix())
	w.nodes["b"].line("the key of a shard of this node has gone")
	w.eventually("the room is placed anew", incr)

	remove("pb/m/b")
	w.nodes["b"].line("the node's record in the store has gone or was replaced")
	w.nodes["b"].line("joined anew")
	w.eventually("both are members", func() bool {
		incr()
		return fmt.Sprint(alice.call("avatar", "members").value()) == "[a b]"
	})
	w.eventually("the room answers", incr)

	remove("pb/", clientv3.WithPrefix())
	w.eventually("all is written again", func() bool {
		got, err := client.Get(t.Context(), "pb/m/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		require.NoError(t, err)
		return incr() && got.Count == 2
	})
	require.Empty(t, bob.eventsOf("disconnected"), "a fenced node keeps its clients")
	require.Empty(t, alice.eventsOf("disconnected"))
	w.check(calls...)
}

// certificateTime is for how long the certificate of TestCertificateExpires is good: longer than a node needs to start.
const certificateTime = 30 * time.Second

// TestCertificateExpires has the certificate of a node expire while it runs. It hands over its rooms before, and ends.
func TestCertificateExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	cert, key, _ := w.ca.Files(w.ca.Issue("b", func(c *x509.Certificate) {
		c.DNSNames, c.NotAfter = []string{"b"}, time.Now().Add(certificateTime)
	}))
	b := w.launch("b", replace("-cert", cert), replace("-key", key))
	b.awaitURL()
	w.know("a", "b")
	alice := w.users.login("alice", w.nodes["a"])
	room := w.roomOn(alice, "b", "expires")
	var calls []*increment
	w.eventually("the room has moved", func() bool {
		calls = append(calls, w.incr(alice, room))
		calls[len(calls)-1].value()
		return alice.call(room, "node").value() == "a"
	})
	b.line("the certificate of this node is about to expire")
	require.Equal(t, 1, b.exit())
	w.eventually("it is no member", func() bool {
		return fmt.Sprint(alice.call("avatar", "members").value()) == "[a]"
	})
	w.check(calls...)

	w.start("b")
	w.know("a", "b")
	again := w.roomOn(alice, "b", "renewed")
	require.EqualValues(t, 1, alice.call(again, "incr").integer())
}

// forged are messages with numbers that the peer was never given, and whether the connection is closed for them.
var forged = []struct {
	messages []string
	closes   bool
}{
	{[]string{`[answer 1 [tuple 1]]`}, true},
	{[]string{`[answer 7 [remote 1]]`}, true},
	{[]string{`[answer 1000001 5]`}, true},
	{[]string{`[error 5 [tuple]]`}, true},
	{[]string{`[decref 1]`}, true},
	{[]string{`[decref 5]`}, true},
	{[]string{`[decache 1]`}, true},
	{[]string{`[uncache 3]`}, true},
	{[]string{`[message 41 root echo 1 [tuple [local 1]] [dictionary]]`}, false},
	{[]string{`[message 41 root echo 1 [tuple [lcache 1]] [dictionary]]`}, false},
	{[]string{`[message 41 root place 1 [tuple [local 5] [local 9]] [dictionary]]`}, false},
}

// objects are calls to objects that a peer was never given.
func objects() (calls []string) {
	for luid := range 40 {
		calls = append(calls, fmt.Sprintf(`[message %d %d incr 1 [tuple 1000000] [dictionary]]`, 1001+luid, luid))
	}
	return calls
}

// TestForgedNumbers has a client, and a node, send luids and ids of requests that they were never given, among them
// those of objects that others hold.
func TestForgedNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	alice, bob := w.users.login("alice", w.nodes["a"]), w.users.login("bob", w.nodes["b"])
	room := w.roomOn(alice, "b", "forged")
	bob.room(room)
	bob.call(room, "join", local("me")).value()
	calls := []*increment{w.incr(alice, room)}
	node := w.ca.Issue("x", func(c *x509.Certificate) { c.DNSNames = []string{"x"} })
	peers := map[string]func(t *testing.T) *wire.Peer{
		"a client": func(t *testing.T) *wire.Peer {
			p := wire.Connect(t, strings.TrimPrefix(w.nodes["b"].url, "pb://"))
			p.Join()
			return p
		},
		"a node": func(t *testing.T) *wire.Peer {
			conn := dialTLS(t, w.linkOf("b"), node)
			p := wire.New(t, conn)
			p.Join()
			p.Write(`[message 2 root hello 1 [tuple x] [dictionary]]`)
			p.Want(`[answer 2 ...]`)
			return p
		},
	}
	for who, connect := range peers {
		t.Run(who, func(t *testing.T) {
			p := connect(t)
			for i, call := range objects() {
				p.Write(call)
				p.Want(fmt.Sprintf(`[error %d ...]`, 1001+i))
			}
			p.Close()
			for _, f := range forged {
				p := connect(t)
				p.Write(f.messages...)
				if f.closes {
					p.Drain()
				} else {
					p.Want(`[error 41 ...]`)
				}
				p.Close()
			}
		})
		calls = append(calls, w.incr(alice, room), w.incr(bob, room))
		for _, c := range calls {
			c.value()
		}
		require.EqualValues(t, 1, alice.call(room, "say", "hello "+who).value())
		bob.event("heard", "me", "alice", "hello "+who)
	}
	w.nodes["b"].line("Invalid Object ID")
	w.nodes["b"].line("connection closed")
	require.Empty(t, alice.eventsOf("disconnected"))
	require.Empty(t, bob.eventsOf("disconnected"))
	w.check(calls...)
}

// dialTLS connects to a link with a certificate.
func dialTLS(t *testing.T, link string, cert tls.Certificate) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(link, "pbs://"))
	require.NoError(t, err)
	return conn
}
