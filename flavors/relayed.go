package flavors

import (
	"fmt"
	"io"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
)

// Relayed is a value that is kept as it came, without being decoded. A method takes one as an argument, or has one as
// its result, on connections with broker.WithRelaying:
//
//	func (s *Shelf) RemoteLeave(key string, x *flavors.Relayed) { … }
//	func (s *Shelf) RemoteFetch(key string) (*flavors.Relayed, error) { … }
//
// It may be any value: copies of classes that this side does not know, references, lists that contain themselves. It
// can be sent any number of times, over any connection. What it mentions is held until [Relayed.Release] is called, or
// the value is garbage collected. On other connections the argument is decoded first, so its classes must be
// registered.
//
// An argument that is kept must not share a list, a dictionary or a copy with another argument of the same call;
// otherwise the call fails.
type Relayed struct {
	mu  sync.RWMutex
	raw *jelly.Raw // guarded by mu; nil once released
}

var errRelayedReleased = DeadReference.New("the value was released, or not received")

// Release gives up what the value mentions. The value cannot be sent any more. What was sent before stays valid.
func (r *Relayed) Release() {
	if r == nil {
		return
	}
	r.mu.Lock()
	raw := r.raw
	r.raw = nil
	r.mu.Unlock()
	if raw != nil {
		releaseHandles(raw)
	}
}

