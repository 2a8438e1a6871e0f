package systems

import (
	"context"
	"errors"
	"fmt"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

// manyExports is for measuring how cost grows: the default limit is Twisted's 1024.
var manyExports = broker.WithLimits(broker.Limits{Exports: 2 << 20, Caches: 2 << 20})

// ours is the library as someone uses it who wants it to be fast: methods whose types the compiler knows.
func ours() System {
	return System{
		Name:    "ours",
		Watches: true,
		Serve:   func() (string, error) { return serveOurs(&typedRoot{}) },
		Dial: func(ctx context.Context, addr string) (load.Client, error) {
			c, err := dialOurs(ctx, addr)
			return &typedClient{oursConn: c}, err
		},
	}
}

// oursReflected is the library as most people will use it: methods found by their names, Call[T].
func oursReflected() System {
	return System{
		Name:  "ours-reflected",
		Serve: func() (string, error) { return serveOurs(&reflectedRoot{}) },
		Dial: func(ctx context.Context, addr string) (load.Client, error) {
			c, err := dialOurs(ctx, addr)
			return &reflectedClient{c}, err
		},
	}
}

func serveOurs(root any) (string, error) {
	rt, err := actor.NewRuntime()
	if err != nil {
		return "", err
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", root, manyExports)
	if err != nil {
		return "", err
	}
	return ln.URL(), nil
}

// reflectedRoot has methods that are found by their names.
type reflectedRoot struct{ flavors.Referenceable }

// RemoteAdd adds.
func (*reflectedRoot) RemoteAdd(a, b int) int { return a + b }

// RemoteEcho sends its argument back.
func (*reflectedRoot) RemoteEcho(payload []byte) []byte { return payload }

// typedRoot has the same methods as functions whose types are known to the compiler, and those that are needed to see cost grow.
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
	)
}

// RemoteExport exports n new objects.
func (*typedRoot) RemoteExport(n int) []any {
	objects := make([]any, n)
	for i := range objects {
		objects[i] = &exported{}
	}
	return objects
}

// RemoteHold does not answer before RemoteLetGo.
func (r *typedRoot) RemoteHold(inv *flavors.Invocation) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	r.held = append(r.held, d)
	return d
}

// RemoteLetGo answers all calls of RemoteHold.
func (r *typedRoot) RemoteLetGo() int {
	n := len(r.held)
	for _, d := range r.held {
		d.Complete(nil, nil)
	}
	r.held = nil
	return n
}

// RemotePages sends pages without end.
func (*typedRoot) RemotePages(collector *flavors.RemoteReference) {
	flavors.SendPages(collector, endless{})
}

type endless struct{}

// NextPage implements flavors.Pager.
func (endless) NextPage() (any, error) { return make([]byte, flavors.DefaultPageSize), nil }

// RemoteNever does not answer.
func (*typedRoot) RemoteNever(inv *flavors.Invocation) *actor.Deferred {
	return actor.NewDeferred(inv.Conn().Runtime())
}

// exported is the smallest object that does something.
type exported struct{ flavors.Referenceable }

// PublishMethods implements flavors.Publisher.
func (*exported) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Method2("add", func(_ *exported, a, b int) (int, error) { return a + b, nil }),
	)
}

// clientRuntime is shared by the connections of one client process.
type clientRuntime struct{ rt *actor.Runtime }

var oursRuntime = sharedRuntime()

// sharedRuntime makes the runtime on the first call of what it returns; all later ones get the same.
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

// oursConn is a connection and what the two clients have in common.
type oursConn struct {
	conn *broker.Conn
	root *flavors.RemoteReference
}

func dialOurs(ctx context.Context, addr string) (oursConn, error) {
	rt, err := oursRuntime()
	if err != nil {
		return oursConn{}, err
	}
	boards, err := knowsBoards()
	if err != nil {
		return oursConn{}, err
	}
	conn, err := broker.Dial(ctx, rt, addr, manyExports, boards)
	if err != nil {
		return oursConn{}, err
	}
	return oursConn{conn, conn.Root()}, nil
}

// Close implements load.Client.
func (c *oursConn) Close() error { return c.conn.Close(context.Background()) }

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
	board *flavors.Cached[boardCopy] // kept, so that it goes on being watched
}

// Add implements load.Client.
func (c *typedClient) Add(ctx context.Context, a, b int) (int, error) { return add(ctx, c.root, a, b) }

func add(ctx context.Context, ref *flavors.RemoteReference, a, b int) (int, error) {
	return flavors.Call[int](ctx, ref, "add", a, b)
}

// Echo implements load.Client.
func (c *typedClient) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	v, err := c.root.CallRemote("echo", payload).Await(ctx)
	// Several large payloads are more than may wait to be written: then CallRemote fails at once, for its callers to wait.
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
