package systems

import (
	"context"
	"net"
	"time"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/smallnest/rpcx/client"
	rpcxlog "github.com/smallnest/rpcx/log"
	"github.com/smallnest/rpcx/server"
)

// rpcxSystem is smallnest's rpcx with its defaults: msgpack over one TCP connection.
func rpcxSystem() System {
	return System{Name: "rpcx", Structs: true, Serve: serveRPCX, Dial: dialRPCX, Optional: true}
}

// rpcxBench implements the service.
type rpcxBench struct{}

// Add sets sum to the sum of its arguments.
func (*rpcxBench) Add(_ context.Context, args *AddArgs, sum *int) error {
	*sum = args.A + args.B
	return nil
}

// Echo sets echo to its argument.
func (*rpcxBench) Echo(_ context.Context, payload *[]byte, echo *[]byte) error {
	*echo = *payload
	return nil
}

// Confirm sets answer to the order, paid.
func (*rpcxBench) Confirm(_ context.Context, o *load.Order, answer *load.Order) error {
	*answer = o.Confirmed()
	return nil
}

func serveRPCX() (string, error) {
	rpcxlog.SetDummyLogger() // It logs every connection that ends.
	s := server.NewServer()
	if err := s.RegisterName("Bench", &rpcxBench{}, ""); err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = s.ServeListener("tcp", ln) }()
	return ln.Addr().String(), nil
}

// rpcxDialTimeout is how long dialing may take. The default of one second is short for 1,000 connections.
const rpcxDialTimeout = 10 * time.Second

func dialRPCX(_ context.Context, addr string) (load.Client, error) {
	rpcxlog.SetDummyLogger()
	option := client.DefaultOption
	option.ConnectTimeout = rpcxDialTimeout
	c := client.NewClient(option)
	return &rpcxClient{c}, c.Connect("tcp", addr)
}

type rpcxClient struct{ *client.Client }

// Add implements load.Client.
func (c *rpcxClient) Add(ctx context.Context, a, b int) (sum int, err error) {
	err = c.Call(ctx, "Bench", "Add", &AddArgs{A: a, B: b}, &sum)
	return sum, err
}

// Echo implements load.Client.
func (c *rpcxClient) Echo(ctx context.Context, payload []byte) (echo []byte, err error) {
	err = c.Call(ctx, "Bench", "Echo", &payload, &echo)
	return echo, err
}

// Confirm implements load.Confirmer.
func (c *rpcxClient) Confirm(ctx context.Context, o load.Order) (answer load.Order, err error) {
	err = c.Call(ctx, "Bench", "Confirm", &o, &answer)
	return answer, err
}
