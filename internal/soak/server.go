package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
	"github.com/perspectivebroker/pb/internal/fault"

	"github.com/rs/zerolog"
)

// sample is the state of the server at one moment.
type sample struct {
	Heap        uint64 // live bytes after a collection
	Resident    uint64 // resident memory in bytes
	Goroutines  int
	Actors      int
	Connections int
	Accepted    int64
	Served      int64 // calls

	Logins, Logouts                  int64
	ObserversAdded, ObserversRemoved int64

	// Set in the last sample only.
	Last             bool
	LeakedGoroutines int // goroutines left after the runtime was closed
	Errors           []string
}

// server is the server under load. It runs in a process of its own or in a test.
type server struct {
	rt       *actor.Runtime
	ln       *broker.Listener
	stats    *serverStats
	t        *tally
	accepted *countingListener
	idle     int // number of actors without load
}

// countingListener counts the connections that it accepts.
type countingListener struct {
	net.Listener
	mu sync.Mutex
	n  int64
}

func (c *countingListener) Accept() (net.Conn, error) {
	sock, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.n++
		c.mu.Unlock()
	}
	return sock, err
}

func (c *countingListener) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// serve starts a server on sock whose connections fail as planned.
func serve(sock net.Listener, plan func() fault.Plan) (*server, error) {
	rt, err := actor.NewRuntime(actor.WithLogger(zerolog.Nop())) // The faults would flood a log.
	if err != nil {
		return nil, err
	}
	s := &server{rt: rt, t: newTally(), accepted: &countingListener{Listener: sock}}
	s.stats = newServerStats(s.t.errorf)
	login, opts, err := s.stats.options(&sharedValue{stats: s.stats})
	if err != nil {
		return nil, err
	}
	failing := &fault.Listener{Listener: s.accepted, Plan: plan}
	if s.ln, err = broker.ListenOn(rt, failing, login, opts...); err != nil {
		return nil, err
	}
	s.idle = s.actors()
	return s, nil
}

// mostlyWhole returns a function that draws plans, most of which are without a fault, because most faults are simulated
// by the clients.
func mostlyWhole(seed uint64, delay time.Duration) func() fault.Plan {
	r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // must be reproducible, not secret
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
	stats := s.stats
	return sample{
		Heap: m.HeapAlloc, Resident: resident(), Goroutines: runtime.NumGoroutine(), Actors: s.actors(),
		Connections: len(s.ln.Conns()), Accepted: s.accepted.count(), Served: stats.calls.Load(),
		Logins: stats.logins.Load(), Logouts: stats.logouts.Load(),
		ObserversAdded: stats.observersAdded.Load(), ObserversRemoved: stats.observersRemoved.Load(),
	}
}

// resident returns the resident memory of this process in bytes, or 0 if /proc is not available.
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

// waitIdle waits, after the last peer has disconnected, until everything is released, and reports an error if something
// is not.
func (s *server) waitIdle() {
	var now sample
	for began := time.Now(); time.Since(began) < timeout; time.Sleep(100 * time.Millisecond) {
		now = s.sample()
		if now.Connections == 0 && now.Logins == now.Logouts && now.ObserversAdded == now.ObserversRemoved &&
			now.Actors <= s.idle+1 && s.outstanding() == 0 { // The shared value may have one actor.
			return
		}
	}
	s.t.errorf("%v after the last peer had disconnected there were %d connections, %d of %d avatars, "+
		"%d of %d observers, %d additional actors, %d references, copies, calls and bytes",
		timeout, now.Connections, now.Logins-now.Logouts, now.Logins, now.ObserversAdded-now.ObserversRemoved,
		now.ObserversAdded, now.Actors-s.idle, s.outstanding())
}

// registryNames is the number of names after which hardly any map of the registry is still empty.
const registryNames = 300_000

// fillRegistry grows the registry of the actor system to its final size. The registry consists of 32,768 maps, each of
// which allocates memory for its first name and keeps it. These ten megabytes would otherwise look like a leak, or hide
// one.
func (s *server) fillRegistry() {
	registry := s.rt.System().ProcessRegistry.LocalPIDs
	for i := range registryNames {
		name := fmt.Sprintf("fill$%x", i)
		bucket := registry.GetBucket(name)
		bucket.Set(name, nil)
		bucket.Remove(name)
	}
}

