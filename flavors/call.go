package flavors

import (
	"context"
	"fmt"
	"reflect"
	"runtime"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Call calls a method of the peer's object, or of the one that is promised, waits for the answer and converts it to T.
// It is [RemoteReference.CallRemote] for plain goroutines.
//
// If ctx ends first, Call returns its error, and the answer is dropped. Under dialect pb+1 the peer learns of it: the
// call carries ctx's deadline and metadata ([WithMetadata]) and is cancelled when ctx ends, so that the context of the
// method ends. A call that has not begun by then is not run. Any other peer carries out the call nevertheless.
//
// Call waits while too much waits to be written to the connection. A method of an object or an actor must not use it,
// because it blocks its actor, and a peer that calls back meanwhile would wait for ever: return a Deferred there.
//
// Call returns as soon as the answer has been read. Calls that the peer sent before the answer may not have run yet:
// see [CallInOrder].
func Call[T any](ctx context.Context, c Callee, method string, args ...any) (T, error) {
	var zero T
	v, err := call(ctx, c, method, args, jelly.DirectFor(reflect.TypeFor[T]()))
	if err != nil {
		return zero, err
	}
	result, err := As[T](v, nil)
	if err != nil {
		return zero, fmt.Errorf("calling %s: %w", method, err)
	}
	return result, nil
}

// call makes a call through the interceptors, and waits for its answer. Interceptors see a general value.
func call(ctx context.Context, c Callee, method string, args []any, want *jelly.Direct) (any, error) {
	if ctx == nil {
		return nil, fmt.Errorf("flavors: calling %s: %w", method, actor.ErrNilContext)
	}
	c = directOf(c)
	chain := chainFor(c)
	if chain == nil {
		return callAndWait(ctx, c, method, args, want)
	}
	v, err := outgoing(ctx, c, chain, sendAndWait, method, args)
	if d, ok := v.(*actor.Deferred); ok && d != nil && err == nil {
		if v, err = d.Await(ctx); err != nil && ctx.Err() != nil {
			d.Cancel()
		}
	}
	return v, err
}

// callAndWait makes a call and waits for its answer, which may have the type of want.
func callAndWait(ctx context.Context, c Callee, method string, args []any, want *jelly.Direct) (any, error) {
	call := seam.NewCall()
	conn, err := prepareCall(ctx, c, call, method, args)
	if err != nil {
		return nil, err
	}
	w := call.AwaitAnswer()
	call.Want = want
	_ = conn.SendCallSoon(ctx, call) // The Deferred knows.
	runtime.KeepAlive(c)
	d := call.Result
	v, err := d.AwaitAndReset(ctx, w)
	if err != nil {
		if ctx.Err() != nil {
			d.Cancel()
		}
		return nil, err
	}
	call.Recycle() // The connection may still refer to one that ended otherwise.
	return v, nil
}

// As converts a result to T, as an argument is converted to the type of a parameter, or returns its error. It is for
// results that come later, from [RemoteReference.CallRemote] and as messages. [Call] converts for itself.
//
//	n, err := flavors.As[int](d.Await(ctx))
//
//	d.Then(inv, func(v any, err error) (any, error) {
//		n, err := flavors.As[int](v, err)
//		…
//	})
//
//	case flavors.Answer:
//		n, err := flavors.As[int](m.Value, m.Err)
func As[T any](value any, err error) (T, error) {
	if err != nil {
		var zero T
		return zero, err
	}
	if result, ok := convertQuickly[T](value); ok {
		return result, nil
	}
	result, err := convertSlowly[T](value)
	if err != nil {
		var zero T
		return zero, usercode.Wrap(err, "the answer cannot be had as %v", reflect.TypeFor[T]())
	}
	return result, nil
}

// Start calls a method of the peer's object and returns when the call has been given to the connection, with the
// Deferred of the answer. It is [RemoteReference.CallRemote], but waits while too much waits to be written, until ctx
// ends. A method of an object or an actor blocks its actor while Start waits.
//
// Under dialect pb+1 the call carries ctx's deadline and metadata ([WithMetadata]). It is cancelled by
// [actor.Deferred.Cancel], and, if ctx is that of an invocation or derived from one, when that invocation is cancelled.
// The end of any other ctx does not cancel it.
func Start(ctx context.Context, c Callee, method string, args ...any) *actor.Deferred {
	if ctx == nil {
		return actor.Failed(fmt.Errorf("flavors: calling %s: %w", method, actor.ErrNilContext))
	}
	c = directOf(c)
	chain := chainFor(c)
	if chain == nil {
		return start(ctx, c, method, args)
	}
	v, err := outgoing(ctx, c, chain, sendSoon, method, args)
	return deferred(connOf(c), v, err)
}

func start(ctx context.Context, c Callee, method string, args []any) *actor.Deferred {
	call := new(seam.OutgoingCall)
	conn, err := prepareCall(ctx, c, call, method, args)
	if err != nil {
		return actor.Failed(err)
	}
	call.WantAnswer()
	_ = conn.SendCallSoon(ctx, call) // The Deferred has the error.
	runtime.KeepAlive(c)
	follow(ctx, call.Result)
	return call.Result
}

// callNow is start, but does not wait for room.
func callNow(ctx context.Context, c Callee, method string, args []any) *actor.Deferred {
	call := new(seam.OutgoingCall)
	conn, err := prepareCall(ctx, c, call, method, args)
	if err != nil {
		return actor.Failed(err)
	}
	call.WantAnswer()
	_ = conn.SendCall(call) // The Deferred has the error.
	runtime.KeepAlive(c)
	follow(ctx, call.Result)
	return call.Result
}

// Send calls a method and asks for no answer. It is [RemoteReference.CallRemoteNoAnswer], but waits while too much
// waits to be written, until ctx ends. So a producer that uses it sends as fast as the peer reads, and none of its
// calls is refused. A method of an object or an actor blocks its actor while Send waits. Under dialect pb+1 the call
// carries ctx's deadline, after which it is not begun, and metadata ([WithMetadata]).
func Send(ctx context.Context, c Callee, method string, args ...any) error {
	if ctx == nil {
		return fmt.Errorf("flavors: calling %s: %w", method, actor.ErrNilContext)
	}
	c = directOf(c)
	chain := chainFor(c)
	if chain == nil {
		return sendOnly(ctx, c, method, args)
	}
	_, err := outgoing(ctx, c, chain, sendSoonOnly, method, args)
	return err
}

func sendOnly(ctx context.Context, c Callee, method string, args []any) error {
	call := new(seam.OutgoingCall)
	conn, err := prepareCall(ctx, c, call, method, args)
	if err != nil {
		return err
	}
	err = conn.SendCallSoon(ctx, call)
	runtime.KeepAlive(c)
	return err
}

// sendOnlyNow is sendOnly, but does not wait for room.
func sendOnlyNow(ctx context.Context, c Callee, method string, args []any) error {
	call := new(seam.OutgoingCall)
	conn, err := prepareCall(ctx, c, call, method, args)
	if err != nil {
		return err
	}
	err = conn.SendCall(call)
	runtime.KeepAlive(c)
	return err
}

// CallInOrder is [Call], but returns only when the calls that the peer sent before its answer have been carried out
// here: what the peer did by calling back has been done. It waits for these calls' methods to return, whether the call
// itself succeeds or fails.
//
// Call does not wait for them: each object has a turn of its own, and the answer goes to the caller. See
// [Conn.Settled].
func CallInOrder[T any](ctx context.Context, c Callee, method string, args ...any) (T, error) {
	c = directOf(c)
	v, err := Call[T](ctx, c, method, args...)
	if conn := connOf(c); conn != nil && ctx != nil && ctx.Err() == nil {
		if waitErr := conn.Settled(ctx); waitErr != nil {
			var zero T
			return zero, waitErr
		}
	}
	return v, err
}
