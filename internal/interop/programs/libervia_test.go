package programs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/stock"
)

// signals is the handler of a frontend. Libervia calls its methods by the names of signals.
type signals struct {
	flavors.Referenceable
	params chan [3]string
}

func (s *signals) RemoteParamUpdate(name, _, category, profile string) {
	s.params <- [3]string{name, category, profile}
}

// TestLibervia is a frontend of a real backend: calls, failures and signals over its bridge.
func TestLibervia(t *testing.T) {
	stock.Require(t, stock.Libervia)
	home := t.TempDir()
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_DIRS"} {
		t.Setenv(name, filepath.Join(home, name))
	}
	t.Setenv("HOME", home)
	local := filepath.Join(home, "local")
	require.NoError(t, os.Mkdir(local, 0o700))
	config := "[DEFAULT]\nbridge = pb\nlocal_dir = " + local + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(home, ".libervia.conf"), []byte(config), 0o600))
	backend := stock.Start(t, stock.LiberviaProgram, "fg")
	backend.WaitLine("Backend is ready")

	ctx := t.Context()
	conn, err := broker.Dial(ctx, newRuntime(t), "pb+unix://"+filepath.Join(local, "bridge_pb"))
	require.NoError(t, err)
	bridge := conn.Root()
	handler := &signals{params: make(chan [3]string, 1)}
	_, err = flavors.Call[any](ctx, bridge, "initBridge", handler)
	require.NoError(t, err)
	version, err := flavors.Call[string](ctx, bridge, "getVersion")
	require.NoError(t, err)
	assert.NotEmpty(t, version)
	profiles, err := flavors.Call[[]string](ctx, bridge, "profilesListGet", true, false)
	require.NoError(t, err)
	assert.Empty(t, profiles)

	_, err = flavors.Call[any](ctx, bridge, "profileCreate", "anna", "grüße", "")
	require.NoError(t, err)
	assert.Equal(t, [3]string{"Password", "General", "anna"}, <-handler.params)
	profiles, err = flavors.Call[[]string](ctx, bridge, "profilesListGet", true, false)
	require.NoError(t, err)
	assert.Equal(t, []string{"anna"}, profiles)
	begun, err := flavors.Call[bool](ctx, bridge, "profileStartSession", "grüße", "anna")
	require.NoError(t, err)
	assert.False(t, begun, "the session has been there since the profile was created")

	for name, c := range map[string]struct {
		method string
		args   []any
		want   string
	}{
		"wrong password":  {"profileStartSession", []any{"wrong", "anna"}, "sat.core.exceptions.PasswordError"},
		"unknown profile": {"isConnected", []any{"nobody"}, "sat.core.exceptions.ProfileUnknownError"},
		"profile exists":  {"profileCreate", []any{"anna", "", ""}, "sat.core.exceptions.ConflictError"},
		"unknown method":  {"noSuchMethod", nil, "twisted.spread.flavors.NoSuchMethod"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := flavors.Call[any](ctx, bridge, c.method, c.args...)
			require.ErrorIs(t, err, flavors.NewException(c.want))
		})
	}
}
