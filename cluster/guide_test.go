package cluster_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// The parts of this file are those of docs/guide/cluster.md.

//guide:begin options

// nodeOptions returns the options of a node whose certificate is in a directory. urls are those of etcd.
func nodeOptions(urls []string, dir, name string) (cluster.Options, error) {
	config, err := cluster.LoadTLS(dir+"/ca.pem", dir+"/"+name+".pem", dir+"/"+name+"-key.pem")
	if err != nil {
		return cluster.Options{}, err
	}
	store, err := cluster.Etcd(clientv3.Config{Endpoints: urls})
	return cluster.Options{Listen: "pbs://10.0.0.1:7000", TLS: config, Store: store}, err
}

//guide:end

//guide:begin room

// Room is an object that lives on any node. Rooms is where its state is kept.
type Room struct {
	flavors.Referenceable
	id       string
	visitors int
	rooms    *Rooms
}

// RemoteIncr counts visitors.
func (r *Room) RemoteIncr(by int) int {
	r.visitors += by
	return r.visitors
}

// Save is called before the room moves to another node.
func (r *Room) Save() { r.rooms.save(r.id, r.visitors) }

// join makes the process a node that has rooms and serves users: root is broker.LoginRoot(portal), for example.
func join(
	ctx context.Context, rt *actor.Runtime, options cluster.Options, rooms *Rooms, url string, root any,
) (*cluster.Node, *broker.Listener, error) {
	node, err := cluster.Join(ctx, rt, options)
	if err != nil {
		return nil, nil, err
	}
	load := func(id string) *Room { return &Room{id: id, visitors: rooms.load(id), rooms: rooms} }
	if err := node.Kind("room", load, cluster.OnPassivate((*Room).Save)); err != nil {
		return nil, nil, err
	}
	ln, err := broker.Listen(rt, url, root, broker.WithRelaying())
	return node, ln, err
}

// enter counts one more visitor of a room.
func enter(ctx context.Context, node *cluster.Node, id string) (visitors int, err error) {
	room := node.Get("room", id)                   // asks nobody
	return flavors.Call[int](ctx, room, "incr", 1) // places the room if it lives nowhere
}

// leave ends a node in order. Then the runtime can be closed.
func leave(ctx context.Context, node *cluster.Node, ln *broker.Listener) error {
	users, cancel := context.WithTimeout(ctx, 10*time.Second) // A client that does not read takes all of it.
	defer cancel()
	return errors.Join(ln.Shutdown(users), node.Leave(ctx))
}

//guide:end

// Rooms keeps the states of rooms.
type Rooms struct{ visitors sync.Map }

func (r *Rooms) save(id string, visitors int) { r.visitors.Store(id, visitors) }

func (r *Rooms) load(id string) int {
	visitors, _ := r.visitors.Load(id)
	n, _ := visitors.(int)
	return n
}

// gate is what users call.
type gate struct {
	flavors.Root
	node *cluster.Node
}

// RemoteRoom returns a room.
func (g *gate) RemoteRoom(id string) *cluster.Ref { return g.node.Get("room", id) }

// TestGuideOptions makes the options of a node without an etcd.
func TestGuideOptions(t *testing.T) {
	ca := authority.New(t)
	cert, key, authorities := ca.Files(ca.Issue("a", nil))
	dir := t.TempDir()
	for name, from := range map[string]string{"a.pem": cert, "a-key.pem": key, "ca.pem": authorities} {
		b, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	options, err := nodeOptions([]string{"http://127.0.0.1:1"}, dir, "a")
	require.NoError(t, err)
	defer options.Store.Close()
	assert.Len(t, options.TLS.Certificates, 1)
	_, err = nodeOptions(nil, dir, "b")
	require.ErrorContains(t, err, "b.pem")
}

// TestGuideRooms has a room move from node to node. A user at a gateway calls it too.
func TestGuideRooms(t *testing.T) {
	c, rooms := newCluster(t), &Rooms{}
	rt := pbtest.NewRuntime(t)
	g := &gate{}
	node, ln, err := join(t.Context(), rt, c.options("a"), rooms, "pb://127.0.0.1:0", g)
	require.NoError(t, err)
	g.node = node
	for want := 1; want <= 2; want++ {
		visitors, err := enter(t.Context(), node, "lobby")
		require.NoError(t, err)
		require.Equal(t, want, visitors)
	}
	conn, err := broker.Dial(t.Context(), pbtest.NewRuntime(t), ln.URL())
	require.NoError(t, err)
	lobby, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "room", "lobby")
	require.NoError(t, err)
	visitors, err := flavors.Call[int](t.Context(), lobby, "incr", 1)
	require.NoError(t, err)
	require.Equal(t, 3, visitors)
	lobby.Release()
	require.NoError(t, conn.Close(t.Context()))

	other, otherLn, err := join(t.Context(), pbtest.NewRuntime(t), c.options("b"), rooms, "pb://127.0.0.1:0", &gate{})
	require.NoError(t, err)
	require.NoError(t, leave(t.Context(), node, ln))
	visitors, err = enter(t.Context(), other, "lobby")
	require.NoError(t, err)
	require.Equal(t, 4, visitors)
	require.NoError(t, leave(t.Context(), other, otherLn))
}
