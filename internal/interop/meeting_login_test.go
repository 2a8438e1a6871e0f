package interop

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// mindful is our client's mind.
type mindful struct{ flavors.Referenceable }

func (*mindful) RemoteWhatNow(n int) int { return n + 1 }

// enter logs in.
func enter(t *testing.T, conn *broker.Conn, credentials cred.Credentials, mind any) *flavors.RemoteReference {
	t.Helper()
	avatar, err := conn.Login(t.Context(), credentials, mind)
	require.NoError(t, err)
	return avatar
}

// ask calls a method of ref.
func ask[T any](t *testing.T, ref *flavors.RemoteReference, method string, args ...any) T {
	t.Helper()
	v, err := flavors.Call[T](t.Context(), ref, method, args...)
	require.NoError(t, err, method)
	return v
}

func loginChecks() []clientCheck {
	moe := cred.UsernamePassword{Username: "moe", Password: "secret"}
	return []clientCheck{
		{"login", "with a password", func(t *testing.T, m *meeting) {
			avatar := enter(t, m.conn, moe, &mindful{})
			assert.Equal(t, "moe", ask[string](t, avatar, "whoami"))
			assert.Equal(t, 11, ask[int](t, ask[*flavors.RemoteReference](t, avatar, "root"), "add", 1))
			if m.stock { // Only the stock server has a method that calls the mind.
				assert.Equal(t, 42, ask[int](t, avatar, "callMind", "whatNow", []any{41}))
			}
		}},
		{"login", "anonymously", func(t *testing.T, m *meeting) {
			assert.Equal(t, "anonymous", ask[string](t, enter(t, m.conn, cred.Anonymous{}, nil), "whoami"))
		}},
		{"login", "with a wrong password, and then the right one", func(t *testing.T, m *meeting) {
			_, err := m.conn.Login(t.Context(), cred.UsernamePassword{Username: "moe", Password: "guess"}, nil)
			require.ErrorIs(t, err, flavors.UnauthorizedLogin)
			_, err = m.conn.Login(t.Context(), cred.UsernamePassword{Username: "nobody", Password: "secret"}, nil)
			require.ErrorIs(t, err, flavors.UnauthorizedLogin)
			assert.Equal(t, "moe", ask[string](t, enter(t, m.conn, moe, nil), "whoami"))
		}},
		{"login", "views know who is calling", func(t *testing.T, m *meeting) {
			mine := ask[*flavors.RemoteReference](t, enter(t, m.conn, moe, nil), "viewable")
			theirs := ask[*flavors.RemoteReference](t, enter(t, m.dial(t), cred.Anonymous{}, nil), "viewable")
			assert.Equal(t, "moe", ask[string](t, mine, "whoami"))
			assert.Equal(t, "anonymous", ask[string](t, theirs, "whoami"))
		}},
		{"login", "letting go is the logout, and so is the connection's end", func(t *testing.T, m *meeting) {
			watcher := enter(t, m.conn, moe, nil)
			logins := func() int { return ask[int](t, watcher, "logins") }
			eventually(t, func() bool { return logins() == 1 })
			other := m.dial(t)
			avatar := enter(t, other, cred.Anonymous{}, nil)
			assert.Equal(t, 2, logins())
			avatar.Release()
			eventually(t, func() bool { return logins() == 1 })
			enter(t, other, moe, nil)
			assert.Equal(t, 2, logins())
			other.Abort(nil)
			eventually(t, func() bool { return logins() == 1 })
		}},
	}
}
