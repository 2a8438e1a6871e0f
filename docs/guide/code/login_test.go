package code

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

//guide:begin avatar

// User is an avatar: the object that one user gets for a login. Only this user can call its methods.
type User struct {
	flavors.Avatar
	name string
	mind *flavors.RemoteReference // the client's object; nil if it passed none
	room *Room
}

// PerspectiveJoin returns the room. Each user gets a reference of their own to it.
func (u *User) PerspectiveJoin() *Room { return u.room }

// Room is shared by all users. Its methods get the caller, which a client cannot forge.
type Room struct {
	flavors.Viewable
	said []string
}

func (r *Room) ViewSay(from *User, text string) int {
	r.said = append(r.said, from.name+": "+text)
	if from.mind != nil {
		from.mind.CallRemote("heard", text) // do not wait in a method
	}
	return len(r.said)
}

//guide:end

//guide:begin server
func listen(rt *actor.Runtime, url string) (*broker.Listener, error) {
	users, err := cred.NewInMemory(map[string]cred.Entry{
		"alice": cred.Plaintext("sesame"), // or cred.NewPasswordFile, cred.NewHtpasswd, cred.NewSQL, …
	})
	if err != nil {
		return nil, err
	}
	room := &Room{}
	enter := func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (*User, func(), error) {
		u := &User{name: id.Name(), mind: mind, room: room}
		log := broker.ConnOf(ctx).Logger() // the connection also has the peer's address and its certificates
		logout := func() { log.Info().Str("user", u.name).Msg("logged out") }
		return u, logout, nil
	}
	return broker.Listen(rt, url, broker.Login(enter, users))
}

//guide:end

//guide:begin revoke

// dismiss logs a user out: the client's references to the avatar and all that it was given under it become useless.
func dismiss(rt *actor.Runtime, user *User) error { return broker.Revoke(rt, user) }

//guide:end

//guide:begin client

// Screen is the client's own object: the mind.
type Screen struct {
	flavors.Referenceable
	heard chan string
}

func (s *Screen) RemoteHeard(text string) { s.heard <- text }

func login(ctx context.Context, rt *actor.Runtime, url string, screen *Screen) (*flavors.RemoteReference, error) {
	conn, err := broker.Dial(ctx, rt, url)
	if err != nil {
		return nil, err
	}
	return conn.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "sesame"}, screen)
}

//guide:end

// TestLogin logs in from Go and from Python.
func TestLogin(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	ln, err := listen(rt, "pb://127.0.0.1:0")
	require.NoError(t, err)
	screen := &Screen{heard: make(chan string, 1)}
	avatar, err := login(t.Context(), rt, ln.URL(), screen)
	require.NoError(t, err)
	room, err := flavors.Call[*flavors.RemoteReference](t.Context(), avatar, "join")
	require.NoError(t, err)
	n, err := flavors.Call[int](t.Context(), room, "say", "hello")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, "hello", <-screen.heard)

	stock.Require(t)
	client := stock.Start(t, "login.py", ln.Addr().String())
	client.WaitLine("heard good morning")
	client.WaitLine("2 lines")
	client.WaitLine("refused")
	assert.Zero(t, client.Exit())
}

// TestRevoke takes an avatar back, which logs its user out.
func TestRevoke(t *testing.T) {
	rt := pbtest.NewRuntime(t)
	user, left := &User{name: "alice", room: &Room{}}, make(chan struct{})
	enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*User, func(), error) {
		return user, func() { close(left) }, nil
	}
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.Login(enter, cred.AllowAnonymous()))
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), rt, ln.URL())
	require.NoError(t, err)
	avatar, err := conn.Login(t.Context(), cred.Anonymous{}, nil)
	require.NoError(t, err)
	room, err := flavors.Call[*flavors.RemoteReference](t.Context(), avatar, "join")
	require.NoError(t, err)
	_, err = flavors.Call[int](t.Context(), room, "say", "hello")
	require.NoError(t, err)
	require.NoError(t, dismiss(rt, user))
	<-left
	for _, r := range []*flavors.RemoteReference{avatar, room} {
		_, err = flavors.Call[any](t.Context(), r, "say", "once more")
		require.Error(t, err)
		assert.NotErrorIs(t, err, flavors.NoSuchMethod)
	}
	require.NoError(t, conn.Context().Err(), "the connection goes on")
}
