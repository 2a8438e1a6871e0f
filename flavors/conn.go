package flavors

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/rs/zerolog"
)

// Conn is the connection over which a call or a reference came. Package broker's *Conn implements it; where more is
// needed than this interface has, assert that type.
//
// All methods may be called from any goroutine. None waits except the last three.
type Conn interface {
	// Runtime returns the runtime whose actors serve the connection.
	Runtime() *actor.Runtime
	// Context returns a context that ends with the connection. Its cause is the reason.
	Context() context.Context
	// Logger returns a logger that names the peer in every line.
	Logger() *zerolog.Logger
	// LocalAddr returns this side's address.
	LocalAddr() net.Addr
	// RemoteAddr returns the peer's address.
	RemoteAddr() net.Addr
	// TLS returns the state of the TLS session, with the peer's certificates; nil without TLS.
	TLS() *tls.ConnectionState
	// ServerIdentity names the server that the peer is, for what is kept from session to session; empty if that is not
	// known.
	ServerIdentity() string

	// WaitWritable waits while more bytes wait to be written than the connection's limit allows.
	WaitWritable(ctx context.Context) error
	// WaitSent waits until the connection has handled everything that was given to it before, and then like WaitWritable.
	// A producer that calls it after each call without an answer sends as fast as the peer reads.
	WaitSent(ctx context.Context) error
	// Settled waits until every call that the peer sent before has been carried out: its method has returned, or it will
	// not run. A method that the peer calls must not use it, because it would wait for itself.
	Settled(ctx context.Context) error
}

// BrokerConn is what this package needs of a connection, which package broker implements.
//
// All methods may be called from any goroutine, and none of them waits except [BrokerConn.SendCallSoon],
// [BrokerConn.WaitWritable] and [BrokerConn.WaitSent], and for a moment [BrokerConn.BeginAnswer].
type BrokerConn interface {
	// Conn returns what users see of the connection.
	Conn() Conn

	// Runtime, Context, Logger, ServerIdentity, WaitWritable and WaitSent are those of Conn.
	Runtime() *actor.Runtime
	Context() context.Context
	Logger() *zerolog.Logger
	ServerIdentity() string
	WaitWritable(ctx context.Context) error
	WaitSent(ctx context.Context) error
	Settled(ctx context.Context) error

	// JellyContext is how values for this peer are encoded: profile, limits, security, and the connection itself as the
	// invoker.
	JellyContext(perspective any) jelly.Context
	// Turns is the methods that run for the peer at this moment.
	Turns() *seam.Turns
	// UnsafeTracebacks reports whether failures show the peer where in the code they arose.
	UnsafeTracebacks() bool
	// Congested reports whether so much waits to be written that calls of this peer had better wait.
	Congested() bool
	// WhenClear has f run once the connection is not congested, or has ended. f must not wait; it may run before WhenClear
	// returns.
	WhenClear(f func())
	// SendCall hands a call to the broker. When the connection cannot take it, the call's Result fails with the error that
	// is returned.
	SendCall(call *OutgoingCall) error
	// SendCallSoon is SendCall for those who can wait for room.
	SendCallSoon(ctx context.Context, call *OutgoingCall) error
	// CancelCall forgets a call whose caller no longer waits: a late answer is dropped, and references in it are let go.
	CancelCall(call *OutgoingCall)
	// BeginAnswer is called before an answer is encoded, which takes memory that the connection has not counted yet. Where
	// answers are long and many are in the making it waits, for a moment at the most. An error says that too much waits
	// for the peer, and is to be sent in the answer's place. end, if it is not nil, is to be called behind SendAnswer, in
	// any case.
	BeginAnswer() (end func(), err error)
	// SendAnswer sends what the invocation's method gave. The fragment holds one value and is the connection's from now
	// on. It reports whether the connection is done with the invocation.
	SendAnswer(inv *Invocation, fragment *jelly.Fragment, isError bool) (done bool)
	// CloseInvocation tells that a call which asked for no answer has been carried out.
	CloseInvocation(inv *Invocation)
	// ForgetCache sends the decaches for a cache that nobody holds any more.
	ForgetCache(luid int64, receipts int)
	// Forget sends the decrefs for a reference that nobody holds any more.
	Forget(luid int64, perspective any, receipts int)
}

// OutgoingCall is a call on its way to the peer.
type OutgoingCall struct {
	// Cache marks a message to the peer's RemoteCache (cachemessage) rather than to an object of the peer's.
	Cache bool
	// ID is the peer's luid of the target, unless Name is set.
	ID int64
	// Name is the target's published name, such as "root".
	Name string
	// Method is the wire name of the method.
	Method string
	// Fragment holds two expressions: the tuple of positional arguments and the dictionary of keywords.
	Fragment *jelly.Fragment
	// Encoded is these two expressions, ready to be copied, where many calls share them. It is not written to. Then
	// Fragment is nil.
	Encoded []byte
	// Observer is whose copy a cachemessage goes to, in the place of ID and Name.
	Observer *Observer
	// Result is completed by the answer. Nil means that no answer is asked for.
	Result *actor.Deferred
	// Perspective is the one under which the reference was received, and under which the arguments were encoded.
	Perspective any

	// RequestID is the broker's: zero until the call has been given a number.
	RequestID int64

	via    BrokerConn
	target *seam.Refcount // in use until the call has been written; nil for a published object or a copy
	result actor.Deferred // what Result points to, so that a call is one piece of memory
}

// Free lets go of what the call mentions: it has been written, or never will be. It may be called more than once.
func (call *OutgoingCall) Free() {
	call.Fragment.Free()
	call.Fragment = nil
	if target := call.target; target != nil {
		call.target = nil
		target.Unuse()
	}
}

// wantAnswer gives the call a Result; cancelling that cancels the call.
func (call *OutgoingCall) wantAnswer() {
	call.result.Init(call.via.Runtime(), call)
	call.Result = &call.result
}

// CancelWork implements actor.Canceller.
func (call *OutgoingCall) CancelWork() { call.via.CancelCall(call) }
