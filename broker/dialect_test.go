package broker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// courier tells its callers what their calls carried.
type courier struct{ flavors.Referenceable }

func (*courier) RemoteCarried(inv *flavors.Invocation, keys ...string) []any {
	values := []any{}
	for _, key := range keys {
		values = append(values, inv.Metadata()[key])
	}
	return values
}

func (*courier) RemoteCount(inv *flavors.Invocation) int { return len(inv.Metadata()) }

func (*courier) RemoteEcho(v any) any { return v }

// dialects joins a scripted client to a server of a courier.
func joinCourier(t *testing.T, profile banana.Profile, opts ...broker.ListenOption) *wire.Peer {
	t.Helper()
	p := wire.Connect(t, pbtest.NewServer(t, &courier{}, opts...).Listener.Addr().String())
	p.JoinAs(profile)
	return p
}

// TestDialectsMeet lets both sides speak different dialects (P-9.1).
func TestDialectsMeet(t *testing.T) {
	const none, pb, pb1 = banana.ProfileNone, banana.ProfilePB, banana.ProfilePB1
	for _, test := range []struct {
		server, client []banana.Profile // nil: the default
		want           string           // "" if they have none in common
	}{
		{nil, nil, "pb+1"},
		{nil, []banana.Profile{pb, none}, "pb"},
		{[]banana.Profile{pb, none}, nil, "pb"},
		{[]banana.Profile{none, pb}, nil, "none"},
		{nil, []banana.Profile{none}, "none"},
		{[]banana.Profile{pb1}, nil, "pb+1"},
		{[]banana.Profile{pb1}, []banana.Profile{pb, none}, ""},
		{[]banana.Profile{pb}, []banana.Profile{none, pb1}, ""},
	} {
		t.Run(fmt.Sprintf("%v to %v", test.client, test.server), func(t *testing.T) {
			var listen []broker.ListenOption
			var dial []broker.DialOption
			if test.server != nil {
				listen = append(listen, broker.WithDialects(test.server...))
			}
			if test.client != nil {
				dial = append(dial, broker.WithDialects(test.client...))
			}
			s := pbtest.NewServer(t, &courier{}, listen...)
			conn, err := broker.Dial(t.Context(), s.Runtime, s.Listener.URL(), dial...)
			if test.want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, conn.Dialect())
			n, err := flavors.Call[int](t.Context(), conn.Root(), "echo", 7)
			require.NoError(t, err)
			assert.Equal(t, 7, n)
		})
	}
}

func TestDialectUnknownAtFirst(t *testing.T) {
	var nobody *broker.Conn
	assert.Empty(t, nobody.Dialect())
	asked := make(chan string, 1)
	s := pbtest.NewServer(t, broker.RootFactory(func(c *broker.Conn) (any, error) {
		asked <- c.Dialect()
		return &courier{}, nil
	}))
	s.Dial()
	assert.Empty(t, <-asked)
}

func TestWithDialectsErrors(t *testing.T) {
	rt := newRuntime(t)
	for _, opt := range []broker.Option{
		broker.WithDialects(), broker.WithDialects(banana.Profile(77)),
		broker.WithDialects(banana.ProfilePB, banana.ProfilePB),
	} {
		_, err := broker.Listen(rt, "pb://127.0.0.1:0", &courier{}, opt)
		require.ErrorContains(t, err, "WithDialects")
	}
}

// TestExtensionsOnStockDialect sends what belongs to pb+1 to a server on a connection that speaks pb (P-9.2).
func TestExtensionsOnStockDialect(t *testing.T) {
	p := joinCourier(t, banana.ProfilePB)
	p.Write(`[cancel 1]`, `[goaway bye]`)
	p.Want(`[didNotUnderstand cancel]`, `[didNotUnderstand goaway]`)
	p.WantIdle()
	p.Write(`[message 1 root count 1 [tuple] [dictionary] [dictionary]]`)
	p.WantClosed()
}

// TestMetadataArrives reads metadata of a scripted peer (P-9.3, P-9.5).
func TestMetadataArrives(t *testing.T) {
	p := joinCourier(t, banana.ProfilePB1)
	p.Write(`[message 1 root carried 1 [tuple [unicode traceparent] [unicode mine] [unicode list]] [dictionary]
		[dictionary [[unicode traceparent] [unicode "00-1-2-01"]] [[unicode mine] "\x00\xff"] [list [unicode remote]]]]`)
	p.Want(`[answer 1 [list [unicode "00-1-2-01"] "\x00\xff" [unicode remote]]]`)
	p.Write(`[message 2 root count 1 [tuple] [dictionary] [dictionary]]`)
	p.Want(`[answer 2 0]`)
	p.Write(`[message 3 root count 1 [tuple] [dictionary]]`)
	p.Want(`[answer 3 0]`)
}

