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

// ledger is what the server counts, for all connections.
type ledger struct {
	wrong func(format string, args ...any)

	served     atomic.Int64 // calls
	in, out    atomic.Int64 // avatars
	came, left atomic.Int64 // observers
	mu         sync.Mutex
	observers  map[*flavors.Observer]struct{}
	avatars    map[*customer]struct{}
}

func newLedger(wrong func(string, ...any)) *ledger {
	return &ledger{wrong: wrong, observers: map[*flavors.Observer]struct{}{}, avatars: map[*customer]struct{}{}}
}

// shop is what one connection sees.
type shop struct {
	flavors.Referenceable
	book *ledger
	conn *broker.Conn
	pond *pond
	kept []*flavors.RemoteReference
}

var errSoldOut = errors.New("sold out")

func (s *shop) RemoteEcho(x any) any   { s.book.served.Add(1); return x }
func (s *shop) RemoteFail() error      { s.book.served.Add(1); return errSoldOut }
func (s *shop) RemoteCounter() *clicks { s.book.served.Add(1); return &clicks{book: s.book} }
func (s *shop) RemotePond() *pond      { s.book.served.Add(1); return s.pond }
func (s *shop) RemoteStir()            { s.book.served.Add(1); s.pond.stir() }

// RemoteLater is answered after some milliseconds; meanwhile others may be.
func (s *shop) RemoteLater(ms int) *actor.Deferred {
	s.book.served.Add(1)
	d := actor.NewDeferred(s.conn.Runtime())
	time.AfterFunc(time.Duration(ms%100)*time.Millisecond, func() { d.Complete(ms, nil) })
	return d
}

// RemoteCallBack calls the peer's object and answers with what it answers.
func (s *shop) RemoteCallBack(toy *flavors.RemoteReference, n int) *actor.Deferred {
	s.book.served.Add(1)
	return toy.CallRemote("poke", n)
}

// RemoteKeep keeps the peer's object until letGo.
func (s *shop) RemoteKeep(toy *flavors.RemoteReference) {
	s.book.served.Add(1)
	s.kept = append(s.kept, toy)
}

func (s *shop) RemoteLetGo() {
	s.book.served.Add(1)
	for _, toy := range s.kept {
		toy.Release()
	}
	s.kept = nil
}

// RemotePages sends some, and does not wait for them.
func (s *shop) RemotePages(collector *flavors.RemoteReference, size int) {
	s.book.served.Add(1)
	flavors.SendPages(collector, flavors.NewStringPager(make([]byte, min(size, 1<<20)), 0))
}

// RemoteHeld says how many objects of ours the peer holds.
func (s *shop) RemoteHeld() int { return s.conn.Exports() }

// clicks wants its calls in order, each once.
type clicks struct {
	flavors.Referenceable
	book *ledger
	last int
}

// RemoteClick takes a number that is larger than the one before it. Numbers may be left out, by calls that were never sent.
func (c *clicks) RemoteClick(n int) int {
	c.book.served.Add(1)
	if n <= c.last {
		c.book.wrong("a counter was told %d after %d", n, c.last)
	}
	c.last = n
	return n
}

func (c *clicks) RemoteBoom() { panic("a method that fails") } //nolint:forbidigo // that is what is tried

// pond is one original for all. Each stir is one more.
type pond struct {
	flavors.Cacheable
	book *ledger
	n    int
}

func (*pond) TypeToCopy() string { return "soak.Pond" }

func (p *pond) StateToCacheAndObserveFor(_ any, o *flavors.Observer) any {
	p.book.came.Add(1)
	p.book.mu.Lock()
	p.book.observers[o] = struct{}{}
	p.book.mu.Unlock()
	return p.n
}

func (p *pond) StoppedObserving(_ any, o *flavors.Observer) {
	p.book.mu.Lock()
	_, there := p.book.observers[o]
	delete(p.book.observers, o)
	p.book.mu.Unlock()
	if !there {
		p.book.wrong("an observer left twice")
		return
	}
	p.book.left.Add(1)
}

func (p *pond) stir() {
	flavors.Update(p, func(observers flavors.Observers) {
		p.n++
		_ = observers.CallRemote("stir", p.n) // Who cannot take it loses its connection, and its copy says so.
	})
}

// customer is the avatar.
type customer struct {
	flavors.Avatar
	name string
}

func (c *customer) PerspectiveName() string { return c.name }

// RequestAvatar implements cred.Realm.
func (l *ledger) RequestAvatar(_ context.Context, id cred.AvatarID, _ *flavors.RemoteReference) (*customer, func(), error) {
	c := &customer{name: id.String()}
	l.mu.Lock()
	l.avatars[c] = struct{}{}
	l.mu.Unlock()
	l.in.Add(1)
	return c, func() {
		l.mu.Lock()
		_, there := l.avatars[c]
		delete(l.avatars, c)
		l.mu.Unlock()
		if !there {
			l.wrong("%s was logged out twice", c.name)
			return
		}
		l.out.Add(1)
	}, nil
}

// options publish the shop and the login.
func (l *ledger) options(shared *pond) (login broker.RootFactory, opts []broker.Option, err error) {
	users, err := cred.NewInMemory(map[string]cred.Entry{userName: cred.Plaintext(userPassword)})
	if err != nil {
		return nil, nil, err
	}
	portal, err := cred.NewPortal[*flavors.RemoteReference, *customer](l, users, cred.AllowAnonymous())
	if err != nil {
		return nil, nil, fmt.Errorf("the portal: %w", err)
	}
	door := broker.RootFactory(func(c *broker.Conn) (any, error) { return &shop{book: l, conn: c, pond: shared}, nil })
	login = broker.LoginRoot(portal, broker.WithLoginDeadline(time.Hour),
		broker.WithThrottle(cred.NewThrottle(cred.WithFreeFailures(1<<20))))
	return login, []broker.Option{
		broker.WithPublished("shop", door),
		// Whoever does not read, or has vanished, is found out within seconds rather than minutes.
		broker.WithLimits(broker.Limits{Handshake: 3 * time.Second, Stall: 4 * time.Second, StateTimeout: 4 * time.Second}),
		broker.WithKeepalive(2*time.Second, 4*time.Second),
	}, nil
}

const (
	userName     = "soaker"
	userPassword = "in water"
)
