package systems

import (
	"context"
	"net"
	"net/rpc"

	"github.com/perspectivebroker/pb/bench/internal/load"
)

// netRPC is the standard library's net/rpc with its own encoding, gob.
func netRPC() System {
	return System{Name: "netrpc", Structs: true, Serve: serveNetRPC, Dial: dialNetRPC}
}

// RPCBench implements the service. net/rpc requires it to be exported.
type RPCBench struct{}

// AddArgs are the arguments of Add.
type AddArgs struct{ A, B int }

// Add sets sum to the sum of its arguments.
func (*RPCBench) Add(args *AddArgs, sum *int) error {
	*sum = args.A + args.B
	return nil
}

// Echo sets echo to its argument.
func (*RPCBench) Echo(payload *[]byte, echo *[]byte) error {
	*echo = *payload
	return nil
}

// Confirm sets answer to the order, paid.
func (*RPCBench) Confirm(o *load.Order, answer *load.Order) error {
	*answer = o.Confirmed()
	return nil
}

func serveNetRPC() (string, error) {
	server := rpc.NewServer()
	if err := server.RegisterName("Bench", &RPCBench{}); err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go server.Accept(ln)
	return ln.Addr().String(), nil
}

func dialNetRPC(_ context.Context, addr string) (load.Client, error) {
	c, err := rpc.Dial("tcp", addr)
	return &netRPCClient{c}, err
}

type netRPCClient struct{ *rpc.Client }

// Add implements load.Client.
func (c *netRPCClient) Add(_ context.Context, a, b int) (sum int, err error) {
	err = c.Call("Bench.Add", &AddArgs{A: a, B: b}, &sum)
	return sum, err
}

// Echo implements load.Client.
func (c *netRPCClient) Echo(_ context.Context, payload []byte) (echo []byte, err error) {
	err = c.Call("Bench.Echo", &payload, &echo)
	return echo, err
}

// Confirm implements load.Confirmer.
func (c *netRPCClient) Confirm(_ context.Context, o load.Order) (answer load.Order, err error) {
	err = c.Call("Bench.Confirm", &o, &answer)
	return answer, err
}
