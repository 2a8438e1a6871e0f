package systems

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/perspectivebroker/pb/bench/internal/benchpb"
	"github.com/perspectivebroker/pb/bench/internal/load"
)

// protoactorRemote is the remote package of protoactor-go. Two actor systems share one connection, so each connection
// needs an actor system of its own.
func protoactorRemote() System {
	return System{Name: "protoactor", Serve: serveProtoactor, Dial: dialProtoactor, MaxConns: 64}
}

// requestTimeout is the timeout of protoactor and NATS requests, which require one. No request takes nearly as long.
const requestTimeout = time.Minute

// benchActor answers one message after the other, as an object of this module does.
type benchActor struct{}

// Receive implements protoactor.Actor.
func (benchActor) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *benchpb.AddRequest:
		ctx.Respond(&benchpb.AddReply{Sum: m.GetA() + m.GetB()})
	case *benchpb.EchoRequest:
		ctx.Respond(&benchpb.EchoReply{Payload: m.GetPayload()})
	}
}

func startRemote() (*protoactor.ActorSystem, *remote.Remote) {
	quiet := protoactor.WithLoggerFactory(func(*protoactor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	})
	system := protoactor.NewActorSystem(quiet)
	r := remote.NewRemote(system, remote.Configure("127.0.0.1", 0))
	r.Start()
	return system, r
}

func serveProtoactor() (string, error) {
	system, _ := startRemote()
	props := protoactor.PropsFromProducer(func() protoactor.Actor { return benchActor{} })
	pid, err := system.Root.SpawnNamed(props, "bench")
	if err != nil {
		return "", err
	}
	return pid.Address, nil
}

func dialProtoactor(ctx context.Context, addr string) (load.Client, error) {
	system, r := startRemote()
	c := &protoactorClient{system, r, protoactor.NewPID(addr, "bench")}
	// The first message opens the connection.
	_, err := c.Add(ctx, 1, 2)
	return c, err
}

type protoactorClient struct {
	system *protoactor.ActorSystem
	remote *remote.Remote
	bench  *protoactor.PID
}

// Add implements load.Client.
func (c *protoactorClient) Add(_ context.Context, a, b int) (int, error) {
	request := &benchpb.AddRequest{A: int64(a), B: int64(b)}
	m, err := c.system.Root.RequestFuture(c.bench, request, requestTimeout).Result()
	if err != nil {
		return 0, err
	}
	reply, ok := m.(*benchpb.AddReply)
	if !ok {
		return 0, fmt.Errorf("protoactor answered %T", m)
	}
	return int(reply.GetSum()), nil
}

// Echo implements load.Client.
func (c *protoactorClient) Echo(_ context.Context, payload []byte) ([]byte, error) {
	// The payload of a message must not change after it is sent. The caller does not change it before the reply.
	m, err := c.system.Root.RequestFuture(c.bench, &benchpb.EchoRequest{Payload: payload}, requestTimeout).Result()
	if err != nil {
		return nil, err
	}
	reply, ok := m.(*benchpb.EchoReply)
	if !ok {
		return nil, fmt.Errorf("protoactor answered %T", m)
	}
	return reply.GetPayload(), nil
}

// Close implements load.Client.
func (c *protoactorClient) Close() error {
	c.remote.Shutdown(false)
	c.system.Shutdown()
	return nil
}
