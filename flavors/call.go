package flavors

import (
	"context"
	"fmt"
	"github.com/perspectivebroker/pb/internal/seam"
	"reflect"
	"runtime"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Call calls a method of the peer's object, waits for the answer and converts it to T. It is CallRemote for plain
// goroutines.
//
// It honours ctx: when that ends first, the call is forgotten here (the peer carries it out all the same, its late
// answer is dropped) and the error is ctx's. It waits while too much waits to be written to the connection. A method of
// an object or an actor must not use it, because it holds up its actor, and a peer that calls back meanwhile would wait
// for ever: return a Deferred there.
//
// It returns as soon as the answer has been read. Calls that the peer sent before the answer may not have run yet: see
// [CallInOrder].
func Call[T any](ctx context.Context, r *RemoteReference, method string, args ...any) (T, error) {
	var zero T
	if ctx == nil {
		return zero, fmt.Errorf("flavors: calling %s: %w", method, actor.ErrNilContext)
	}
	call := calls.Get().(*seam.OutgoingCall)
	if err := r.prepare(call, method, args); err != nil {
		return zero, err
	}
	call.WantAnswer()
	_ = r.remote.conn.SendCallSoon(ctx, call) // The Deferred knows.
	runtime.KeepAlive(r)
	d := call.Result
	v, err := d.Await(ctx)
	if err != nil {
		if ctx.Err() != nil {
			d.Cancel()
		}
		return zero, err
	}
	call.Reset()
	calls.Put(call)
	if result, ok := convertQuickly[T](v); ok {
		return result, nil
	}
	result, err := convertSlowly[T](v)
	if err != nil {
		return zero, usercode.Wrap(err, "the answer of %s cannot be had as %v", method, reflect.TypeFor[T]())
	}
	return result, nil
}

// calls are used again by Call, which is the only one that knows them: those that ended with an answer. One that ended
// otherwise may still be known to the connection.
var calls = sync.Pool{New: func() any { return new(seam.OutgoingCall) }}

// CallInOrder is [Call], and returns only when the calls that the peer sent before its answer have been carried out
// here, as in a program where one thing happens after the other: what the peer did by calling back before it answered
// is done. It waits for these calls' methods to return, whether the call itself went well or failed.
//
// Call does not wait for them: each object has a turn of its own, and the answer goes to the caller. See
// [Conn.Settled].
func CallInOrder[T any](ctx context.Context, r *RemoteReference, method string, args ...any) (T, error) {
	v, err := Call[T](ctx, r, method, args...)
	if r != nil && r.remote != nil && ctx != nil && ctx.Err() == nil {
		if waitErr := r.remote.conn.Settled(ctx); waitErr != nil {
			var zero T
			return zero, waitErr
		}
	}
	return v, err
}