// outstanding returns the sum of what the runtime has in use: references, copies, calls, bytes and connections.
func (s *server) outstanding() int {
	b := broker.StatsOf(s.rt)
	return b.Exports + b.Imports + b.Caches + b.LocalCaches + b.CallsOut.Pending + b.CallsIn.Pending +
		b.BytesHeld + b.BytesWaiting + b.Conns.Open + b.Conns.Opening
}

// close closes the server's runtime.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := s.rt.Close(ctx); err != nil {
		s.t.errorf("closing the server: %v", err)
	}
}

// runServer is the main function of the server process. It prints its address, then a sample each second. At the end of
// in it waits until it is idle, closes the server and prints the last sample.
func runServer(seed uint64, in io.Reader, out io.Writer) error {
	sock, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	before := runtime.NumGoroutine()
	s, err := serve(sock, mostlyWhole(seed, 5*time.Millisecond))
	if err != nil {
		return err
	}
	s.fillRegistry()
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
	s.waitIdle()
	last := s.sample()
	s.close()
	for began := time.Now(); time.Since(began) < timeout && runtime.NumGoroutine() > before; {
		time.Sleep(10 * time.Millisecond)
	}
	last.Last, last.LeakedGoroutines = true, runtime.NumGoroutine()-before
	if last.LeakedGoroutines > 0 {
		stacks := make([]byte, 1<<16)
		stacks = stacks[:runtime.Stack(stacks, true)]
		s.t.errorf("%d goroutines left after Close:\n%s", last.LeakedGoroutines, strings.TrimSpace(string(stacks)))
	}
	last.Errors = s.t.Errors
	return report.Encode(last)
}

// serverStats counts events of the server, for all connections.
type serverStats struct {
	errorf func(format string, args ...any)

	calls                            atomic.Int64
	logins, logouts                  atomic.Int64
	observersAdded, observersRemoved atomic.Int64

	mu        sync.Mutex
	observers map[*flavors.Observer]struct{}
	avatars   map[*user]struct{}
}

func newServerStats(errorf func(string, ...any)) *serverStats {
	return &serverStats{errorf: errorf, observers: map[*flavors.Observer]struct{}{}, avatars: map[*user]struct{}{}}
}

// service is the published object of one connection.
type service struct {
	flavors.Referenceable
	stats *serverStats
	conn  *broker.Conn
	value *sharedValue
	held  []*flavors.RemoteReference
}

var errFailed = errors.New("failed on request")

func (s *service) RemoteEcho(x any) any      { s.stats.calls.Add(1); return x }
func (s *service) RemoteFail() error         { s.stats.calls.Add(1); return errFailed }
func (s *service) RemoteCounter() *counter   { s.stats.calls.Add(1); return &counter{stats: s.stats} }
func (s *service) RemoteValue() *sharedValue { s.stats.calls.Add(1); return s.value }
func (s *service) RemoteIncrement()          { s.stats.calls.Add(1); s.value.increment() }

// RemoteDelay answers after some milliseconds. It does not block other calls.
func (s *service) RemoteDelay(ms int) *actor.Deferred {
	s.stats.calls.Add(1)
	d := actor.NewDeferred(s.conn.Runtime())
	time.AfterFunc(time.Duration(ms%100)*time.Millisecond, func() { d.Complete(ms, nil) })
	return d
}

// RemoteCallBack calls the peer's object and returns its answer.
func (s *service) RemoteCallBack(callback *flavors.RemoteReference, n int) *actor.Deferred {
	s.stats.calls.Add(1)
	return callback.CallRemote("addOne", n)
}

// RemoteHold holds the peer's object until RemoteRelease is called.
func (s *service) RemoteHold(callback *flavors.RemoteReference) {
	s.stats.calls.Add(1)
	s.held = append(s.held, callback)
}

func (s *service) RemoteRelease() {
	s.stats.calls.Add(1)
	for _, callback := range s.held {
		callback.Release()
	}
	s.held = nil
}

