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
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/flavors/paging"
)

// timeout bounds every wait for something that must happen. Nothing is measured with it.
const timeout = 60 * time.Second

// client is a Go peer on one connection. It performs random steps and checks their results.
type client struct {
	t       *tally
	r       *rand.Rand
	conn    *broker.Conn
	service *flavors.RemoteReference

	pending  sync.WaitGroup // calls in progress
	callback callback
	counters []*remoteCounter
	values   []*flavors.Cached[valueCopy]
	avatars  []*flavors.RemoteReference
}

// remoteCounter is a reference to a counter of the server.
type remoteCounter struct {
	ref  *flavors.RemoteReference
	last int // the last number that was sent to it
}

// callback is the object that the client passes to the server.
type callback struct {
	flavors.Referenceable
	calls atomic.Int64
}

func (x *callback) RemoteAddOne(n int) int { x.calls.Add(1); return n + 1 }

// valueCopy is a copy of the server's value. It reports increments that it missed.
type valueCopy struct {
	flavors.RemoteCache
	errorf func(format string, args ...any)
	n      int
}

func (p *valueCopy) SetCopyableState(state any) error { return jelly.Assign(&p.n, state) }

func (p *valueCopy) ObserveIncrement(n int) {
	if n != p.n+1 {
		p.errorf("a copy with value %d received the increment to %d", p.n, n)
	}
	p.n = n
}

// clientOptions returns the options of all Go peers.
func clientOptions(t *tally) ([]broker.DialOption, error) {
	r := jelly.NewRegistry()
	err := flavors.RegisterCacheFactory(r, "soak.Value", func() *valueCopy { return &valueCopy{errorf: t.errorf} })
	if err != nil {
		return nil, err
	}
	return []broker.DialOption{
		broker.WithRegistry(r),
		broker.WithLimits(broker.Limits{Handshake: 3 * time.Second, Stall: 4 * time.Second}),
		broker.WithKeepalive(2*time.Second, 4*time.Second),
	}, nil
}

// runClient performs steps random steps on a connection over sock. It returns when the connection is closed and all its
// calls have ended.
func runClient(ctx context.Context, rt *actor.Runtime, t *tally, r *rand.Rand, sock net.Conn, steps int) {
	opts, err := clientOptions(t)
	if err != nil {
		t.errorf("the registry: %v", err)
		return
	}
	conn, err := broker.NewClientConn(ctx, rt, sock, opts...)
	if err != nil {
		t.add(&t.Refused)
		return
	}
	t.add(&t.Connections)
	defer context.AfterFunc(ctx, func() { conn.Abort(context.Cause(ctx)) })()
	p := &client{t: t, r: r, conn: conn, service: conn.Published("service")}
	all := p.steps()
	for range steps {
		if conn.Context().Err() != nil || ctx.Err() != nil {
			break
		}
		all[r.IntN(len(all))](ctx)
	}
	switch r.IntN(4) {
	case 0: // abort with calls in progress
		conn.Abort(nil)
	case 1:
		_ = conn.Close(ctx)
	default:
		p.releaseAll(ctx)
		_ = conn.Close(ctx)
	}
	p.wait()
	<-conn.Done()
}

// waitForAnswers waits until all calls have ended. While it waits it makes further calls; it reports an error if many
// of these are answered and an earlier call is not.
func (p *client) waitForAnswers(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		p.pending.Wait()
		close(done)
	}()
	const probes = 50
	for range probes {
		select {
		case <-done:
			return
		default:
		}
		if _, err := call[any](ctx, p, p.service, "echo", "probe"); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	select {
	case <-done:
	default:
		p.t.errorf("a call was not answered, but %d later ones were", probes)
	}
}

// wait reports an error if not all calls have ended within timeout after the connection was closed.
func (p *client) wait() {
	done := make(chan struct{})
	go func() {
		p.pending.Wait()
		close(done)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		p.t.errorf("a call did not end after its connection had been closed")
	}
}

// track counts a call and its end.
func (p *client) track(what string, d *actor.Deferred, then func(v any, err error)) {
	p.pending.Add(1)
	ended := p.t.started(what)
	d.OnComplete(func(v any, err error) {
		ended(err)
		if then != nil {
			then(v, err)
		}
		p.pending.Done()
	})
}

// call makes a call, waits for its answer and counts both.
func call[T any](ctx context.Context, p *client, ref *flavors.RemoteReference, method string, args ...any) (T, error) {
	ended := p.t.started(method)
	v, err := flavors.Call[T](ctx, ref, method, args...)
	ended(err)
	return v, err
}

// steps returns the possible steps. A step that occurs more than once is chosen more often.
func (p *client) steps() []func(ctx context.Context) {
	return []func(context.Context){
		p.echo, p.echo, p.count, p.count, p.count, p.counter, p.dropCounter, p.panicCall, p.fail,
		p.increment, p.increment, p.value, p.dropValue, p.callBack, p.hold, p.release, p.delay, p.timeout,
		p.login, p.logout, p.pages, p.noAnswer, p.pause,
	}
}

func (p *client) echo(context.Context) {
	sent := string(make([]byte, p.r.IntN(1<<p.r.IntN(15))))
	p.track("echo", p.service.CallRemote("echo", sent), func(v any, err error) {
		if got, ok := v.(string); err == nil && (!ok || got != sent) {
			p.t.errorf("wrong echo of %d bytes", len(sent))
		}
	})
}

func (p *client) counter(ctx context.Context) {
	if len(p.counters) > 20 {
		return
	}
	if ref, err := call[*flavors.RemoteReference](ctx, p, p.service, "counter"); err == nil {
		p.counters = append(p.counters, &remoteCounter{ref: ref})
	}
}

