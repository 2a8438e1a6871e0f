package code

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
)

//guide:begin pipe

// dialPipe connects a client to root without a network. It works inside and outside of synctest.
func dialPipe(t *testing.T, root any, opts ...broker.ListenOption) *broker.Conn {
	t.Helper()
	rt, err := actor.NewRuntime()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, rt.Close(context.Background())) }) // fails if something still runs
	pipe := broker.NewPipeListener()
	_, err = broker.ListenOn(rt, pipe, root, opts...)
	require.NoError(t, err)
	sock, err := pipe.Dial(t.Context())
	require.NoError(t, err)
	conn, err := broker.NewClientConn(t.Context(), rt, sock)
	require.NoError(t, err)
	return conn
}

func TestShop(t *testing.T) {
	conn := dialPipe(t, &Shop{})
	price, err := flavors.Call[string](t.Context(), conn.Root(), "price", "plums")
	require.NoError(t, err)
	assert.Equal(t, "one coin for plums", price)
}

//guide:end

//guide:begin synctest

// Egg is done after four minutes.
type Egg struct{ flavors.Root }

func (*Egg) RemoteBoil(inv *flavors.Invocation) *actor.Deferred {
	done := actor.NewDeferred(inv.Conn().Runtime())
	time.AfterFunc(4*time.Minute, func() { done.Complete("done", nil) })
	return done
}

func TestEgg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the four minutes pass at once
		conn := dialPipe(t, &Egg{})
		before := time.Now()
		state, err := flavors.Call[string](t.Context(), conn.Root(), "boil")
		require.NoError(t, err)
		assert.Equal(t, "done", state)
		assert.Equal(t, 4*time.Minute, time.Since(before))
	})
}

//guide:end

//guide:begin published

// TestPublished lists what peers can call.
func TestPublished(t *testing.T) {
	table, err := flavors.TableOf(&Shop{}, flavors.PrefixRemote)
	require.NoError(t, err)
	assert.Equal(t, []string{"price"}, table.Names())
}

//guide:end
