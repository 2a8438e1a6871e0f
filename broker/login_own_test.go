package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// guest is an avatar whose reference carries a class.
type guest struct {
	flavors.Avatar
	id cred.AvatarID
}

func (*guest) ReferenceClass() (string, []any) { return "words.Avatar", []any{[]byte("x")} }

func (g *guest) PerspectiveIsAnonymous() bool { return g.id.Anonymous() }

var errBanned = flavors.NewException("house.Banned", flavors.UnauthorizedLogin)

func openHouse(t *testing.T) *broker.PortalRoot {
	t.Helper()
	users, err := cred.NewInMemory(map[string]cred.Entry{"anna": cred.Plaintext("1")})
	require.NoError(t, err)
	enter := func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*guest, func(), error) {
		return &guest{id: id}, nil, nil
	}
	return broker.Login(enter, cred.AnonymousByName(openUsers{users}, ""))
}

// openUsers says why it refuses.
type openUsers struct{ cred.Checker }

func (u openUsers) Check(ctx context.Context, c cred.Credentials) (cred.AvatarID, error) {
	switch c.Claim() {
	case "banned":
		return cred.AvatarID{}, cred.RefuseOpenly(errBanned.New("until Friday"))
	case "wrong":
		return cred.AvatarID{}, cred.RefuseOpenly(errors.New("Wrong username"))
	}
	return u.Checker.Check(ctx, c)
}

// The clauses P-8.11 and P-8.12.
func TestLoginForms(t *testing.T) {
	s := newServer(t, openHouse(t))
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterReference(registry, "words.Avatar"))
	dial := func(t *testing.T) *broker.Conn {
		conn, err := broker.NewClientConn(t.Context(), newRuntime(t), s.dial(), broker.WithRegistry(registry))
		require.NoError(t, err)
		return conn
	}
	for name, c := range map[string]struct {
		credentials cred.Credentials
		anonymous   bool
	}{
		"bytes":        {cred.UsernamePassword{Username: "anna", Password: "1"}, false},
		"text":         {broker.TextName{Username: "anna", Password: "1"}, false},
		"empty name":   {cred.UsernamePassword{}, true},
		"any password": {broker.TextName{Password: "guess"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			avatar, err := dial(t).Login(t.Context(), c.credentials, nil)
			require.NoError(t, err)
			require.Equal(t, "words.Avatar", avatar.Class())
			require.Equal(t, []any{[]byte("x")}, avatar.Extras())
			anonymous, err := flavors.Call[bool](t.Context(), avatar, "isAnonymous")
			require.NoError(t, err)
			require.Equal(t, c.anonymous, anonymous)
		})
	}
	t.Run("an open refusal keeps its type", func(t *testing.T) {
		_, err := dial(t).Login(t.Context(), cred.UsernamePassword{Username: "banned"}, nil)
		require.ErrorIs(t, err, errBanned)
		require.ErrorIs(t, err, flavors.UnauthorizedLogin)
		require.ErrorContains(t, err, "until Friday")
	})
	t.Run("and a plain one its text", func(t *testing.T) {
		_, err := dial(t).Login(t.Context(), cred.UsernamePassword{Username: "wrong"}, nil)
		require.ErrorIs(t, err, flavors.UnauthorizedLogin)
		require.ErrorContains(t, err, "Wrong username")
	})
	t.Run("others say nothing", func(t *testing.T) {
		_, err := dial(t).Login(t.Context(), cred.UsernamePassword{Username: "anna", Password: "2"}, nil)
		require.ErrorContains(t, err, "login refused")
	})
}

