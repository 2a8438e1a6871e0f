package flavors

import (
	"context"
	"fmt"
	"reflect"
	"runtime"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// Call calls a method of the peer's object, waits for the answer and converts it to T. It is CallRemote for plain goroutines.
//
// It honours ctx: when that ends first, the call is forgotten here (the peer carries it out all the same, its late answer is
// dropped) and the error is ctx's. It waits while too much waits to be written to the connection. A method of an object or an actor
// must not use it, because it holds up its actor, and a peer that calls back meanwhile would wait for ever: return a Deferred there.
func Call[T any](ctx context.Context, r *RemoteReference, method string, args ...any) (T, error) {
	var zero T
	call, err := r.newCallWithResult(method, args)
	if err != nil {
		return zero, err
	}
	r.remote.conn.SendCallSoon(ctx, call)
	runtime.KeepAlive(r)
	d := call.Result
	v, err := d.Await(ctx)
	if err != nil {
		if ctx.Err() != nil {
			d.Cancel()
		}
		return zero, err
	}
	var result T
	if err := jelly.Assign(&result, v); err != nil {
		return zero, fmt.Errorf("the answer of %s cannot be had as %v: %w", method, reflect.TypeFor[T](), err)
	}
	return result, nil
}
