package flavors

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
)

// Limits of what a CacheRelay keeps of the updates after its state. Then it forgets both, and asks for the state again
// when another peer needs it.
const (
	mostLogged      = 1000
	mostLoggedBytes = 1 << 20
)

// askAgain is when a state is asked for once more that has not come.
const askAgain = time.Second

// CacheRelay is a [Cacheable] of another process, for the copies of this one's peers. It keeps the state and the
// updates as they came, without decoding them, so this process need not know their classes. The other process follows
// the original with [Follow].
//
// The source is the object of the other process that is called "state" with the feed as its argument when the state is
// needed, and "stop", with the feed, when no peer has a copy any more. Neither is answered. What the other process
// sends keeps its order with the calls that it makes to the objects of the same peers.
type CacheRelay struct {
	class  string
	source *RemoteReference
	feed   *Relay
	from   *passing // of the source's connection

	mu sync.Mutex
	// Guarded by mu.
	state     *jelly.Raw // nil if it is not known
	log       []relayedUpdate
	logged    int // bytes in log
	observers []*Observer
	pending   []pendingCopy
	asked     time.Time
}

// relayedUpdate is an update as it came.
type relayedUpdate struct {
	method string
	args   *jelly.Raw
}

// pendingCopy is a copy that waits for the state.
type pendingCopy struct {
	observer *Observer
	reply    func(state *jelly.Fragment, err error)
}

// NewCacheRelay makes the CacheRelay of an original of a class. The connection of the source must have
// broker.WithRelaying.
func NewCacheRelay(class string, source *RemoteReference) (*CacheRelay, error) {
	if err := jelly.CheckClass(class); err != nil {
		return nil, err
	}
	if !source.isMade() {
		return nil, errNoReference
	}
	conn := source.remote.conn
	if !conn.Relays() {
		return nil, notRelaying(source)
	}
	c := &CacheRelay{class: class, source: source, from: passingOf(conn)}
	known := weak.Make(c) // The connection of the source keeps the feed, and must not keep what nobody has a copy of.
	c.feed = NewRelay(func(inv *Invocation) {
		if c := known.Value(); c != nil {
			c.receive(inv)
		}
		inv.releaseRaw()
		inv.Answer(nil, nil)
	})
	// When the connection ends, there is nothing to wait for. It must not keep the CacheRelay either.
	stop := source.NotifyOnDisconnect(func(cause error) {
		if c := known.Value(); c != nil {
			c.fail(ConnectionLost.Wrap(cause))
		}
	})
	runtime.AddCleanup(c, func(stop func() bool) { stop() }, stop)
	return c, nil
}

// Source returns the object that stands for the original.
func (c *CacheRelay) Source() *RemoteReference { return c.source }

// String names the original for logs.
func (c *CacheRelay) String() string { return "<" + c.class + " of another process>" }

// Format prints what String returns, whatever the verb.
func (c *CacheRelay) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// DescribeJelly implements [jelly.Describer].
func (c *CacheRelay) DescribeJelly() string { return unbracketed(c.String()) }

// JellyTo leaves a hole in which the broker writes the state with a new luid, or [cached luid]. Package jelly calls it.
// Where broker.WithSubstitutes has something for a CacheRelay, the source is sent.
func (c *CacheRelay) JellyTo(e *jelly.Encoder, _ any) error {
	if c == nil {
		return e.Value(nil)
	}
	if e.Invoker() == any(c.source.remote.conn) {
		return jellyLocal(e, localHole{c.source})
	}
	if s, ok := e.Invoker().(seam.Substituter); ok && s.SubstituteCache(c, e.Viewer()) != nil {
		return c.source.jellyPassed(e, false)
	}
	if e.Invoker() == nil {
		return InsecureJelly.Errorf("%v can be sent over a connection only", c)
	}
	e.Hole(cacheHole(e, (*relayedCache)(c), c.class))
	return nil
}

