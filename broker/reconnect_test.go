package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/freeport"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/stretchr/testify/require"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

var quick = broker.WithBackoff(supervision.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond, Factor: 2})

// The messages to watchers of a client whose session is a reference.
type (
	up   = broker.SessionUp[*flavors.RemoteReference]
	down = broker.SessionDown[*flavors.RemoteReference]
)

func TestReconnectPreparesEachSession(t *testing.T) {
	root := &service{}
	serverRuntime := newRuntime(t)
	ln, err := broker.Listen(serverRuntime, "pb://127.0.0.1:0", root)
	require.NoError(t, err)

	rt := newRuntime(t)
	prepared := make(chan *broker.Conn, 10)
	session := func(ctx context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) {
		_, err := flavors.Call[int](ctx, conn.Root(), "add", 1, 2)
		prepared <- conn
		return conn.Root(), err
	}
	client, err := broker.Reconnect(rt, ln.URL(), session, quick)
	require.NoError(t, err)

	events := make(chan any, 10)
	watcher := rt.Root().Spawn(rt.Props(func() protoactor.Actor {
		return protoactor.ReceiveFunc(func(ctx protoactor.Context) {
			switch m := ctx.Message().(type) {
			case up, down:
				events <- m
			}
		})
	}))
	t.Cleanup(func() { _ = rt.Root().StopFuture(watcher).Wait() })
	client.Watch(watcher)

	ctx, cancel := context.WithTimeout(context.Background(), wire.Timeout)
	defer cancel()
	stale, err := client.Session(ctx)
	require.NoError(t, err)
	first, err := client.Conn(ctx)
	require.NoError(t, err)
	require.Same(t, first, <-prepared)
	require.IsType(t, up{}, <-events)
	require.Same(t, first.Root(), stale)

	first.Abort(errors.New("cut"))
	require.IsType(t, down{}, <-events)
	event := (<-events).(up)
	require.NotSame(t, first, event.Conn)
	require.Same(t, event.Conn, <-prepared)
	_, err = flavors.Call[int](ctx, stale, "add", 1, 2)
	require.ErrorIs(t, err, flavors.DeadReference, "references belong to the session that made them")
	second, err := client.Conn(ctx)
	require.NoError(t, err)
	fresh, err := client.Session(ctx)
	require.NoError(t, err)
	require.Same(t, second.Root(), fresh)
	require.Same(t, fresh, event.Session)
	sum, err := flavors.Call[int](ctx, fresh, "add", 2, 2)
	require.NoError(t, err)
	require.Equal(t, 4, sum)

	require.NoError(t, client.Close(ctx))
	_, err = client.Conn(ctx)
	require.ErrorIs(t, err, broker.ErrClientClosed)
	_, err = client.Session(ctx)
	require.ErrorIs(t, err, broker.ErrClientClosed)
}

func TestReconnectStopsOnPermanent(t *testing.T) {
	ln, err := broker.Listen(newRuntime(t), "pb://127.0.0.1:0", &service{})
	require.NoError(t, err)
	client, err := broker.Reconnect(newRuntime(t), ln.URL(), func(context.Context, *broker.Conn) (any, error) {
		return nil, errors.Join(broker.ErrPermanent, errPlain)
	}, quick)
	require.NoError(t, err)
	_, err = client.Conn(t.Context())
	require.ErrorIs(t, err, errPlain)
	require.NoError(t, client.Close(t.Context()))
}

func TestReconnectRetriesUntilServer(t *testing.T) {
	url := "pb://" + freeport.Address(t)
	client, err := broker.Reconnect[any](newRuntime(t), url, nil, quick)
	require.NoError(t, err)
	ln, err := broker.Listen(newRuntime(t), url, &service{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	_, err = client.Conn(t.Context())
	require.NoError(t, err)
}