// TestMetadataRefused answers calls whose metadata is malformed or exceeds a limit (P-9.4).
func TestMetadataRefused(t *testing.T) {
	entries := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " [[unicode k%d] [unicode v]]", i)
		}
		return `[dictionary` + b.String() + `]`
	}
	p := joinCourier(t, banana.ProfilePB1)
	p.Write(`[message 1 root count 1 [tuple] [dictionary] ` + entries(flavors.MaxMetadataEntries) + `]`)
	p.Want(`[answer 1 64]`)
	long := strings.Repeat("x", flavors.MaxMetadataBytes-64)
	p.Write(`[message 1 root count 1 [tuple] [dictionary] [dictionary [[unicode k] [unicode ` + long + `]]]]`)
	p.Want(`[answer 1 1]`)
	for name, metadata := range map[string]string{
		"a number":                `7`,
		"a list":                  `[list]`,
		"an empty list":           `[]`,
		"half a pair":             `[dictionary [[unicode k]]]`,
		"no pair":                 `[dictionary k]`,
		"a number as a key":       `[dictionary [7 [unicode v]]]`,
		"a key that is not UTF-8": `[dictionary ["\xff" [unicode v]]]`,
		"a list as a value":       `[dictionary [[unicode k] [list]]]`,
		"a number as a value":     `[dictionary [[unicode k] 7]]`,
		"text that is not UTF-8":  `[dictionary [[unicode k] [unicode "\xff"]]]`,
		"a reference":             `[dictionary [[unicode k] [remote 7]]]`,
		"a shared value":          `[dictionary [[unicode k] [reference 1 [unicode v]]]]`,
		"a key twice":             `[dictionary [[unicode k] k] [[unicode k] k]]`,
		"a timeout twice":         `[dictionary [[unicode timeout] 70] [[unicode timeout] 70]]`,
		"a timeout in words":      `[dictionary [[unicode timeout] [unicode soon]]]`,
		"too many entries":        entries(flavors.MaxMetadataEntries + 1),
		"too many bytes":          `[dictionary [[unicode k] [unicode x` + long + strings.Repeat("x", 64) + `]]]`,
	} {
		t.Run(name, func(t *testing.T) {
			p.Forget("failure")
			p.Write(`[message 2 root count 1 [tuple] [dictionary] ` + metadata + `]`)
			p.Want(`[error 2 $failure]`)
			assert.Contains(t, banana.Format(p.Var("failure")), "the metadata of the call")
			p.WantIdle()
		})
	}
	// What the arguments mention has been counted, and is given back.
	p.Write(`[message 3 root echo 1 [tuple [remote 5]] [dictionary] 7]`)
	p.Want(`[decref 5]`, `[error 3 _]`)
	p.WantIdle()
}

// TestMetadataTasted refuses metadata of types that the taster does not allow (P-9.4).
func TestMetadataTasted(t *testing.T) {
	taster := jelly.NewSecurityOptions().AllowTypes("tuple")
	p := joinCourier(t, banana.ProfilePB1, broker.WithSecurity(taster))
	p.Write(`[message 1 root count 1 [tuple] [dictionary] [dictionary]]`)
	p.Want(`[error 1 _]`)
}

// TestMetadataSent sends metadata to a scripted server (P-9.3).
func TestMetadataSent(t *testing.T) {
	ctx := flavors.WithMetadata(t.Context(), flavors.Metadata{"b": []byte{0, 255}, "list": "remote", "traceparent": "00"})
	ctx = flavors.WithMetadata(ctx, flavors.Metadata{"traceparent": "01"})
	for profile, want := range map[banana.Profile]string{
		banana.ProfilePB: `[message 1 root add 1 [tuple 1] [dictionary]]`,
		banana.ProfilePB1: `[message 1 root add 1 [tuple 1] [dictionary] [dictionary
			[[unicode b] "\x00\xff"] [[unicode list] [unicode remote]] [[unicode traceparent] [unicode "01"]]]]`,
	} {
		t.Run(profile.String(), func(t *testing.T) {
			conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(profile) })
			require.NoError(t, err)
			d := flavors.Start(ctx, conn.Root(), "add", 1)
			p.Want(want)
			p.Write(`[answer 1 3]`)
			n, err := flavors.As[int](d.Await(t.Context()))
			require.NoError(t, err)
			assert.Equal(t, 3, n)
		})
	}
}

