package programs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

// player is the mind of a client of kajongg.
type player struct {
	flavors.Referenceable
	rules  []any
	needed chan string
	tables chan [][]any
	chat   chan jelly.Tuple
	gone   chan struct{}
}

func newPlayer() *player {
	return &player{needed: make(chan string, 2), tables: make(chan [][]any, 4), chat: make(chan jelly.Tuple, 2),
		gone: make(chan struct{}, 2)}
}

func (p *player) RemoteNewTables(tables [][]any)      { p.tables <- tables }
func (p *player) RemoteChat(line jelly.Tuple)         { p.chat <- line }
func (p *player) RemoteServerDisconnects()            { p.gone <- struct{}{} }
func (p *player) RemoteTableRemoved(int, string, any) {}
func (p *player) RemoteNeedRuleset(hash string) []any {
	p.needed <- hash
	return p.rules
}

// kajonggLogin logs in over a connection of its own. Without an error the avatar belongs to it.
func kajonggLogin(
	t *testing.T, rt *actor.Runtime, url, user, password string, mind any,
) (*flavors.RemoteReference, error) {
	conn, err := broker.Dial(t.Context(), rt, url)
	require.NoError(t, err)
	return conn.Login(t.Context(), cred.UsernamePassword{Username: user, Password: cred.Secret(password)}, mind)
}

// TestKajonggLobby opens an account, logs in and makes tables on a script that plays the lobby, and on the real server
// where it is installed: it brings Qt, and is not worth 160 MB in every run.
func TestKajonggLobby(t *testing.T) {
	stock.Require(t)
	t.Run("script", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "s")
		stock.Start(t, script(t, "kajongg.py"), socket).WaitLine("ready")
		// One rule is enough for the script.
		rules := []any{[]any{0, "0011", "Rules", ""}, []any{0, 1, 0, "Pung", "FPung", 0, 1, 0.0, 0}}
		kajongg(t, "pb+unix://"+socket, rules)
	})
	if _, err := os.Stat(stock.KajonggServerProgram); err != nil {
		return
	}
	t.Run("kajonggserver", func(t *testing.T) {
		dir := t.TempDir()
		t.Setenv("HOME", dir)
		out, err := exec.Command(stock.Python, script(t, "kajongg_rules.py")).Output()
		require.NoError(t, err)
		var rules []any
		require.NoError(t, json.Unmarshal(out, &rules))
		socket := filepath.Join(dir, "s")
		stock.Start(t, stock.KajonggServerProgram, "--socket", socket, "--db", filepath.Join(dir, "db"))
		pbtest.Eventually(t, func() bool { _, err := os.Stat(socket); return err == nil })
		kajongg(t, "pb+unix://"+socket, rules)
	})
}

func kajongg(t *testing.T, url string, rules []any) {
	rt := newRuntime(t)
	ctx := t.Context()
	_, err := kajonggLogin(t, rt, url, "anna", "pw", newPlayer())
	require.ErrorIs(t, err, flavors.UnauthorizedLogin)
	require.ErrorContains(t, err, "Wrong username", "the client opens an account for this text only")
	mind := newPlayer()
	avatar, err := kajonggLogin(t, rt, url, "adduser&&SERVER&&anna&&SERVER&&pw", "pw", mind)
	require.NoError(t, err)
	_, err = kajonggLogin(t, rt, url, "anna", "wrong", newPlayer())
	require.ErrorContains(t, err, "Wrong password")

	call := func(method string, args ...any) (any, error) { return flavors.Call[any](ctx, avatar, method, args...) }
	_, err = call("ping")
	require.NoError(t, err)
	_, err = call("setClientProperties", "ident", nil, 0, 8301)
	require.NoError(t, err)
	_, err = call("setClientProperties", "ident", nil, 0, nil)
	require.ErrorIs(t, err, flavors.PBError)
	require.ErrorContains(t, err, "older than 4.9.0")

	// The server asks the mind for a ruleset that it does not know.
	hash := rules[0].([]any)[1].(string)
	mind.rules = rules
	table, err := call("newTable", hash, false, false, nil, nil)
	require.NoError(t, err)
	assert.Equal(t, int64(1), table)
	tables := <-mind.tables
	assert.Equal(t, []any{int64(1), hash}, tables[0][:2])
	assert.Equal(t, jelly.Tuple{"anna"}, tables[0][8])
	_, err = call("newTable", hash, false, false, nil, 1)
	require.ErrorContains(t, err, "already used")

	line := jelly.Tuple{int64(1), int64(20), int64(0), int64(0), "anna", "grüße", false}
	_, err = call("chat", line)
	require.NoError(t, err)
	assert.Equal(t, line, <-mind.chat)
	left, err := call("leaveTable", 1)
	require.NoError(t, err)
	assert.Equal(t, true, left)
	_, err = call("joinTable", 1)
	require.ErrorContains(t, err, "not found")
	_, err = call("logout")
	require.NoError(t, err)
}
