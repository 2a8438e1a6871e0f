package interop

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// user is the avatar that python/stock_server.py has too.
type user struct {
	flavors.Avatar
	name   string
	mind   *flavors.RemoteReference
	inside *atomic.Int64
	view   *viewer
}

func (u *user) PerspectiveWhoami() string    { return u.name }
func (u *user) PerspectiveRoot() *service    { return &service{kept: map[string]any{}} }
func (u *user) PerspectiveViewable() *viewer { return u.view }
func (u *user) PerspectiveLogins() int64     { return u.inside.Load() }

func (u *user) PerspectiveCallMind(method string, args []any) *actor.Deferred {
	return u.mind.CallRemote(method, args...)
}

// viewer is one for all users, and knows each of them.
type viewer struct{ flavors.Viewable }

func (*viewer) ViewWhoami(caller *user) string { return caller.name }

// startLogin listens for moe, whose password is "secret", and for anonymous users.
func startLogin(t *testing.T) *broker.Listener {
	t.Helper()
	inside, view := new(atomic.Int64), &viewer{}
	realm := cred.RealmFunc[*flavors.RemoteReference, *user](
		func(_ context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (*user, func(), error) {
			name := id.Name()
			if id.Anonymous() {
				name = "anonymous"
			}
			inside.Add(1)
			return &user{name: name, mind: mind, inside: inside, view: view}, func() { inside.Add(-1) }, nil
		})
	users, err := cred.NewInMemory(map[string]cred.Entry{"moe": cred.Plaintext("secret")})
	require.NoError(t, err)
	portal, err := cred.NewPortal(realm, users, cred.AllowAnonymous())
	require.NoError(t, err)
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", broker.LoginRoot(portal))
	require.NoError(t, err)
	return ln
}

func TestStockClientLogsIntoOurs(t *testing.T) {
	Check(t, startLogin(t).URL(), "login")
}

// mindful is what a client of ours leaves with the server.
type mindful struct{ flavors.Referenceable }

func (*mindful) RemoteWhatNow(n int) int { return n + 1 }

func TestOurClientLogsIntoStock(t *testing.T) {
	server := Server(t, "--cred", "moe=secret", "--anonymous")
	dial := func() *broker.Conn {
		conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr())
		require.NoError(t, err)
		return conn
	}
	t.Run("with a password, and a mind that the server calls", func(t *testing.T) {
		avatar, err := dial().Login(t.Context(), cred.UsernamePassword{Username: "moe", Password: "secret"}, &mindful{})
		require.NoError(t, err)
		name, err := flavors.Call[string](t.Context(), avatar, "whoami")
		require.NoError(t, err)
		require.Equal(t, "moe", name)
		next, err := flavors.Call[int](t.Context(), avatar, "callMind", "whatNow", []any{41})
		require.NoError(t, err)
		require.Equal(t, 42, next)
		avatar.Release()
		server.WaitLine("logout moe")
	})
	t.Run("anonymously", func(t *testing.T) {
		avatar, err := dial().Login(t.Context(), cred.Anonymous{}, nil)
		require.NoError(t, err)
		name, err := flavors.Call[string](t.Context(), avatar, "whoami")
		require.NoError(t, err)
		require.Equal(t, "anonymous", name)
	})
	t.Run("with a wrong password", func(t *testing.T) {
		_, err := dial().Login(t.Context(), cred.UsernamePassword{Username: "moe", Password: "guess"}, nil)
		require.ErrorIs(t, err, flavors.UnauthorizedLogin)
	})
}
