package systems

import (
	"context"
	"fmt"
	"net"

	"github.com/perspectivebroker/pb/bench/internal/benchpb"
	"github.com/perspectivebroker/pb/bench/internal/load"
	"google.golang.org/protobuf/proto"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcserver"
)

// drpcSystem is Storj's drpc with protobuf messages. A connection of drpc carries one call at a time.
func drpcSystem() System {
	return System{
		Name: "drpc", OneCaller: true, Structs: true, Serve: serveDRPC, Dial: dialDRPC, Optional: true,
	}
}

// protoEncoding encodes messages as drpc's generated code does.
type protoEncoding struct{}

// Marshal implements drpc.Encoding.
func (protoEncoding) Marshal(m drpc.Message) ([]byte, error) {
	return protoEncoding{}.MarshalAppend(nil, m)
}

// MarshalAppend avoids an allocation for each message: drpc reuses buf.
func (protoEncoding) MarshalAppend(buf []byte, m drpc.Message) ([]byte, error) {
	message, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a protobuf message", m)
	}
	return proto.MarshalOptions{}.MarshalAppend(buf, message)
}

// Unmarshal implements drpc.Encoding.
func (protoEncoding) Unmarshal(buf []byte, m drpc.Message) error {
	message, ok := m.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is not a protobuf message", m)
	}
	return proto.Unmarshal(buf, message)
}

// The names of the methods.
const (
	drpcAdd     = "/bench.Bench/Add"
	drpcEcho    = "/bench.Bench/Echo"
	drpcConfirm = "/bench.Bench/Confirm"
)

// drpcBench describes protoBench, as drpc's generated code would.
type drpcBench struct{}

// NumMethods implements drpc.Description.
func (drpcBench) NumMethods() int { return 3 }

// Method implements drpc.Description.
func (drpcBench) Method(n int) (string, drpc.Encoding, drpc.Receiver, any, bool) {
	switch n {
	case 0:
		return drpcAdd, protoEncoding{}, drpcReceiver((*protoBench).Add), (*protoBench).Add, true
	case 1:
		return drpcEcho, protoEncoding{}, drpcReceiver((*protoBench).Echo), (*protoBench).Echo, true
	case 2:
		return drpcConfirm, protoEncoding{}, drpcReceiver((*protoBench).Confirm), (*protoBench).Confirm, true
	}
	return "", nil, nil, nil, false
}

func drpcReceiver[In, Out any](method func(*protoBench, context.Context, *In) (*Out, error)) drpc.Receiver {
	return func(srv any, ctx context.Context, in, _ any) (drpc.Message, error) { //nolint:revive // drpc's order
		bench, ok := srv.(*protoBench)
		request, isRequest := in.(*In)
		if !ok || !isRequest {
			return nil, fmt.Errorf("cannot call a %T with a %T", srv, in)
		}
		return method(bench, ctx, request)
	}
}

func serveDRPC() (string, error) {
	mux := drpcmux.New()
	if err := mux.Register(&protoBench{}, drpcBench{}); err != nil {
		return "", err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go func() { _ = drpcserver.New(mux).Serve(context.Background(), ln) }()
	return ln.Addr().String(), nil
}

func dialDRPC(ctx context.Context, addr string) (load.Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &drpcClient{drpcconn.New(conn)}, nil
}

type drpcClient struct{ *drpcconn.Conn }

// Add implements load.Client.
func (c *drpcClient) Add(ctx context.Context, a, b int) (int, error) {
	var reply benchpb.AddReply
	err := c.Invoke(ctx, drpcAdd, protoEncoding{}, &benchpb.AddRequest{A: int64(a), B: int64(b)}, &reply)
	return int(reply.GetSum()), err
}

// Echo implements load.Client.
func (c *drpcClient) Echo(ctx context.Context, payload []byte) ([]byte, error) {
	var reply benchpb.EchoReply
	err := c.Invoke(ctx, drpcEcho, protoEncoding{}, &benchpb.EchoRequest{Payload: payload}, &reply)
	return reply.GetPayload(), err
}

// Confirm implements load.Confirmer.
func (c *drpcClient) Confirm(ctx context.Context, o load.Order) (load.Order, error) {
	var reply benchpb.Order
	err := c.Invoke(ctx, drpcConfirm, protoEncoding{}, orderToProto(o), &reply)
	return orderOfProto(&reply), err
}
