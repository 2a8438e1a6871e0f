package broker_test

import (
	"fmt"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// tavern has a bar's methods with other parameters, and one of its own.
type tavern struct{ flavors.Referenceable }

func (*tavern) RemoteStruct(any) string               { return "tavern" }
func (*tavern) RemoteTyped(d map[string]any) string   { return "tavern" }
func (*tavern) RemoteList(x *flavors.Relayed) string  { return "tavern" }
func (*tavern) RemoteTwo(...any) string               { return "tavern" }
func (*tavern) RemoteNamed(any, flavors.Kw) any       { return "tavern" }
func (*tavern) RemoteBehind(int, drink) (string, any) { return "tavern", nil }

// numbered is a reference in a text: its number differs between connections.
var numbered = regexp.MustCompile(`<remote \d+>`)

// Calls of a Relay are decoded when they are read once it has passed some to an object of the process. What they do is
// the same, wherever the next one goes, and the Relay sees no arguments.
func TestRelayDecodesEarly(t *testing.T) {
	gateway := newRuntime(t, actor.WithLogger(zerolog.Nop()))
	ln, err := broker.Listen(newRuntime(t, actor.WithLogger(zerolog.Nop())), "pb://127.0.0.1:0", &bar{})
	require.NoError(t, err)
	behind, err := broker.Dial(t.Context(), gateway, ln.URL(), broker.WithRelaying())
	require.NoError(t, err)
	here, other := &bar{}, &tavern{}
	for _, object := range []any{here, other} {
		_, err := flavors.Spawn(gateway, object)
		require.NoError(t, err)
	}
	var to atomic.Value
	to.Store("here")
	passer := newPasser(func(inv *flavors.Invocation) {
		if len(inv.Args) > 0 || inv.Kw != nil {
			inv.Answer(nil, fmt.Errorf("the Relay has %d arguments", len(inv.Args)))
			return
		}
		switch to.Load() {
		case "here":
			inv.PassToObject(here)
		case "other":
			inv.PassToObject(other)
		default:
			inv.PassTo(behind.Root())
		}
	})
	ln, err = broker.Listen(gateway, "pb://127.0.0.1:0", passer, broker.WithRelaying())
	require.NoError(t, err)
	client := newRuntime(t, actor.WithLogger(zerolog.Nop())) // of both connections, since both are sent the same objects
	conn, err := broker.Dial(t.Context(), client, ln.URL())
	require.NoError(t, err)
	relay, err := flavors.Call[*flavors.RemoteReference](t.Context(), conn.Root(), "relay")
	require.NoError(t, err)
	general := connectTo(client, &bar{}, passOn, passOn)
	rapid.Check(t, func(rt *rapid.T) {
		method := rapid.SampledFrom([]string{"struct", "behind", "list", "seen", "typed", "two", "named"}).Draw(rt, "method")
		where := rapid.SampledFrom([]string{"here", "here", "here", "there", "other"}).Draw(rt, "to")
		to.Store(where)
		args := []any{drawDrink(rt)}
		switch method {
		case "behind":
			args = []any{5, args[0]}
		case "list":
			args = []any{[]any{args[0], drawDrink(rt), args[0]}}
		case "two":
			args = []any{[]any{args[0], nil}, 4}
		}
		switch rapid.IntRange(0, 12).Draw(rt, "odd") {
		case 0:
			args = append(args, "more")
		case 1:
			args = args[1:]
		case 2:
			args = append(args, flavors.Kw{"d": 1})
		}
		got, err := flavors.Call[any](t.Context(), relay, method, args...)
		if where == "other" {
			return // It must not harm the calls after it.
		}
		want, wantErr := flavors.Call[any](t.Context(), general, method, args...)
		require.Equal(rt, fmt.Sprint(wantErr), fmt.Sprint(err))
		masked := func(v any) string { return numbered.ReplaceAllString(jelly.Format(v), "<remote>") }
		require.Equal(rt, masked(want), masked(got))
	})
}