// Len returns how many bytes the value has on the wire, without what it mentions; 0 once it has been released.
func (r *Relayed) Len() int {
	if r == nil {
		return 0
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.raw == nil {
		return 0
	}
	return r.raw.Len()
}

// JellyTo implements [jelly.Jellyable].
func (r *Relayed) JellyTo(e *jelly.Encoder, self any) error {
	if r == nil {
		return e.Value(nil)
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.raw == nil {
		return errRelayedReleased
	}
	return r.raw.JellyTo(e, self)
}

// String describes the value for logs.
func (r *Relayed) String() string { return fmt.Sprintf("<%d bytes, not decoded>", r.Len()) }

// Format prints what String returns, whatever the verb.
func (r *Relayed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// DescribeJelly implements [jelly.Describer].
func (r *Relayed) DescribeJelly() string { return unbracketed(r.String()) }

// relayedOf returns a value that was decoded as one that was not.
func relayedOf(v any) *Relayed {
	raw := new(jelly.Raw)
	raw.Bind(v)
	return &Relayed{raw: raw}
}

// Relay is an object of ours whose calls are not decoded. [NewRelay] makes one. It is sent, published and returned by a
// realm as a [Referenceable] is, and may be embedded.
type Relay struct {
	handle func(*Invocation)

	mu       sync.Mutex
	core     *relayObject // guarded by mu
	released func()
}

// NewRelay makes an object whose calls are given to handle, in the order in which they arrive, on connections with
// broker.WithRelaying. handle must see to it that each is answered, then or later: with [Invocation.PassTo],
// [Invocation.PassToObject] or [Invocation.Answer]. The arguments are not decoded, so [Invocation.Args] and
// [Invocation.Kw] are empty, unless the connection has no such option or the call was made on a promise.
//
// handle runs in the turn of the connection's broker: it must not block, and a panic fails the call.
func NewRelay(handle func(inv *Invocation)) *Relay { return &Relay{handle: handle} }

// OnReleased has f called whenever no connection holds the object any more. f must not block. It must be set before the
// object is sent.
func (r *Relay) OnReleased(f func()) { r.released = f }

// relayed is implemented by pointers to structs that are or embed a Relay.
type relayed interface {
	relayedCore(self any) (*relayObject, error)
}

func (r *Relay) relayedCore(self any) (*relayObject, error) {
	if r == nil || r.handle == nil {
		return nil, InsecureJelly.Errorf("a %T without a handler cannot be sent: make its Relay with NewRelay", self)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.core == nil {
		r.core = &relayObject{relay: r, value: self}
	}
	return r.core, nil
}

// JellyTo writes [remote luid]; the broker fills in the luid. Where broker.WithSubstitutes has an address for the
// object, that is written. Package jelly calls it.
func (r *Relay) JellyTo(e *jelly.Encoder, self any) error {
	if err := refuseCopy(e, self); err != nil {
		return err
	}
	if s, ok := e.Invoker().(seam.Substituter); ok && e.Profile().IsExtended() {
		if kind, id, ok := s.AddressOf(self); ok {
			return e.Address(kind, id)
		}
	}
	core, err := r.relayedCore(self)
	if err != nil {
		return err
	}
	return writeReference(e, seam.Export{Core: core, Prefix: string(PrefixRemote), Perspective: e.Perspective()})
}

// relayObject implements seam.Core for a Relay.
type relayObject struct {
	relay *Relay
	value any
	home  atomic.Pointer[home] // where it passes calls to; nil if that is not known

	mu    sync.Mutex
	holds int // guarded by mu
}

var _ seam.Core = (*relayObject)(nil)

// String implements seam.Core.
func (c *relayObject) String() string { return typeName(c.value) }

// Value implements seam.Core.
func (c *relayObject) Value() any { return c.value }

// Hold implements seam.Core.
func (c *relayObject) Hold(*actor.Runtime) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds++
}

// Release implements seam.Core.
func (c *relayObject) Release() {
	c.mu.Lock()
	c.holds--
	last := c.holds == 0
	c.mu.Unlock()
	if last && c.relay.released != nil {
		c.relay.released()
	}
}

// UsableIn implements seam.Core.
func (c *relayObject) UsableIn(*actor.Runtime) error { return nil }

// Publish implements seam.Core.
func (c *relayObject) Publish(*actor.Runtime) (withdraw func(), err error) {
	c.Hold(nil)
	return c.Release, nil
}

// Undecoded implements seam.Core.
func (c *relayObject) Undecoded(string) (all bool, keeps func(string) bool) { return true, nil }

// Observe implements seam.Core. A Relay is no Cacheable, so nobody calls it.
func (c *relayObject) Observe(_ seam.Observer, reply func(*jelly.Fragment, error)) {
	reply(nil, InsecureJelly.Errorf("%v is no Cacheable", c))
}

// Unobserve implements seam.Core.
func (c *relayObject) Unobserve(_ seam.Observer, done func()) {
	if done != nil {
		done()
	}
}

// Deliver implements seam.Core.
func (c *relayObject) Deliver(call seam.Call) {
	inv := invocationOf(call)
	inv.beginPassing()
	inv.hideArgs()
	inv.relaying().by = c
	defer func() {
		if r := recover(); r != nil {
			_ = inv.panicked(r)
		}
	}()
	c.relay.handle(inv)
}

// Passing is what [Invocation.PassTo] and [Invocation.PassToObject] may be told besides. All fields are optional.
type Passing struct {
	// Admit is called in the turn of the object that gets the call, right before its method runs. If it returns an
	// error, the call fails with it and the method does not run. It is for PassToObject.
	Admit func() error
	// Answered is called once, when the call has been answered or its connection has ended.
	Answered func()
	// NotPassed is called in place of an answer if the call could not be given to the peer's connection, because that
	// has ended, or [TakeBack] was called. The call may then be passed elsewhere. It is for PassTo.
	NotPassed func(cause error)
	// Returns has [TakeBackFrom] return the call if it waits at the object. It is for PassToObject.
	Returns bool
	// Failed returns what the caller gets if the call fails on this side: with PassTo, as when the peer's connection
	// ends; with PassToObject, if the object stops before its method runs.
	Failed func(err error) error
}

// PassTo passes a call that a [Relay] was given on to an object of another peer, and answers it with what that peer
// answers. The call carries the metadata and the deadline of this one, and is cancelled with it. If one of the peers
// does not read, calls wait, in order. PassTo does not block, and may be called later, on any goroutine.
func (inv *Invocation) PassTo(ref *RemoteReference, how ...Passing) {
	inv.passAs(how)
	switch {
	case inv == nil || inv.conn == nil:
	case inv.onAnswer == nil:
		inv.Answer(nil, errNotPassed)
	case !ref.isMade():
		inv.releaseRaw()
		inv.drop(errNoReference)
	case !ref.remote.conn.Relays():
		inv.releaseRaw()
		inv.drop(notRelaying(ref))
	default:
		ref.pass(inv)
	}
}

// relaying is what a call has that is passed on, or may be. A nil relaying has nothing.
type relaying struct {
	rawArgs, rawKw *jelly.Raw       // in place of Args and Kw if these were not decoded
	passing        *Passing         // nil for most
	viewer         any              // whose view of the object it was passed to, if viewed is set
	passTo         *RemoteReference // what it is passed on to
	by             *relayObject     // the Relay that has the call
	inPair         pairEntry
	hidden         int  // the number of arguments that were decoded early
	isOpen         bool // it is among the open calls of a pair
	viewed         bool // viewer is set
	early          bool // the arguments were decoded although a Relay has the call, and are hidden from that
}

// relaying returns what the call has as one that is passed on. The first call makes it.
func (inv *Invocation) relaying() *relaying {
	if inv.relay == nil {
		inv.relay = new(relaying)
	}
	return inv.relay
}

// setRaw sets the arguments of a call that were not decoded; nil if they were.
func (inv *incoming) setRaw(args, kw *jelly.Raw) {
	if args != nil || inv.relay != nil {
		r := (*Invocation)(inv).relaying()
		r.rawArgs, r.rawKw = args, kw
	}
}

// takeRaw returns the arguments that were not decoded, and takes them out.
func (inv *Invocation) takeRaw() (args, kw *jelly.Raw) {
	if r := inv.relay; r != nil {
		args, kw = r.rawArgs, r.rawKw
		r.rawArgs, r.rawKw = nil, nil
	}
	return args, kw
}

func (r *relaying) isRaw() bool { return r != nil && r.rawArgs != nil }

func (r *relaying) isViewed() bool { return r != nil && r.viewed }

// how returns how the call is passed on, nil if nothing was said.
func (r *relaying) how() *Passing {
	if r == nil {
		return nil
	}
	return r.passing
}

// canReturn reports whether a call is given back that cannot be passed on.
func (r *relaying) canReturn() bool {
	p := r.how()
	return p != nil && p.NotPassed != nil
}

// returns reports whether a call that waits at an object may be taken back.
func (r *relaying) returns() bool {
	p := r.how()
	return p != nil && p.Returns
}

// clear makes it that of a new call.
func (r *relaying) clear() {
	if r != nil {
		*r = relaying{}
	}
}

// passAs notes how a call is passed on.
func (inv *Invocation) passAs(how []Passing) {
	if inv != nil && len(how) > 0 {
		inv.relaying().passing = &how[len(how)-1]
	}
}

// errNotPassed is the error of a call that no Relay was given.
var errNotPassed = RuntimeError.New("only a call that a flavors.Relay was given can be passed on")

// PassToObject gives a call that a [Relay] was given to an object of this process: a pointer to a struct that embeds a
// flavor, or a *[ViewPoint]. The object must be in use, or spawned. Its arguments are decoded in its turn. PassToObject
// does not block, and may be called later, on any goroutine.
func (inv *Invocation) PassToObject(object any, how ...Passing) {
	inv.passAs(how)
	if inv == nil || inv.conn == nil {
		return
	}
	if inv.onAnswer == nil {
		inv.Answer(nil, errNotPassed)
		return
	}
	hole, err := exportAny(object)
	if err != nil {
		inv.releaseRaw()
		inv.drop(err)
		return
	}
	// The answer is for the caller, whoever's view the object has of it.
	r := inv.relaying()
	inv.prefix, r.viewer, r.viewed = Prefix(hole.Prefix), hole.Perspective, true
	inv.showArgs()
	if by := r.by; by != nil && r.isRaw() {
		by.passesTo(hole.Core, inv.prefix)
	}
	hole.Core.Deliver((*incoming)(inv))
}

// backFromObject undoes PassToObject for a call that has not begun.
func (inv *Invocation) backFromObject() {
	r := inv.relay
	inv.prefix, inv.core, r.viewer, r.viewed, r.passing = PrefixRemote, nil, nil, false, nil
}

// Undecoded implements seam.Core.
func (c *objectCore) Undecoded(prefix string) (all bool, keeps func(method string) bool) {
	table, err := methodsFor(reflect.TypeOf(c.Value()), Prefix(prefix))
	if err != nil || !table.keeps {
		return false, nil
	}
	return false, table.keepsValues
}

// keepsValues reports whether a method keeps arguments as they came.
func (t *MethodTable) keepsValues(wire string) bool {
	c := t.lookup(wire).caller
	return c != nil && c.parameters().keepsSome()
}

// decodeLate decodes the arguments of a call after all, those excepted that the method keeps as they came.
func (inv *Invocation) decodeLate(c caller) error {
	rawArgs, rawKw := inv.takeRaw()
	if rawArgs == nil {
		return nil
	}
	d := inv.conn.NewDecoder()
	if c != nil && c.parameters().keepsSome() {
		return c.parameters().decodeOthers(inv, d, rawArgs, rawKw)
	}
	var args, kw any
	err := decodeOne(d, rawArgs, &args)
	if err == nil && rawKw != nil {
		err = decodeOne(d, rawKw, &kw)
	}
	if err != nil {
		return localFailure(err)
	}
	switch args := args.(type) {
	case jelly.Tuple:
		inv.Args = args
	case []any:
		inv.Args = args
	}
	if dict, ok := kw.(*jelly.Dict); ok && dict.Len() > 0 {
		inv.Kw = dict
	}
	return nil
}

// decodeOne decodes a value, and makes the copies in it.
func decodeOne(d *jelly.Decoder, raw *jelly.Raw, dst *any) error {
	d.Reset()
	if err := raw.Decode(d, dst); err != nil {
		return err
	}
	return jelly.Unjelly(d.Unbound(), nil, nil)
}

// decodeOthers decodes the arguments of which the method does not take the bytes.
func (s *signature) decodeOthers(inv *Invocation, d *jelly.Decoder, rawArgs, rawKw *jelly.Raw) error {
	elements, err := rawArgs.Elements()
	if err != nil {
		return localFailure(err)
	}
	inv.Args = make(jelly.Tuple, len(elements))
	for i, x := range elements {
		switch {
		case s.keepsArgument(i):
			inv.Args[i] = &Relayed{raw: x}
			continue
		case x.IsDict() && rawKw == nil && s.takesKeywordsAt(i, len(elements)):
			if names, values, err := x.Entries(); err == nil {
				if inv.Args[i], err = s.decodeKeywords(d, names, values, false); err != nil {
					return localFailure(err)
				}
				continue
			}
		}
		if err := decodeOne(d, x, &inv.Args[i]); err != nil {
			return localFailure(err)
		}
	}
	if rawKw == nil {
		return nil
	}
	names, values, err := rawKw.Entries()
	if err == nil {
		inv.Kw, err = s.decodeKeywords(d, names, values, true)
	}
	if err != nil {
		return localFailure(err)
	}
	return nil
}

// decodeKeywords decodes those of which the method does not take the bytes. They may be for parameters too if params is
// set.
func (s *signature) decodeKeywords(d *jelly.Decoder, names []string, values []*jelly.Raw, params bool) (
	kw *jelly.Dict, err error,
) {
	kw = jelly.NewDict()
	for i, x := range values {
		var v any
		if s.keepsKeyword(names[i], params) {
			v = &Relayed{raw: x}
		} else if err := decodeOne(d, x, &v); err != nil {
			return nil, err
		}
		kw.Set(names[i], v)
	}
	return kw, nil
}

// relayedType is *Relayed.
var relayedType = reflect.TypeFor[*Relayed]()

// keepIfRelayed notes that a fixed parameter, or a keyword field behind these, keeps its argument as it came, if it has
// the type for that.
func (s *signature) keepIfRelayed(at int, t reflect.Type) {
	if t == relayedType {
		s.undecoded |= 1 << at
	}
}

// keepsSome reports whether the method keeps any arguments as they came.
func (s *signature) keepsSome() bool { return s.undecoded != 0 || s.keepsRest }

// keepsArgument reports whether the method keeps a positional argument as it came.
func (s *signature) keepsArgument(i int) bool {
	if i >= len(s.fixed) && (s.variadic != nil || s.keepsRest) {
		return s.keepsRest
	}
	return s.undecoded&(1<<i) != 0
}

// takesKeywordsAt reports whether the positional argument i of several is a dictionary for the whole keyword struct, if
// it is a dictionary and there are no keywords.
func (s *signature) takesKeywordsAt(i, given int) bool {
	k := s.keywords
	return i == len(s.fixed) && given == i+1 && s.variadic == nil && k != nil && k.typ != nil && !k.firstTakesDict
}

func (s *signature) keepsKeyword(name string, params bool) bool {
	at, known := s.placeOf(name, params)
	return known && s.undecoded&(1<<at) != 0
}

// keepValues makes arguments that were decoded what the method takes.
func (s *signature) keepValues(inv *Invocation) {
	for i, v := range inv.Args {
		if _, ok := v.(*Relayed); !ok && v != nil && s.keepsArgument(i) {
			inv.Args[i] = relayedOf(v)
		}
	}
	if inv.Kw == nil {
		return
	}
	for i := range inv.Kw.Entries() {
		e := &inv.Kw.Entries()[i]
		name, ok := kwName(e.Key)
		if _, is := e.Value.(*Relayed); ok && !is && e.Value != nil && s.keepsKeyword(name, true) {
			e.Value = relayedOf(e.Value)
		}
	}
}
