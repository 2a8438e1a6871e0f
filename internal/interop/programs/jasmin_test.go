package programs

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// TestJasminLogin logs in at a script that plays the login of Jasmin: the name is text, and a refusal is an answer.
func TestJasminLogin(t *testing.T) {
	stock.Require(t)
	conn, err := broker.Dial(t.Context(), newRuntime(t), "pb://"+stock.Start(t, script(t, "jasmin.py")).Addr())
	require.NoError(t, err)
	login := func(user string, password cred.Secret) any {
		pair, err := flavors.Call[jelly.Tuple](t.Context(), conn.Root(), "login", user)
		require.NoError(t, err)
		require.Len(t, pair, 2)
		challenge, challenger := pair[0].([]byte), pair[1].(*flavors.RemoteReference)
		answer, err := flavors.Call[any](t.Context(), challenger, "respond", cred.Respond(challenge, password), nil)
		require.NoError(t, err)
		return answer
	}
	assert.Equal(t, jelly.Tuple{false, "Authentication error radmin"}, login("radmin", "wrong"))
	avatar := login("radmin", "rpwd").(*flavors.RemoteReference)
	version, err := flavors.Call[string](t.Context(), avatar, "version_release")
	require.NoError(t, err)
	assert.Equal(t, "0.10", version)
	list, err := flavors.Call[[]byte](t.Context(), avatar, "user_get_all")
	require.NoError(t, err)
	assert.NotEmpty(t, list, "a pickle")
}
