package misuse_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/internal/pbtest"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var newRuntime = pbtest.NewRuntime

const anywhere = "pb://127.0.0.1:0"

func TestClosedRuntime(t *testing.T) {
	rt := newRuntime(t)
	ln, err := broker.Listen(newRuntime(t), anywhere, &object{})
	require.NoError(t, err)
	require.NoError(t, rt.Close(t.Context()))
	require.NoError(t, rt.Close(t.Context()), "a second time")
	pipe, _ := net.Pipe()
	for name, f := range map[string]func() error{
		"Listen":    func() error { _, err := broker.Listen(rt, anywhere, &object{}); return err },
		"Serve":     func() error { _, err := broker.ListenOn(rt, broker.NewPipeListener(), &object{}); return err },
		"Dial":      func() error { _, err := broker.Dial(t.Context(), rt, ln.URL()); return err },
		"Client":    func() error { _, err := broker.NewClientConn(t.Context(), rt, pipe); return err },
		"Reconnect": func() error { _, err := broker.Reconnect[any](rt, ln.URL(), nil); return err },
		"Spawn":     func() error { _, err := flavors.Spawn(rt, &object{}); return err },
		"Tree.Spawn": func() error {
			_, err := supervision.TreeOf(rt).Spawn(supervision.Objects, rt.Props(nil), "x")
			return err
		},
	} {
		survives(t, name, func() { assert.ErrorIs(t, f(), supervision.ErrClosing, name) })
	}
	assert.False(t, rt.Go("late", func() {}))
}

// TestOneStructInTwoRuntimes wants a struct refused in a second Runtime until the first no longer uses it.
func TestOneStructInTwoRuntimes(t *testing.T) {
	one, two := newRuntime(t), newRuntime(t)
	shared := &object{}
	first, err := broker.Listen(one, anywhere, shared)
	require.NoError(t, err)
	same, err := broker.Listen(one, anywhere, shared)
	require.NoError(t, err, "one runtime may publish it twice")
	refused := func() {
		t.Helper()
		_, err := broker.Listen(two, anywhere, shared)
		require.ErrorContains(t, err, "is in use in another Runtime")
		_, err = flavors.Spawn(two, shared)
		require.ErrorContains(t, err, "is in use in another Runtime")
	}
	refused()
	conn, err := broker.Dial(t.Context(), two, first.URL())
	require.NoError(t, err)
	got, err := flavors.Call[string](t.Context(), conn.Root(), "ping")
	require.NoError(t, err)
	require.Equal(t, "pong", got)
	_, err = flavors.Call[any](t.Context(), conn.Root(), "ping", shared)
	require.ErrorContains(t, err, "is in use in another Runtime", "nor can it be sent from there")
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "a second time")
	refused()
	require.NoError(t, same.Close())
	require.NoError(t, one.Close(t.Context()))

	again, err := broker.Listen(two, anywhere, shared)
	require.NoError(t, err)
	conn, err = broker.Dial(t.Context(), two, again.URL())
	require.NoError(t, err)
	_, err = flavors.Call[string](t.Context(), conn.Root(), "ping")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, conn.Close(t.Context()), "a second time")
	_, err = flavors.Call[string](t.Context(), conn.Root(), "ping")
	require.ErrorIs(t, err, flavors.DeadReference)
}

