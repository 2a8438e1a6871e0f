package systems

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/flavors"
)

// The names of the systems whose calls pass through a gateway.
const (
	RelayedClear = "relayed-clear"
	RelayedMTLS  = "relayed-mtls"
)

// Owner is the node whose object the clients of RelayedMTLS call.
const Owner = "b"

// Relayed returns this module with a gateway between the client and the object: with clear connections, and in a
// cluster; and clients that are in a node themselves. Package clusters starts their servers.
func Relayed() []System {
	return []System{
		{Name: RelayedClear, Structs: true, Dial: dialRelayed},
		{Name: RelayedMTLS, Structs: true, Dial: dialRelayed},
		placed(),
	}
}

func dialRelayed(ctx context.Context, addr string) (load.Client, error) {
	c, err := dialOurs(ctx, addr)
	if err != nil {
		return nil, err
	}
	if c.root, err = ObjectOf(ctx, c.root, Owner); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &typedClient{oursConn: c}, nil
}

// ObjectOf asks a gateway for the object of a node.
func ObjectOf(ctx context.Context, gateway *flavors.RemoteReference, owner string) (*flavors.RemoteReference, error) {
	ref, err := flavors.Call[*flavors.RemoteReference](ctx, gateway, "object", owner)
	if err != nil {
		return nil, fmt.Errorf("the object of the node %s: %w", owner, err)
	}
	return ref, nil
}
