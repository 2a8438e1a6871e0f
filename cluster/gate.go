package cluster

import (
	"context"
	"fmt"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// gate is a connection of the process to itself, over which Go code calls placed objects. So its calls take the same
// way as those of clients, and its arguments are copied as theirs are.
type gate struct {
	listener *broker.Listener
	conn     *broker.Conn
}

func newGate(ctx context.Context, n *Node) (*gate, error) {
	pipe := broker.NewPipeListener()
	options := broker.WithOptions(
		broker.WithRelaying(), broker.WithLimits(linkLimits()), broker.WithRegistry(n.registry),
		broker.WithSubstitutes(broker.Substitutes{Address: n.addressOf, Object: n.resolve}),
		broker.WithFreeClass(placedClass),
	)
	listener, err := broker.ListenOn(n.rt, pipe, &gateService{node: n}, options)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	sock, err := pipe.Dial(ctx)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("cluster: %w", err)
	}
	conn, err := broker.NewClientConn(ctx, n.rt, sock, options)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &gate{listener, conn}, nil
}

func (g *gate) begin(key objectKey) *flavors.Promise {
	return g.conn.Root().Begin("get", key.kind, key.id)
}

func (g *gate) close() {
	_ = g.listener.Close()
	g.conn.Abort(ErrLeft)
}

// gateService is what the gate's client calls.
type gateService struct {
	flavors.Referenceable
	node *Node
}

// entrance is what the gate's client calls a placed object by. A Ref itself would be sent as its address.
type entrance struct{ placed }

// RemoteGet returns a reference to a placed object.
func (s *gateService) RemoteGet(kind, id string) *entrance {
	return &entrance{placed{flavors.NewRelay(s.node.Get(kind, id).deliver)}}
}
