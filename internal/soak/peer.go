package main

import (
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/fault"
	"github.com/rs/zerolog"
)

// clientsPerProcess is the number of concurrent clients in a process of Go peers.
const clientsPerProcess = 4

// runPeer is the main function of a process of Go peers. Its clients connect repeatedly until lifetime has passed. Then
// it prints its tally.
func runPeer(address string, seed uint64, lifetime time.Duration, out io.Writer) error {
	t := newTally()
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	if err != nil {
		return err
	}
	end := time.Now().Add(lifetime)
	var clients sync.WaitGroup
	for i := range uint64(clientsPerProcess) {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(seed, i)) //nolint:gosec // must be reproducible, not secret
			for time.Now().Before(end) {
				connect(rt, t, r, address, end)
			}
		})
	}
	clients.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := rt.Close(ctx); err != nil {
		t.errorf("closing a peer: %v", err)
	}
	return json.NewEncoder(out).Encode(t)
}

// connect opens one connection, over a network that may fail, and runs a client on it.
func connect(rt *actor.Runtime, t *tally, r *rand.Rand, address string, end time.Time) {
	sock, err := net.Dial("tcp", address)
	if err != nil {
		t.add(&t.Refused)
		time.Sleep(100 * time.Millisecond)
		return
	}
	plan := fault.Draw(r, 5*time.Millisecond)
	if r.IntN(3) == 0 {
		plan = fault.Plan{} // no fault
	}
	if r.IntN(10) == 0 {
		plan = fault.Plan{Seed: r.Uint64(), Piece: 64, Delay: 40 * time.Millisecond} // a slow reader
	}
	ctx, cancel := context.WithDeadline(context.Background(), end.Add(2*time.Second))
	defer cancel()
	runClient(ctx, rt, t, r, fault.New(sock, plan), 1+r.IntN(300))
}