// TestMetadataTextSent sends single texts to a scripted server (P-9.3).
func TestMetadataTextSent(t *testing.T) {
	conn, p, err := dialScripted(t, newRuntime(t), func(p *wire.Peer) { p.HostAs(banana.ProfilePB1) })
	require.NoError(t, err)
	text := func(ctx context.Context, key, value string) context.Context {
		return flavors.WithMetadataText(ctx, key, value)
	}
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	timed, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	ctx := t.Context()
	for i, c := range []struct {
		ctx  context.Context
		want string
	}{
		{text(ctx, "traceparent", parent), `[[unicode traceparent] [unicode "` + parent + `"]]`},
		{text(ctx, "traceparent", "short"), `[[unicode traceparent] [unicode short]]`},
		{text(ctx, "list", "remote"), `[[unicode list] [unicode remote]]`},
		{text(timed, "traceparent", parent), `[[unicode timeout] _] [[unicode traceparent] [unicode "` + parent + `"]]`},
		{text(text(ctx, "a", "1"), "a", "2"), `[[unicode a] [unicode "2"]]`},
		{text(text(ctx, "a", "1"), "b", "2"), `[[unicode a] [unicode "1"]] [[unicode b] [unicode "2"]]`},
		{flavors.WithMetadata(text(ctx, "a", "1"), flavors.Metadata{"a": "2"}), `[[unicode a] [unicode "2"]]`},
	} {
		require.NoError(t, flavors.Send(c.ctx, conn.Root(), "left"))
		p.Want(fmt.Sprintf(`[message %d root left 0 [tuple] [dictionary] [dictionary %s]]`, i+1, c.want))
	}
	for _, bad := range []context.Context{
		text(ctx, "traceparent", strings.Repeat("\xff", len(parent))),
		text(ctx, "\xff", "v"),
		text(ctx, "timeout", "7"),
		text(ctx, "k", strings.Repeat("x", flavors.MaxMetadataBytes)),
	} {
		require.ErrorContains(t, flavors.Send(bad, conn.Root(), "left"), "metadata")
	}
	require.NoError(t, flavors.Send(ctx, conn.Root(), "left")) // Nothing was sent in between.
	p.Want(`[message 8 root left 0 [tuple] [dictionary]]`)
}

// TestLoneTraceparent reads metadata that is a traceparent alone, which is read in one step (P-9.3, P-9.4).
func TestLoneTraceparent(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	p := joinCourier(t, banana.ProfilePB1)
	call := func(value, more string) string {
		return `[message 1 root carried 1 [tuple [unicode traceparent] [unicode k]] [dictionary]
			[dictionary [[unicode traceparent] [unicode "` + value + `"]]` + more + `]]`
	}
	p.Write(call(parent, ""))
	p.Want(`[answer 1 [list [unicode "` + parent + `"] [None]]]`)
	p.Write(call(parent, ` [[unicode k] [unicode v]]`))
	p.Want(`[answer 1 [list [unicode "` + parent + `"] [unicode v]]]`)
	p.Write(call(strings.Repeat(`\xff`, len(parent)), ""))
	p.Want(`[error 1 _]`)
}

// TestMetadataText reads single entries of the metadata in an interceptor.
func TestMetadataText(t *testing.T) {
	var got []string
	reading := flavors.InterceptorFunc(func(next flavors.CallFunc) flavors.CallFunc {
		return func(ctx context.Context, call *flavors.CallInfo) (any, error) {
			if call.Incoming() {
				got = append(got, call.MetadataText("text"), call.MetadataText("bytes"), call.MetadataText("none"))
			} else {
				assert.Empty(t, call.MetadataText("text"), "what a call to the peer carries is in its context")
			}
			return next(ctx, call)
		}
	})
	server := pbtest.NewServer(t, &courier{}, broker.WithInterceptor(reading))
	ctx := flavors.WithMetadata(t.Context(), flavors.Metadata{"text": "a", "bytes": []byte("b\xff")})
	conn := server.Dial(broker.WithInterceptor(reading))
	_, err := flavors.Call[int](ctx, conn.Root(), "count")
	require.NoError(t, err)
	_, err = flavors.Call[int](t.Context(), conn.Root(), "count")
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b\xff", "", "", "", ""}, got)
}

// TestMetadataLimits fails calls at the caller (P-9.4).
func TestMetadataLimits(t *testing.T) {
	conn := pbtest.NewServer(t, &courier{}).Dial()
	count := func(m flavors.Metadata) (int, error) {
		return flavors.Call[int](flavors.WithMetadata(context.Background(), m), conn.Root(), "count")
	}
	many := flavors.Metadata{}
	for i := range flavors.MaxMetadataEntries {
		many[fmt.Sprint(i)] = "v"
	}
	n, err := count(many)
	require.NoError(t, err)
	assert.Len(t, many, n)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	many["one more"] = ""
	for _, bad := range []flavors.Metadata{
		many, {"k": strings.Repeat("x", flavors.MaxMetadataBytes)}, {"k": 7}, {"k": nil}, {"k": "\xff"}, {"\xff": "v"},
		{"timeout": "7"},
	} {
		_, err := count(bad)
		require.ErrorContains(t, err, "metadata")
		require.ErrorContains(t, flavors.Send(flavors.WithMetadata(ctx, bad), conn.Root(), "count"), "metadata")
	}
	n, err = count(flavors.Metadata{"k": strings.Repeat("x", flavors.MaxMetadataBytes-64)})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
}
