package broker_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/wire"
	"github.com/stretchr/testify/require"
)

// A call that is made while its connection ends fails like any other.
func TestCallsDuringEnd(t *testing.T) {
	rt := newRuntime(t)
	for round := range 100 {
		conn, p, err := dialScripted(t, rt, (*wire.Peer).Host)
		require.NoError(t, err)
		var wg sync.WaitGroup
		calls := make(chan *actor.Deferred, 400)
		for range 4 {
			wg.Go(func() {
				for range 100 {
					calls <- conn.Root().CallRemote("f")
				}
			})
		}
		go p.Drain()
		if round%2 == 0 {
			conn.Abort(errPlain)
		} else {
			p.Close()
		}
		wg.Wait()
		close(calls)
		for d := range calls {
			_, err := result(t, d)
			require.Error(t, err)
		}
	}
}

// A connection that is accepted while its listener closes does not stay open.
func TestAcceptDuringListenerClose(t *testing.T) {
	rt := newRuntime(t)
	for range 100 {
		pipe := newPipeListener()
		ln, err := broker.ListenOn(rt, pipe, &service{})
		require.NoError(t, err)
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			select {
			case pipe.Conns <- there:
				// The connection is served or closed.
				_, err := here.Read(make([]byte, 1))
				_ = err
			case <-pipe.Closed:
			}
			_ = here.Close()
		}()
		require.NoError(t, ln.Close())
		<-done
	}
}

func TestCloseFlushes(t *testing.T) {
	conn, p := client(t)
	for i := range 3 {
		require.NoError(t, conn.Root().CallRemoteNoAnswer("note", i))
	}
	pending := conn.Root().CallRemote("never")
	done := make(chan error, 1)
	go func() { done <- conn.Close(context.Background()) }()
	for i := range 3 {
		p.Want(`[message _ root note 0 [tuple ` + string(rune('0'+i)) + `] [dictionary]]`)
	}
	p.Want(`[message 4 root never 1 [tuple] [dictionary]]`)
	p.WantClosed()
	require.NoError(t, <-done)
	_, err := result(t, pending)
	require.ErrorIs(t, err, broker.ErrClosed)
	require.ErrorIs(t, context.Cause(conn.Context()), broker.ErrClosed)
	require.NoError(t, conn.Close(context.Background()), "Close again")
	conn.Abort(nil)
}

func TestCloseContext(t *testing.T) {
	conn, _ := client(t)
	conn.Root().CallRemote("f") // The peer does not read, so it cannot be written.
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errPlain)
	require.ErrorIs(t, conn.Close(ctx), errPlain)
	<-conn.Done()
	require.ErrorIs(t, context.Cause(conn.Context()), broker.ErrClosed)
}

func TestAbortCause(t *testing.T) {
	conn, p := client(t)
	d := conn.Root().CallRemote("f")
	conn.Abort(errPlain)
	_, err := result(t, d)
	require.ErrorIs(t, err, errPlain)
	require.ErrorIs(t, context.Cause(conn.Context()), errPlain)
	<-conn.Done()
	p.Drain()
}
