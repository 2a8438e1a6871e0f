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
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slowToFail are the systems that are not asked what they do when there is nobody: protoactor waits for a minute.
var slowToFail = map[string]bool{"protoactor": true}

// nobody is an address as the system gives them, where nobody is.
func nobody(t *testing.T, s System) string {
	t.Helper()
	addr, err := s.Serve()
	require.NoError(t, err)
	const port = "127.0.0.1:1"
	if scheme, _, ok := strings.Cut(addr, "://"); ok {
		return scheme + "://" + port
	}
	return port
}

// A system that cannot be reached must not be measured as one that is very fast.
func TestDialingWhereNobodyServesFails(t *testing.T) {
	for _, s := range All() {
		if s.Script != "" || slowToFail[s.Name] {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			_, err := s.Dial(t.Context(), nobody(t, s))
			assert.Error(t, err)
		})
	}
}

func TestCallsOfAClosedConnectionFail(t *testing.T) {
	for _, s := range All() {
		// That connect is closed means that it has let go of its connections; it would make new ones.
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

func TestUnknownSystems(t *testing.T) {
	_, ok := ByName("corba")
	assert.False(t, ok)
}

// What hangs up in the midst of an answer has not answered.
func TestHalfAnAnswerIsNone(t *testing.T) {
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
	c, err := dialRaw(t.Context(), ln.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Add(t.Context(), 40, 2)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// liar is a root whose answers are not what they are asked for.
type liar struct{ flavors.Referenceable }

func (*liar) RemoteAdd(int, int) string { return "forty-two" }
func (*liar) RemoteEcho([]byte) int     { return 42 }
func (*liar) RemoteExport(n int) (any, error) {
	switch n {
	case 1:
		return "no list", nil
	case 2:
		return []any{"no", "references"}, nil
	}
	return nil, errors.New("there are no more")
}
func (*liar) RemoteBoards(int) string                { return "no list" }
func (*liar) RemoteWatch() string                    { return "no board" }
func (*liar) RemoteHold(*flavors.Invocation) error   { return errors.New("there is no holding it") }
func (*liar) RemoteLetGo() int                       { return 0 }
func (*liar) RemoteChange(*flavors.Invocation) error { return errors.New("it does not change") }

func TestOursIsNotContentWithWrongAnswers(t *testing.T) {
	ctx := t.Context()
	addr, err := serveOurs(&liar{})
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
	assert.ErrorContains(t, err, "there are no more")
	_, err = c.Cache(ctx, 1)
	assert.ErrorContains(t, err, "boards answered string")
	assert.ErrorContains(t, c.Watch(ctx, func(int) {}), "watch answered string")
	assert.Error(t, c.Change(ctx, 1))
	_, err = c.Hold(ctx, 1)
	assert.Error(t, err, "whether calls are held is seen by one that is answered")
}

// What is not held is an error when it should have been let go.
func TestOursSaysThatCallsWereNotHeld(t *testing.T) {
	ctx := t.Context()
	addr, err := serveOurs(&forgetful{})
	require.NoError(t, err)
	conn, err := dialOurs(ctx, addr)
	require.NoError(t, err)
	c := &typedClient{oursConn: conn}
	release, err := c.Hold(ctx, 3)
	require.NoError(t, err)
	assert.ErrorContains(t, release(), "there is no holding it")
	require.NoError(t, c.Close())
	_, err = c.Cache(ctx, 1)
	assert.Error(t, err)
	assert.Error(t, c.Watch(ctx, func(int) {}))
}

// forgetful lies about holding only.
type forgetful struct{ liar }

func (*forgetful) RemoteAdd(a, b int) int { return a + b }

// Several of the largest payloads at once are more than may wait to be written on a connection: they take turns.
func TestManyLargePayloadsAtOnce(t *testing.T) {
	s, ok := ByName("ours")
	require.True(t, ok)
	addr, err := s.Serve()
	require.NoError(t, err)
	c, err := s.Dial(t.Context(), addr)
	require.NoError(t, err)
	var all sync.WaitGroup
	faults := make(chan error, 64)
	for range cap(faults) {
		echo := load.EchoCall(c, 512<<10)
		all.Go(func() { faults <- echo(t.Context(), 0) })
	}
	all.Wait()
	for range cap(faults) {
		assert.NoError(t, <-faults)
	}
	require.NoError(t, c.Close())
}

// What the rude peers of the comparison want is there, and holds up nobody else.
func TestOursHasWhatRudePeersCall(t *testing.T) {
	ctx := t.Context()
	addr, err := serveOurs(&typedRoot{})
	require.NoError(t, err)
	conn, err := dialOurs(ctx, addr)
	require.NoError(t, err)
	c := &typedClient{oursConn: conn}

	never := c.root.CallRemote("never")
	pages := flavors.ReadPages(ctx, c.root, "pages")
	_, err = io.ReadFull(pages, make([]byte, 20*flavors.DefaultPageSize))
	require.NoError(t, err, "there is no end of pages")
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
