package logins

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// knowing is an avatar made of what the mind answered.
type knowing struct {
	flavors.Avatar
	info map[string]string
}

func (k *knowing) PerspectiveInfo() map[string]string { return k.info }

// asking is the realm of python/asking.py in Go: it calls the mind before it answers the login.
func asking(ctx context.Context, _ cred.AvatarID, mind *flavors.RemoteReference) (*knowing, func(), error) {
	if _, err := flavors.Call[any](ctx, mind, "print", "welcome"); err != nil {
		return nil, nil, err
	}
	info, err := flavors.Call[map[string]string](ctx, mind, "getInfo")
	return &knowing{info: info}, nil, err
}

// answering is the mind of python/asking.py in Go.
type answering struct {
	flavors.Referenceable
	printed chan string
}

func (a *answering) RemotePrint(message string) { a.printed <- message }

func (a *answering) RemoteGetInfo() map[string]string { return map[string]string{"host": "ours"} }

// TestMindCalledDuringLogin tests P-8.6 with stock at either end.
func TestMindCalledDuringLogin(t *testing.T) {
	stock.Require(t)
	t.Run("by our server", func(t *testing.T) {
		users, err := cred.NewInMemory(map[string]cred.Entry{"user1": cred.Plaintext("pass1")})
		require.NoError(t, err)
		portal, err := cred.NewPortal(cred.RealmFunc[*flavors.RemoteReference, *knowing](asking), users)
		require.NoError(t, err)
		ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", broker.LoginRoot(portal))
		require.NoError(t, err)
		client := stock.Start(t, script(t, "asking.py"), "client", ln.Addr().String())
		client.WaitLine("asked to print welcome")
		client.WaitLine("info {'host': 'stock'}")
		assert.Zero(t, client.Exit())
	})
	t.Run("by the stock server", func(t *testing.T) {
		server := stock.Start(t, script(t, "asking.py"), "server")
		conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+server.Addr())
		require.NoError(t, err)
		mind := &answering{printed: make(chan string, 1)}
		avatar, err := conn.Login(t.Context(), cred.UsernamePassword{Username: "user1", Password: "pass1"}, mind)
		require.NoError(t, err)
		assert.Equal(t, "welcome", <-mind.printed)
		info, err := flavors.Call[map[string]string](t.Context(), avatar, "info")
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"host": "ours"}, info)
		conn.Logout(avatar)
		server.WaitLine("logout")
	})
}
