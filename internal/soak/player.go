package main

import (
	"context"
	"errors"
	"io"

	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// patience is how long something may take that is to happen for certain. Nothing is measured by it.
const patience = 60 * time.Second

// player is a Go peer on one connection: it does what its random numbers say, and knows what must come of it.
type player struct {
	t    *tally
	r    *rand.Rand
	conn *broker.Conn
	shop *flavors.RemoteReference

	under    sync.WaitGroup // calls under way
	toy      toy
	counters []*counted
	ponds    []*flavors.Cached[pondCopy]
	avatars  []*flavors.RemoteReference
}

// counted is a counter of the server's and the last number that it was told.
type counted struct {
	ref  *flavors.RemoteReference
	last int
}

// toy is what the player gives away.
type toy struct {
	flavors.Referenceable
	poked atomic.Int64
}

func (x *toy) RemotePoke(n int) int { x.poked.Add(1); return n + 1 }

// pondCopy is a copy of the server's pond. No stir may be missed.
type pondCopy struct {
	flavors.RemoteCache
	wrong func(format string, args ...any)
	n     int
}

func (p *pondCopy) SetCopyableState(state any) error { return jelly.Assign(&p.n, state) }

func (p *pondCopy) ObserveStir(n int) {
	if n != p.n+1 {
		p.wrong("a copy that was at %d was told of stir %d", p.n, n)
	}
	p.n = n
}

// playerOptions are those of all Go peers.
func playerOptions(t *tally) ([]broker.Option, error) {
	r := jelly.NewRegistry()
	err := flavors.RegisterCacheFactory(r, "soak.Pond", func() *pondCopy { return &pondCopy{wrong: t.wrong} })
	if err != nil {
		return nil, err
	}
	return []broker.Option{
		broker.WithRegistry(r),
		broker.WithLimits(broker.Limits{Handshake: 3 * time.Second, Stall: 4 * time.Second}),
		broker.WithKeepalive(2*time.Second, 4*time.Second),
	}, nil
}

// play has one connection from its beginning to its end, and returns when every call of it has ended. The connection closes the socket.
func play(ctx context.Context, rt *actor.Runtime, t *tally, r *rand.Rand, sock net.Conn, steps int) {
	opts, err := playerOptions(t)
	if err != nil {
		t.wrong("the registry: %v", err)
		return
	}
	conn, err := broker.Client(ctx, rt, sock, opts...)
	if err != nil {
		t.add(&t.Refused)
		return
	}
	t.add(&t.Connections)
	defer context.AfterFunc(ctx, func() { conn.Abort(context.Cause(ctx)) })()
	p := &player{t: t, r: r, conn: conn, shop: conn.Published("shop")}
	all := p.steps()
	for range steps {
		if conn.Context().Err() != nil || ctx.Err() != nil {
			break
		}
		all[r.IntN(len(all))](ctx)
	}
	switch r.IntN(4) {
	case 0: // just gone, in the middle of everything
		conn.Abort(nil)
	case 1:
		_ = conn.Close(ctx)
	default:
		p.settle(ctx)
		_ = conn.Close(ctx)
	}
	p.wait("its connection had ended")
	<-conn.Done()
}

// drain wants every call to end while later ones are answered: none is forgotten on a connection that is alive.
func (p *player) drain(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		p.under.Wait()
		close(done)
	}()
	const probes = 50
	for range probes {
		select {
		case <-done:
			return
		default:
		}
		if _, err := call[any](ctx, p, p.shop, "echo", "still there?"); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	select {
	case <-done:
	default:
		p.t.wrong("a call was not answered, though %d later ones were", probes)
	}
}

// wait wants every call to have ended.
func (p *player) wait(when string) {
	done := make(chan struct{})
	go func() {
		p.under.Wait()
		close(done)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		p.t.wrong("a call did not end after %s", when)
	}
}

// follow counts a call and its end.
func (p *player) follow(what string, d *actor.Deferred, then func(v any, err error)) {
	p.under.Add(1)
	ended := p.t.made(what)
	d.OnComplete(func(v any, err error) {
		ended(err)
		if then != nil {
			then(v, err)
		}
		p.under.Done()
	})
}

// call is one that is waited for.
func call[T any](ctx context.Context, p *player, ref *flavors.RemoteReference, method string, args ...any) (T, error) {
	ended := p.t.made(method)
	v, err := flavors.Call[T](ctx, ref, method, args...)
	ended(err)
	return v, err
}

// steps are what a player does. The more often one stands there, the more often it is done.
func (p *player) steps() []func(ctx context.Context) {
	return []func(context.Context){
		p.echo, p.echo, p.count, p.count, p.count, p.counter, p.forget, p.boom, p.fail, p.stir, p.stir, p.pond, p.leavePond,
		p.callBack, p.keep, p.letGo, p.later, p.impatient, p.login, p.logout, p.pages, p.unanswered, p.breathe,
	}
}

func (p *player) echo(context.Context) {
	sent := string(make([]byte, p.r.IntN(1<<p.r.IntN(15))))
	p.follow("echo", p.shop.CallRemote("echo", sent), func(v any, err error) {
		if got, ok := v.(string); err == nil && (!ok || got != sent) {
			p.t.wrong("an echo of %d bytes came back as something else", len(sent))
		}
	})
}

func (p *player) counter(ctx context.Context) {
	if len(p.counters) > 20 {
		return
	}
	if ref, err := call[*flavors.RemoteReference](ctx, p, p.shop, "counter"); err == nil {
		p.counters = append(p.counters, &counted{ref: ref})
	}
}

// count calls a counter with the next number; whatever becomes of the call, its number is not used again.
func (p *player) count(context.Context) {
	if len(p.counters) == 0 {
		return
	}
	c := p.counters[p.r.IntN(len(p.counters))]
	c.last++
	n := c.last
	p.follow("click", c.ref.CallRemote("click", n), func(v any, err error) {
		var got int
		if err == nil && (jelly.Assign(&got, v) != nil || got != n) {
			p.t.wrong("the answer to click %d was %v", n, v)
		}
	})
}

// forget lets a counter go, in one of the two ways. Calls to it may be under way.
func (p *player) forget(context.Context) {
	if len(p.counters) == 0 {
		return
	}
	i := p.r.IntN(len(p.counters))
	if p.r.IntN(2) == 0 {
		p.counters[i].ref.Release()
	}
	p.counters = append(p.counters[:i], p.counters[i+1:]...)
}

// boom has a method panic; the counter goes on where it was.
func (p *player) boom(context.Context) {
	if len(p.counters) == 0 || p.r.IntN(4) > 0 {
		return
	}
	p.follow("boom", p.counters[p.r.IntN(len(p.counters))].ref.CallRemote("boom"), func(_ any, err error) {
		if err == nil {
			p.t.wrong("a method that panics was answered")
		}
	})
}

func (p *player) fail(context.Context) {
	p.follow("fail", p.shop.CallRemote("fail"), func(_ any, err error) {
		if err == nil {
			p.t.wrong("a method that fails was answered")
		}
	})
}

func (p *player) stir(context.Context) { p.follow("stir", p.shop.CallRemote("stir"), nil) }

func (p *player) pond(ctx context.Context) {
	if len(p.ponds) > 3 {
		return
	}
	if c, err := call[*flavors.Cached[pondCopy]](ctx, p, p.shop, "pond"); err == nil {
		p.ponds = append(p.ponds, c)
	}
}

func (p *player) leavePond(context.Context) {
	if n := len(p.ponds); n > 0 {
		p.ponds[n-1].Release()
		p.ponds = p.ponds[:n-1]
	}
}

func (p *player) callBack(context.Context) {
	n := p.r.IntN(1000)
	p.follow("callBack", p.shop.CallRemote("callBack", &p.toy, n), func(v any, err error) {
		var got int
		if err == nil && (jelly.Assign(&got, v) != nil || got != n+1) {
			p.t.wrong("the toy's answer to %d came back as %v", n, v)
		}
	})
}

func (p *player) keep(context.Context) { p.follow("keep", p.shop.CallRemote("keep", &p.toy), nil) }

func (p *player) letGo(context.Context) { p.follow("letGo", p.shop.CallRemote("letGo"), nil) }

func (p *player) later(context.Context) {
	d := p.shop.CallRemote("later", p.r.IntN(50))
	p.follow("later", d, nil)
	if p.r.IntN(3) == 0 {
		d.Cancel()
	}
}

// impatient gives up before or after the answer has come.
func (p *player) impatient(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.r.IntN(20))*time.Millisecond)
	defer cancel()
	_, _ = call[any](ctx, p, p.shop, "later", p.r.IntN(20))
}

