package seam

import "github.com/perspectivebroker/pb/actor"

// Promise is the result of a call of ours that is not answered yet, as something to call and to pass as an argument.
type Promise struct {
	// Conn is the connection of the call.
	Conn Conn
	// Result is that of the call.
	Result *actor.Deferred
	// Entry is the broker's. Only its turn uses it.
	Entry any
}

// PromiseHole is the placeholder of a promise in the arguments of a call. It is a whole expression: [promise id], or
// the reference that the promise has become.
type PromiseHole struct{ Promise *Promise }
