package broker_test

import (
	"context"
	"fmt"
	"log"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// Player is the perspective that a service gives to an identity which has the key.
type Player struct {
	flavors.Avatar
	service, name string
}

func (p *Player) PerspectiveWhoami() string { return p.name + " in " + p.service }

func ExampleIdentityRoot() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)

	// Two services, and an identity with a key to each.
	identities := cred.NewIdentities[*flavors.RemoteReference, *Player]()
	for _, service := range []string{"chess", "chat"} {
		err := identities.AddService(service, cred.ServiceFunc[*flavors.RemoteReference, *Player](
			func(_ context.Context, name string, _ cred.AvatarID, _ *flavors.RemoteReference) (*Player, func(), error) {
				return &Player{service: service, name: name}, nil, nil
			}))
		if err != nil {
			log.Fatal(err)
		}
	}
	err := identities.Grant(
		cred.ID("alice"),
		cred.Key{Service: "chess", Perspective: "white"},
		cred.Key{Service: "chat", Perspective: "alice"},
	)
	if err != nil {
		log.Fatal(err)
	}
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	if err != nil {
		log.Fatal(err)
	}
	portal, err := cred.NewPortal(identities, users)
	if err != nil {
		log.Fatal(err)
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.IdentityRoot(portal))
	if err != nil {
		log.Fatal(err)
	}

	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		log.Fatal(err)
	}
	identity, err := conn.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "sesame"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := conn.Keyring(ctx, identity)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		perspective, err := conn.Attach(ctx, identity, key, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(flavors.Call[string](ctx, perspective, "whoami"))
	}
	_, err = conn.Attach(ctx, identity, cred.Key{Service: "chess", Perspective: "black"}, nil)
	fmt.Println(err)
	// Output:
	// alice in chat <nil>
	// white in chess <nil>
	// attaching chess/black: twisted.cred.error.UnauthorizedLogin: login refused
}
