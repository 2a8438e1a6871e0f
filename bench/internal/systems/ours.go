package systems

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
)

// raisedLimits allows many exports, imports and caches for the growth and memory measurements. The defaults are
// Twisted's 1,024, and 16,384 for imports.
var raisedLimits = broker.WithLimits(broker.Limits{Exports: 2 << 20, Imports: 2 << 20, Caches: 2 << 20})

// ours is this module with typed methods, the faster way to publish them.
func ours() System {
	return System{
		Name:    "ours",
		Watches: true,
		Structs: true,
		Serve:   func() (string, error) { return serveOurs(&typedRoot{}) },
		Dial: func(ctx context.Context, addr string) (load.Client, error) {
			c, err := dialOurs(ctx, addr)
			return &typedClient{oursConn: c}, err
		},
	}
}

// oursReflected is this module with methods that are found by their names, the more common way to publish them.
func oursReflected() System {
	return System{
		Name:    "ours-reflected",
		Structs: true,
		Serve:   func() (string, error) { return serveOurs(&reflectedRoot{}) },
		Dial: func(ctx context.Context, addr string) (load.Client, error) {
			c, err := dialOurs(ctx, addr)
			return &reflectedClient{c}, err
		},
	}
}

// oursUnpolled is ours with readers that sleep at once when there is nothing to read.
func oursUnpolled() System {
	return System{
		Name:     "ours-unpolled",
		Optional: true,
		Structs:  true,
		Serve:    func() (string, error) { return serveOurs(&typedRoot{}, broker.WithPolling(0)) },
		Dial: func(ctx context.Context, addr string) (load.Client, error) {
			c, err := dialOurs(ctx, addr, broker.WithPolling(0))
			return &typedClient{oursConn: c}, err
		},
	}
}

// RaisedLimits is an option that allows more of everything than a measurement needs.
func RaisedLimits() broker.Option { return raisedLimits }

func serveOurs(root any, options ...broker.ListenOption) (string, error) {
	rt, err := actor.NewRuntime()
	if err != nil {
		return "", err
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, append(options, raisedLimits)...)
	if err != nil {
		return "", err
	}
	return ln.URL(), nil
}

// reflectedRoot publishes methods that are found by their names.
type reflectedRoot struct{ flavors.Referenceable }

// RemoteAdd returns the sum of its arguments.
func (*reflectedRoot) RemoteAdd(a, b int) int { return a + b }

// RemoteEcho returns its argument.
func (*reflectedRoot) RemoteEcho(payload []byte) []byte { return payload }

// RemoteConfirm returns the order, paid.
func (*reflectedRoot) RemoteConfirm(o load.Order) load.Order { return o.Confirmed() }

// typedRoot publishes the same methods as typed functions, and the methods for the growth, memory and backpressure
// measurements.
type typedRoot struct {
	flavors.Referenceable
	held  []*actor.Deferred
	board board
}

// PublishMethods implements flavors.Publisher.
func (*typedRoot) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Method2("add", func(_ *typedRoot, a, b int) (int, error) { return a + b, nil }),
		flavors.Method1("echo", func(_ *typedRoot, p []byte) ([]byte, error) { return p, nil }),
		flavors.Method1("confirm", func(_ *typedRoot, o load.Order) (load.Order, error) { return o.Confirmed(), nil }),
	)
}

// NewObject returns an object like the root of the server of ours. It is a factory for a kind of a cluster.
func NewObject(string) *typedRoot { return &typedRoot{} }

// RemoteExport returns n new objects.
func (*typedRoot) RemoteExport(n int) []any {
	objects := make([]any, n)
	for i := range objects {
		objects[i] = &exported{}
	}
	return objects
}

// RemoteHold does not answer until RemoteRelease is called.
func (r *typedRoot) RemoteHold(inv *flavors.Invocation) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	r.held = append(r.held, d)
	return d
}

