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

// seedOf returns PB_SEED, or a random seed, and logs it.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64() >> 32
	if text := os.Getenv("PB_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "PB_SEED must be a number")
	}
	t.Logf("PB_SEED=%d reproduces this run", seed)
	return seed
}

// runScripts runs four clients concurrently with four connections each. The connections of the first client do not
// fail; those of the others do.
func runScripts(
	t *testing.T, seed uint64, delay time.Duration, listen net.Listener, dial func(context.Context) (net.Conn, error),
) {
	t.Helper()
	s, err := serve(listen, func() fault.Plan { return fault.Plan{} })
	require.NoError(t, err)
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*timeout)
	defer cancel()
	faulty, sound := newTally(), newTally()
	var clients sync.WaitGroup
	for i := range uint64(4) {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, i))
			for range 4 {
				plan, tally := fault.Draw(r, delay), faulty
				if i == 0 {
					plan, tally = fault.Plan{}, sound
				}
				sock, err := dial(ctx)
				if err != nil {
					tally.errorf("dialing: %v", err)
					return
				}
				runClient(ctx, rt, tally, r, fault.New(sock, plan), 1+r.IntN(120))
			}
		})
	}
	clients.Wait()
	s.waitIdle()
	require.NoError(t, rt.Close(ctx))
	s.close()
	for name, tally := range map[string]*tally{
		"server": s.t, "clients with faults": faulty, "client without faults": sound,
	} {
		require.Empty(t, tally.Errors, name)
		var ended int64
		for _, n := range tally.Ended {
			ended += n
		}
		require.Equal(t, tally.Calls, ended, "%s: every call ends: %v", name, tally.Ended)
	}
	require.EqualValues(t, 4, sound.Connections, "faults of other connections have no effect")
	require.Zero(t, sound.Refused)
	stats := s.stats
	require.Equal(t, stats.logins.Load(), stats.logouts.Load(), "logins and logouts")
	require.Equal(t, stats.observersAdded.Load(), stats.observersRemoved.Load(), "observers")
	require.Empty(t, stats.observers)
	require.Empty(t, stats.avatars)
}

// TestRandomScripts uses the fake clock of synctest, so that timeouts cost no time.
func TestRandomScripts(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(6) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pipe := broker.NewPipeListener()
				runScripts(t, seed+i, 20*time.Millisecond, pipe, pipe.Dial)
			})
		})
	}
}

// TestRandomScriptsOverTCP uses sockets, which unlike pipes have buffers and resets.
func TestRandomScriptsOverTCP(t *testing.T) {
	seed := seedOf(t)
	for i := range uint64(2) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel() // These tests mostly wait for timeouts.
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			runScripts(t, seed+i, time.Millisecond, ln, func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
			})
		})
	}
}
