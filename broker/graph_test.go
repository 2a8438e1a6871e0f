package broker_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/graph"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// taker has methods of all sorts of parameters, which do all sorts of things with what they are given.
type taker struct{ flavors.Root }

type twig struct {
	First  *twig          `pb:"k0"`
	Second []twig         `pb:"k1,omitempty"`
	Third  map[string]any `pb:"k2,omitempty"`
}

func (*taker) RemoteEcho(v any) any                   { return v }
func (*taker) RemoteLists(v [][][]int) int            { return len(v) }
func (*taker) RemoteMaps(v map[string]map[string]any) {}
func (*taker) RemoteTwig(t *twig)                     {}
func (*taker) RemoteTwigs(t ...twig)                  {}
func (*taker) RemoteAll(args ...any) int              { return len(args) }
func (*taker) RemoteKw(kw flavors.Kw) any             { return kw }
func (*taker) RemotePanics(v any)                     { panic(v) }
func (*taker) RemoteFails(v any) error                { return fmt.Errorf("cannot use %s", jelly.Formatted{Value: v}) }
func (*taker) RemoteText(v string) string             { return v }
func (*taker) RemoteRaw(inv *flavors.Invocation) error {
	return flavors.ValueError.Errorf("%v", inv.Args)
}
func (*taker) RemoteDict(d *jelly.Dict) (any, bool) { return d.GetName("k0") }

// TestCallsWithGraphs sends graphs as arguments, keywords and answers, with everything logged. Each call is answered,
// and the work is bounded.
func TestCallsWithGraphs(t *testing.T) {
	log := zerolog.New(io.Discard).Level(zerolog.DebugLevel)
	security := jelly.DefaultSecurity().AllowInstancesOf(graph.Class).AllowTypes("method")
	allowed := broker.WithSecurity(security)
	for _, opt := range []broker.Option{allowed, broker.WithOptions(allowed, broker.WithUnsafeTracebacks())} {
		rt := newRuntime(t, actor.WithLogger(log))
		ln, err := broker.Listen(rt, "pb://127.0.0.1:0", &taker{}, opt)
		require.NoError(t, err)
		conn, err := broker.Dial(t.Context(), rt, ln.URL(), opt)
		require.NoError(t, err)
		try := func(t *testing.T, v any, large bool) {
			graph.Within(t, 2<<30, func() {
				for _, method := range []string{
					"echo", "lists", "maps", "twig", "twigs", "all", "kw", "panics", "fails", "text", "raw", "dict", "nothing",
				} {
					combinations := [][]any{{v}, {v, v}, {flavors.Kw{"k": v}}, {v, flavors.Kw{"k": v, "l": v}}}
					if large {
						combinations = combinations[:1]
					}
					for _, args := range combinations {
						answer, err := flavors.Call[any](t.Context(), conn.Root(), method, args...)
						assert.LessOrEqual(t, len(jelly.Format(answer)), jelly.DefaultFormatLimit)
						if err != nil {
							assert.Less(t, len(err.Error()), flavors.MaxFailureText+100)
							assert.Less(t, len(fmt.Sprintf("%+v", err)), flavors.MaxFailureText+100)
						}
					}
				}
				_, _ = flavors.Call[[][]string](t.Context(), conn.Root(), "echo", v)
				_, _ = flavors.Call[twig](t.Context(), conn.Root(), "echo", v)
			})
			sum, err := flavors.Call[int](t.Context(), conn.Root(), "all", 1, 2)
			require.NoError(t, err, "the connection goes on")
			require.Equal(t, 2, sum)
		}
		for name, v := range graph.Hostile() {
			// Text is not shared on the wire: each message of this is written up to the limit of its frame.
			large := name == "one long key for many"
			t.Run(name, func(t *testing.T) { try(t, v, large) })
		}
		for seed := range uint64(5) {
			try(t, graph.Random(seed), false)
		}
	}
}
