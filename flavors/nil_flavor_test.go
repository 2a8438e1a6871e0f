package flavors_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/published"
)

// Structs that embed their flavor by a pointer, which is nil.
type (
	nilReferenceable struct{ *flavors.Referenceable }
	nilRoot          struct{ *flavors.Root }
	nilViewable      struct{ *flavors.Viewable }
	nilAvatar        struct{ *flavors.Avatar }
	nilCopyable      struct{ *flavors.Copyable }
	nilCacheable     struct{ *flavors.Cacheable }
	nilPublishable   struct{ *published.Publishable }
	nilRemoteCache   struct{ *flavors.RemoteCache }
	nilCounter       struct{ *counter } // a struct with a flavor
	nilDeep          struct{ nilCounter }
	nilPoint         struct{ *point }
	nilInterface     struct{ jelly.Jellyable }
)

// panicking has a nil pointer, but its own code panics.
type panicking struct {
	flavors.Copyable
	*noFlavor
}

func (*panicking) StateToCopy() any { panic("ouch") }

// TestNilFlavor sends and publishes structs whose embedded flavor is a nil pointer.
func TestNilFlavor(t *testing.T) {
	root := newServer(t, &counter{}).Dial().Root()
	rt := newRuntime(t)
	for _, test := range []struct {
		v       any
		says    string
		isActor bool // can be published and spawned
	}{
		{&nilReferenceable{}, "*flavors.Referenceable", true},
		{&nilRoot{}, "*flavors.Root: embed flavors.Root without a pointer", true},
		{&nilViewable{}, "*flavors.Viewable", true},
		{&nilAvatar{}, "*flavors.Avatar", true},
		{&nilCopyable{}, "*flavors.Copyable: embed flavors.Copyable without a pointer", false},
		{&nilCacheable{}, "*flavors.Cacheable", true},
		{&nilPublishable{}, "*published.Publishable", true},
		{&nilRemoteCache{}, "*flavors.RemoteCache", true},
		{&nilCounter{}, "*flavors_test.counter", true},
		{&nilDeep{}, "*flavors_test.counter", true},
		{&nilPoint{}, "*flavors_test.point", false},
		{&nilInterface{}, "jelly.Jellyable: set it first", false},
	} {
		t.Run(fmt.Sprintf("%T", test.v), func(t *testing.T) {
			says := fmt.Sprintf("%T embeds a nil %s", test.v, test.says)
			send := func(where string, v any) {
				_, err := flavors.Call[any](t.Context(), root, "take", v)
				require.ErrorContains(t, err, "args[0]"+where+": "+says)
				var insecure *jelly.InsecureJellyError
				require.ErrorAs(t, err, &insecure)
			}
			switch test.v.(type) {
			case *nilAvatar, *nilRemoteCache: // are refused as such
			default:
				send("", test.v)
				send("[1]", []any{1, test.v})
				send(`["key"]`, map[string]any{"key": test.v})
			}
			if !test.isActor {
				return
			}
			_, err := broker.Listen(rt, "pb://127.0.0.1:0", test.v)
			require.ErrorContains(t, err, says)
			_, err = flavors.Spawn(rt, test.v)
			require.ErrorContains(t, err, says)
			_, err = flavors.NewViewPoint(nil, test.v)
			require.ErrorContains(t, err, says)
			require.Panics(t, func() { flavors.New(func() any { return test.v }) })
		})
	}
	for _, v := range []any{nilCopyable{}, nilPoint{}, nilInterface{}, []nilCopyable{{}}, [1]nilPoint{}} {
		_, err := flavors.Call[any](t.Context(), root, "take", v)
		require.ErrorContains(t, err, "embeds a nil ")
	}
	_, err := flavors.Update(&nilCacheable{}, func(flavors.Observers) {}).Await(t.Context())
	require.ErrorContains(t, err, "embeds a nil *flavors.Cacheable")
	require.ErrorContains(t, flavors.RegisterCache[nilRemoteCache](jelly.NewRegistry(), "x"), "nil *flavors.RemoteCache")

	_, err = flavors.Call[any](t.Context(), root, "take", &panicking{})
	var panicked *jelly.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "ouch", panicked.Value)
}

// TestNilFlavorAfterPanic has a producer return a struct without a flavor when it is to replace one that panicked.
func TestNilFlavorAfterPanic(t *testing.T) {
	made := 0
	root := newServer(t, flavors.New(func() *brittle {
		made++
		if made > 1 {
			return &brittle{}
		}
		return &brittle{Referenceable: new(flavors.Referenceable)}
	})).Dial().Root()
	_, err := flavors.Call[any](t.Context(), root, "break")
	require.Error(t, err)
	_, err = flavors.Call[any](t.Context(), root, "break")
	require.Error(t, err)
	require.NotErrorIs(t, err, flavors.NoSuchMethod)
	require.Greater(t, made, 1)
}

type brittle struct{ *flavors.Referenceable }

func (*brittle) RemoteBreak() { panic("ouch") }