// count sends the next number to a counter. A number is not used again, even if its call fails.
func (p *client) count(context.Context) {
	if len(p.counters) == 0 {
		return
	}
	c := p.counters[p.r.IntN(len(p.counters))]
	c.last++
	n := c.last
	p.track("set", c.ref.CallRemote("set", n), func(v any, err error) {
		var got int
		if err == nil && (jelly.Assign(&got, v) != nil || got != n) {
			p.t.errorf("wrong answer to set(%d): %v", n, v)
		}
	})
}

// dropCounter drops a counter, either with Release or by leaving it to the garbage collector. Calls to it may be in
// progress.
func (p *client) dropCounter(context.Context) {
	if len(p.counters) == 0 {
		return
	}
	i := p.r.IntN(len(p.counters))
	if p.r.IntN(2) == 0 {
		p.counters[i].ref.Release()
	}
	p.counters = append(p.counters[:i], p.counters[i+1:]...)
}

// panicCall makes a method of a counter panic. The counter must still work afterwards.
func (p *client) panicCall(context.Context) {
	if len(p.counters) == 0 || p.r.IntN(4) > 0 {
		return
	}
	p.track("panic", p.counters[p.r.IntN(len(p.counters))].ref.CallRemote("panic"), func(_ any, err error) {
		if err == nil {
			p.t.errorf("a call of a method that panics succeeded")
		}
	})
}

func (p *client) fail(context.Context) {
	p.track("fail", p.service.CallRemote("fail"), func(_ any, err error) {
		if err == nil {
			p.t.errorf("a call of a method that fails succeeded")
		}
	})
}

func (p *client) increment(context.Context) {
	p.track("increment", p.service.CallRemote("increment"), nil)
}

func (p *client) value(ctx context.Context) {
	if len(p.values) > 3 {
		return
	}
	if c, err := call[*flavors.Cached[valueCopy]](ctx, p, p.service, "value"); err == nil {
		p.values = append(p.values, c)
	}
}

func (p *client) dropValue(context.Context) {
	if n := len(p.values); n > 0 {
		p.values[n-1].Release()
		p.values = p.values[:n-1]
	}
}

func (p *client) callBack(context.Context) {
	n := p.r.IntN(1000)
	p.track("callBack", p.service.CallRemote("callBack", &p.callback, n), func(v any, err error) {
		var got int
		if err == nil && (jelly.Assign(&got, v) != nil || got != n+1) {
			p.t.errorf("wrong answer of the callback to %d: %v", n, v)
		}
	})
}

func (p *client) hold(context.Context) {
	p.track("hold", p.service.CallRemote("hold", &p.callback), nil)
}

func (p *client) release(context.Context) { p.track("release", p.service.CallRemote("release"), nil) }

func (p *client) delay(context.Context) {
	d := p.service.CallRemote("delay", p.r.IntN(50))
	p.track("delay", d, nil)
	if p.r.IntN(3) == 0 {
		d.Cancel()
	}
}

// timeout makes a call with a timeout that may pass before the answer arrives.
func (p *client) timeout(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(p.r.IntN(20))*time.Millisecond)
	defer cancel()
	_, _ = call[any](ctx, p, p.service, "delay", p.r.IntN(20))
}

func (p *client) noAnswer(context.Context) {
	_ = p.service.CallRemoteNoAnswer("echo", "no answer wanted")
}

func (p *client) pause(context.Context) { time.Sleep(time.Duration(p.r.IntN(20)) * time.Millisecond) }

func (p *client) pages(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	size := p.r.IntN(1 << 18)
	reader := paging.Open(ctx, p.service, "pages", size)
	defer func() { _ = reader.Close() }()
	buf := make([]byte, 1<<14)
	for stop := p.r.IntN(4) == 0; ; {
		_, err := reader.Read(buf)
		if err == nil && !stop {
			continue
		}
		if errors.Is(err, io.EOF) && reader.Received() != int64(size) {
			p.t.errorf("received %d of %d bytes of pages", reader.Received(), size)
		}
		return
	}
}

// releaseAll releases everything and checks that both sides then hold no references, while the connection is open.
func (p *client) releaseAll(ctx context.Context) {
	p.waitForAnswers(ctx)
	for _, c := range p.counters {
		c.ref.Release()
	}
	for _, c := range p.values {
		c.Release()
	}
	for _, a := range p.avatars {
		p.conn.Logout(a)
	}
	p.counters, p.values, p.avatars = nil, nil, nil
	_, _ = call[any](ctx, p, p.service, "release")
	held := 0
	for began := time.Now(); time.Since(began) < timeout; time.Sleep(20 * time.Millisecond) {
		var err error
		if held, err = call[int](ctx, p, p.service, "exports"); err != nil || p.conn.Context().Err() != nil {
			return
		}
		if held == 0 && p.conn.Exports() == 0 {
			return
		}
		runtime.GC() // Releases references that were dropped without Release.
	}
	p.t.errorf("after all references were released, the server still held %d objects and the client %d",
		p.conn.Exports(), held)
}

func (p *client) login(ctx context.Context) {
	if len(p.avatars) > 3 {
		return
	}
	var credentials cred.Credentials = cred.Anonymous{}
	if p.r.IntN(2) == 0 {
		credentials = cred.UsernamePassword{Username: userName, Password: userPassword}
	}
	ended := p.t.started("login")
	avatar, err := p.conn.Login(ctx, credentials, nil)
	ended(err)
	if err != nil {
		return
	}
	p.t.add(&p.t.Avatars)
	p.avatars = append(p.avatars, avatar)
	p.track("name", avatar.CallRemote("name"), nil)
}

func (p *client) logout(context.Context) {
	if n := len(p.avatars); n > 0 {
		p.conn.Logout(p.avatars[n-1])
		p.avatars = p.avatars[:n-1]
	}
}