// receive takes a call of the feed, in the turn of the source's connection.
func (c *CacheRelay) receive(inv *Invocation) {
	if !inv.relay.isRaw() {
		return // A call on a promise: not from a Follower.
	}
	parts, err := inv.relay.rawArgs.Elements()
	if err != nil || len(parts) == 0 {
		return
	}
	inv.relay.rawArgs = nil // Its parts are kept, or released one by one.
	kept := 0
	switch {
	case inv.Method == feedState && len(parts) == 1:
		kept = 1
		c.setState(parts[0])
	case inv.Method == feedFailed && len(parts) == 1:
		c.fail(RuntimeError.New(plainText(parts[0])))
	case inv.Method == feedUpdate && len(parts) == 2:
		kept = 1
		c.update(relayedUpdate{plainText(parts[0]), parts[1]})
		parts[0], parts[1] = parts[1], parts[0]
	}
	for _, p := range parts[kept:] {
		releaseHandles(p)
	}
}

// plainText decodes a string.
func plainText(raw *jelly.Raw) string {
	var v any
	if err := raw.Decode(&jelly.Decoder{}, &v); err != nil {
		return ""
	}
	s, _ := v.(string)
	return s
}

// setState takes the state, and gives it to the copies that wait for it.
func (c *CacheRelay) setState(state *jelly.Raw) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgetLocked()
	c.asked = time.Time{}
	if len(c.pending) == 0 {
		releaseHandles(state) // It was asked for twice, or nobody needs it any more.
		return
	}
	c.state = state
	for _, p := range c.pending {
		c.startLocked(p)
	}
	c.pending = nil
}

// startLocked gives a copy the state, and the updates after it.
func (c *CacheRelay) startLocked(p pendingCopy) {
	context := p.observer.conn.JellyContext(p.observer.perspective)
	context.Root = "state"
	fragment := jelly.NewFragment(context)
	if err := encodeSafely(fragment, func() error { return fragment.Raw(c.state) }); err != nil {
		fragment.Free()
		p.reply(nil, err)
		return
	}
	p.reply(fragment, nil)
	c.observers = append(c.observers, p.observer)
	var shared encodedFor
	for _, u := range c.log {
		shared = encodedFor{}
		c.send(p.observer, u, &shared)
	}
}

// update passes an update on to the copies.
func (c *CacheRelay) update(u relayedUpdate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var shared encodedFor
	for _, o := range c.observers {
		c.send(o, u, &shared)
	}
	if c.state == nil {
		releaseHandles(u.args) // Copies that wait for the state get one that has it.
		return
	}
	c.log = append(c.log, u)
	c.logged += u.args.Len()
	if len(c.log) > mostLogged || c.logged > mostLoggedBytes {
		c.forgetLocked()
	}
}

// forgetLocked forgets the state and the updates after it.
func (c *CacheRelay) forgetLocked() {
	if c.state != nil {
		releaseHandles(c.state)
	}
	for _, u := range c.log {
		releaseHandles(u.args)
	}
	c.state, c.log, c.logged = nil, nil, 0
}

// send sends an update to one copy, behind what waits to be passed on from the source's connection.
func (c *CacheRelay) send(o *Observer, u relayedUpdate, shared *encodedFor) {
	if o.conn.Context().Err() != nil {
		return // Unobserve follows.
	}
	call := o.newCall(u.method)
	kind := o.conn.Encoding()
	if call.Encoded = shared.get(kind); call.Encoded == nil {
		fragment := o.conn.NewFragment(o.perspective, "")
		err := encodeSafely(fragment, func() error {
			if err := fragment.Raw(u.args); err != nil {
				return err
			}
			return fragment.JellyDict(nil)
		})
		if err != nil {
			fragment.Free()
			o.unsent(u.method, err)
			return
		}
		if fragment.Personal() {
			call.Fragment = fragment
		} else {
			call.Encoded = encoded(fragment)
			*shared = encodedFor{kind, call.Encoded}
		}
	}
	to := passingOf(o.conn)
	if to.waiters.Load() == 0 {
		_ = o.conn.SendCall(call) // An update that cannot be sent ends the connection.
		return
	}
	if send := o.conn.HoldCall(call); send != nil {
		c.from.pairTo(to).pass(heldUpdate(send))
	}
}

