package broker

import (
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/seam"
)

// This file has what connections with WithRelaying do differently. What is not to be decoded must be known when a
// message is read, before its object is looked up. So the numbers say it: luids of objects are odd, 1 modulo 4 if all
// their calls are passed on and 3 if they have methods that keep arguments as they came, and calls whose results are
// passed on have odd request ids. All others are even.

// nextID returns the next luid for an object with a prefix.
func (b *broker) nextID(core seam.Core, prefix string) int64 {
	if !b.c.options.relaying {
		return b.ids.Next()
	}
	all, keeps := core.Undecoded(prefix)
	switch {
	case all:
		return b.ids.NextOf(1, 4)
	case keeps != nil:
		id := b.ids.NextOf(3, 4)
		b.c.keepers.add(id, keeps)
		return id
	}
	return b.ids.NextOf(0, 2)
}

// nextCacheID returns the next luid for a Cacheable.
func (b *broker) nextCacheID() int64 {
	if !b.c.options.relaying {
		return b.ids.Next()
	}
	return b.ids.NextOf(0, 2)
}

// keepers are the objects that have methods which keep arguments as they came. The broker adds and removes them, the
// decoder looks them up.
type keepers struct {
	names map[string]func(method string) bool // of published objects; immutable once the decoder runs

	mu   sync.RWMutex
	byID map[int64]func(method string) bool // guarded by mu
}

func (k *keepers) add(id int64, keeps func(string) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID == nil {
		k.byID = map[int64]func(string) bool{}
	}
	k.byID[id] = keeps
}

func (k *keepers) remove(id int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byID, id)
}

// keep reports whether a method of an object keeps arguments as they came.
func (k *keepers) keep(id int64, method string) bool {
	k.mu.RLock()
	keeps := k.byID[id]
	k.mu.RUnlock()
	return keeps != nil && keeps(method)
}

// publishKeeper notes how calls of a published object are read.
func (c *connection) publishKeeper(name string, core seam.Core, prefix string) {
	if !c.options.relaying {
		return
	}
	all, keeps := core.Undecoded(prefix)
	if all {
		keeps = func(string) bool { return true }
	}
	if keeps == nil {
		return
	}
	if c.keepers.names == nil {
		c.keepers.names = map[string]func(string) bool{}
	}
	c.keepers.names[name] = keeps
}

// nextRequest returns the next request id.
func (b *broker) nextRequest(undecoded bool) int64 {
	if !b.c.options.relaying {
		return b.pending.Next()
	}
	if undecoded {
		return b.pending.NextOf(1, 2)
	}
	return b.pending.NextOf(0, 2)
}

// References that a user sends and gets belong to the user's perspective, so that values for them are encoded for the
// user, and other peers see each object of the user's as one. With WithRelaying that holds for calls to the objects of
// other peers, and for answers of the user's objects, as for calls to the avatar.

// sentFor notes the perspective under which an object of another peer is sent. Those of no user do not count: calls of
// placed objects over links have them.
func (b *broker) sentFor(e *export, perspective any) {
	if (e.Value.more == nil || e.Value.more.perspective == nil) && b.c.sessions.userOf(perspective) != nil {
		e.Value.extra().perspective = perspective
	}
}

// perspectiveOf returns the one under which calls of an export are received.
func perspectiveOf(e *export) any {
	if e.Key.perspective == nil && e.Value.more != nil {
		return e.Value.more.perspective
	}
	return e.Key.perspective
}

// perspectiveOfAnswer returns the one under which the answer to a call of ours is received; nil if the call was
// cancelled. Without WithRelaying there is none, as in stock peers.
func (b *broker) perspectiveOfAnswer(call *seam.OutgoingCall) any {
	if call == nil || !b.c.options.relaying {
		return nil
	}
	return call.Perspective
}

// lost is the failure of a call that has no answer when its connection ends.
func (c *connection) lost(cause error) error {
	if x := c.options.lostAs; x != nil {
		return x.Wrap(cause)
	}
	return flavors.ConnectionLost.Wrap(cause)
}

// Substitute implements seam.Substituter.
func (c *connection) Substitute(ref any) any {
	if r, ok := ref.(*flavors.RemoteReference); ok && c.options.substitutes.Reference != nil {
		return c.options.substitutes.Reference(r)
	}
	return nil
}

// SubstituteCache implements seam.Substituter.
func (c *connection) SubstituteCache(original, perspective any) any {
	if f := c.options.substitutes.Cacheable; f != nil {
		return f(original, perspective)
	}
	return nil
}

// AddressOf implements seam.Substituter.
func (c *connection) AddressOf(object any) (kind, id string, ok bool) {
	if f := c.options.substitutes.Address; f != nil {
		return f(object)
	}
	return "", "", false
}

// resolve returns what an address stands for.
func (c *connection) resolve(kind, id string) (any, error) {
	if object := c.options.substitutes.Object(kind, id); object != nil {
		return object, nil
	}
	return nil, flavors.PBError.Errorf("there is nothing at the address %s %q", clip(kind), clip(id))
}

// watchOrigin has the option WithOriginEnded told when the connection ends that an object came over.
func (c *connection) watchOrigin(core seam.Core) (unwatch func() bool) {
	passed, ok := core.(seam.Relayed)
	if !ok || c.options.originEnded == nil {
		return nil
	}
	return passed.WhenOriginEnds(func(gone any) {
		if gone, ok := gone.(flavors.Gone); ok && !c.ended() {
			c.options.originEnded(&c.conn, gone)
		}
	})
}

// toldGone notes that the latest mention of an object has told the peer that the object is gone.
func toldGone(e *export) { e.Value.extra().told = e.Mentions() }