// TestOpenRefusals refuses openly at each place that may refuse: the checker, the realm, an identity's service.
func TestOpenRefusals(t *testing.T) {
	refuse := func(name string) error {
		switch name {
		case "banned":
			return cred.RefuseOpenly(errBanned.New("until Friday"))
		case "plain":
			return fmt.Errorf("a wrapped refusal: %w", cred.RefuseOpenly(errors.New("come back on Friday")))
		case "closed":
			return cred.Refuse(cred.ReasonDenied, "the reason is Friday")
		}
		return errors.New("the database of Friday is down")
	}
	names := []string{"banned", "plain", "closed", "broken"}
	entries := map[string]cred.Entry{"alice": cred.Plaintext("sesame")}
	for _, name := range names {
		entries[name] = cred.Plaintext("sesame")
	}
	users, err := cred.NewInMemory(entries)
	require.NoError(t, err)
	realm, err := cred.NewPortal(cred.RealmFunc[*flavors.RemoteReference, *guest](
		func(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*guest, func(), error) {
			return nil, nil, refuse(id.Name())
		}), users)
	require.NoError(t, err)
	identities := cred.NewIdentities[*flavors.RemoteReference, *guest]()
	require.NoError(t, identities.AddService("door", cred.ServiceFunc[*flavors.RemoteReference, *guest](
		func(_ context.Context, perspective string, _ cred.AvatarID, _ *flavors.RemoteReference) (*guest, func(), error) {
			return nil, nil, refuse(perspective)
		})))
	for _, name := range names {
		require.NoError(t, identities.Grant(cred.ID("alice"), cred.Key{Service: "door", Perspective: name}))
	}
	keyrings, err := cred.NewPortal(identities, users)
	require.NoError(t, err)

	connect := func(t *testing.T, root *broker.PortalRoot) *broker.Conn {
		conn, err := broker.NewClientConn(t.Context(), newRuntime(t), newServer(t, root).dial())
		require.NoError(t, err)
		return conn
	}
	login := func(t *testing.T, conn *broker.Conn, name string) error {
		_, err := conn.Login(t.Context(), cred.UsernamePassword{Username: name, Password: "sesame"}, nil)
		return err
	}
	refusing := checkerFunc(func(c cred.Credentials) error { return refuse(c.Claim()) })
	for name, try := range map[string]func(t *testing.T, user string) error{
		"checker": func(t *testing.T, user string) error {
			enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*guest, func(), error) {
				return &guest{}, nil, nil
			}
			return login(t, connect(t, broker.Login(enter, refusing)), user)
		},
		"realm": func(t *testing.T, user string) error {
			return login(t, connect(t, broker.LoginRoot(realm, unhurried())), user)
		},
		"checker before an identity": func(t *testing.T, user string) error {
			portal, err := cred.NewPortal(identities, refusing)
			require.NoError(t, err)
			return login(t, connect(t, broker.IdentityRoot(portal, unhurried())), user)
		},
		"service of an identity": func(t *testing.T, user string) error {
			conn := connect(t, broker.IdentityRoot(keyrings, unhurried()))
			alice := cred.UsernamePassword{Username: "alice", Password: "sesame"}
			identity, err := conn.Login(t.Context(), alice, nil)
			require.NoError(t, err)
			_, err = conn.Attach(t.Context(), identity, cred.Key{Service: "door", Perspective: user}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := try(t, "banned")
			require.ErrorIs(t, err, errBanned)
			require.ErrorContains(t, err, "until Friday")
			err = try(t, "plain")
			require.ErrorIs(t, err, flavors.UnauthorizedLogin)
			require.ErrorContains(t, err, "come back on Friday")
			for _, user := range []string{"closed", "broken"} {
				err := try(t, user)
				require.ErrorIs(t, err, flavors.UnauthorizedLogin)
				require.ErrorContains(t, err, "login refused")
				require.NotContains(t, err.Error(), "Friday")
			}
		})
	}
}

// checkerFunc is a checker of challenges that refuses everybody.
type checkerFunc func(cred.Credentials) error

func (checkerFunc) Accepts(kind cred.Kind) bool { return kind == cred.KindChallengeResponse }

func (f checkerFunc) Check(_ context.Context, c cred.Credentials) (cred.AvatarID, error) {
	return cred.AvatarID{}, f(c)
}

// Gate is a login of one's own: a root with the methods that Twisted's clients call. It answers a wrong password with
// a tuple instead of a failure.
type Gate struct{ flavors.Root }

// RemoteLogin answers with a challenge, and with the object that takes the response to it.
func (*Gate) RemoteLogin(name string) jelly.Tuple {
	challenge := cred.NewChallenge()
	return jelly.Tuple{challenge, &Responder{name: name, challenge: challenge}}
}

// Responder takes the response to one challenge.
type Responder struct {
	flavors.Referenceable
	name      string
	challenge []byte
}

// RemoteRespond answers with an object for the user, or with (False, reason).
func (r *Responder) RemoteRespond(response []byte, _ *flavors.RemoteReference) any {
	challenge := r.challenge
	if r.challenge = nil; challenge == nil { // One response to each challenge.
		return jelly.Tuple{false, "log in again"}
	}
	claim := cred.ChallengeResponse{Username: r.name, Challenge: challenge, Response: response}
	if r.name != "radmin" || !claim.CheckPassword("rpwd") {
		return jelly.Tuple{false, "Authentication error " + r.name}
	}
	return &Operator{}
}

// Operator is what a user gets. It is not an Avatar, because these are for the portal's logins.
type Operator struct{ flavors.Referenceable }

func (*Operator) RemoteVersion() string { return "0.10" }

// A login of one's own, and a client that takes any answer.
func ExampleConn_LoginAnswer() {
	ctx := context.Background()
	rt := exampleRuntime()
	defer rt.Close(ctx)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &Gate{})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := broker.Dial(ctx, rt, ln.URL())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, password := range []cred.Secret{"guess", "rpwd"} {
		answer, err := conn.LoginAnswer(ctx, broker.TextName{Username: "radmin", Password: password}, nil)
		switch answer := answer.(type) {
		case jelly.Tuple:
			fmt.Println("refused:", answer[1])
		case *flavors.RemoteReference:
			version, err := flavors.Call[string](ctx, answer, "version")
			fmt.Println(version, err)
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// refused: Authentication error radmin
	// 0.10 <nil>
}