// RemotePages sends size bytes in pages and does not wait for their answers.
func (s *service) RemotePages(collector *flavors.RemoteReference, size int) {
	s.stats.calls.Add(1)
	paging.Send(collector, paging.FromBytes(make([]byte, min(size, 1<<20)), 0))
}

// RemoteExports returns the number of the server's objects that the peer holds.
func (s *service) RemoteExports() int { return s.conn.Exports() }

// counter checks that its calls arrive in order, each at most once.
type counter struct {
	flavors.Referenceable
	stats *serverStats
	last  int
}

// RemoteSet takes a number, which must be larger than the previous one. Numbers of calls that were never sent are
// missing.
func (c *counter) RemoteSet(n int) int {
	c.stats.calls.Add(1)
	if n <= c.last {
		c.stats.errorf("a counter received %d after %d", n, c.last)
	}
	c.last = n
	return n
}

func (c *counter) RemotePanic() { panic("panic on request") } //nolint:forbidigo // tests panics in methods

// sharedValue is a number that all peers can observe and increment.
type sharedValue struct {
	flavors.Cacheable
	stats *serverStats
	n     int
}

func (*sharedValue) TypeToCopy() string { return "soak.Value" }

func (p *sharedValue) StateToCacheAndObserveFor(_ any, o *flavors.Observer) any {
	p.stats.observersAdded.Add(1)
	p.stats.mu.Lock()
	p.stats.observers[o] = struct{}{}
	p.stats.mu.Unlock()
	return p.n
}

func (p *sharedValue) StoppedObserving(_ any, o *flavors.Observer) {
	p.stats.mu.Lock()
	_, ok := p.stats.observers[o]
	delete(p.stats.observers, o)
	p.stats.mu.Unlock()
	if !ok {
		p.stats.errorf("an observer was removed twice")
		return
	}
	p.stats.observersRemoved.Add(1)
}

func (p *sharedValue) increment() {
	flavors.Update(p, func(observers flavors.Observers) {
		p.n++
		// A failed update closes the observer's connection.
		_ = observers.CallRemote("increment", p.n)
	})
}

// user is the avatar.
type user struct {
	flavors.Avatar
	name string
}

func (c *user) PerspectiveName() string { return c.name }

// RequestAvatar implements cred.Realm.
func (l *serverStats) RequestAvatar(
	_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference,
) (*user, func(), error) {
	c := &user{name: id.String()}
	l.mu.Lock()
	l.avatars[c] = struct{}{}
	l.mu.Unlock()
	l.logins.Add(1)
	return c, func() {
		l.mu.Lock()
		_, ok := l.avatars[c]
		delete(l.avatars, c)
		l.mu.Unlock()
		if !ok {
			l.errorf("%s was logged out twice", c.name)
			return
		}
		l.logouts.Add(1)
	}, nil
}

// options returns the root that handles logins and the options that publish the service.
func (l *serverStats) options(shared *sharedValue) (login *broker.PortalRoot, opts []broker.ListenOption, err error) {
	users, err := cred.NewInMemory(map[string]cred.Entry{userName: cred.Plaintext(userPassword)})
	if err != nil {
		return nil, nil, err
	}
	portal, err := cred.NewPortal[*flavors.RemoteReference, *user](l, users, cred.AllowAnonymous())
	if err != nil {
		return nil, nil, fmt.Errorf("cannot create the portal: %w", err)
	}
	root := broker.RootFactory(func(c *broker.Conn) (any, error) {
		return &service{stats: l, conn: c, value: shared}, nil
	})
	login = broker.LoginRoot(portal, broker.WithLoginDeadline(time.Hour),
		broker.WithThrottle(cred.NewThrottle(cred.WithFreeFailures(1<<20))))
	return login, []broker.ListenOption{
		broker.WithPublished("service", root),
		// Detect peers that do not read or have disappeared within seconds instead of minutes.
		broker.WithLimits(broker.Limits{
			Handshake: 3 * time.Second, Stall: 4 * time.Second, StateTimeout: 4 * time.Second,
		}),
		broker.WithKeepalive(2*time.Second, 4*time.Second),
	}, nil
}

const (
	userName     = "soak"
	userPassword = "soak password"
)
