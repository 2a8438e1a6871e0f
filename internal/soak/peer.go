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

// playersAtOnce are how many connections a Go peer has.
const playersAtOnce = 4

// runPeer is a process of Go peers that come and go for a while. It prints its tally when it ends by itself.
func runPeer(address string, seed uint64, life time.Duration, out io.Writer) error {
	t := newTally()
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop()))
	if err != nil {
		return err
	}
	over := time.Now().Add(life)
	var players sync.WaitGroup
	for i := range uint64(playersAtOnce) {
		players.Go(func() {
			r := rand.New(rand.NewPCG(seed, i)) //nolint:gosec // it is to be repeatable, not secret
			for time.Now().Before(over) {
				visit(rt, t, r, address, over)
			}
		})
	}
	players.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := rt.Close(ctx); err != nil {
		t.wrong("closing a peer: %v", err)
	}
	return json.NewEncoder(out).Encode(t)
}

// visit is one connection over a network that fails.
func visit(rt *actor.Runtime, t *tally, r *rand.Rand, address string, over time.Time) {
	sock, err := net.Dial("tcp", address)
	if err != nil {
		t.add(&t.Refused)
		time.Sleep(100 * time.Millisecond)
		return
	}
	plan := fault.Draw(r, 5*time.Millisecond)
	if r.IntN(3) == 0 {
		plan = fault.Plan{} // the network as it mostly is
	}
	if r.IntN(10) == 0 {
		plan = fault.Plan{Seed: r.Uint64(), Piece: 64, Delay: 40 * time.Millisecond} // a slow reader
	}
	ctx, cancel := context.WithDeadline(context.Background(), over.Add(2*time.Second))
	defer cancel()
	play(ctx, rt, t, r, fault.New(sock, plan), 1+r.IntN(300))
}
