package flavors

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"
)

// Interceptor wraps the calls of a connection, in both directions. broker.WithInterceptor sets the interceptors of a
// listener or a dialer. Updates of Cacheables are no calls and pass by.
type Interceptor interface {
	// WrapCall returns a function that is called for each call in place of next, and usually calls next. It is called once
	// for each listener or dialer.
	WrapCall(next CallFunc) CallFunc
}

// InterceptorFunc is an [Interceptor] without state of its own.
type InterceptorFunc func(next CallFunc) CallFunc

// WrapCall implements [Interceptor].
func (f InterceptorFunc) WrapCall(next CallFunc) CallFunc { return f(next) }

// CallFunc makes a call to the peer, or carries out a call of the peer, and returns the result. A result that comes
// later is a *actor.Deferred: [WhenDone] handles both.
//
// The last next makes the call or runs the method. What the function returns is the result for the caller:
//
//   - An error without a call of next refuses the call. A result without a call of next answers it; nil without an
//     error does not, and is an error. Return actor.Succeeded(nil) for None.
//   - The ctx that is given to next is that of the call: a call to the peer carries its metadata and deadline
//     ([WithMetadata]), a method gets it as its ctx parameter and from [Invocation.Context]. It should be derived from
//     the ctx that the function was given.
//   - For a call to the peer, next may be called again, for example after a failure. Each time is a call of its own,
//     and the caller gets the one result that the function returns.
//   - For a call of the peer, next may be called once, and before the function returns. Otherwise it returns an error,
//     and the method does not run a second time.
//
// The function runs where the call is made: for a call of the peer in the turn of the object, for [Call] on the
// caller's goroutine, which next then blocks until the answer is there. So it must not wait for anything else. If it
// panics, the call fails, and the panic is logged. A panic of a method is a *[PanicError] that next returns; the object
// is restarted when the call has been answered.
type CallFunc func(ctx context.Context, call *CallInfo) (any, error)

// WhenDone calls f with the result of a [CallFunc]: at once or, if the result is a *actor.Deferred, when that
// completes. It returns what f returns, or a Deferred of that. f must not block, as a function given to OnComplete.
//
//	start := time.Now()
//	v, err := next(ctx, call)
//	return flavors.WhenDone(v, err, func(v any, err error) (any, error) {
//		log.Print(call.Method(), time.Since(start), err)
//		return v, err
//	})
func WhenDone(v any, err error, f func(v any, err error) (any, error)) (any, error) {
	if f == nil {
		return nil, errors.New("flavors: WhenDone was given no function")
	}
	if d, ok := v.(*actor.Deferred); ok && d != nil && err == nil {
		return d.Map(f), nil
	}
	return f(v, err)
}

// CallInfo describes a call to interceptors. Its methods may be called from any goroutine, also after the call.
type CallInfo struct {
	conn   seam.Conn
	method string
	typ    string
	args   []any
	kw     Kw
	dict   *jelly.Dict // kw of a call of the peer, not converted
	answer bool

	callee Callee // of a call to the peer
	send   sendMode
	began  atomic.Pointer[Promise]        // of a Begin: the first call that was made
	called atomic.Bool                    // next has been called
	over   atomic.Bool                    // the interceptors have returned
	sent   atomic.Pointer[actor.Deferred] // the answer to the last call; nil if next has waited for it

	inv    *Invocation // of a call of the peer
	object *object
	table  *MethodTable
	m      numbered
	ctx    atomic.Pointer[context.Context] // the method's; nil if it is the invocation's own
	result actor.Deferred                  // of a method that answers by itself

	mu sync.Mutex
	// Guarded by mu, of a call of the peer.
	state    methodState
	ran      chan struct{} // closed when the method has returned; nil if nobody waits
	panicked *PanicError
	later    bool // it will answer by itself
}

// methodState is how far the method of an intercepted call is.
type methodState uint8

const (
	methodFresh   methodState = iota
	methodRuns                // next runs the method
	methodRan                 // the method has returned
	methodSkipped             // the interceptors have returned, and have not called next
)

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
func (c *CallInfo) Incoming() bool { return c.inv != nil }

// Method returns the wire name of the method, without prefix. In a call of the peer it is the peer's choice.
func (c *CallInfo) Method() string { return c.method }

// Type names the Go type of the object that the peer calls, without its package. The type of a peer's object is not
// known: for a call to the peer it is the name under which the object is published, or empty.
func (c *CallInfo) Type() string { return c.typ }

// Conn returns the connection of the call.
func (c *CallInfo) Conn() Conn { return publicConn(c.conn) }

// Perspective returns the avatar on whose behalf the peer makes the call, or the perspective under which the reference
// was received that is called; nil without a login.
func (c *CallInfo) Perspective() any {
	if c.inv != nil {
		return c.inv.Perspective()
	}
	return c.Reference().Perspective()
}

