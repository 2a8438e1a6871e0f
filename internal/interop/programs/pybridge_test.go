package programs

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/stock"
)

// symbol is the state of PyBridge's symbols: the name of the class and a value.
type symbol struct {
	flavors.Copyable
	class, value string
}

func (s *symbol) TypeToCopy() string { return "pybridge.games.bridge.symbols." + s.class }

func (s *symbol) StateToCopy() any { return jelly.Tuple{s.class, s.value} }

func (s *symbol) SetCopyableState(state any) error {
	var pair []string
	if err := jelly.Assign(&pair, state); err != nil || len(pair) != 2 {
		return fmt.Errorf("a symbol's state is a pair, not %s: %w", jelly.Format(state), err)
	}
	s.class, s.value = pair[0], pair[1]
	return nil
}

// bid is a call of a game: a pair of symbols.
type bid struct {
	flavors.Copyable
	level, strain *symbol
}

func (*bid) TypeToCopy() string { return "pybridge.games.bridge.call.Bid" }

func (b *bid) StateToCopy() any { return jelly.Tuple{b.level, b.strain} }

func (b *bid) SetCopyableState(state any) error {
	var pair []*symbol
	if err := jelly.Assign(&pair, state); err != nil || len(pair) != 2 {
		return fmt.Errorf("a bid's state is a pair, not %s: %w", jelly.Format(state), err)
	}
	b.level, b.strain = pair[0], pair[1]
	return nil
}

// chatMessage is a message of a table's chat.
type chatMessage struct {
	Text       string   `pb:"text"`
	Sender     string   `pb:"sender"`
	Recipients []string `pb:"recipients"`
}

// userList follows a LocalUserManager.
type userList struct {
	flavors.RemoteCache
	users map[string]map[string]string
}

func (*userList) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Publish("userLogin", "ObserveUserLogin", "username", "info"),
		flavors.Publish("userLogout", "ObserveUserLogout", "username"),
	)
}

func (u *userList) SetCopyableState(state any) error { return jelly.Assign(&u.users, state) }

func (u *userList) ObserveUserLogin(username string, info map[string]string) {
	u.users[username] = info
}

func (u *userList) ObserveUserLogout(username string) { delete(u.users, username) }

// tableList follows a LocalTableManager.
type tableList struct {
	flavors.RemoteCache
	tables map[string]any
}

func (*tableList) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("tableOpen", "ObserveTableOpen", "tableid", "info"))
}

func (l *tableList) SetCopyableState(state any) error { return jelly.Assign(&l.tables, state) }

func (l *tableList) ObserveTableOpen(tableid string, info any) { l.tables[tableid] = info }

// chatCopy follows a LocalChat.
type chatCopy struct {
	flavors.RemoteCache
	Messages []*chatMessage           `pb:"messages"`
	View     *flavors.RemoteReference `pb:"view"`
}

func (*chatCopy) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(flavors.Publish("gotMessage", "ObserveGotMessage", "message"))
}

func (c *chatCopy) ObserveGotMessage(message *chatMessage) { c.Messages = append(c.Messages, message) }

// tableCopy follows a LocalTable, which contains another cache and a Viewable.
type tableCopy struct {
	flavors.RemoteCache
	ID        string                    `pb:"id"`
	GameType  string                    `pb:"gametype"`
	Chat      *flavors.Cached[chatCopy] `pb:"chat"`
	View      *flavors.RemoteReference  `pb:"view"`
	Players   *jelly.Dict               `pb:"players"`
	Observers []string                  `pb:"observers"`
	joined    []string
	events    []string
}

func (*tableCopy) PublishMethods(flavors.Prefix) flavors.MethodSet {
	return flavors.Methods(
		flavors.Publish("joinGame", "ObserveJoinGame", "player", "position"),
		flavors.Publish("joinTable", "ObserveJoinTable", "observer"),
		flavors.Publish("leaveTable", "ObserveLeaveTable", "observer"),
		flavors.Publish("gameUpdate", "ObserveGameUpdate", "event"),
	)
}

func (t *tableCopy) ObserveJoinGame(player string, position *symbol) {
	t.joined = append(t.joined, player+" "+position.value)
}

func (t *tableCopy) ObserveJoinTable(observer string) { t.Observers = append(t.Observers, observer) }

func (t *tableCopy) ObserveLeaveTable(observer string) { t.events = append(t.events, observer+" left") }

func (t *tableCopy) ObserveGameUpdate(event string, kw flavors.Kw) {
	text := event
	if b, ok := kw["call"].(*bid); ok {
		text += " " + b.level.value + " " + b.strain.value
	}
	t.events = append(t.events, fmt.Sprint(text, " ", kw["position"].(*symbol).value))
}

func pybridgeClasses(t *testing.T) *jelly.Registry {
	known := jelly.NewRegistry()
	for _, name := range []string{"Level", "Strain", "Direction"} {
		require.NoError(t, flavors.RegisterCopy[symbol](known, "pybridge.games.bridge.symbols."+name))
	}
	require.NoError(t, flavors.RegisterCopy[bid](known, "pybridge.games.bridge.call.Bid"))
	require.NoError(t, flavors.RegisterCopy[chatMessage](known, "pybridge.network.chat.Message"))
	require.NoError(t, flavors.RegisterCache[userList](known, "pybridge.network.usermanager.LocalUserManager"))
	require.NoError(t, flavors.RegisterCache[tableList](known, "pybridge.network.tablemanager.LocalTableManager"))
	require.NoError(t, flavors.RegisterCache[chatCopy](known, "pybridge.network.chat.LocalChat"))
	require.NoError(t, flavors.RegisterCache[tableCopy](known, "pybridge.network.localtable.LocalTable"))
	return known
}