// heldUpdate is an update that may have to wait for calls in front of it. Its bytes count as written already.
type heldUpdate func()

// passNow implements passable.
func (u heldUpdate) passNow(*pair) (until func(f func())) {
	u()
	return nil
}

// waitsIn implements passable.
func (heldUpdate) waitsIn(*pair) {}

// fail fails the copies that wait for the state. Those that have it get no more updates if the connection has ended.
func (c *CacheRelay) fail(err error) {
	c.mu.Lock()
	pending := c.pending
	c.pending, c.asked = nil, time.Time{}
	if c.source.Err() != nil {
		c.forgetLocked()
	}
	c.mu.Unlock()
	for _, p := range pending {
		p.reply(nil, err)
	}
}

// relayedCache implements seam.Core for a CacheRelay.
type relayedCache CacheRelay

var _ seam.Core = (*relayedCache)(nil)

// String implements seam.Core.
func (c *relayedCache) String() string { return c.class }

// Value implements seam.Core.
func (c *relayedCache) Value() any { return (*CacheRelay)(c) }

// Hold implements seam.Core.
func (c *relayedCache) Hold(*actor.Runtime) {}

// Release implements seam.Core.
func (c *relayedCache) Release() {}

// UsableIn implements seam.Core.
func (c *relayedCache) UsableIn(*actor.Runtime) error { return nil }

// Publish implements seam.Core.
func (c *relayedCache) Publish(*actor.Runtime) (withdraw func(), err error) {
	return nil, InsecureJelly.Errorf("%v cannot be published", (*CacheRelay)(c))
}

// Undecoded implements seam.Core.
func (c *relayedCache) Undecoded(string) (all bool, keeps func(string) bool) { return false, nil }

// Deliver implements seam.Core. A Cacheable has no methods for peers.
func (c *relayedCache) Deliver(call seam.Call) {
	invocationOf(call).drop(NoSuchMethod.New("a Cacheable of another process has no methods"))
}

// Observe implements seam.Core: the copy gets the state that is known, or the one that is asked for. It must not wait:
// whoever holds the lock may be running the broker that calls it.
func (c *relayedCache) Observe(o seam.Observer, reply func(state *jelly.Fragment, err error)) {
	p := pendingCopy{observerOf(o), reply}
	c.soon(func(relay *CacheRelay) { relay.observe(p) })
}

// soon has f run on a goroutine of its own.
func (c *relayedCache) soon(f func(relay *CacheRelay)) {
	run := func() { f((*CacheRelay)(c)) }
	if !c.source.remote.conn.Runtime().Go("a copy of a Cacheable of another process", run) {
		go run()
	}
}

func (c *CacheRelay) observe(p pendingCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.source.Err()
	switch {
	case err != nil:
		p.reply(nil, ConnectionLost.Wrap(err))
		return
	case c.state != nil:
		c.startLocked(p)
		return
	}
	c.pending = append(c.pending, p)
	if !c.asked.IsZero() && time.Since(c.asked) < askAgain {
		return
	}
	c.asked = time.Now()
	_ = c.source.mustSend(nil, "state", []any{c.feed}) // If it cannot be sent, the end of the connection is near.
}

// Unobserve implements seam.Core. It must not wait either.
func (c *relayedCache) Unobserve(o seam.Observer, done func()) {
	gone := observerOf(o)
	c.soon(func(relay *CacheRelay) {
		relay.unobserve(gone)
		if done != nil {
			done()
		}
	})
}

func (c *CacheRelay) unobserve(gone *Observer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.observers)
	c.observers = slices.DeleteFunc(c.observers, func(o *Observer) bool { return o == gone })
	if len(c.observers) < before && len(c.observers)+len(c.pending) == 0 {
		c.forgetLocked()
		_ = c.source.mustSend(nil, "stop", []any{c.feed}) // If the connection has ended, it has stopped.
	}
}