// Metadata returns what a call of the peer carried; nil if there was none. What a call to the peer will carry is in its
// context: see [OutgoingMetadata]. It must not be changed.
func (c *CallInfo) Metadata() Metadata { return c.inv.Metadata() }

// Args returns the positional arguments: as Jelly decoded them, or as they were given to the call. They must not be
// changed. They may hold secrets, as those of a login do.
func (c *CallInfo) Args() []any { return c.args }

// Kw returns the keyword arguments; nil if there are none. They must not be changed.
func (c *CallInfo) Kw() Kw {
	if c.dict == nil {
		return c.kw
	}
	kw := Kw{}
	for k, v := range c.dict.All() {
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
func (c *CallInfo) Invocation() *Invocation { return c.inv }

// Reference returns the reference that is called; nil for a call of the peer, and for a call on a [Promise].
func (c *CallInfo) Reference() *RemoteReference {
	r, _ := c.callee.(*RemoteReference)
	return r
}

// String names the call in logs, as Type.method.
func (c *CallInfo) String() string {
	if c.inv != nil {
		return c.inv.String()
	}
	method := clipText(c.method, maxQuotedName)
	if c.typ == "" {
		return method
	}
	return c.typ + "." + method
}

// The errors of misused interceptors.
var (
	errNextTwice = errors.New("flavors: an interceptor called next twice for a call of the peer: the method runs once")
	errNextLate  = errors.New("flavors: an interceptor called next after it had returned: " +
		"the method runs in the turn of its object only")
	errNextNever = errors.New("flavors: an interceptor returned neither a result nor an error, and did not call next: " +
		"return actor.Succeeded(nil) for the result None")
	errNoInterceptor = errors.New("the interceptor is nil")
	errNoCallFunc    = errors.New("its WrapCall returned nil")
)

// intercept returns the function that calls the interceptors in their order and then makes the call.
func intercept(interceptors []Interceptor) (chain CallFunc, err error) {
	chain = carryOut
	for n, i := range slices.Backward(interceptors) {
		if i == nil || usercode.IsNilPointer(i) {
			return nil, fmt.Errorf("interceptor %d of %d: %w", n+1, len(interceptors), errNoInterceptor)
		}
		next := chain
		if p := usercode.Do(func() { chain = i.WrapCall(next) }); p != nil {
			return nil, fmt.Errorf("interceptor %d of %d, a %T: its WrapCall panicked: %s",
				n+1, len(interceptors), i, usercode.PanicText(p.Value))
		}
		if chain == nil {
			return nil, fmt.Errorf("interceptor %d of %d, a %T: %w", n+1, len(interceptors), i, errNoCallFunc)
		}
	}
	return chain, nil
}

// chainOf returns the interceptors of a connection; nil if there are none.
func chainOf(conn seam.Conn) CallFunc {
	chain, _ := conn.Interceptor().(CallFunc)
	return chain
}

// carryOut is the last next.
func carryOut(ctx context.Context, c *CallInfo) (any, error) {
	switch {
	case ctx == nil:
		return nil, fmt.Errorf("flavors: an interceptor called next: %w", actor.ErrNilContext)
	case c == nil || c.conn == nil:
		return nil, errors.New("flavors: an interceptor called next without the CallInfo that it was given")
	case c.inv != nil:
		return c.invoke(ctx)
	}
	return c.sendCall(ctx)
}

// run calls the interceptors. It recovers their panics.
func (c *CallInfo) run(ctx context.Context, chain CallFunc) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			p := &PanicError{What: "an interceptor of the call " + c.String(), Value: r, Stack: debug.Stack()}
			c.logPanic(p)
			c.sent.Load().Cancel() // Nobody will get the answer.
			v, err = nil, p
		}
	}()
	return chain(ctx, c)
}

func (c *CallInfo) logPanic(p *PanicError) {
	if c.inv != nil {
		c.inv.logPanic(p)
		return
	}
	usercode.Log(func() {
		c.conn.Logger().Error().Str("method", clipText(c.method, maxQuotedName)).
			Str("panic", usercode.PanicText(p.Value)).Bytes("stack", p.Stack).Msg(p.What + " panicked")
	})
}

// Calls to the peer.

// outgoing makes a call through the interceptors.
func outgoing(
	ctx context.Context,
	callee Callee,
	chain CallFunc,
	mode sendMode,
	method string,
	args []any,
) (v any, err error) {
	return newCallInfo(callee, mode, method, args).outgoing(ctx, chain)
}

func newCallInfo(callee Callee, mode sendMode, method string, args []any) *CallInfo {
	c := &CallInfo{
		conn: connOf(callee), method: method, callee: callee, send: mode,
		answer: mode != sendSoonOnly && mode != sendNowOnly,
	}
	if r, ok := callee.(*RemoteReference); ok {
		c.typ = r.remote.name
	}
	c.args, c.kw = splitKw(slices.Clone(args))
	return c
}

