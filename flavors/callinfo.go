package flavors

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
)

// CallInfo describes a call to interceptors. Its methods may be called from any goroutine, also after the call. But
// Args, Kw, Perspective, Reference and Invocation must be called for the first time before the interceptors have
// returned or, if the result comes later, before that is there. Afterwards they may return nil, because calls of which
// nobody has asked for these use each other's memory again.
type CallInfo struct {
	conn   seam.Conn
	method string
	typ    *string // nil if there is no name
	out    *outgoingInfo
	in     *incomingInfo
	state  atomic.Uint32 // a set of info… bits, and how many calls of sendCall are under way
	answer bool
}

// outgoingInfo is what making a call to the peer needs. It may be that of another call once infoPooled is set.
type outgoingInfo struct {
	callee Callee
	args   []any
	kw     Kw
	send   sendMode
	began  atomic.Pointer[Promise]        // of a Begin: the first call that was made
	sent   atomic.Pointer[actor.Deferred] // the answer to the last call; nil if next has waited for it

	room [4]any // for args
}

// incomingInfo is the CallInfo of a call of the peer with the call's context, in one piece of memory.
type incomingInfo struct {
	CallInfo

	inv     *Invocation // may be that of another call once infoPooled is set
	context callContext
}

// interception is what the call of a method through interceptors needs. It is part of the invocation.
type interception struct {
	info   atomic.Pointer[incomingInfo] // nil unless interceptors see the call
	object *object                      // in whose turn it is
	method numbered

	result atomic.Pointer[actor.Deferred] // of a method that answers by itself; nil until needed

	// Written before infoContext is set: the method's context, if it is not the invocation's own.
	ctx context.Context
	// Written before infoRan is set.
	panicked *PanicError
	later    bool // the method will answer by itself
	kept     bool // the method may have kept the invocation
	// Written before infoAwaited is set: closed when the method has returned.
	ran chan struct{}
}

// current returns what the interceptors see of the call, nil if there are none.
func (i *interception) current() *incomingInfo {
	if i == nil {
		return nil
	}
	return i.info.Load()
}

// isLater reports whether the method will answer by itself. A nil interception has nothing.
func (i *interception) isLater() bool { return i != nil && i.later }

// panic returns the panic of the method, nil if it has returned or there are no interceptors.
func (i *interception) panic() *PanicError {
	if i == nil {
		return nil
	}
	return i.panicked
}

// clear makes it that of a new call.
func (i *interception) clear() {
	if i.current() == nil {
		return
	}
	i.info.Store(nil)
	if i.result.Load() != nil {
		i.result.Store(nil)
	}
	i.object, i.method, i.ctx, i.panicked, i.later, i.kept, i.ran = nil, numbered{}, nil, nil, false, false, nil
}

// lingers reports whether there is more to do about the call once it has been answered, or before.
func (i *interception) lingers() bool { return i != nil && (i.later || i.panicked != nil) }

// The bits of a CallInfo's state.
const (
	infoCalled  = 1 << iota // next has been called
	infoRan                 // the method of a call of the peer has returned
	infoOver                // the interceptors have returned
	infoAwaited             // the turn waits for the method
	infoContext             // an interceptor has replaced the context of a method
	infoUsed                // what can be pooled has been given to an interceptor
	infoPooled              // it is pooled
	infoSending             // what a running sendCall adds
)

// use reports whether what can be pooled is that of the call. If so it will not be pooled.
func (c *CallInfo) use() bool { return c.state.Or(infoUsed)&infoPooled == 0 }

// letGo has what can be pooled be used again, and reports whether it may be: nobody else has it or will get it.
func (c *CallInfo) letGo() bool {
	s := c.state.Load()
	return isLeft(s) && c.state.CompareAndSwap(s, s|infoPooled)
}

// isLeft reports whether only the CallInfo in this state has what can be pooled.
func isLeft(state uint32) bool { return state&infoUsed == 0 && state < infoSending }

// leave notes that the interceptors of a call to the peer have returned: called if they have called next. If pool is
// set, and nobody else has what can be pooled, it is as after letGo, and pooled is true.
func (c *CallInfo) leave(pool bool) (called, pooled bool) {
	for {
		s := c.state.Load()
		next := s | infoOver
		if pooled = pool && isLeft(s); pooled {
			next |= infoPooled
		}
		if c.state.CompareAndSwap(s, next) {
			return s&infoCalled != 0, pooled
		}
	}
}

