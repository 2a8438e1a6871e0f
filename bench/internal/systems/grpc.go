package systems

import (
	"context"
	"net"
	"runtime"

	"github.com/perspectivebroker/pb/bench/internal/benchpb"
	"github.com/perspectivebroker/pb/bench/internal/load"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// grpcSystem is grpc-go without TLS.
func grpcSystem() System {
	return System{
		Name: "grpc", Structs: true,
		Serve: func() (string, error) { return serveGRPC() },
		Dial:  func(ctx context.Context, addr string) (load.Client, error) { return dialGRPC(ctx, addr) },
	}
}

// grpcTuned is grpc-go with the settings that its documentation offers for throughput: larger flow-control windows,
// larger and shared buffers, and goroutines of the server that are reused. It still has one connection for each client,
// as all systems have.
func grpcTuned() System {
	const (
		window  = 8 << 20 // of a connection and of a stream; the default is 64 KiB, adapted to the bandwidth
		buffer  = 256 << 10
		message = 16 << 20
	)
	return System{
		Name: "grpc-tuned", Structs: true, Optional: true,
		Serve: func() (string, error) {
			return serveGRPC(
				grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window),
				grpc.ReadBufferSize(buffer), grpc.WriteBufferSize(buffer),
				grpc.MaxRecvMsgSize(message), grpc.MaxConcurrentStreams(maxStreams),
				grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))),
			)
		},
		Dial: func(ctx context.Context, addr string) (load.Client, error) {
			return dialGRPC(
				ctx, addr,
				grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
				grpc.WithReadBufferSize(buffer), grpc.WithWriteBufferSize(buffer),
				grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(message)),
			)
		},
	}
}

// protoBench implements the service of bench.proto.
type protoBench struct {
	benchpb.UnimplementedBenchServer
}

// Add returns the sum of its arguments.
func (*protoBench) Add(_ context.Context, r *benchpb.AddRequest) (*benchpb.AddReply, error) {
	return &benchpb.AddReply{Sum: r.GetA() + r.GetB()}, nil
}

// Echo returns its argument.
func (*protoBench) Echo(_ context.Context, r *benchpb.EchoRequest) (*benchpb.EchoReply, error) {
	return &benchpb.EchoReply{Payload: r.GetPayload()}, nil
}

// Confirm returns the order, paid.
func (*protoBench) Confirm(_ context.Context, o *benchpb.Order) (*benchpb.Order, error) {
	o.Paid = true
	return o, nil
}

func serveGRPC(options ...grpc.ServerOption) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := grpc.NewServer(options...)
	benchpb.RegisterBenchServer(server, &protoBench{})
	go func() { _ = server.Serve(ln) }()
	return ln.Addr().String(), nil
}

func dialGRPC(ctx context.Context, addr string, options ...grpc.DialOption) (load.Client, error) {
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("passthrough:///"+addr, options...)
	if err != nil {
		return nil, err
	}
	c := &grpcClient{conn, benchpb.NewBenchClient(conn)}
	// A gRPC client connects on its first call.
	if _, err = c.Add(ctx, 1, 2); err != nil {
		_ = conn.Close()
	}
	return c, err
}

type grpcClient struct {
	*grpc.ClientConn
	bench benchpb.BenchClient
}

// Add implements load.Client.
func (c *grpcClient) Add(ctx context.Context, a, b int) (int, error) {
	reply, err := c.bench.Add(ctx, &benchpb.AddRequest{A: int64(a), B: int64(b)})
	return int(reply.GetSum()), err
}

// Echo implements load.Client.
func (c *grpcClient) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	reply, err := c.bench.Echo(ctx, &benchpb.EchoRequest{Payload: payload})
	return reply.GetPayload(), err
}

// Confirm implements load.Confirmer.
func (c *grpcClient) Confirm(ctx context.Context, o load.Order) (load.Order, error) {
	reply, err := c.bench.Confirm(ctx, orderToProto(o))
	return orderOfProto(reply), err
}

func orderToProto(o load.Order) *benchpb.Order {
	items := make(map[string]int64, len(o.Items))
	for name, n := range o.Items {
		items[name] = int64(n)
	}
	return &benchpb.Order{
		Customer: o.Customer, Number: int64(o.Number), Price: o.Price, Paid: o.Paid, Items: items,
	}
}

func orderOfProto(o *benchpb.Order) load.Order {
	items := make(map[string]int, len(o.GetItems()))
	for name, n := range o.GetItems() {
		items[name] = int(n)
	}
	return load.Order{
		Customer: o.GetCustomer(), Number: int(o.GetNumber()), Price: o.GetPrice(), Paid: o.GetPaid(), Items: items,
	}
}