// RemoteRelease answers all calls of RemoteHold and returns their number.
func (r *typedRoot) RemoteRelease() int {
	n := len(r.held)
	for _, d := range r.held {
		d.Complete(nil, nil)
	}
	r.held = nil
	return n
}

// RemotePages sends an endless sequence of pages.
func (*typedRoot) RemotePages(collector *flavors.RemoteReference) {
	paging.Send(collector, endlessPager{})
}

type endlessPager struct{}

// NextPage implements paging.Pager.
func (endlessPager) NextPage() (any, error) { return make([]byte, paging.DefaultSize), nil }

// RemoteNever never answers.
func (*typedRoot) RemoteNever(inv *flavors.Invocation) *actor.Deferred {
	return actor.NewDeferred(inv.Conn().Runtime())
}

// exported is a minimal object with one method.
type exported struct{ flavors.Referenceable }

// PublishMethods implements flavors.Publisher.
func (*exported) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Method2("add", func(_ *exported, a, b int) (int, error) { return a + b, nil }),
	)
}

// clientRuntime is the runtime that all connections of a client process share.
type clientRuntime struct{ rt *actor.Runtime }

var oursRuntime = sharedRuntime()

// sharedRuntime returns a function that creates a runtime on its first call and returns it on every call.
func sharedRuntime() func() (*actor.Runtime, error) {
	once := make(chan *clientRuntime, 1)
	once <- &clientRuntime{}
	return func() (*actor.Runtime, error) {
		shared := <-once
		defer func() { once <- shared }()
		var err error
		if shared.rt == nil {
			shared.rt, err = actor.NewRuntime()
		}
		return shared.rt, err
	}
}

// oursConn is the common part of typedClient and reflectedClient.
type oursConn struct {
	conn *broker.Conn
	root *flavors.RemoteReference
}

func dialOurs(ctx context.Context, addr string, options ...broker.DialOption) (oursConn, error) {
	rt, err := oursRuntime()
	if err != nil {
		return oursConn{}, err
	}
	boards, err := boardRegistry()
	if err != nil {
		return oursConn{}, err
	}
	conn, err := broker.Dial(ctx, rt, addr, append(options, raisedLimits, boards)...)
	if err != nil {
		return oursConn{}, err
	}
	return oursConn{conn, conn.Root()}, nil
}

// Close implements load.Client.
func (c *oursConn) Close() error { return c.conn.Close(context.Background()) }

// Confirm implements load.Confirmer.
func (c *oursConn) Confirm(ctx context.Context, o load.Order) (load.Order, error) {
	return flavors.Call[load.Order](ctx, c.root, "confirm", o)
}

type reflectedClient struct{ oursConn }

// Add implements load.Client.
func (c *reflectedClient) Add(ctx context.Context, a, b int) (int, error) {
	return flavors.Call[int](ctx, c.root, "add", a, b)
}

// Echo implements load.Client.
func (c *reflectedClient) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	return flavors.Call[[]byte](ctx, c.root, "echo", payload)
}

type typedClient struct {
	oursConn
	board *flavors.Cached[boardCopy] // held to keep watching
}

// Add implements load.Client.
func (c *typedClient) Add(ctx context.Context, a, b int) (int, error) { return add(ctx, c.root, a, b) }

func add(ctx context.Context, ref *flavors.RemoteReference, a, b int) (int, error) {
	return flavors.Call[int](ctx, ref, "add", a, b)
}

// Echo implements load.Client.
func (c *typedClient) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	v, err := c.root.CallRemote("echo", payload).Await(ctx)
	// Several large payloads exceed the write limit. CallRemote then fails immediately and leaves waiting to the
	// caller.
	for errors.Is(err, broker.ErrBackedUp) {
		if err := c.conn.WaitWritable(ctx); err != nil {
			return nil, err
		}
		v, err = c.root.CallRemote("echo", payload).Await(ctx)
	}
	if err != nil {
		return nil, err
	}
	echo, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("echo answered %T", v)
	}
	return echo, nil
}
