package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/fault"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// seedOf is PB_SEED, or a new one each time. It is in the log of a test that fails.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64() >> 32
	if text := os.Getenv("PB_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "PB_SEED is a number")
	}
	t.Logf("PB_SEED=%d repeats this", seed)
	return seed
}

// scripts has some players at once each have some connections that fail, and one beside them whose connections do not.
func scripts(t *testing.T, seed uint64, delay time.Duration, listen net.Listener, dial func(context.Context) (net.Conn, error)) {
	t.Helper()
	s, err := serve(listen, func() fault.Plan { return fault.Plan{} })
	require.NoError(t, err)
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*patience)
	defer cancel()
	faulty, sound := newTally(), newTally()
	var players sync.WaitGroup
	for i := range uint64(4) {
		players.Go(func() {
			r := rand.New(rand.NewPCG(seed, i))
			for range 4 {
				plan, tally := fault.Draw(r, delay), faulty
				if i == 0 {
					plan, tally = fault.Plan{}, sound
				}
				sock, err := dial(ctx)
				if err != nil {
					tally.wrong("dialing: %v", err)
					return
				}
				play(ctx, rt, tally, r, fault.New(sock, plan), 1+r.IntN(120))
			}
		})
	}
	players.Wait()
	s.settle()
	require.NoError(t, rt.Close(ctx))
	s.close()
	for who, tally := range map[string]*tally{"the server": s.t, "those with faults": faulty, "those without": sound} {
		require.Empty(t, tally.Wrong, who)
		var ended int64
		for _, n := range tally.Ended {
			ended += n
		}
		require.Equal(t, tally.Calls, ended, "%s: every call ends: %v", who, tally.Ended)
	}
	require.EqualValues(t, 4, sound.Connections, "faults of others are no business of those who have none")
	require.Zero(t, sound.Refused)
	b := s.book
	require.Equal(t, b.in.Load(), b.out.Load(), "logins and logouts")
	require.Equal(t, b.came.Load(), b.left.Load(), "observers")
	require.Empty(t, b.observers)
	require.Empty(t, b.avatars)
}

// TestRandomScripts plays on a clock of its own, which has time for every timeout.
func TestRandomScripts(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(6) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pipe := broker.NewPipeListener()
				scripts(t, seed+i, 20*time.Millisecond, pipe, pipe.Dial)
			})
		})
	}
}

// TestRandomScriptsOverTCP has real sockets, whose buffers and resets no pipe has.
func TestRandomScriptsOverTCP(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(2) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel() // They wait for timeouts most of the time.
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			scripts(t, seed+i, time.Millisecond, ln, func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
			})
		})
	}
}
