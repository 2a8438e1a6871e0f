package main

import (
	"context"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// server is what all connections share.
type server struct {
	listener *broker.Listener
	ponds    ponds
	census   census
	tidy     tidy
	users    roll

	mu    sync.Mutex
	roots map[flavors.Conn]*Conformance
}

// serve listens. Who asks for users or anonymous ones gets the login as the root object, and Conformance behind it.
func serve(rt *actor.Runtime, c *config) (*server, error) {
	s := &server{roots: map[flavors.Conn]*Conformance{}}
	root := broker.RootFactory(func(c *broker.Conn) (any, error) { return s.root(c), nil })
	if len(c.users) > 0 || c.anonymous {
		portal, err := s.portal(c)
		if err != nil {
			return nil, err
		}
		root = broker.LoginRoot(portal, broker.WithThrottle(patient()), broker.WithSessions(10_000),
			broker.WithFrameBeforeLogin(longestName))
	}
	known, err := classes()
	if err != nil {
		return nil, err
	}
	options := []broker.Option{broker.WithRegistry(known), broker.WithLimits(limits())}
	if c.tls != nil {
		options = append(options, broker.WithTLS(c.tls))
	}
	s.listener, err = broker.Listen(rt, c.listen, root, options...)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// longestName is room for a login with a name as long as Banana can carry: it is refused in the usual words, and the
// connection goes on.
const longestName = 1 << 20

// memory is where collecting garbage begins to be worth any effort. What limits allows takes less, but a heap that may
// double would not.
const memory = 96 << 20

// limits differ from the defaults where strangers are expected to try more than a well-meant program would. Whatever
// they send, the process is to stay below 200 MB.
func limits() broker.Limits {
	return broker.Limits{
		Exports: 10_000, Caches: 10_000,
		CallsIn: 16_384, BytesIn: 4 << 20, MaxWriteBacklog: 4 << 20, MemoryTotal: 40 << 20,
	}
}

// classes are those that may come in as copies and caches. Any other is refused.
func classes() (*jelly.Registry, error) {
	r := jelly.NewRegistry()
	if err := flavors.RegisterCopy[Point](r, pointClass); err != nil {
		return nil, err
	}
	return r, flavors.RegisterCache[RemotePond](r, pondClass)
}

// root is the Conformance object of a connection: one and the same for all who log in over it.
func (s *server) root(conn flavors.Conn) *Conformance {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.roots[conn]; c != nil {
		return c
	}
	c := &Conformance{server: s, held: map[string]any{}}
	s.roots[conn] = c
	context.AfterFunc(conn.Context(), func() {
		c.alarms.end()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.roots, conn)
		s.tidy.soon()
	})
	return c
}

// hangUp accepts nothing more and closes the connections, whatever is under way on them.
func (s *server) hangUp(ctx context.Context) {
	_ = s.listener.Close()
	var closing sync.WaitGroup
	for _, c := range s.listener.Conns() {
		closing.Go(func() { _ = c.Close(ctx) })
	}
	closing.Wait()
}
