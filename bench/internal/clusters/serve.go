package clusters

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/bench/internal/child"
	"github.com/perspectivebroker/pb/bench/internal/systems"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/flavors"
)

// The roles of a process.
const (
	// RoleRelay is a gateway before the server at an address.
	RoleRelay = "relay-gateway"
	// RoleGateway is a node that places no objects, and clients connect to it. Its address is the cluster's directory.
	RoleGateway = "cluster-gateway"
	// RoleOwner is nodes that place objects, and no clients connect to them.
	RoleOwner = "cluster-owner"
)

// IsRole reports whether role is one of this package.
func IsRole(role string) bool { return role == RoleRelay || role == RoleGateway || role == RoleOwner }

// Serve is the main function of a process. It answers requests until in ends. at is the address of the server behind
// a relay, or the directory of the cluster; nodes are the names of the nodes that the process is.
func Serve(role, at string, nodes []string, in io.Reader, out io.Writer) (err error) {
	p := &process{role: role, at: at}
	if role == RoleRelay {
		err = p.relay()
	} else {
		err = p.join(nodes)
	}
	if err != nil {
		return err
	}
	return errors.Join(child.Answer(in, out, child.Reply{Addr: p.addr}, p.do), p.leave())
}

// leaveTime is how long nodes may take to leave the cluster.
const leaveTime = 4 * time.Second

// leave removes the nodes from the members, so that other nodes do not try to connect to them.
func (p *process) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	var leaving sync.WaitGroup
	errs := make([]error, len(p.nodes))
	for i, n := range p.nodes {
		leaving.Go(func() { errs[i] = n.Leave(ctx) })
	}
	leaving.Wait()
	return errors.Join(errs...)
}

// process is the state of a process.
type process struct {
	role, at, addr string
	nodes          []*cluster.Node
}

func (p *process) do(r child.Request) (child.Reply, error) {
	switch {
	case r.Op == child.OpUsage:
		return child.Usage(r.Collect), nil
	case r.Op == child.OpLinks && len(p.nodes) > 0:
		return child.Reply{}, p.awaitLinks(r.Count)
	}
	return child.Reply{}, fmt.Errorf("unknown operation %q of a %s", r.Op, p.role)
}

// awaitLinks waits until the first node has n links.
func (p *process) awaitLinks(n int) error {
	for deadline := time.Now().Add(systems.JoinTime); p.nodes[0].Stats().Links != n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the node has %d links, not %d", p.nodes[0].Stats().Links, n)
		}
	}
	return nil
}

// relay connects to a server, and passes on the calls of clients.
func (p *process) relay() error {
	rt, err := actor.NewRuntime()
	if err != nil {
		return err
	}
	conn, err := broker.Dial(context.Background(), rt, p.at, broker.WithRelaying(), systems.RaisedLimits())
	if err != nil {
		return err
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &gateway{object: func(string) any { return conn.Root() }},
		broker.WithRelaying(), systems.RaisedLimits())
	if err != nil {
		return err
	}
	p.addr = ln.URL()
	return nil
}

// join makes the process nodes of the cluster.
func (p *process) join(names []string) error {
	if len(names) == 0 {
		return errors.New("-nodes is missing")
	}
	for _, name := range names {
		if err := p.joinOne(name); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	return nil
}

func (p *process) joinOne(name string) error {
	node, rt, err := systems.JoinCluster(context.Background(), p.at, name)
	if err != nil {
		return err
	}
	p.nodes = append(p.nodes, node)
	if p.role == RoleOwner {
		return node.Kind(systems.KindOf(name), systems.NewObject)
	}
	object := func(owner string) any { return node.Get(systems.KindOf(owner), "object") }
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &gateway{object: object}, broker.WithRelaying(),
		systems.RaisedLimits())
	if err != nil {
		return err
	}
	p.addr = ln.URL()
	return nil
}

// gateway is the root of a gateway.
type gateway struct {
	flavors.Referenceable
	object func(owner string) any
}

// RemoteObject returns the object of a node, which the gateway passes calls on to.
func (g *gateway) RemoteObject(owner string) any { return g.object(owner) }
