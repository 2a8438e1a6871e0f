package code

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
)

//guide:begin signatures
type Menu struct{ flavors.Root }

func (*Menu) RemoteClear()                                        {}                      // the caller gets None
func (*Menu) RemoteSum(numbers ...int) int                        { return len(numbers) } // any number of arguments
func (*Menu) RemotePair() (int, string)                           { return 7, "soup" }    // a tuple
func (*Menu) RemoteCheck(dish string) error                       { return nil }          // None, or a failure
func (*Menu) RemoteFind(dish string) (string, error)              { return "here", nil }  // text, or a failure
func (*Menu) RemoteOrder(dish string, o AddOptions) int           { return o.Times }      // with keyword arguments
func (*Menu) RemoteNote(kw flavors.Kw) int                        { return len(kw) }      // with any keywords
func (*Menu) RemoteVisit(c *flavors.RemoteReference)              { c.Release() }         // an object of the caller
func (*Menu) RemoteLater(inv *flavors.Invocation) *actor.Deferred { return later(inv) }   // a result that comes later

// RemoteWho gets a context that ends with the connection, and the invocation, which has the connection, the user
// (Perspective) and the arguments. Both are optional. They come first, in this order.
func (*Menu) RemoteWho(ctx context.Context, inv *flavors.Invocation) (string, error) {
	return inv.Conn().RemoteAddr().Network(), ctx.Err()
}

//guide:end

func later(inv *flavors.Invocation) *actor.Deferred {
	d := actor.NewDeferred(inv.Conn().Runtime())
	d.Complete("later", nil)
	return d
}

// TestSignatures calls each method.
func TestSignatures(t *testing.T) {
	root := dialPipe(t, &Menu{}).Root()
	for method, c := range map[string]struct {
		args []any
		want any
	}{
		"clear": {nil, nil},
		"sum":   {[]any{1, 2, 3}, int64(3)},
		"pair":  {nil, []any{int64(7), "soup"}},
		"check": {[]any{"soup"}, nil},
		"find":  {[]any{"soup"}, "here"},
		"order": {[]any{"soup", flavors.Kw{"times": 2}}, int64(2)},
		"note":  {[]any{flavors.Kw{"a": 1, "b": 2}}, int64(2)},
		"visit": {[]any{&Bell{}}, nil},
		"later": {nil, "later"},
		"who":   {nil, "pipe"},
	} {
		got, err := flavors.Call[any](t.Context(), root, method, c.args...)
		require.NoError(t, err, method)
		if method == "pair" {
			got, err = flavors.Call[[]any](t.Context(), root, method)
			require.NoError(t, err)
		}
		assert.Equal(t, c.want, got, method)
	}
}
