package broker_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// ledger counts for each avatar how often it was logged out.
type ledger struct {
	mu   sync.Mutex
	outs map[*entry]int
	in   atomic.Int64
}

type entry struct {
	flavors.Avatar
	name string
}

func (e *entry) PerspectiveWhoami() string { return e.name }

func (l *ledger) RequestAvatar(
	_ context.Context,
	id cred.AvatarID,
	_ *flavors.RemoteReference,
) (*entry, func(), error) {
	e := &entry{name: id.String()}
	l.mu.Lock()
	l.outs[e] = 0
	l.mu.Unlock()
	l.in.Add(1)
	return e, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.outs[e]++
		l.in.Add(-1)
	}, nil
}

// client of the model: a connection and the avatars that it holds.
type visitor struct {
	conn    *broker.Conn
	sock    net.Conn
	avatars []*flavors.RemoteReference
}

// TestLogoutsAreExact: whatever clients do, and however they end, each avatar is logged out exactly once, and none
// while it is held.
func TestLogoutsAreExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		runtime, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
		require.NoError(rt, err)
		book := &ledger{outs: map[*entry]int{}}
		users, err := cred.NewInMemory(map[string]cred.Entry{"alice": cred.Plaintext("sesame")})
		require.NoError(rt, err)
		portal, err := cred.NewPortal(book, users, cred.AllowAnonymous())
		require.NoError(rt, err)
		pipe := broker.NewPipeListener()
		ln, err := broker.ListenOn(runtime, pipe, broker.LoginRoot(portal, unhurried()))
		require.NoError(rt, err)

		var visitors []*visitor
		held := func() (n int64) {
			for _, v := range visitors {
				n += int64(len(v.avatars))
			}
			return n
		}
		pick := func() *visitor {
			if len(visitors) == 0 {
				rt.Skip("no user")
			}
			return rapid.SampledFrom(visitors).Draw(rt, "visitor")
		}
		drop := func(v *visitor) {
			for i := range visitors {
				if visitors[i] == v {
					visitors = append(visitors[:i], visitors[i+1:]...)
					return
				}
			}
		}
		var pending sync.WaitGroup
		rt.Repeat(map[string]func(*rapid.T){
			"connect": func(rt *rapid.T) {
				sock, err := pipe.Dial(ctx)
				require.NoError(rt, err)
				conn, err := broker.NewClientConn(ctx, runtime, sock)
				require.NoError(rt, err)
				visitors = append(visitors, &visitor{conn: conn, sock: sock})
			},
			"log in": func(rt *rapid.T) {
				v := pick()
				var who cred.Credentials = cred.Anonymous{}
				if rapid.Bool().Draw(rt, "by password") {
					who = cred.UsernamePassword{Username: "alice", Password: "sesame"}
				}
				avatar, err := v.conn.Login(ctx, who, nil)
				require.NoError(rt, err)
				v.avatars = append(v.avatars, avatar)
			},
			"fail to log in": func(rt *rapid.T) {
				_, err := pick().conn.Login(ctx, cred.UsernamePassword{Username: "alice", Password: "guess"}, nil)
				require.ErrorIs(rt, err, flavors.UnauthorizedLogin)
			},
			"log out": func(rt *rapid.T) {
				v := pick()
				if len(v.avatars) == 0 {
					rt.Skip("no user is logged in")
				}
				i := rapid.IntRange(0, len(v.avatars)-1).Draw(rt, "avatar")
				v.conn.Logout(v.avatars[i])
				v.conn.Logout(v.avatars[i]) // A second time does nothing.
				v.avatars = append(v.avatars[:i], v.avatars[i+1:]...)
			},
			"leave": func(rt *rapid.T) {
				v := pick()
				drop(v)
				require.NoError(rt, v.conn.Close(ctx))
			},
			"be killed, in the middle of a login perhaps": func(rt *rapid.T) {
				v := pick()
				drop(v)
				for range rapid.IntRange(0, 3).Draw(rt, "logins") {
					pending.Go(func() { _, _ = v.conn.Login(ctx, cred.Anonymous{}, nil) })
				}
				_ = v.sock.Close()
			},
			"": func(rt *rapid.T) {
				for _, v := range visitors {
					for _, avatar := range v.avatars {
						_, err := flavors.Call[string](ctx, avatar, "whoami")
						require.NoError(rt, err, "a held avatar is logged in")
					}
				}
			},
		})
		pending.Wait()
		require.Eventually(t, func() bool { return book.in.Load() == held() }, patience, tick)
		require.NoError(rt, ln.Close())
		require.NoError(rt, runtime.Close(ctx))
		// The runtime's end logs out all users.
		for e, n := range book.outs {
			require.Equal(rt, 1, n, "%s was logged out %d times", e.name, n)
		}
	})
}
