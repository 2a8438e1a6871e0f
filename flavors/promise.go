package flavors

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
)

// NotAReference is how a call fails that uses a [Promise] whose result is not a reference to an object of the peer's:
// another value, or an object of the caller's own.
var NotAReference = NewException("perspectivebroker.NotAReference", PBError)

// Callee is what methods can be called on: a *[RemoteReference], a *[Promise] of one, or what embeds an [Indirect].
type Callee interface {
	// CallRemote calls a method; see [RemoteReference.CallRemote] and [Promise.CallRemote].
	CallRemote(method string, args ...any) *actor.Deferred
	// Begin calls a method and returns the promise of its result.
	Begin(method string, args ...any) *Promise

	isCallee()
}

func (*RemoteReference) isCallee() {}
func (*Promise) isCallee()         {}

// Promise is the reference that a call of the peer will return. It can be called, and passed as an argument of other
// calls over the same connection, before the call is answered. The peer then uses the result as soon as it is there, so
// calls that depend on each other take one round trip together.
//
//	user := root.Begin("user", "ann")
//	inbox := user.Begin("inbox")
//	n, err := flavors.Call[int](ctx, inbox, "unread")
//
// [RemoteReference.Begin], [Promise.Begin] and [Begin] make a Promise. It needs no release. Calls on one Promise run in
// the order in which they were made. A call that has promises in its arguments runs when all of them are there; calls
// on other references do not wait for it. When the call that was begun fails, calls that use the Promise fail with the
// same error. When its result is not a reference to an object of the peer's, they fail with [NotAReference]: a number,
// a text or a list cannot be passed on as a promise.
//
// The peer sends the result in any case; [Promise.Deferred] has it.
//
// If the peer does not speak dialect pb+1, or 1,024 results are outstanding, calls that use the Promise are kept here
// until its call has been answered, and are then sent, in the same order.
type Promise struct {
	promise *seam.Promise
	result  *actor.Deferred // what interceptors made of the promise's; nil if there are none
	err     error           // why the call was not made
}

// Begin calls a method and returns the promise of its result. The arguments are encoded before Begin returns.
func (r *RemoteReference) Begin(method string, args ...any) *Promise {
	return begin(context.Background(), r, beginNow, method, args)
}

// Begin calls a method of the promised object and returns the promise of its result.
func (p *Promise) Begin(method string, args ...any) *Promise {
	return begin(context.Background(), p, beginNow, method, args)
}

// Begin is the Begin method of c for callers that have a context: the call has the deadline and the metadata of ctx, as
// that of [Call], and Begin waits while too much waits to be written, until ctx ends. A method of an object or an actor
// blocks its actor while Begin waits.
func Begin(ctx context.Context, c Callee, method string, args ...any) *Promise {
	if ctx == nil {
		return &Promise{err: fmt.Errorf("flavors: calling %s: %w", method, actor.ErrNilContext)}
	}
	return begin(ctx, c, beginSoon, method, args)
}

// begin makes a call through the interceptors. Calls on the promise name the call that these made, whatever they made
// of its result.
func begin(ctx context.Context, c Callee, mode sendMode, method string, args []any) *Promise {
	c = directOf(c)
	chain := chainFor(c)
	if chain == nil {
		return beginCall(ctx, c, mode, method, args)
	}
	info := newOutgoingInfo(c, mode, method, args)
	v, err := info.run(ctx, chain)
	if called, _ := info.leave(false); v == nil && err == nil && !called {
		err = errNextNever
	}
	if err != nil {
		return &Promise{err: err}
	}
	result := deferred(info.conn, v, nil)
	if p := info.out.began.Load(); p != nil {
		return &Promise{promise: p.promise, result: result}
	}
	return &Promise{promise: &seam.Promise{Conn: info.conn, Result: result}} // They have answered it themselves.
}

func beginCall(ctx context.Context, c Callee, mode sendMode, method string, args []any) *Promise {
	call := new(seam.OutgoingCall)
	conn, err := prepareCall(ctx, c, call, method, args)
	if err != nil {
		return &Promise{err: err}
	}
	p := newPromise(call, conn)
	if mode == beginSoon {
		_ = conn.SendCallSoon(ctx, call) // The Deferred has the error.
		follow(ctx, call.Result)
	} else {
		_ = conn.SendCall(call)
	}
	runtime.KeepAlive(c)
	return p
}

func newPromise(call *seam.OutgoingCall, conn seam.Conn) *Promise {
	call.WantAnswer()
	call.Promise = &seam.Promise{Conn: conn, Result: call.Result}
	return &Promise{promise: call.Promise}
}

// Indirect is for types outside of this package that can be called, because they stand for something that can: they
// embed one. [Call], [Start], [Send], [Begin] and [CallInOrder] then take them.
type Indirect struct{ target func() Callee }

// NewIndirect returns an Indirect for what target returns, which must be a *RemoteReference or a *Promise. target is
// called for each call.
func NewIndirect(target func() Callee) Indirect { return Indirect{target} }

func (Indirect) isCallee() {}

// CallRemote calls a method; see [RemoteReference.CallRemote].
func (i Indirect) CallRemote(method string, args ...any) *actor.Deferred {
	return callAtOnce(context.Background(), i, method, args)
}

