package conformance

import (
	"context"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// server is the state that all connections share.
type server struct {
	listener *broker.Listener
	ponds    ponds
	counters counters
	scavenge scavenge
	users    sessions
	left     left

	mu    sync.Mutex
	roots map[flavors.Conn]*Conformance
}

// serve listens. With users or anonymous logins the root object is the login, and Conformance is behind it.
func serve(rt *actor.Runtime, c *config) (*server, error) {
	s := &server{roots: map[flavors.Conn]*Conformance{}}
	var root any = broker.RootFactory(func(c *broker.Conn) (any, error) { return s.root(c), nil })
	if len(c.users) > 0 || c.anonymous {
		portal, err := s.portal(c)
		if err != nil {
			return nil, err
		}
		root = broker.LoginRoot(portal, broker.WithThrottle(lenient()), broker.WithSessions(10_000),
			broker.WithFrameBeforeLogin(longestName))
	}
	known, err := classes()
	if err != nil {
		return nil, err
	}
	options := []broker.ListenOption{broker.WithRegistry(known), broker.WithLimits(limits())}
	if s.left.on = c.relaying; c.relaying {
		options = append(options, broker.WithRelaying())
	}
	if c.tls != nil {
		options = append(options, broker.WithTLS(c.tls))
	}
	if c.dialects != nil {
		options = append(options, broker.WithDialects(c.dialects...))
	}
	for _, t := range c.transports {
		options = append(options, broker.WithTransport(t))
	}
	s.listener, err = broker.Listen(rt, c.listen, root, options...)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// longestName leaves room for a login with the longest name that Banana carries. Such a login is refused in the usual
// way, and the connection stays open.
const longestName = 1 << 20

// memory is the heap size at which collecting garbage is worth an effort. The limits allow less, but a heap that may
// double would exceed the contract.
const memory = 96 << 20

// limits differ from the defaults, because strangers test them here. Whatever they send, the process must stay below
// 200 MB.
func limits() broker.Limits {
	return broker.Limits{
		Exports: 10_000, Caches: 10_000,
		CallsIn: 16_384, BytesIn: 4 << 20, MaxWriteBacklog: 4 << 20, MemoryTotal: 40 << 20,
	}
}

// classes registers the classes of copies and caches that peers may send.
func classes() (*jelly.Registry, error) {
	r := jelly.NewRegistry()
	if err := flavors.RegisterCopy[Point](r, pointClass); err != nil {
		return nil, err
	}
	return r, flavors.RegisterCache[RemotePond](r, pondClass)
}

// root returns the connection's Conformance object, which all logins on it share.
func (s *server) root(conn flavors.Conn) *Conformance {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.roots[conn]; c != nil {
		return c
	}
	c := &Conformance{server: s, held: map[string]any{}}
	s.roots[conn] = c
	context.AfterFunc(conn.Context(), func() {
		c.timers.end()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.roots, conn)
		s.scavenge.soon()
	})
	return c
}

// hangUp stops listening and closes the connections without waiting for calls.
func (s *server) hangUp(ctx context.Context) {
	_ = s.listener.Close()
	var closing sync.WaitGroup
	for _, c := range s.listener.Conns() {
		closing.Go(func() { _ = c.Close(ctx) })
	}
	closing.Wait()
}
