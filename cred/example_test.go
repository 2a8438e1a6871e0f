package cred_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/perspectivebroker/pb/cred"
)

// A checker authenticates the user, and the realm makes the avatar.
func Example() {
	realm := cred.RealmFunc[any, string](func(_ context.Context, id cred.AvatarID, _ any) (string, func(), error) {
		return "the avatar of " + id.String(), func() { fmt.Println(id, "has left") }, nil
	})
	users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	if err != nil {
		fmt.Println(err)
		return
	}
	portal, err := cred.NewPortal(realm, users, cred.AllowAnonymous())
	if err != nil {
		fmt.Println(err)
		return
	}

	// Stock Twisted's login: the server makes a challenge, and the client responds.
	challenge := cred.NewChallenge()
	response := cred.Respond(challenge, "sesame")
	session, err := portal.Login(context.Background(),
		cred.ChallengeResponse{Username: "alice", Challenge: challenge, Response: response}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(session.Avatar())
	session.Logout()
	session.Logout()
	// Output:
	// the avatar of alice
	// alice has left
}

// The peer gets the error's text; the log gets the reason.
func ExampleRefused() {
	realm := cred.RealmFunc[any, string](func(context.Context, cred.AvatarID, any) (string, func(), error) {
		return "", nil, nil
	})
	users, _ := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	portal, _ := cred.NewPortal(realm, users)
	for _, c := range []cred.Credentials{
		cred.UsernamePassword{Username: "alice", Password: "open"},
		cred.UsernamePassword{Username: "mallory", Password: "open"},
		cred.Anonymous{},
	} {
		_, err := portal.Login(context.Background(), c, nil)
		var refused *cred.Refused
		if errors.As(err, &refused) {
			fmt.Printf("peer: %v\nlog:  %s\n", refused, refused.Log())
		}
	}
	// Output:
	// peer: cred: login refused
	// log:  wrong credentials (username-password of "alice")
	// peer: cred: login refused
	// log:  unknown user (username-password of "mallory")
	// peer: cred: login refused
	// log:  no checker for this kind of credentials (anonymous): the portal has checkers for other kinds only
}

// A hasher makes entries to be stored, and checks them.
func ExampleHasher() {
	hasher := cred.NewHasher()
	entry, err := hasher.Argon2id(context.Background(), "sesame")
	if err != nil {
		fmt.Println(err)
		return
	}
	stored := entry.Encode()
	fmt.Println(stored[:31], "…")

	read, err := hasher.Parse(stored)
	if err != nil {
		fmt.Println(err)
		return
	}
	right, err := hasher.Verify(context.Background(), read, "sesame")
	fmt.Println(read, right, err)
	fmt.Println("can answer a challenge:", cred.CanAnswer(read))
	// Output:
	// $argon2id$v=19$m=19456,t=2,p=1$ …
	// argon2id true <nil>
	// can answer a challenge: false
}

func ExampleNewPasswordFile() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "passwords")
	if err := os.WriteFile(path, []byte("Alice|sesame\nBob|bread\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}

	users, err := cred.NewPasswordFile(path, cred.WithDelimiter("|"), cred.WithIgnoreCase())
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := users.Check(context.Background(), cred.UsernamePassword{Username: "ALICE", Password: "sesame"})
	fmt.Println(id, err)
	// Output: alice <nil>
}

func ExampleThrottle() {
	throttle := cred.NewThrottle(cred.WithFreeFailures(1), cred.WithMaxWait(0))
	for range 2 {
		attempt, err := throttle.Enter(context.Background(), "192.0.2.7")
		if err != nil {
			fmt.Println(err)
			return
		}
		// The login happens here, with this result.
		attempt.End(cred.Refuse(cred.ReasonWrong, ""))
	}
	// Output: cred: login refused
}

// One identity with several perspectives.
func ExampleIdentities() {
	type mind = any
	chat := cred.ServiceFunc[mind, string](
		func(_ context.Context, name string, identity cred.AvatarID, _ mind) (string, func(), error) {
			return fmt.Sprintf("%s's perspective %s", identity, name), nil, nil
		},
	)
	identities := cred.NewIdentities[mind, string]()
	if err := identities.AddService("chat", chat); err != nil {
		fmt.Println(err)
	}
	if err := identities.Grant(cred.ID("alice"), cred.Key{Service: "chat", Perspective: "Moderator"}); err != nil {
		fmt.Println(err)
	}
	users, _ := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
	portal, _ := cred.NewPortal(identities, users)

	session, err := portal.Login(context.Background(), cred.UsernamePassword{Username: "alice", Password: "sesame"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Logout()
	alice := session.Avatar()
	fmt.Println(alice.Keyring())
	moderator, err := alice.Attach(context.Background(), cred.Key{Service: "chat", Perspective: "Moderator"}, nil)
	fmt.Println(moderator.Avatar(), err)
	_, err = alice.Attach(context.Background(), cred.Key{Service: "chat", Perspective: "Owner"}, nil)
	fmt.Println(err)
	// Output:
	// [chat/Moderator]
	// alice's perspective Moderator <nil>
	// cred: login refused
}
