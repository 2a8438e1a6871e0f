package flavors

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
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
//   - For a call to the peer, next may be called again, for example after a failure, until the result is there. Each
//     time is a call of its own, and the caller gets the one result that the function returns.
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

// The errors of misused interceptors.
var (
	errNextTwice = errors.New("flavors: an interceptor called next twice for a call of the peer: the method runs once")
	errNextLate  = errors.New("flavors: an interceptor called next after it had returned: " +
		"the method runs in the turn of its object only")
	errNextOver  = errors.New("flavors: an interceptor called next after it had returned the result of the call")
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
	case c.in != nil:
		return c.in.invoke(ctx)
	}
	return c.sendCall(ctx)
}

// run calls the interceptors. It recovers their panics.
func (c *CallInfo) run(ctx context.Context, chain CallFunc) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			p := &PanicError{What: "an interceptor of the call " + c.String(), Value: r, Stack: debug.Stack()}
			c.logPanic(p)
			if c.out != nil {
				c.out.sent.Load().Cancel() // Nobody will get the answer.
			}
			v, err = nil, p
		}
	}()
	return chain(ctx, c)
}

func (c *CallInfo) logPanic(p *PanicError) {
	if c.in != nil {
		c.in.inv.logPanic(p) // It is in use while the interceptors run.
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
	c := newOutgoingInfo(callee, mode, method, args)
	v, err = c.run(ctx, chain)
	_, later := v.(*actor.Deferred)
	called, pooled := c.leave(!later)
	if pooled {
		*c.out = outgoingInfo{}
		outgoingInfos.Put(c.out)
	}
	if v == nil && err == nil && !called {
		err = errNextNever
	}
	return v, err
}

// outgoingInfos pools those of calls that are over.
var outgoingInfos = sync.Pool{New: func() any { return new(outgoingInfo) }}

// newOutgoingInfo copies args, so that they need no memory of their own on the way here.
func newOutgoingInfo(callee Callee, mode sendMode, method string, args []any) *CallInfo {
	o := outgoingInfos.Get().(*outgoingInfo)
	o.callee, o.send = callee, mode
	o.args, o.kw = splitKw(append(o.room[:0], args...))
	c := &CallInfo{conn: connOf(callee), method: method, out: o, answer: mode != sendSoonOnly && mode != sendNowOnly}
	if r, ok := callee.(*RemoteReference); ok {
		c.typ = &r.remote.name
	}
	return c
}

// sendCall makes the call.
func (c *CallInfo) sendCall(ctx context.Context) (any, error) {
	before := c.send()
	defer func() { c.state.Add(^uint32(infoSending - 1)) }()
	if before&infoPooled != 0 {
		return nil, errNextOver
	}
	o := c.out
	args := o.args
	if o.kw != nil {
		args = append(slices.Clip(args), o.kw)
	}
	mode := o.send
	if before&infoOver != 0 {
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
		return callAndWait(ctx, o.callee, c.method, args, nil)
	case sendSoon:
		return o.answerOf(start(ctx, o.callee, c.method, args)), nil
	case sendNow:
		return o.answerOf(callNow(ctx, o.callee, c.method, args)), nil
	case sendSoonOnly:
		return nil, sendOnly(ctx, o.callee, c.method, args)
	case sendNowOnly:
		return nil, sendOnlyNow(ctx, o.callee, c.method, args)
	}
	p := beginCall(ctx, o.callee, mode, c.method, args)
	if p.err != nil {
		return nil, p.err
	}
	o.began.CompareAndSwap(nil, p)
	return o.answerOf(p.promise.Result), nil
}

func (o *outgoingInfo) answerOf(d *actor.Deferred) *actor.Deferred {
	o.sent.Store(d)
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