// send notes that next is making a call to the peer, and returns the state before.
func (c *CallInfo) send() (before uint32) {
	for {
		s := c.state.Load()
		if c.state.CompareAndSwap(s, (s|infoCalled)+infoSending) {
			return s
		}
	}
}

// sendMode is how a call to the peer is made.
type sendMode uint8

const (
	sendAndWait  sendMode = iota // Call
	sendSoon                     // Start
	sendNow                      // CallRemote
	sendSoonOnly                 // Send
	sendNowOnly                  // CallRemoteNoAnswer
	beginSoon                    // Begin
	beginNow                     // the methods Begin
)

// Incoming reports whether the peer makes the call.
func (c *CallInfo) Incoming() bool { return c.in != nil }

// Method returns the wire name of the method, without prefix. In a call of the peer it is the peer's choice.
func (c *CallInfo) Method() string { return c.method }

// Type names the Go type of the object that the peer calls, without its package. The type of a peer's object is not
// known: for a call to the peer it is the name under which the object is published, or empty.
func (c *CallInfo) Type() string {
	if c.typ == nil {
		return ""
	}
	return *c.typ
}

// Conn returns the connection of the call.
func (c *CallInfo) Conn() Conn { return publicConn(c.conn) }

// Perspective returns the avatar on whose behalf the peer makes the call, or the perspective under which the reference
// was received that is called; nil without a login.
func (c *CallInfo) Perspective() any {
	if c.in != nil {
		return c.Invocation().Perspective()
	}
	return c.Reference().Perspective()
}

// Metadata returns what a call of the peer carried; nil if there was none. What a call to the peer will carry is in its
// context: see [OutgoingMetadata]. It must not be changed.
func (c *CallInfo) Metadata() Metadata {
	if c.in == nil {
		return nil
	}
	return c.in.context.metadata.all()
}

// MetadataText returns one value of Metadata; "" if there is none. Bytes are returned as a string. It costs less than
// Metadata.
func (c *CallInfo) MetadataText(key string) string {
	if c.in == nil {
		return ""
	}
	e, _ := c.in.context.metadata.find(key)
	return e.value
}

// Args returns the positional arguments: as Jelly decoded them, or as they were given to the call. They must not be
// changed. They may hold secrets, as those of a login do.
func (c *CallInfo) Args() []any {
	switch {
	case c.conn == nil || !c.use():
		return nil
	case c.in != nil:
		return c.in.inv.Args
	}
	return c.out.args
}

// Kw returns the keyword arguments; nil if there are none. They must not be changed.
func (c *CallInfo) Kw() Kw {
	switch {
	case c.conn == nil || !c.use():
		return nil
	case c.in == nil:
		return c.out.kw
	case c.in.inv.Kw == nil:
		return nil
	}
	kw := Kw{}
	for k, v := range c.in.inv.Kw.All() {
		if name, ok := k.(string); ok {
			kw[name] = v
		}
	}
	return kw
}

// WantsAnswer reports whether the caller has asked for an answer.
func (c *CallInfo) WantsAnswer() bool { return c.answer }

// Invocation returns the call of the peer; nil for a call to the peer. An interceptor should return its answer and not
// give it to [Invocation.Answer].
func (c *CallInfo) Invocation() *Invocation {
	if c.in == nil || !c.use() {
		return nil
	}
	return c.in.inv
}

// Reference returns the reference that is called; nil for a call of the peer, and for a call on a [Promise].
func (c *CallInfo) Reference() *RemoteReference {
	if c.out == nil || !c.use() {
		return nil
	}
	r, _ := c.out.callee.(*RemoteReference)
	return r
}

// String names the call in logs, as Type.method. The name of the method is clipped and, since a peer may have chosen
// it, escaped where it is not printable.
func (c *CallInfo) String() string {
	method := clipText(c.method, maxQuotedName)
	if c.in != nil {
		method = strconv.Quote(method)
		method = method[1 : len(method)-1]
	}
	if typ := c.Type(); typ != "" {
		return typ + "." + method
	}
	return method
}
