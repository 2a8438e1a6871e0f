package main

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBackpressure(t *testing.T) {
	c, out, log := small(t, "ours")
	c.options.backpressure = true
	c.scale.pace.rounds = 1
	require.NoError(t, c.run(t.Context()), log)
	r := written(t, "backpressure")
	assert.Equal(t, []string{
		"backpressure-reads-nothing ours", "backpressure-reads-nothing alone", "backpressure-reads-slowly ours", "backpressure-reads-slowly alone",
		"backpressure-stalled-collector ours", "backpressure-stalled-collector alone",
	}, rowsOf(r))
	for i := 0; i < len(r.Rows); i += 2 {
		under, alone := r.Rows[i], r.Rows[i+1]
		assert.Positive(t, under.P50)
		assert.InDelta(t, under.P50/alone.P50, under.P50VsAlone, 1e-9)
		assert.Positive(t, under.RSS)
		assert.Zero(t, alone.P50VsAlone)
	}
	assert.Contains(t, out.String(), "backpressure-stalled-collector, p50 vs alone")
}

func TestAttackSaysThatThereIsNobody(t *testing.T) {
	leave, err := attack(t.Context(), "pb://127.0.0.1:1", rudes[0])
	assert.ErrorContains(t, err, "refused")
	assert.Nil(t, leave)
}

func TestAttackWithWhatCannotBeSaid(t *testing.T) {
	leave, err := attack(t.Context(), "pb://127.0.0.1:1", rude{args: []any{make(chan int)}})
	assert.ErrorContains(t, err, "chan int")
	assert.Nil(t, leave)
}

// victim lets rude peers in and is told of each.
func victim(t *testing.T) (addr string, peers <-chan net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	conns := make(chan net.Conn, rudePeers)
	go func() {
		for range rudePeers {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	t.Cleanup(func() { ln.Close() })
	return "pb://" + ln.Addr().String(), conns
}

// Calls without end are what a server has to cope with, not bytes that it may refuse: however a peer is held up, what it writes is its one
// call again and again.
func TestRudePeersWriteWholeCalls(t *testing.T) {
	// More than sockets keep: whoever writes it gets stuck in the midst of it while nobody reads.
	large := rude{name: "large", method: "echo"}
	for range 31 {
		large.args = append(large.args, make([]byte, 512<<10))
	}
	for _, kind := range []rude{large, rudes[0]} {
		call, err := kind.call()
		require.NoError(t, err)
		want := banana.AppendChoice(nil, banana.ProfilePB)
		for len(want) < 2*goodPart || len(want) < 5*len(call)/4 {
			want = append(want, call...)
		}
		addr, peers := victim(t)
		// It is read from when all have begun.
		leave, err := attack(t.Context(), addr, kind)
		require.NoError(t, err)
		got := make([]byte, len(want))
		for range rudePeers {
			conn := <-peers
			defer conn.Close()
			_, err := io.ReadFull(conn, got)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got), kind.name)
		}
		leave()
	}
}

// A stalled collector asks for pages once, and stays.
func TestAPeerThatCallsOnceStaysUntilItIsToldToLeave(t *testing.T) {
	kind := rudes[3]
	require.True(t, kind.once)
	addr, peers := victim(t)
	leave, err := attack(t.Context(), addr, kind)
	require.NoError(t, err)
	leave()
	call, err := kind.call()
	require.NoError(t, err)
	for range rudePeers {
		conn := <-peers
		all, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Equal(t, append(banana.AppendChoice(nil, banana.ProfilePB), call...), all)
		conn.Close()
	}
}
