package quic_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/adapters/quic"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/authority"
)

// Clock is an object for the example.
type Clock struct{ flavors.Root }

// RemoteTime returns the time.
func (*Clock) RemoteTime() string { return "half past nine" }

func ExampleTransport() {
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rt.Close(ctx)
	ca := authority.New(&testing.T{}) // use the certificates of your own authority

	transport := broker.WithTransport(quic.Transport(quic.Config{}))
	ln, err := broker.Listen(rt, "pbq://127.0.0.1:0", &Clock{}, transport,
		broker.WithTLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue("server", nil)}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := broker.Dial(ctx, rt, ln.URL(), transport, broker.WithTLS(&tls.Config{RootCAs: ca.Pool()}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "time"))
	// Output: half past nine <nil>
}