func (c *CallInfo) outgoing(ctx context.Context, chain CallFunc) (v any, err error) {
	v, err = c.run(ctx, chain)
	c.over.Store(true)
	if v == nil && err == nil && !c.called.Load() {
		err = errNextNever
	}
	return v, err
}

// sendCall makes the call.
func (c *CallInfo) sendCall(ctx context.Context) (any, error) {
	c.called.Store(true)
	args := c.args
	if c.kw != nil {
		args = append(slices.Clip(args), c.kw)
	}
	mode := c.send
	if c.over.Load() {
		switch mode { // It may be the broker's turn, which must not wait.
		case sendSoonOnly:
			mode = sendNowOnly
		case sendAndWait, sendSoon:
			mode = sendNow
		case beginSoon:
			mode = beginNow
		}
	}
	switch mode {
	case sendAndWait:
		return callAndWait(ctx, c.callee, c.method, args, nil)
	case sendSoon:
		return c.answerOf(start(ctx, c.callee, c.method, args)), nil
	case sendNow:
		return c.answerOf(callNow(ctx, c.callee, c.method, args)), nil
	case sendSoonOnly:
		return nil, sendOnly(ctx, c.callee, c.method, args)
	case sendNowOnly:
		return nil, sendOnlyNow(ctx, c.callee, c.method, args)
	}
	p := beginCall(ctx, c.callee, mode, c.method, args)
	if p.err != nil {
		return nil, p.err
	}
	c.began.CompareAndSwap(nil, p)
	return c.answerOf(p.promise.Result), nil
}

func (c *CallInfo) answerOf(d *actor.Deferred) *actor.Deferred {
	c.sent.Store(d)
	return d
}

// deferred makes a Deferred of what interceptors returned.
func deferred(conn seam.Conn, v any, err error) *actor.Deferred {
	if d, ok := v.(*actor.Deferred); ok && d != nil && err == nil {
		return d
	}
	d := actor.NewDeferred(conn.Runtime())
	d.Complete(v, err)
	return d
}

// Calls of the peer.

// intercepted runs the method through the interceptors, in the turn of its object. The result is to be answered by
// answerIntercepted.
func (o *object) intercepted(chain CallFunc, table *MethodTable, inv *Invocation, m numbered) (any, error) {
	c := &CallInfo{
		conn: inv.conn, method: inv.Method, typ: table.typeName, args: inv.Args, dict: inv.Kw, answer: inv.wantsAnswer,
		inv: inv, object: o, table: table, m: m,
	}
	c.result.Init(inv.conn.Runtime(), nil)
	ctx := inv.Context()
	inv.intercepted.Store(c)
	v, err := c.run(ctx, chain)
	if !c.end() && v == nil && err == nil {
		err = errNextNever
	}
	return v, err
}

// invoke runs the method, once.
func (c *CallInfo) invoke(ctx context.Context) (v any, err error) {
	c.mu.Lock()
	switch c.state {
	case methodRuns, methodRan:
		c.mu.Unlock()
		return nil, errNextTwice
	case methodSkipped:
		c.mu.Unlock()
		return nil, errNextLate
	}
	c.state = methodRuns
	c.mu.Unlock()
	if ctx != c.inv.Context() {
		c.ctx.Store(&ctx)
	}
	var panicked *PanicError
	defer func() {
		if r := recover(); r != nil {
			panicked = &PanicError{What: "the method " + c.inv.name(), Value: r, Stack: debug.Stack()}
			c.inv.logPanic(panicked)
			v, err = nil, panicked
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.state, c.panicked = methodRan, panicked
		if c.ran != nil {
			close(c.ran)
		}
	}()
	v, kept, err := c.table.invoke(c.object.core.Value(), c.inv, c.m)
	if err == errAnswersLater {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.later = true
		return &c.result, nil
	}
	if kept {
		if _, _, answered := c.result.Result(); answered {
			return &c.result, nil // The method has called Answer, which counts.
		}
	}
	return v, err
}

// end notes that the interceptors have returned, and reports whether the method has run. It waits for a method that an
// interceptor has not waited for, because the turn of the object would end otherwise.
func (c *CallInfo) end() (ran bool) {
	c.mu.Lock()
	if c.state == methodRuns {
		c.ran = make(chan struct{})
		c.mu.Unlock()
		usercode.Log(func() {
			c.conn.Logger().WithLevel(zerolog.WarnLevel).Str("call", c.inv.name()).
				Msg("an interceptor returned while the method that it runs on another goroutine has not returned")
		})
		<-c.ran
		return true
	}
	defer c.mu.Unlock()
	if c.state == methodFresh {
		c.state = methodSkipped
	}
	return c.state == methodRan
}

// answersLater reports whether the method has returned and will answer by itself.
func (c *CallInfo) answersLater() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.later
}

// methodPanic returns the panic of the method, if it panicked.
func (c *CallInfo) methodPanic() *PanicError {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.panicked
}
