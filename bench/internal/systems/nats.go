package systems

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/perspectivebroker/pb/bench/internal/benchpb"
	"github.com/perspectivebroker/pb/bench/internal/load"
	"google.golang.org/protobuf/proto"
)

// natsSystem is request and reply through a NATS server. The NATS server and the responder run in one process and are
// connected over loopback. Requests and replies both pass through the NATS server.
func natsSystem() System {
	return System{Name: "nats", Serve: serveNATS, Dial: dialNATS, Optional: true}
}

func serveNATS() (string, error) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		return "", err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return "", errors.New("the NATS server did not start within ten seconds")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		return "", err
	}
	_, err = conn.Subscribe("add", func(m *nats.Msg) {
		var r benchpb.AddRequest
		if proto.Unmarshal(m.Data, &r) != nil {
			return
		}
		if reply, err := proto.Marshal(&benchpb.AddReply{Sum: r.GetA() + r.GetB()}); err == nil {
			_ = m.Respond(reply)
		}
	})
	if err != nil {
		return "", err
	}
	_, err = conn.Subscribe("echo", func(m *nats.Msg) { _ = m.Respond(m.Data) })
	if err != nil {
		return "", err
	}
	return s.ClientURL(), conn.Flush()
}

func dialNATS(_ context.Context, addr string) (load.Client, error) {
	conn, err := nats.Connect(addr)
	return &natsClient{conn}, err
}

type natsClient struct{ conn *nats.Conn }

// Add implements load.Client.
func (c *natsClient) Add(_ context.Context, a, b int) (int, error) {
	request, err := proto.Marshal(&benchpb.AddRequest{A: int64(a), B: int64(b)})
	if err != nil {
		return 0, err
	}
	m, err := c.conn.Request("add", request, requestTimeout)
	if err != nil {
		return 0, err
	}
	var reply benchpb.AddReply
	err = proto.Unmarshal(m.Data, &reply)
	return int(reply.GetSum()), err
}

// Echo implements load.Client.
func (c *natsClient) Echo(_ context.Context, payload []byte) ([]byte, error) {
	m, err := c.conn.Request("echo", payload, requestTimeout)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

// Close implements load.Client.
func (c *natsClient) Close() error {
	c.conn.Close()
	return nil
}
