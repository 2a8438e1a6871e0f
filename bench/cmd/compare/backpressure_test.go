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
	c.scale.schedule.rounds = 1
	require.NoError(t, c.run(t.Context()), log)
	r := readReport(t, "backpressure")
	assert.Equal(t, []string{
		"backpressure-reads-nothing ours", "backpressure-reads-nothing alone",
		"backpressure-reads-slowly ours", "backpressure-reads-slowly alone",
		"backpressure-stalled-collector ours", "backpressure-stalled-collector alone",
	}, rowsOf(r))
	for i := 0; i < len(r.Rows); i += 2 {
		loaded, alone := r.Rows[i], r.Rows[i+1]
		assert.Positive(t, loaded.P50)
		assert.InDelta(t, loaded.P50/alone.P50, loaded.P50VsAlone, 1e-9)
		assert.Positive(t, loaded.RSS)
		assert.Zero(t, alone.P50VsAlone)
	}
	assert.Contains(t, out.String(), "backpressure-stalled-collector, p50 vs alone")
}

func TestAttackWithoutServer(t *testing.T) {
	stop, err := startAttack(t.Context(), "pb://127.0.0.1:1", attackers[0])
	assert.ErrorContains(t, err, "refused")
	assert.Nil(t, stop)
}

func TestAttackCannotEncode(t *testing.T) {
	stop, err := startAttack(t.Context(), "pb://127.0.0.1:1", attacker{args: []any{make(chan int)}})
	assert.ErrorContains(t, err, "chan int")
	assert.Nil(t, stop)
}

// listenForAttackers accepts attackers and sends their connections to peers.
func listenForAttackers(t *testing.T) (addr string, peers <-chan net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	conns := make(chan net.Conn, attackerCount)
	go func() {
		for range attackerCount {
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

// Even if its writes block, an attacker writes a sequence of whole calls. A server may reject invalid bytes, but must
// handle valid calls.
func TestAttackersWriteWholeCalls(t *testing.T) {
	// Larger than the socket buffers, so that a write blocks in the middle of a call.
	large := attacker{name: "large", method: "echo"}
	for range 31 {
		large.args = append(large.args, make([]byte, 512<<10))
	}
	for _, kind := range []attacker{large, attackers[0]} {
		call, err := kind.call()
		require.NoError(t, err)
		want := banana.AppendChoice(nil, banana.ProfilePB)
		for len(want) < 2*startedBytes || len(want) < 5*len(call)/4 {
			want = append(want, call...)
		}
		addr, peers := listenForAttackers(t)
		// Nothing is read before all attackers have started.
		stop, err := startAttack(t.Context(), addr, kind)
		require.NoError(t, err)
		got := make([]byte, len(want))
		for range attackerCount {
			conn := <-peers
			defer conn.Close()
			_, err := io.ReadFull(conn, got)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(want, got), kind.name)
		}
		stop()
	}
}

// An attacker with once set makes one call and stays connected until it is stopped.
func TestAttackerCallsOnce(t *testing.T) {
	kind := attackers[3]
	require.True(t, kind.once)
	addr, peers := listenForAttackers(t)
	stop, err := startAttack(t.Context(), addr, kind)
	require.NoError(t, err)
	stop()
	call, err := kind.call()
	require.NoError(t, err)
	for range attackerCount {
		conn := <-peers
		all, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Equal(t, append(banana.AppendChoice(nil, banana.ProfilePB), call...), all)
		conn.Close()
	}
}