func (p *player) unanswered(context.Context) {
	_ = p.shop.CallRemoteNoAnswer("echo", "nobody waits for this")
}

func (p *player) breathe(context.Context) { time.Sleep(time.Duration(p.r.IntN(20)) * time.Millisecond) }

func (p *player) pages(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	size := p.r.IntN(1 << 18)
	reader := flavors.ReadPages(ctx, p.shop, "pages", size)
	defer func() { _ = reader.Close() }()
	buf := make([]byte, 1<<14)
	for stop := p.r.IntN(4) == 0; ; {
		_, err := reader.Read(buf)
		if err == nil && !stop {
			continue
		}
		if errors.Is(err, io.EOF) && reader.Received() != int64(size) {
			p.t.wrong("of %d bytes in pages %d came", size, reader.Received())
		}
		return
	}
}

// settle lets go of everything and wants both sides to hold nothing, while the connection lives.
func (p *player) settle(ctx context.Context) {
	p.drain(ctx)
	for _, c := range p.counters {
		c.ref.Release()
	}
	for _, c := range p.ponds {
		c.Release()
	}
	for _, a := range p.avatars {
		p.conn.Logout(a)
	}
	p.counters, p.ponds, p.avatars = nil, nil, nil
	_, _ = call[any](ctx, p, p.shop, "letGo")
	held := 0
	for began := time.Now(); time.Since(began) < patience; time.Sleep(20 * time.Millisecond) {
		var err error
		if held, err = call[int](ctx, p, p.shop, "held"); err != nil || p.conn.Context().Err() != nil {
			return
		}
		if held == 0 && p.conn.Exports() == 0 {
			return
		}
		runtime.GC() // Collectors of pages and what the server forgot are noticed by that, here or there.
	}
	p.t.wrong("when all was let go the server held %d objects of ours, and we %d of its", p.conn.Exports(), held)
}
