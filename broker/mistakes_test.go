package broker_test

import (
	"context"
	"crypto/tls"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// TestMistakes wants each mistake of a beginner reported at start-up or at the call, with what to write instead.
func TestMistakes(t *testing.T) {
	const url = "pb://127.0.0.1:0"
	rt := newRuntime(t)
	listen := func(url string, root any, opts ...broker.ListenOption) error {
		ln, err := broker.Listen(rt, url, root, opts...)
		if err == nil {
			require.NoError(t, ln.Close())
		}
		return err
	}
	ln, err := broker.Listen(rt, url, &service{})
	require.NoError(t, err)
	dial := func(url string, opts ...broker.DialOption) error {
		conn, err := broker.Dial(t.Context(), rt, url, opts...)
		if err == nil {
			require.NoError(t, conn.Close(t.Context()))
		}
		return err
	}
	reconnect := func(url string, opts ...broker.ReconnectOption) error {
		_, err := broker.Reconnect[any](rt, url, nil, opts...)
		return err
	}
	over := func(opts ...broker.DialOption) error {
		here, there := net.Pipe()
		t.Cleanup(func() { _ = there.Close() })
		_, err := broker.NewClientConn(t.Context(), rt, here, opts...)
		return err
	}
	anonymous := cred.AllowAnonymous()
	enter := func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*service, func(), error) {
		return &service{}, nil, nil
	}
	portal, err := cred.NewPortal(cred.RealmFunc[*flavors.RemoteReference, *service](enter), anonymous)
	require.NoError(t, err)
	var noFactory broker.RootFactory

	for _, test := range []struct {
		name string
		err  error
		says string
	}{
		{"no root", listen(url, nil), "give a root object, or WithPublished"},
		{"root by value", listen(url, struct{ flavors.Root }{}), "pointer"},
		{"root is a number", listen(url, 7), `the object to be published as "root"`},
		{"nil factory", listen(url, noFactory), "RootFactory"},
		{"root twice", listen(url, &service{}, broker.WithPublished("root", &service{})), "give each another name"},
		{"name twice", listen(url, nil, broker.WithPublished("a", &service{}), broker.WithPublished("a", &service{})),
			`two objects are to be published as "a"`},
		{"no name", listen(url, &service{}, broker.WithPublished("", &service{})), "no name"},
		{"nothing under a name", listen(url, &service{}, broker.WithPublished("a", nil)), `published as "a" is nil`},
		{"listen with a name", listen(url+"/a", &service{}), "WithPublished(name, object)"},
		{"no scheme", listen("127.0.0.1:8787", &service{}), "write pb://host:port"},
		{"web scheme", dial("http://127.0.0.1:80"), "use pb, pbs or pb+unix"},
		{"password in a URL", dial("pb://me:secret@127.0.0.1"), "log in with credentials"},
		{"relative path", dial("pb+unix://run/pb.sock"), "write pb+unix:///run/pb.sock"},
		{"no certificate", listen("pbs://127.0.0.1:0", &service{}), "WithTLS"},
		{"nil TLS", dial(ln.URL(), broker.WithTLS(nil)), "no *tls.Config"},
		{"listen, TLS unused", listen(url, &service{}, broker.WithTLS(&tls.Config{})), "write pbs://"},
		{"dial, TLS unused", dial(ln.URL(), broker.WithTLS(&tls.Config{})), "write pbs://"},
		{"reconnect, TLS unused", reconnect(ln.URL(), broker.WithTLS(&tls.Config{})), "write pbs://"},
		{"TLS without a name", over(broker.WithTLS(&tls.Config{})), "set ServerName"},
		{"socket mode for TCP", listen(url, &service{}, broker.WithSocketMode(0o660)), "pb+unix:// URL"},
		{"dialer, but a socket", over(broker.WithDialer(new(net.Dialer).DialContext)), "for Dial and Reconnect"},
		{"nil dialer", dial(ln.URL(), broker.WithDialer(nil)), "no function"},
		{"nil registry", dial(ln.URL(), broker.WithRegistry(nil)), "no registry"},
		{"nil security", dial(ln.URL(), broker.WithSecurity(nil)), "WithSecurity"},
		{"no server identity", reconnect(ln.URL(), broker.WithServerIdentity("")), "no name"},
		{"half a keepalive", dial(ln.URL(), broker.WithKeepalive(time.Second, 0)), "two positive times"},
		{"negative polling", dial(ln.URL(), broker.WithPolling(-1)), "must not be negative"},
		{"nil portal", listen(url, broker.LoginRoot[any](nil)), "cred.NewPortal"},
		{"nil portal, identities", listen(url, broker.IdentityRoot[any](nil)), "cred.NewPortal"},
		{"zero PortalRoot", listen(url, &broker.PortalRoot{}), "made by Login"},
		{"no checker", listen(url, broker.Login(enter)), "cred.NewInMemory"},
		{"nil checker", listen(url, broker.Login(enter, nil)), "nil"},
		{"no avatars", listen(url, broker.Login[any](nil, anonymous)), "no function"},
		{"checkers for one kind", listen(url, broker.Login(enter, anonymous, anonymous)), "cred.Only"},
		{"nil throttle", listen(url, broker.LoginRoot(portal, broker.WithThrottle(nil))), "no throttle"},
		{"no logins", listen(url, broker.LoginRoot(portal, broker.WithLoginsAtOnce(0))), "must be positive"},
		{"no runtime", func() error {
			_, err := broker.Listen(nil, url, &service{})
			return err
		}(), "make one with NewRuntime"},
		{"no answer to a name", func() error {
			conn, err := broker.Dial(t.Context(), rt, ln.URL()+"/attic")
			require.NoError(t, err)
			_, err = flavors.Call[int](t.Context(), conn.Root(), "add", 1, 2)
			return err
		}(), `nothing is published as "attic"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.ErrorContains(t, test.err, test.says)
			require.NotContains(t, test.err.Error(), "secret")
		})
	}
}

// TestOptionsInPlace has options that apply to one kind of connection only. Elsewhere they do not compile.
func TestOptionsInPlace(t *testing.T) {
	dial, listen := reflect.TypeFor[broker.DialOption](), reflect.TypeFor[broker.ListenOption]()
	reconnect, login := reflect.TypeFor[broker.ReconnectOption](), reflect.TypeFor[broker.LoginOption]()
	for name, test := range map[string]struct {
		function any
		fits     []reflect.Type
	}{
		"both sides":  {broker.WithKeepalive, []reflect.Type{dial, listen, reconnect}},
		"dialing":     {broker.WithServerIdentity, []reflect.Type{dial, reconnect}},
		"a dialer":    {broker.WithDialer, []reflect.Type{dial, reconnect}},
		"listening":   {broker.WithSocketMode, []reflect.Type{listen}},
		"reconnects":  {broker.WithBackoff, []reflect.Type{reconnect}},
		"logins":      {broker.WithThrottle, []reflect.Type{login}},
		"login times": {broker.WithLoginDeadline, []reflect.Type{login}},
	} {
		t.Run(name, func(t *testing.T) {
			option := reflect.TypeOf(test.function).Out(0)
			for _, place := range []reflect.Type{dial, listen, reconnect, login} {
				require.Equal(t, slices.Contains(test.fits, place), option.Implements(place), "%s as a %s", option, place)
			}
		})
	}
}

// caller is an avatar that knows where its user is.
type caller struct {
	flavors.Avatar
	from, conn string
}

func (v *caller) PerspectiveFrom() string { return v.from }

// PerspectiveHere names the connection of the method's context.
func (v *caller) PerspectiveHere(ctx context.Context) bool {
	return broker.ConnOf(ctx).String() == v.conn
}

func TestRealmKnowsPeer(t *testing.T) {
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, "pb://127.0.0.1:0", broker.Login(
		func(ctx context.Context, _ cred.AvatarID, _ *flavors.RemoteReference) (*caller, func(), error) {
			conn := broker.ConnOf(ctx)
			return &caller{from: conn.RemoteAddr().String(), conn: conn.String()}, nil, nil
		}, cred.AllowAnonymous()))
	require.NoError(t, err)
	client, err := broker.Reconnect(newRuntime(t), ln.URL(),
		func(ctx context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) {
			if broker.ConnOf(ctx) != conn {
				return nil, errPlain
			}
			return conn.Login(ctx, cred.Anonymous{}, nil)
		})
	require.NoError(t, err)
	avatar, err := client.Session(t.Context())
	require.NoError(t, err)
	conn, err := client.Conn(t.Context())
	require.NoError(t, err)
	from, err := flavors.Call[string](t.Context(), avatar, "from")
	require.NoError(t, err)
	require.Equal(t, conn.LocalAddr().String(), from)
	here, err := flavors.Call[bool](t.Context(), avatar, "here")
	require.NoError(t, err)
	require.True(t, here)
	require.Nil(t, broker.ConnOf(t.Context()))
	require.NoError(t, client.Close(t.Context()))
}

// TestPortalRootFromFactory has a factory decide which connections may log in.
func TestPortalRootFromFactory(t *testing.T) {
	login := broker.Login(func(context.Context, cred.AvatarID, *flavors.RemoteReference) (*caller, func(), error) {
		return &caller{from: "here"}, nil, nil
	}, cred.AllowAnonymous())
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0",
		func(*broker.Conn) (any, error) { return login, nil })
	require.NoError(t, err)
	conn, err := broker.Dial(t.Context(), newRuntime(t, actor.WithIdleWorkers(1)), ln.URL())
	require.NoError(t, err)
	avatar, err := conn.Login(t.Context(), cred.Anonymous{}, nil)
	require.NoError(t, err)
	from, err := flavors.Call[string](t.Context(), avatar, "from")
	require.NoError(t, err)
	require.Equal(t, "here", from)
}
