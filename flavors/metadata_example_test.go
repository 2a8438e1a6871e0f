package flavors_test

import (
	"context"
	"fmt"
	"log"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
)

// Desk tells callers whom they call for.
type Desk struct{ flavors.Root }

func (*Desk) RemoteWhom(inv *flavors.Invocation) string {
	tenant, _ := inv.Metadata()["tenant"].(string)
	return tenant
}

// WithMetadataText adds one entry to what calls carry.
func ExampleWithMetadataText() {
	conn, leave := pbtest.Visit(&Desk{})
	defer leave()
	ctx := flavors.WithMetadataText(context.Background(), "tenant", "acme")
	fmt.Println(flavors.Call[string](ctx, conn.Root(), "whom"))
	// Output: acme <nil>
}

// An interceptor of a server reads one entry of each call.
func ExampleCallInfo_MetadataText() {
	onlyTenants := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if call.Incoming() && call.MetadataText("tenant") == "" {
				return nil, flavors.ValueError.New("the call names no tenant")
			}
			return next(ctx, call)
		}
	})
	ctx := context.Background()
	rt, err := actor.NewRuntime()
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close(ctx)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Desk{}, broker.WithInterceptor(onlyTenants))
	if err != nil {
		log.Fatal(err)
	}
	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	_, err = flavors.Call[string](ctx, conn.Root(), "whom")
	fmt.Println(err)
	fmt.Println(flavors.Call[string](flavors.WithMetadataText(ctx, "tenant", "acme"), conn.Root(), "whom"))
	// Output:
	// builtins.ValueError: the call names no tenant
	// acme <nil>
}