// TestNilInPlaces passes one nil among valid arguments.
func TestNilInPlaces(t *testing.T) {
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, anywhere, &object{}, nil)
	require.NoError(t, err, "a nil option has no effect")
	conn, err := broker.Dial(t.Context(), rt, ln.URL(), nil)
	require.NoError(t, err)
	var noReference *flavors.RemoteReference
	var noCache *flavors.Cached[cached]
	var noRealm cred.RealmFunc[mind, *avatar]
	var noChecker *cred.InMemory
	realm := cred.RealmFunc[mind, *avatar](
		func(context.Context, cred.AvatarID, mind) (*avatar, func(), error) { return nil, nil, nil },
	)
	for name, f := range map[string]func() error{
		"nil root":          func() error { _, err := broker.Listen(rt, anywhere, nil); return err },
		"typed nil root":    func() error { _, err := broker.Listen(rt, anywhere, (*object)(nil)); return err },
		"root is no flavor": func() error { _, err := broker.Listen(rt, anywhere, 7); return err },
		"nil published": func() error {
			_, err := broker.Listen(rt, anywhere, &object{}, broker.WithPublished("x", nil))
			return err
		},
		"published no flavor": func() error {
			_, err := broker.Dial(t.Context(), rt, ln.URL(), broker.WithPublished("x", 7))
			return err
		},
		"nil factory": func() error { _, err := broker.Listen(rt, anywhere, broker.RootFactory(nil)); return err },
		"nil portal": func() error {
			_, err := broker.Listen(rt, anywhere,
				broker.LoginRoot[*avatar](nil))
			return err
		},
		"nil portal, identity": func() error {
			_, err := broker.Listen(rt, anywhere,
				broker.IdentityRoot[*avatar](nil))
			return err
		},
		"nil dialer": func() error {
			_, err := broker.Dial(t.Context(), rt, ln.URL(),
				broker.WithDialer(nil))
			return err
		},
		"nil socket":       func() error { _, err := broker.NewClientConn(t.Context(), rt, nil); return err },
		"typed nil socket": func() error { _, err := broker.NewClientConn(t.Context(), rt, (*net.TCPConn)(nil)); return err },
		"nil listener":     func() error { _, err := broker.ListenOn(rt, nil, &object{}); return err },
		"nil context": func() error {
			_, err := broker.Dial(nil, rt, ln.URL()) //nolint:staticcheck // nil is the case
			return err
		},
		"nil reference": func() error { _, err := flavors.Call[any](t.Context(), noReference, "ping"); return err },
		"call, nil context": func() error {
			_, err := flavors.Call[any](nil, conn.Root(), "ping") //nolint:staticcheck // nil is the case
			return err
		},
		"nil cache":            func() error { return noCache.View(func(*cached) {}) },
		"pages, nil reference": func() error { _, err := paging.GetAll(t.Context(), noReference, "x"); return err },
		"sending, nil pager":   func() error { _, err := paging.Send(conn.Root(), nil).Await(t.Context()); return err },
		"nil realm":            func() error { _, err := cred.NewPortal[mind, *avatar](nil); return err },
		"typed nil realm":      func() error { _, err := cred.NewPortal(noRealm); return err },
		"nil checker":          func() error { _, err := cred.NewPortal(realm, nil); return err },
		"typed nil checker":    func() error { _, err := cred.NewPortal(realm, noChecker); return err },
		"only a nil checker": func() error {
			_, err := cred.NewPortal(realm, cred.Only(nil,
				cred.KindAnonymous))
			return err
		},
		"zero portal": func() error {
			_, err := new(cred.Portal[mind, *avatar]).Login(t.Context(), cred.Anonymous{}, nil)
			return err
		},
		"update, nil": func() error { _, err := flavors.Update(&flavors.Cacheable{}, nil).Await(t.Context()); return err },
		"do, nil":     func() error { _, err := new(object).Do(nil).Await(t.Context()); return err },
		"nil session": func() error {
			var c *broker.ReconnectingClient[any]
			_, err := c.Conn(t.Context())
			return err
		},
		"forward to nobody": func() error {
			ln, err := broker.Listen(rt, anywhere, flavors.Forward(nil, nil))
			if err != nil {
				return err
			}
			conn, err := broker.Dial(t.Context(), rt, ln.URL())
			if err != nil {
				return err
			}
			_, err = flavors.Call[any](t.Context(), conn.Root(), "ping")
			return err
		},
	} {
		survives(t, name, func() { assert.Error(t, f(), name) })
	}
	_, err = flavors.Call[any](t.Context(), conn.Root(), "ping")
	require.NoError(t, err, "the connection has survived all of it")
}

// TestPrinting formats values that are in use, as a log does.
func TestPrinting(t *testing.T) {
	rt := newRuntime(t)
	ln, err := broker.Listen(rt, anywhere, &object{})
	require.NoError(t, err)
	client, err := broker.Reconnect[any](rt, ln.URL(), nil)
	require.NoError(t, err)
	conn, err := client.Conn(t.Context())
	require.NoError(t, err)
	tree, leases := supervision.TreeOf(rt), supervision.LeasesOf(rt)
	ended := errors.New("done")
	calls, stop := context.WithCancelCause(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for calls.Err() == nil {
			_, _ = flavors.Call[string](calls, conn.Root(), "ping")
		}
	})
	for range 50 {
		d := conn.Root().CallRemote("ping")
		for _, v := range []any{rt, ln, client, conn, conn.Root(), tree, leases, d,
			broker.SessionUp[any]{Client: client, Conn: conn}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
				text := fmt.Sprintf(verb, v)
				require.Less(t, len(text), 300, "%T with %s", v, verb)
				require.False(t, strings.Contains(text, "mutex") || strings.Contains(text, "sema"), text)
			}
		}
	}
	stop(ended)
	wg.Wait()
	require.NoError(t, client.Close(t.Context()))
	require.NoError(t, client.Close(t.Context()), "a second time")
}