// seen waits until a copy satisfies a condition.
func seen[T any](t *testing.T, c *flavors.Cached[T], condition func(*T) bool) {
	t.Helper()
	pbtest.Eventually(t, func() bool {
		ok := false
		require.NoError(t, c.View(func(v *T) { ok = condition(v) }))
		return ok
	})
}

// TestPyBridge has two users register, follow the lists, open a table, chat and bid.
func TestPyBridge(t *testing.T) {
	stock.Require(t)
	url := "pb://" + stock.Start(t, script(t, "pybridge.py")).Addr()
	ctx := t.Context()
	enter := func(user, password string) *flavors.RemoteReference {
		conn, err := broker.Dial(ctx, newRuntime(t), url, broker.WithRegistry(pybridgeClasses(t)))
		require.NoError(t, err)
		avatar, err := conn.Login(ctx, cred.UsernamePassword{Username: user, Password: cred.Secret(password)}, nil)
		require.NoError(t, err)
		return avatar
	}
	failure := func(name string) *flavors.Exception { return flavors.NewException("pybridge.network.error." + name) }

	guest := enter("", "")
	_, err := flavors.Call[any](ctx, guest, "register", "anna", "x")
	require.ErrorIs(t, err, failure("DeniedRequest"))
	_, err = flavors.Call[any](ctx, guest, "register", "bob", "secret")
	require.NoError(t, err)

	anna := enter("anna", "pw")
	users, err := flavors.Call[*flavors.Cached[userList]](ctx, anna, "getRoster", "users")
	require.NoError(t, err)
	lists, err := flavors.Call[*flavors.Cached[tableList]](ctx, anna, "getRoster", "tables")
	require.NoError(t, err)
	_, err = flavors.Call[any](ctx, anna, "getRoster", "nothing")
	require.ErrorIs(t, err, failure("IllegalRequest"))
	bob := enter("bob", "secret")
	seen(t, users, func(u *userList) bool { return u.users["bob"]["country"] == "?" && len(u.users) == 2 })

	hosted, err := flavors.Call[*flavors.Cached[tableCopy]](ctx, anna, "hostTable",
		flavors.Kw{"tableid": "club", "tabletype": "BridgeGame"})
	require.NoError(t, err)
	seen(t, lists, func(l *tableList) bool { return l.tables["club"] != nil })
	view := func(c *flavors.Cached[tableCopy]) (v *flavors.RemoteReference) {
		require.NoError(t, c.View(func(t *tableCopy) { v = t.View }))
		return v
	}
	north, east := &symbol{class: "Direction", value: "North"}, &symbol{class: "Direction", value: "East"}
	_, err = flavors.Call[any](ctx, view(hosted), "joinGame", north)
	require.NoError(t, err)
	_, err = flavors.Call[any](ctx, view(hosted), "joinGame", "North")
	require.ErrorIs(t, err, failure("IllegalRequest"))

	joined, err := flavors.Call[*flavors.Cached[tableCopy]](ctx, bob, "joinTable", "club")
	require.NoError(t, err)
	seen(t, hosted, func(c *tableCopy) bool { return len(c.Observers) == 2 && c.Observers[1] == "bob" })
	require.NoError(t, joined.View(func(c *tableCopy) {
		require.Equal(t, 1, c.Players.Len())
		for position, player := range c.Players.All() {
			assert.Equal(t, "North", position.(*symbol).value, "a copy is a key")
			assert.Equal(t, "anna", player)
		}
	}))
	_, err = flavors.Call[any](ctx, view(joined), "joinGame", &symbol{class: "Direction", value: "North"})
	require.ErrorIs(t, err, failure("DeniedRequest"))
	_, err = flavors.Call[any](ctx, view(joined), "joinGame", flavors.Kw{"position": east})
	require.NoError(t, err)
	_, err = flavors.Call[any](ctx, view(joined), "makeCall",
		&bid{level: &symbol{class: "Level", value: "One"}, strain: &symbol{class: "Strain", value: "Spade"}})
	require.NoError(t, err)
	_, err = flavors.Call[any](ctx, view(joined), "makeCall", east)
	require.ErrorIs(t, err, failure("GameError"))
	seen(t, hosted, func(c *tableCopy) bool {
		return len(c.joined) == 2 && c.joined[0] == "anna North" && c.joined[1] == "bob East" &&
			len(c.events) == 1 && c.events[0] == "makeCall One Spade East"
	})

	var chat *flavors.Cached[chatCopy]
	require.NoError(t, hosted.View(func(c *tableCopy) { chat = c.Chat }))
	var send *flavors.RemoteReference
	require.NoError(t, joined.View(func(c *tableCopy) {
		require.NoError(t, c.Chat.View(func(c *chatCopy) { send = c.View }))
	}))
	_, err = flavors.Call[any](ctx, send, "send", "grüße")
	require.NoError(t, err)
	seen(t, chat, func(c *chatCopy) bool {
		return len(c.Messages) == 1 && c.Messages[0].Text == "grüße" && c.Messages[0].Sender == "bob"
	})

	require.NoError(t, bob.Conn().(*broker.Conn).Close(ctx))
	seen(t, users, func(u *userList) bool { return len(u.users) == 1 })
	seen(t, hosted, func(c *tableCopy) bool { return c.events[len(c.events)-1] == "bob left" })
}
