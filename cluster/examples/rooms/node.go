package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cluster"
	"github.com/perspectivebroker/pb/cluster/embedded"
	"github.com/perspectivebroker/pb/cred"
)

const (
	// leaveTime is how long a node may take to hand over its rooms.
	leaveTime = time.Minute
	// usersTime is how long the calls of its own users may take before.
	usersTime = 10 * time.Second
	// joinTime is how long joining may take, besides the lease: a node of the same name that was killed is a member
	// until its lease has ended.
	joinTime = time.Minute
	// clientMemory is what clients and other nodes may make the process hold, memoryLimit when Go collects more often.
	clientMemory = 48 << 20
	memoryLimit  = 160 << 20
)

// run is the program.
func run(ctx context.Context, args []string) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	level := zerolog.InfoLevel
	if o.debug {
		level = zerolog.DebugLevel
	}
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()))
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), leaveTime)
		defer cancel()
		err = errors.Join(err, rt.Close(closing))
	}()
	endpoints := strings.Split(o.etcd, ",")
	if o.embedded != "" {
		server, err := embedded.Start(ctx, embedded.Config{Dir: o.embedded})
		if err != nil {
			return err
		}
		defer server.Close()
		endpoints = server.Endpoints()
	}
	store, err := cluster.Etcd(clientv3.Config{Endpoints: endpoints})
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	tls, err := cluster.LoadTLS(o.ca, o.cert, o.key)
	if err != nil {
		return err
	}
	joining, cancel := context.WithTimeout(ctx, joinTime+o.ttl)
	defer cancel()
	node, err := cluster.Join(joining, rt, cluster.Options{
		Name: o.name, Listen: o.link, Advertise: o.advertise, TLS: tls, Store: store, TTL: o.ttl,
	})
	if err != nil {
		return err
	}
	return serve(ctx, rt, node, o)
}

// serve offers rooms and listens for users until ctx ends. Then it leaves the cluster. It ends with an error if the
// node has ended by itself, because its certificate expires.
func serve(ctx context.Context, rt *actor.Runtime, node *cluster.Node, o *options) error {
	defer node.Close()
	ln, err := listen(rt, node, o)
	if err != nil {
		return errors.Join(err, leave(node))
	}
	fmt.Println("listening", ln.URL())
	select {
	case <-ctx.Done():
	case <-node.Done():
	}

	closing, cancel := context.WithTimeout(context.Background(), usersTime)
	defer cancel()
	if err := ln.Shutdown(closing); err != nil {
		rt.Logger().Warn().Err(err).Msg("rooms: some calls of users take too long")
	}
	if err := node.Err(); err != nil {
		return err
	}
	return leave(node)
}

// listen offers rooms and listens for users.
func listen(rt *actor.Runtime, node *cluster.Node, o *options) (*broker.Listener, error) {
	here := &rooms{node: node.Name(), log: rt.Logger().With().Str("node", node.Name()).Logger()}
	if err := node.Kind(kindOfRooms, here.open); err != nil {
		return nil, err
	}
	checker, err := cred.NewInMemory(o.users)
	if err != nil {
		return nil, err
	}
	portal, err := cred.NewPortal(&realm{rt, node}, checker)
	if err != nil {
		return nil, err
	}
	limits := broker.DefaultLimits()
	limits.MemoryTotal = clientMemory
	return broker.Listen(rt, o.listen, broker.LoginRoot(portal), broker.WithRelaying(), broker.WithLimits(limits))
}

// leave leaves the cluster in order.
func leave(node *cluster.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	return node.Leave(ctx)
}
