package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/cluster/internal/directory"
	"github.com/perspectivebroker/pb/cluster/store"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// Defaults of Options.
const (
	// DefaultTTL is how long a node's lease lasts without a renewal.
	DefaultTTL = 15 * time.Second
	// DefaultPrefix is in front of all keys of a cluster in the store.
	DefaultPrefix = "pb/"
)

// Times of a cluster.
const (
	// PlacingTimeout is how long a call waits for its object to be placed. Then it fails with [Unavailable].
	PlacingTimeout = 5 * time.Second
	// LinkTimeout is how long a node may be silent until its link counts as lost.
	LinkTimeout = 3 * time.Second
)

// shortestTTL is what etcd grants at least with its default settings.
const shortestTTL = 2 * time.Second

// Options are what [Join] needs.
type Options struct {
	// Name is the node's name: that of its certificate, which is the default. No two nodes have the same.
	Name string
	// Listen is the pbs:// URL at which other nodes connect. Port 0 picks a free one.
	Listen string
	// Advertise is the URL at which other nodes reach this one, if it is not that of Listen.
	Advertise string
	// TLS has the node's certificate, and in RootCAs the authority of the nodes; see [LoadTLS]. The certificate must be
	// good for servers and for clients. Its first DNS name, or else its common name, is the node's name.
	TLS *tls.Config
	// Store is what all nodes have in common; see [Etcd]. The node does not close it.
	Store store.Store
	// Prefix is in front of all keys in the store. Nodes with the same store and the same prefix are one cluster. The
	// default is DefaultPrefix.
	Prefix string
	// TTL is how long the node's lease lasts without a renewal. A node that cannot renew it in time drops its objects,
	// and other nodes place them anew once it has ended. At least 2 s, and with three servers of etcd at least 10 s,
	// because an election takes that long at worst. The default is DefaultTTL.
	TTL time.Duration
	// Registry has the classes of copies that placed objects take. By default there are none.
	Registry *jelly.Registry
}

func (o Options) withDefaults() (Options, *identity, error) {
	if o.Store == nil {
		return o, nil, errors.New("cluster: Options.Store is missing; see cluster.Etcd")
	}
	if o.Listen == "" {
		return o, nil, errors.New("cluster: Options.Listen is missing: the pbs:// URL for other nodes")
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	if o.TTL < shortestTTL {
		return o, nil, fmt.Errorf("cluster: Options.TTL is %v; it must be at least %v", o.TTL, shortestTTL)
	}
	id, err := newIdentity(o.Name, o.TLS)
	if err != nil {
		return o, nil, err
	}
	o.Name = id.name
	if err := directory.CheckName(o.Name); err != nil {
		return o, nil, fmt.Errorf("cluster: the name %q of the node: %w", o.Name, err)
	}
	return o, id, nil
}

// Etcd returns a store in etcd. It does not wait for a connection; see [store.NewEtcd] for the defaults. The caller
// closes it after the nodes that use it.
func Etcd(config clientv3.Config) (store.Store, error) { return store.NewEtcd(config) }
