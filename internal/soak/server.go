package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/internal/fault"
	"github.com/rs/zerolog"
)

// sample is what the server looks like at one moment.
type sample struct {
	Heap        uint64 // bytes that live, after a collection
	Resident    uint64 // bytes that the process has of the machine's memory
	Goroutines  int
	Actors      int
	Connections int
	Accepted    int64
	Served      int64 // calls
	In, Out     int64 // avatars
	Came, Left  int64 // observers

	// Of the last one only.
	Last      bool
	Remaining int // goroutines after the runtime was closed, beyond those before it was made
	Wrong     []string
}

// server is one under load: the process of its own that is watched, or a part of a test.
type server struct {
	rt       *actor.Runtime
	ln       *broker.Listener
	book     *ledger
	t        *tally
	accepted *counting
	idle     int // actors without any load
}

// counting counts what it accepts.
type counting struct {
	net.Listener
	mu sync.Mutex
	n  int64
}

func (c *counting) Accept() (net.Conn, error) {
	sock, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.n++
		c.mu.Unlock()
	}
	return sock, err
}

func (c *counting) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// serve has a server listen at a socket, behind a network that fails as planned.
func serve(sock net.Listener, plan func() fault.Plan) (*server, error) {
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop())) // Faults would fill any log.
	if err != nil {
		return nil, err
	}
	s := &server{rt: rt, t: newTally(), accepted: &counting{Listener: sock}}
	s.book = newLedger(s.t.wrong)
	login, opts, err := s.book.options(&pond{book: s.book})
	if err != nil {
		return nil, err
	}
	failing := &fault.Listener{Listener: s.accepted, Plan: plan}
	if s.ln, err = broker.Serve(rt, failing, login, opts...); err != nil {
		return nil, err
	}
	s.idle = s.actors()
	return s, nil
}

// someFail draws plans of which most are for a network that works: most faults are on the other side.
func someFail(seed uint64, delay time.Duration) func() fault.Plan {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // it is to be repeatable, not secret
	return func() fault.Plan {
		if r.IntN(3) > 0 {
			return fault.Plan{}
		}
		return fault.Draw(r, delay)
	}
}

// actors counts the processes of the actor system.
func (s *server) actors() int {
	n := 0
	for _, bucket := range s.rt.System().ProcessRegistry.LocalPIDs.LocalPIDs {
		n += bucket.Count()
	}
	return n
}

func (s *server) sample() sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b := s.book
	return sample{
		Heap: m.HeapAlloc, Resident: resident(), Goroutines: runtime.NumGoroutine(), Actors: s.actors(),
		Connections: len(s.ln.Conns()), Accepted: s.accepted.count(), Served: b.served.Load(),
		In: b.in.Load(), Out: b.out.Load(), Came: b.came.Load(), Left: b.left.Load(),
	}
}

// resident is the process's memory as the system counts it.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var total, pages uint64
	if _, err := fmt.Sscan(string(text), &total, &pages); err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// settle waits until all that came is gone, when the last peer has left, and says what is not.
func (s *server) settle() {
	var now sample
	for began := time.Now(); time.Since(began) < patience; time.Sleep(100 * time.Millisecond) {
		now = s.sample()
		if now.Connections == 0 && now.In == now.Out && now.Came == now.Left && now.Actors <= s.idle+1 && s.held() == 0 { // The pond may have an actor of its own.
			return
		}
	}
	s.t.wrong("%v after the last peer had left there were %d connections, %d of %d avatars, %d of %d observers, %d actors more, %d references, copies, calls and bytes",
		patience, now.Connections, now.In-now.Out, now.In, now.Came-now.Left, now.Came, now.Actors-s.idle, s.held())
}

// names is how many actors a registry must have seen before hardly any name falls to a map without memory.
const names = 300_000

// age brings the registry of the actor system to the size that it reaches in hours. It consists of 32,768 maps, each of which gets its memory
// when the first name falls to it and keeps it: some ten megabytes that come once and would hide, or look like, what is lost.
func (s *server) age() {
	registry := s.rt.System().ProcessRegistry.LocalPIDs
	for i := range names {
		name := fmt.Sprintf("aged$%x", i)
		bucket := registry.GetBucket(name)
		bucket.Set(name, nil)
		bucket.Remove(name)
	}
}

// held is how much the runtime's own books have under way: references and copies in both directions, calls, bytes.
func (s *server) held() int {
	b := broker.StatsOf(s.rt)
	return b.Exports + b.Imports + b.Caches + b.LocalCaches + b.CallsOut.Pending + b.CallsIn.Pending + b.BytesHeld + b.BytesWaiting +
		b.Conns.Open + b.Conns.Opening
}

// close ends the server.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.rt.Close(ctx); err != nil {
		s.t.wrong("closing the server: %v", err)
	}
}

// runServer is the process that is watched. It prints a sample each second, and when its input ends it says how it ended.
func runServer(seed uint64, in io.Reader, out io.Writer) error {
	sock, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	before := runtime.NumGoroutine()
	s, err := serve(sock, someFail(seed, 5*time.Millisecond))
	if err != nil {
		return err
	}
	s.age()
	fmt.Fprintln(out, sock.Addr())
	finish := make(chan struct{})
	go func() {
		defer close(finish)
		_, _ = bufio.NewReader(in).ReadString('\n')
	}()
	report := json.NewEncoder(out)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
			if err := report.Encode(s.sample()); err != nil {
				return err
			}
		case <-finish:
			running = false
		}
	}
	s.settle()
	last := s.sample()
	s.close()
	for began := time.Now(); time.Since(began) < patience && runtime.NumGoroutine() > before; {
		time.Sleep(10 * time.Millisecond)
	}
	last.Last, last.Remaining = true, runtime.NumGoroutine()-before
	if last.Remaining > 0 {
		stacks := make([]byte, 1<<16)
		s.t.wrong("%d goroutines were left after Close:\n%s", last.Remaining, strings.TrimSpace(string(stacks[:runtime.Stack(stacks, true)])))
	}
	last.Wrong = s.t.Wrong
	return report.Encode(last)
}
