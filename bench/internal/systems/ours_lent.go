package systems

import (
	"context"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/flavors"
)

// oursLent is this module with payloads that are lent to the method and to the caller, not copied.
func oursLent() System {
	return System{
		Name:     "ours-lent",
		Structs:  true,
		OnlyEcho: true,
		Serve:    func() (string, error) { return serveOurs(&lentRoot{}) },
		Dial: func(ctx context.Context, addr string) (load.Client, error) {
			c, err := dialOurs(ctx, addr)
			return &lentClient{oursConn: c}, err
		},
	}
}

type lentRoot struct{ flavors.Referenceable }

// PublishMethods implements flavors.Publisher.
func (*lentRoot) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Method2("add", func(_ *lentRoot, a, b int) (int, error) { return a + b, nil }),
		flavors.Method1("echo", func(_ *lentRoot, p *flavors.Lent) (*flavors.Lent, error) { return p, nil }),
		flavors.Method1("confirm", func(_ *lentRoot, o load.Order) (load.Order, error) { return o.Confirmed(), nil }),
	)
}

type lentClient struct{ oursConn }

// Add implements load.Client.
func (c *lentClient) Add(ctx context.Context, a, b int) (int, error) { return add(ctx, c.root, a, b) }

// Echo implements load.Client: the result is valid until the caller releases it.
func (c *lentClient) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	echo, release, err := c.EchoLent(ctx, payload)
	if err != nil {
		return nil, err
	}
	defer release()
	return append([]byte(nil), echo...), nil
}

// EchoLent implements load.LentEchoer.
func (c *lentClient) EchoLent(ctx context.Context, payload []byte) (echo []byte, release func(), err error) {
	sent := flavors.Lend(payload)
	got, err := flavors.Call[*flavors.Lent](ctx, c.root, "echo", sent)
	sent.Release()
	<-sent.Done()
	if err != nil {
		return nil, nil, err
	}
	return got.Bytes(), got.Release, nil
}
