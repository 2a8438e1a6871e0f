package systems

import (
	"context"
	"net"
	"net/http"

	"connectrpc.com/connect"
	"github.com/perspectivebroker/pb/bench/internal/benchpb"
	"github.com/perspectivebroker/pb/bench/internal/benchpb/benchpbconnect"
	"github.com/perspectivebroker/pb/bench/internal/load"
)

// maxStreams is the maximum number of concurrent calls on one HTTP/2 connection. The default of 250 would block some of
// the 256 callers.
const maxStreams = 1024

// connectGo is connect-go with its own protocol over HTTP/2 without TLS.
func connectGo() System {
	return System{Name: "connect", Structs: true, Serve: serveConnect, Dial: dialConnect, Optional: true}
}

// connectBench implements the service for connect-go.
type connectBench struct{}

// Add returns the sum of its arguments.
func (connectBench) Add(
	_ context.Context, r *connect.Request[benchpb.AddRequest],
) (*connect.Response[benchpb.AddReply], error) {
	return connect.NewResponse(&benchpb.AddReply{Sum: r.Msg.GetA() + r.Msg.GetB()}), nil
}

// Echo returns its argument.
func (connectBench) Echo(
	_ context.Context, r *connect.Request[benchpb.EchoRequest],
) (*connect.Response[benchpb.EchoReply], error) {
	return connect.NewResponse(&benchpb.EchoReply{Payload: r.Msg.GetPayload()}), nil
}

// Confirm returns the order, paid.
func (connectBench) Confirm(
	_ context.Context, r *connect.Request[benchpb.Order],
) (*connect.Response[benchpb.Order], error) {
	r.Msg.Paid = true
	return connect.NewResponse(r.Msg), nil
}

func unencryptedHTTP2() *http.Protocols {
	p := &http.Protocols{}
	p.SetUnencryptedHTTP2(true)
	return p
}

func serveConnect() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle(benchpbconnect.NewBenchHandler(connectBench{}))
	server := &http.Server{
		Handler: mux, Protocols: unencryptedHTTP2(), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}
	go func() { _ = server.Serve(ln) }()
	return ln.Addr().String(), nil
}

func dialConnect(ctx context.Context, addr string) (load.Client, error) {
	transport := &http.Transport{Protocols: unencryptedHTTP2()}
	c := &connectClient{transport, benchpbconnect.NewBenchClient(&http.Client{Transport: transport}, "http://"+addr)}
	_, err := c.Add(ctx, 1, 2)
	return c, err
}

type connectClient struct {
	transport *http.Transport
	bench     benchpbconnect.BenchClient
}

// Add implements load.Client.
func (c *connectClient) Add(ctx context.Context, a, b int) (int, error) {
	reply, err := c.bench.Add(ctx, connect.NewRequest(&benchpb.AddRequest{A: int64(a), B: int64(b)}))
	if err != nil {
		return 0, err
	}
	return int(reply.Msg.GetSum()), nil
}

// Echo implements load.Client.
func (c *connectClient) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	reply, err := c.bench.Echo(ctx, connect.NewRequest(&benchpb.EchoRequest{Payload: payload}))
	if err != nil {
		return nil, err
	}
	return reply.Msg.GetPayload(), nil
}

// Confirm implements load.Confirmer.
func (c *connectClient) Confirm(ctx context.Context, o load.Order) (load.Order, error) {
	reply, err := c.bench.Confirm(ctx, connect.NewRequest(orderToProto(o)))
	if err != nil {
		return load.Order{}, err
	}
	return orderOfProto(reply.Msg), nil
}

// Close implements load.Client.
func (c *connectClient) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}
