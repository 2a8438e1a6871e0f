package interop

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

// wordsMind is a mind whose reference carries the class that stock wants.
type wordsMind struct {
	flavors.Referenceable
	heard chan string
}

func (*wordsMind) ReferenceClass() (string, []any) { return "twisted.words.service.PBMind", nil }

func (m *wordsMind) RemoteReceive(_, group *flavors.RemoteReference, message map[string]string) {
	name, _ := group.Extras()[0].([]byte)
	m.heard <- group.Class() + " " + string(name) + ": " + message["text"]
}

func (*wordsMind) RemoteUserJoined(group, user *flavors.RemoteReference) {}

// Two clients of ours meet in a group of stock's twisted.words: P-5.9 in both directions.
func TestWordsAtStock(t *testing.T) {
	stock.Require(t)
	server := stock.Start(t, filepath.Join(unpack(t), "words_server.py"), "anna=1", "bert=2")
	rt := pbtest.NewRuntime(t)
	registry := jelly.NewRegistry()
	for _, class := range []string{"ChatAvatar", "PBGroup", "PBMind"} {
		require.NoError(t, flavors.RegisterReference(registry, "twisted.words.service."+class))
	}
	join := func(name string, password cred.Secret) (mind *wordsMind, group *flavors.RemoteReference) {
		conn, err := broker.Dial(t.Context(), rt, "pb://"+server.Addr(), broker.WithRegistry(registry))
		require.NoError(t, err)
		mind = &wordsMind{heard: make(chan string, 10)}
		avatar, err := conn.Login(t.Context(), cred.UsernamePassword{Username: name, Password: password}, mind)
		require.NoError(t, err)
		require.Equal(t, "twisted.words.service.ChatAvatar", avatar.Class())
		require.Empty(t, avatar.Extras())
		group, err = flavors.Call[*flavors.RemoteReference](t.Context(), avatar, "join", "lobby")
		require.NoError(t, err)
		require.Equal(t, "twisted.words.service.PBGroup", group.Class())
		require.Equal(t, []any{[]byte("lobby")}, group.Extras())
		return mind, group
	}
	anna, _ := join("anna", "1")
	_, group := join("bert", "2")
	_, err := flavors.Call[any](t.Context(), group, "send", map[string]string{"text": "hello"})
	require.NoError(t, err)
	require.Equal(t, "twisted.words.service.PBGroup lobby: hello", <-anna.heard)
}

// mindTaker takes a mind and lets it go.
type mindTaker struct{ flavors.Root }

func (*mindTaker) RemoteTake(mind *flavors.RemoteReference) string {
	defer mind.Release()
	return mind.Class()
}

func (*mindTaker) RemoteEcho(v any) any { return v }

// A stock PBMind is given back if its class is registered: P-5.3, P-5.10.
func TestStockMindGivenBack(t *testing.T) {
	stock.Require(t)
	serve := func(rt *actor.Runtime, opts ...broker.ListenOption) string {
		ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &mindTaker{}, opts...)
		require.NoError(t, err)
		return strings.TrimPrefix(ln.URL(), "pb://")
	}
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterReference(registry, "twisted.words.service.PBMind"))
	rt := pbtest.NewRuntime(t)
	for _, c := range []struct{ name, addr, method, want string }{
		{"registered", serve(rt, broker.WithRegistry(registry)), "take", "answer twisted.words.service.PBMind"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := stock.Start(t, filepath.Join(unpack(t), "words_mind.py"), c.addr, c.method)
			require.Zero(t, client.Exit())
			out := strings.Join(client.Lines(), "\n")
			require.Contains(t, out, c.want)
			require.Contains(t, out, "given back")
		})
	}
}