// tellAgain is called when the peer has given back a mention and still holds the object. If it has given back all that
// it knows to be gone, it may have got the others, which were under way, as a new reference.
func (b *broker) tellAgain(e *export) {
	more := e.Value.more
	if more == nil || more.told == 0 {
		return
	}
	if more.told--; more.told == 0 {
		e.Value.forgetOrigin()
		more.unwatch = b.c.watchOrigin(e.Key.core) // It has ended, so this is at once.
	}
}

// forgetOrigin ends the watch of watchOrigin.
func (e *exported) forgetOrigin() {
	if e.more != nil && e.more.unwatch != nil {
		e.more.unwatch()
		e.more.unwatch = nil
	}
}

// Relays implements seam.Conn.
func (c *connection) Relays() bool { return c.options.relaying }

// Caller implements seam.Conn.
func (c *connection) Caller() seam.Caller { return c.caller }

// Unanswered implements seam.Conn.
func (c *connection) Unanswered() (n, most int) { return int(c.pending.Load()), c.limits.CallsOut }

// HoldCall implements seam.Conn.
func (c *connection) HoldCall(call *seam.OutgoingCall) (send func()) {
	size, ok := c.reserve(call)
	if !ok {
		return nil
	}
	return func() { _ = c.sendReserved(call, size) } // An update that cannot be sent ends the connection.
}

// HasRoom implements seam.Conn.
func (c *connection) HasRoom() bool {
	return c.ended() || c.out.Waiting() <= c.account.WriteHighWater()
}

// WhenRoom implements seam.Conn.
func (c *connection) WhenRoom(f func()) { c.out.WhenBelow(c.account.WriteHighWater, f) }

// TryCall implements seam.Conn.
func (c *connection) TryCall(call *seam.OutgoingCall) (taken bool) {
	size := sizeOf(call)
	full := call.Result != nil && c.pending.Load() >= int64(c.limits.CallsOut) && !c.ended()
	if full || !c.out.TryReserve(size, c.account.WriteHighWater()) {
		return false
	}
	switch {
	case call.Result == nil || c.ctx.Err() != nil:
		_ = c.sendReserved(call, size) // The Deferred has the error.
	case c.countPending():
		c.sendCounted(call)
	default: // Another connection's broker has made the last call.
		c.out.Release(size)
		return false
	}
	return true
}

// isUndecoded reports whether the arguments of a call are not to be decoded. Those of a call on a promise are: its
// object is not known yet.
func (c *commandReader) isUndecoded(cmd *incoming) bool {
	o := &cmd.Object
	switch {
	case cmd.Name != command.Message, o.Promise, o.ID.Big != nil:
		return false
	case o.Name != "":
		keeps := c.conn.keepers.names[o.Name]
		return keeps != nil && keeps(cmd.Method)
	}
	switch o.ID.Int & 3 {
	case 1:
		return true
	case 3:
		return c.conn.keepers.keep(o.ID.Int, cmd.Method)
	}
	return false
}

// keepArguments reads the two values of a call, undecoded, unless it is known that they are for an object of this
// process.
func (c *commandReader) keepArguments(cmd *incoming) {
	defer c.d.Reset()
	c.values = c.r
	if c.decodeDirectly(cmd) {
		internal.DecodedEarly(cmd.call)
		c.decoded(cmd)
		c.finishCall(cmd)
		return
	}
	cmd.rawArgs = jelly.NewRaw()
	cmd.err = c.d.DecodeRaw(&c.r, cmd.rawArgs)
	if cmd.err == nil {
		if cmd.noKw = c.skipEmptyKw(); !cmd.noKw {
			cmd.rawKw = jelly.NewRaw()
			cmd.err = c.d.DecodeRaw(&c.r, cmd.rawKw)
		}
	}
	c.decoded(cmd)
	c.finishCall(cmd)
}

// keepResult reads the value of an answer, undecoded. A failure is decoded, because stock peers end the connection if
// they do not know everything in it: the other peer gets its type, text, parents and traceback.
func (c *commandReader) keepResult(cmd *incoming) {
	defer c.d.Reset()
	c.values = c.r
	if cmd.Name == command.Error {
		c.decodeFailure(cmd)
		return
	}
	raw := jelly.NewRaw()
	cmd.value = raw
	cmd.err = c.d.DecodeRaw(&c.r, raw)
	c.decoded(cmd)
}

// decodeFailure decodes a failure of any class.
func (c *commandReader) decodeFailure(cmd *incoming) {
	if c.failures == nil {
		c.failures = c.conn.newDecoder()
		c.failures.AcceptInstances = true
	}
	usual := c.d
	c.d = c.failures
	defer func() {
		c.d.Reset()
		c.d = usual
	}()
	cmd.err = c.d.Decode(&c.r, &cmd.value)
	c.decoded(cmd)
}

// checkRaw checks the forms of arguments that were not decoded, as [arguments] does of others.
func checkRaw(cmd *incoming) error {
	if !cmd.rawArgs.IsTuple() {
		return flavors.TypeError.New("the arguments of a call are a tuple")
	}
	if cmd.rawKw != nil && !cmd.rawKw.IsDict() {
		return flavors.TypeError.New("the keyword arguments of a call are a dictionary")
	}
	return nil
}

// comesHome is [home] for a value that is delivered. The object of another peer is one more receipt.
func (b *broker) comesHome(e *export, received []seam.Handle) (any, []seam.Handle) {
	v := home(e)
	if f := b.c.options.substitutes.Home; f != nil {
		if other := f(v); other != nil {
			v = other
		}
	}
	if ref, ok := v.(*flavors.RemoteReference); ok && internal.Share(ref) {
		received = append(received, ref)
	}
	return v, received
}