// Begin calls a method and returns the promise of its result.
func (i Indirect) Begin(method string, args ...any) *Promise {
	return begin(context.Background(), i, beginNow, method, args)
}

func (i Indirect) direct() Callee {
	if i.target == nil {
		return nil
	}
	return i.target()
}

// directOf returns what is called in place of an [Indirect], and any other callee itself.
func directOf(c Callee) Callee {
	switch c.(type) {
	case *RemoteReference, *Promise:
		return c
	}
	if i, ok := c.(interface{ direct() Callee }); ok {
		return i.direct()
	}
	return c
}

// prepareCall fills an empty call on a callee. It is no method of Callee, so that args need not be allocated.
func prepareCall(ctx context.Context, c Callee, call *seam.OutgoingCall, method string, args []any) (seam.Conn, error) {
	switch c := c.(type) {
	case *RemoteReference:
		if err := c.prepare(ctx, call, method, args); err != nil {
			return nil, err
		}
		return c.remote.conn, nil
	case *Promise:
		if err := c.prepare(ctx, call, method, args); err != nil {
			return nil, err
		}
		return c.promise.Conn, nil
	}
	return nil, errNoReference
}

// connOf returns the connection of a callee, or nil.
func connOf(c Callee) seam.Conn {
	switch c := c.(type) {
	case *RemoteReference:
		if c.isMade() {
			return c.remote.conn
		}
	case *Promise:
		if c != nil && c.promise != nil {
			return c.promise.Conn
		}
	}
	return nil
}

// chainFor returns the interceptors of a callee's connection; nil if there are none.
func chainFor(c Callee) CallFunc {
	if conn := connOf(c); conn != nil {
		return chainOf(conn)
	}
	return nil
}

// errNoPromise is the error of all methods of a nil promise.
var errNoPromise = DeadReference.New("the promise is nil, or was not made by Begin")

func (p *Promise) isMade() bool { return p != nil && (p.promise != nil || p.err != nil) }

// Deferred returns the result of the call that was begun.
func (p *Promise) Deferred() *actor.Deferred {
	switch {
	case !p.isMade():
		return actor.Failed(errNoPromise)
	case p.err != nil:
		return actor.Failed(p.err)
	case p.result != nil:
		return p.result
	}
	return p.promise.Result
}

// CallRemote calls a method of the promised object. It is [RemoteReference.CallRemote] otherwise.
func (p *Promise) CallRemote(method string, args ...any) *actor.Deferred {
	return callAtOnce(context.Background(), p, method, args)
}

// CallRemoteContext calls a method of the promised object. It is [RemoteReference.CallRemoteContext] otherwise.
func (p *Promise) CallRemoteContext(ctx context.Context, method string, args ...any) *actor.Deferred {
	return callWithContext(ctx, p, method, args)
}

// CallRemoteNoAnswer calls a method of the promised object and asks for no answer. It is
// [RemoteReference.CallRemoteNoAnswer] otherwise.
func (p *Promise) CallRemoteNoAnswer(method string, args ...any) error {
	return sendAtOnce(p, method, args)
}

// prepare fills an empty call. References in answers have no perspective, so the arguments are encoded for none.
func (p *Promise) prepare(ctx context.Context, call *seam.OutgoingCall, method string, args []any) error {
	switch {
	case !p.isMade():
		return errNoPromise
	case p.err != nil:
		return p.err
	}
	conn := p.promise.Conn
	if conn.Context().Err() != nil {
		return DeadReference.Wrap(context.Cause(conn.Context()))
	}
	if err := describeCall(ctx, conn, call, method); err != nil {
		return err
	}
	fragment, err := encodeCall(conn, nil, method, args)
	if err != nil {
		return err
	}
	call.Init(conn, nil)
	call.Object, call.Method, call.Fragment = p.promise, method, fragment
	return nil
}

// Conn returns the connection of the promise; nil if its call was not made.
func (p *Promise) Conn() Conn {
	if p == nil || p.promise == nil {
		return nil
	}
	return publicConn(p.promise.Conn)
}

// String describes the promise for logs.
func (p *Promise) String() string {
	if !p.isMade() {
		return "<promise nil>"
	}
	return "<promise of " + p.Deferred().String() + ">"
}

// Format prints what String returns, whatever the verb, because other goroutines may be changing the promise.
func (p *Promise) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, p.String()) }

// DescribeJelly implements [jelly.Describer].
func (p *Promise) DescribeJelly() string { return unbracketed(p.String()) }

// JellyTo implements [jelly.Jellyable]: a promise can be an argument of a call over its own connection.
func (p *Promise) JellyTo(e *jelly.Encoder, _ any) error {
	switch {
	case p == nil:
		return e.Value(nil)
	case !p.isMade():
		return errNoPromise
	case p.err != nil:
		return p.err
	case e.Invoker() != any(p.promise.Conn):
		return InsecureJelly.New("the promise belongs to another connection: wait for its result, and send an object of " +
			"your own that passes calls on")
	}
	e.Hole(seam.PromiseHole{Promise: p.promise})
	return nil
}
