package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

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
	flavors.SendPages(collector, flavors.NewStringPager(make([]byte, min(size, 1<<20)), 0))
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
func (l *serverStats) options(shared *sharedValue) (login broker.RootFactory, opts []broker.Option, err error) {
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
	return login, []broker.Option{
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
