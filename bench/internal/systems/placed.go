package systems

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
)

// Placed is the name of the system whose clients are in a node of a cluster, and call a placed object of another node.
const Placed = "placed"

// Caller is the node that the clients of Placed are in, Remote that whose object they call.
const (
	Caller = "c"
	Remote = "d"
)

// EtcdFile is the file in a cluster's directory that has the URL of its etcd.
const EtcdFile = "etcd-url"

// JoinTime is how long joining a cluster may take.
const JoinTime = 30 * time.Second

// leaveTime is how long leaving it may take.
const leaveTime = 4 * time.Second

// KindOf returns the kind of objects that only one node offers.
func KindOf(node string) string { return "bench-" + node }

// NodeFiles returns the paths of the authority's certificate, and of a node's certificate and key.
func NodeFiles(dir, name string) (ca, cert, key string) {
	return filepath.Join(dir, "ca.pem"), filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
}

// JoinCluster makes the process a node of the cluster in a directory.
func JoinCluster(ctx context.Context, dir, name string) (*cluster.Node, *actor.Runtime, error) {
	url, err := os.ReadFile(filepath.Join(dir, EtcdFile))
	if err != nil {
		return nil, nil, err
	}
	rt, err := actor.NewRuntime()
	if err != nil {
		return nil, nil, err
	}
	store, err := cluster.Etcd(clientv3.Config{Endpoints: strings.Split(string(url), ",")})
	if err != nil {
		return nil, nil, err
	}
	tls, err := cluster.LoadTLS(NodeFiles(dir, name))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, JoinTime)
	defer cancel()
	node, err := cluster.Join(ctx, rt, cluster.Options{Name: name, Listen: "pbs://127.0.0.1:0", TLS: tls, Store: store})
	return node, rt, err
}

// placed returns a system whose clients share the node of their process.
func placed() System {
	var mine sharedNode
	return System{Name: Placed, Dial: func(ctx context.Context, addr string) (load.Client, error) {
		node, err := mine.join(ctx, addr)
		if err != nil {
			return nil, err
		}
		return &placedClient{ref: node.Get(KindOf(Remote), "object"), close: sync.OnceValue(mine.leave)}, nil
	}}
}

// sharedNode is a node as long as it has users.
type sharedNode struct {
	mu sync.Mutex
	// Guarded by mu.
	node  *cluster.Node
	rt    *actor.Runtime
	users int
}

func (s *sharedNode) join(ctx context.Context, dir string) (node *cluster.Node, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		if s.node, s.rt, err = JoinCluster(ctx, dir, Caller); err != nil {
			return nil, err
		}
	}
	s.users++
	return s.node, nil
}

func (s *sharedNode) leave() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	return errors.Join(s.node.Leave(ctx), s.rt.Close(ctx))
}

type placedClient struct {
	ref   *cluster.Ref
	close func() error
}

// Add implements load.Client.
func (c *placedClient) Add(ctx context.Context, a, b int) (int, error) {
	return flavors.Call[int](ctx, c.ref, "add", a, b)
}

// Echo implements load.Client.
func (c *placedClient) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	return flavors.Call[[]byte](ctx, c.ref, "echo", payload)
}

// Close implements load.Client.
func (c *placedClient) Close() error { return c.close() }
