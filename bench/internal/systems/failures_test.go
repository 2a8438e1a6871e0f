package systems

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/load"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowToFail are the systems for which the tests of failures would take too long: protoactor waits for a minute.
var slowToFail = map[string]bool{"protoactor": true}

// unusedAddr returns an address in the system's form at which nothing listens.
func unusedAddr(t *testing.T, s System) string {
	t.Helper()
	addr, err := s.Serve()
	require.NoError(t, err)
	const unused = "127.0.0.1:1"
	if scheme, _, ok := strings.Cut(addr, "://"); ok {
		return scheme + "://" + unused
	}
	return unused
}

// A server that cannot be reached must not look like a very fast one.
func TestDialError(t *testing.T) {
	for _, s := range All() {
		if s.Script != "" || slowToFail[s.Name] {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			_, err := s.Dial(t.Context(), unusedAddr(t, s))
			assert.Error(t, err)
		})
	}
}

func TestCallAfterClose(t *testing.T) {
	for _, s := range All() {
		// connect opens new connections after Close.
		if s.Script != "" || slowToFail[s.Name] || s.Name == "connect" {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			addr, err := s.Serve()
			require.NoError(t, err)
			c, err := s.Dial(t.Context(), addr)
			require.NoError(t, err)
			require.NoError(t, c.Close())
			_, err = c.Add(t.Context(), 40, 2)
			assert.Error(t, err)
			_, err = c.Echo(t.Context(), []byte("payload"))
			assert.Error(t, err)
		})
	}
}

func TestByNameUnknown(t *testing.T) {
	_, ok := ByName("corba")
	assert.False(t, ok)
}

func TestTruncatedAnswer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		request := make([]byte, 4+rawCall)
		if _, err := io.ReadFull(conn, request); err == nil {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint32(nil, rawCall), "half"...))
		}
	}()
	c, err := dialRaw(t.Context(), ln.Addr().String(), asItIs)
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Add(t.Context(), 40, 2)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// wrongRoot is a root whose methods return wrong types or errors.
type wrongRoot struct{ flavors.Referenceable }

func (*wrongRoot) RemoteAdd(int, int) string { return "forty-two" }
func (*wrongRoot) RemoteEcho([]byte) int     { return 42 }
func (*wrongRoot) RemoteExport(n int) (any, error) {
	switch n {
	case 1:
		return "no list", nil
	case 2:
		return []any{"no", "references"}, nil
	}
	return nil, errors.New("no more objects")
}
func (*wrongRoot) RemoteBoards(int) string                { return "no list" }
func (*wrongRoot) RemoteWatch() string                    { return "no board" }
func (*wrongRoot) RemoteHold(*flavors.Invocation) error   { return errors.New("cannot hold") }
func (*wrongRoot) RemoteRelease() int                     { return 0 }
func (*wrongRoot) RemoteChange(*flavors.Invocation) error { return errors.New("cannot change") }

func TestWrongAnswers(t *testing.T) {
	ctx := t.Context()
	addr, err := serveOurs(&wrongRoot{})
	require.NoError(t, err)
	conn, err := dialOurs(ctx, addr)
	require.NoError(t, err)
	c := &typedClient{oursConn: conn}
	defer c.Close()

	_, err = c.Add(ctx, 40, 2)
	assert.Error(t, err)
	_, err = c.Echo(ctx, []byte("payload"))
	assert.ErrorContains(t, err, "echo answered int")
	_, err = c.Export(ctx, 1)
	assert.ErrorContains(t, err, "export answered string")
	_, err = c.Export(ctx, 2)
	assert.ErrorContains(t, err, "export answered a list with string")
	_, err = c.Export(ctx, 3)
	assert.ErrorContains(t, err, "no more objects")
	_, err = c.Cache(ctx, 1)
	assert.ErrorContains(t, err, "boards answered string")
	assert.ErrorContains(t, c.Watch(ctx, func(int) {}), "watch answered string")
	assert.Error(t, c.Change(ctx, 1))
	_, err = c.Hold(ctx, 1)
	assert.Error(t, err, "a call that is answered shows that the calls were held")
}

// Release fails if the server answered the calls instead of holding them.
func TestCallsNotHeld(t *testing.T) {
	ctx := t.Context()
	addr, err := serveOurs(&unheldRoot{})
	require.NoError(t, err)
	conn, err := dialOurs(ctx, addr)
	require.NoError(t, err)
	c := &typedClient{oursConn: conn}
	release, err := c.Hold(ctx, 3)
	require.NoError(t, err)
	assert.ErrorContains(t, release(), "cannot hold")
	require.NoError(t, c.Close())
	_, err = c.Cache(ctx, 1)
	assert.Error(t, err)
	assert.Error(t, c.Watch(ctx, func(int) {}))
}

// unheldRoot adds correctly but does not hold calls.
type unheldRoot struct{ wrongRoot }

func (*unheldRoot) RemoteAdd(a, b int) int { return a + b }

// Several large payloads at once exceed the write limit of a connection; the calls wait for each other.
func TestConcurrentLargePayloads(t *testing.T) {
	s, ok := ByName("ours")
	require.True(t, ok)
	addr, err := s.Serve()
	require.NoError(t, err)
	c, err := s.Dial(t.Context(), addr)
	require.NoError(t, err)
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for range cap(errs) {
		echo := load.EchoCall(c, 512<<10)
		wg.Go(func() { errs <- echo(t.Context(), 0) })
	}
	wg.Wait()
	for range cap(errs) {
		assert.NoError(t, <-errs)
	}
	require.NoError(t, c.Close())
}

// The methods that the peers of the backpressure measurement call exist and do not block other calls.
func TestBackpressureMethods(t *testing.T) {
	ctx := t.Context()
	addr, err := serveOurs(&typedRoot{})
	require.NoError(t, err)
	conn, err := dialOurs(ctx, addr)
	require.NoError(t, err)
	c := &typedClient{oursConn: conn}

	never := c.root.CallRemote("never")
	pages := paging.Open(ctx, c.root, "pages")
	_, err = io.ReadFull(pages, make([]byte, 20*paging.DefaultSize))
	require.NoError(t, err, "pages are endless")
	sum, err := c.Add(ctx, 40, 2)
	require.NoError(t, err)
	assert.Equal(t, 42, sum)
	_, _, answered := never.Result()
	assert.False(t, answered)

	require.NoError(t, c.Close())
	_, err = never.Await(ctx)
	assert.ErrorIs(t, err, broker.ErrClosed)
	_ = pages.Close()
}
