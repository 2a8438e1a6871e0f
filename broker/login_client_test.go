package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

var alice = cred.UsernamePassword{Username: "alice", Password: "sesame"}

type loggedIn struct {
	avatar *flavors.RemoteReference
	err    error
}

// login logs in beside the test, which plays the server.
func login(conn *broker.Conn, c cred.Credentials, mind any) <-chan loggedIn {
	done := make(chan loggedIn, 1)
	go func() {
		avatar, err := conn.Login(context.Background(), c, mind)
		done <- loggedIn{avatar, err}
	}()
	return done
}

func TestOurClientsDance(t *testing.T) {
	conn, p := client(t)
	done := login(conn, alice, &two{})
	p.Want(`[message 1 root login 1 [tuple alice] [dictionary]]`)
	p.Write(`[answer 1 [tuple "sixteen bytes..." [remote 8]]]`)
	want := fmt.Sprintf(`%q`, cred.Respond([]byte("sixteen bytes..."), "sesame"))
	p.Want(`[message 2 8 respond 1 [tuple ` + want + ` [remote $mind]] [dictionary]]`)
	// The server may do all of its setup before it answers.
	p.Write(`[message 1 $mind three 1 [tuple 3] [dictionary]]`)
	p.Want(`[answer 1 3]`)
	p.Write(`[answer 2 [remote 9]]`)
	p.Want(`[decref 8]`)
	in := <-done
	require.NoError(t, in.err)

	t.Run("avatar is kept", func(t *testing.T) {
		in.avatar = nil
		for range 3 {
			runtime.GC()
		}
		d := conn.Root().CallRemote("anything")
		p.Want(`[message 3 root anything 1 [tuple] [dictionary]]`) // and no decref in front of it
		p.Write(`[answer 3 [None]]`)
		_, err := d.Await(t.Context())
		require.NoError(t, err)
	})
	t.Run("one logout for each login", func(t *testing.T) {
		again := login(conn, cred.Anonymous{}, nil)
		p.Want(`[message 4 root loginAnonymous 1 [tuple [None]] [dictionary]]`)
		p.Write(`[answer 4 [remote 9]]`)
		second := <-again
		require.NoError(t, second.err)
		conn.Logout(second.avatar)
		p.Want(`[decref 9]`)
		require.NoError(t, second.avatar.Err())
		conn.Logout(second.avatar)
		p.Want(`[decref 9]`)
		require.ErrorIs(t, second.avatar.Err(), flavors.ErrReleased)
		conn.Logout(second.avatar)
		conn.Logout(nil)
		third := login(conn, cred.Anonymous{}, nil)
		p.Want(`[message 5 root loginAnonymous 1 [tuple [None]] [dictionary]]`) // and nothing in front of it
		p.Write(`[answer 5 [remote 10]]`)
		require.NoError(t, (<-third).err)
	})
}

func TestMalformedLoginAnswers(t *testing.T) {
	for name, answers := range map[string][2]string{
		"a challenge without a challenger":  {`[tuple abc]`},
		"a challenger that is None":         {`[tuple abc [None]]`},
		"a challenger that is a string":     {`[tuple abc def]`},
		"a challenge that is a number":      {`[tuple 7 [remote 8]]`},
		"nothing":                           {`[None]`},
		"an avatar that is None":            {`[tuple abc [remote 8]]`, `[None]`},
		"an avatar that is a string":        {`[tuple abc [remote 8]]`, `"avatar"`},
		"an avatar that is our own object":  {`[tuple abc [remote 8]]`, `[local 1]`},
		"an avatar of an unregistered kind": {`[tuple abc [remote 8]]`, `["evil.Class" [dictionary]]`},
	} {
		t.Run(name, func(t *testing.T) {
			conn, p := client(t)
			p.Ignore(`[decref _]`)
			done := login(conn, alice, &two{})
			p.Want(`[message 1 root login 1 [tuple alice] [dictionary]]`)
			p.Write(`[answer 1 ` + answers[0] + `]`)
			if answers[1] != "" {
				p.Want(`[message 2 8 respond 1 _ _]`)
				p.Write(`[answer 2 ` + answers[1] + `]`)
			}
			in := <-done
			require.ErrorContains(t, in.err, "logging in")
			require.Nil(t, in.avatar)
			go p.Drain()
		})
	}
}

func TestRejectionIsUnauthorizedLogin(t *testing.T) {
	conn, p := client(t)
	done := login(conn, cred.Anonymous{}, nil)
	p.Want(`[message 1 root loginAnonymous 1 [tuple [None]] [dictionary]]`)
	p.Write(
		`[error 1 ["twisted.spread.pb.CopyableFailure" [dictionary [[unicode type] "twisted.cred.error.UnauthorizedLogin"]
		[[unicode value] [unicode ""]] [[unicode traceback] [unicode ""]]
		[[unicode parents] [list [unicode "twisted.cred.error.UnauthorizedLogin"]
		[unicode "twisted.cred.error.LoginFailed"]]]]]]`,
	)
	err := (<-done).err
	require.ErrorIs(t, err, flavors.UnauthorizedLogin)
	require.ErrorIs(t, err, flavors.LoginFailed)
}

func TestPasswordNeedsTLS(t *testing.T) {
	conn, p := client(t)
	_, err := conn.LoginPassword(t.Context(), alice, nil)
	require.ErrorIs(t, err, broker.ErrNeedsTLS)
	_, err = conn.Login(t.Context(), cred.UnixPeer{}, nil)
	require.ErrorContains(t, err, "cred.UnixPeer")
	d := conn.Root().CallRemote("anything")
	p.Want(`[message 1 root anything 1 [tuple] [dictionary]]`) // The first that is sent.
	p.Write(`[answer 1 [None]]`)
	_, err = d.Await(t.Context())
	require.NoError(t, err)
}

func TestALoginIsGivenUp(t *testing.T) {
	conn, p := client(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := conn.Login(ctx, cred.Anonymous{}, nil)
		done <- err
	}()
	p.Want(`[message 1 root loginAnonymous 1 [tuple [None]] [dictionary]]`)
	cancel(errPlain)
	require.ErrorIs(t, <-done, errPlain)
	p.Write(`[answer 1 [remote 9]]`)
	p.Want(`[decref 9]`) // The avatar that comes too late is logged out.
}
