package seam

import (
	"context"
	"math/big"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/figures"
)

// Encoding is what the bytes of a value without placeholders depend on. The connections of one listener are alike.
type Encoding struct {
	Profile banana.Profile
	Limits  banana.Limits
}

// Conn is what package flavors needs of a connection. Package broker implements it.
//
// All methods may be called from any goroutine. None of them waits except SendCallSoon, WaitWritable, WaitSent and
// Settled, and for a moment BeginAnswer.
type Conn interface {
	// Public returns what users see of the connection: a flavors.Conn.
	Public() any

	// These are documented at flavors.Conn.

	Runtime() *actor.Runtime
	Context() context.Context
	Logger() *zerolog.Logger
	ServerIdentity() string
	WaitWritable(ctx context.Context) error
	WaitSent(ctx context.Context) error
	Settled(ctx context.Context) error

	// JellyContext returns how values for this peer are encoded: profile, limits, security, and the connection itself
	// as the invoker.
	JellyContext(perspective any) jelly.Context
	// Encoding returns what the bytes of a value without placeholders depend on.
	Encoding() Encoding
	// NewFragment returns an empty fragment for values for this peer. root is what errors call the value that will be
	// in it; empty for the default.
	NewFragment(perspective any, root string) *jelly.Fragment
	// DecodeArgs decodes the positional arguments of a call from the peer, which were decoded in another way before.
	DecodeArgs(raw []byte) (jelly.Tuple, error)
	// TakesMetadata reports whether the peer takes metadata and deadlines, or may turn out to.
	TakesMetadata() bool
	// Turns returns the methods that run for the peer.
	Turns() *Turns
	// Interceptor returns the connection's interceptors as a flavors.CallFunc; nil if there are none.
	Interceptor() any
	// Figures counts the peer's calls.
	Figures() *figures.Recorder
	// UnsafeTracebacks reports whether failures show the peer where in the code they arose.
	UnsafeTracebacks() bool
	// Congested reports whether so much waits to be written that calls of this peer should wait.
	Congested() bool
	// WhenClear has f run once the connection is not congested, or has ended. f must not wait; it may run before
	// WhenClear returns.
	WhenClear(f func())

	// SendCall gives a call to the broker. If the connection cannot take it, the call's Result fails with the error
	// that is returned.
	SendCall(call *OutgoingCall) error
	// SendCallSoon is SendCall, but waits for room.
	SendCallSoon(ctx context.Context, call *OutgoingCall) error
	// Caller returns the caller that the connection itself is.
	Caller() Caller
	// Unanswered returns how many of our calls are unanswered, and how many may be.
	Unanswered() (n, most int)
	// HoldCall is SendCall for an update, in two steps: the update counts among what waits to be written at once, and
	// is given to the broker when send is called. send is nil if the connection cannot take it.
	HoldCall(call *OutgoingCall) (send func())
	// Relays reports whether references of this peer may be given to others, and those of others to it.
	Relays() bool
	// HasRoom reports whether TryCall has room for the bytes of a call.
	HasRoom() bool
	// TryCall is SendCall, but returns false if the connection has no room for the call now. The caller then still owns
	// it.
	TryCall(call *OutgoingCall) (taken bool)
	// WhenRoom has f run once the connection has room, or has ended. f must not wait; it may run before WhenRoom
	// returns.
	WhenRoom(f func())
	// NewDecoder returns a decoder for values from this peer.
	NewDecoder() *jelly.Decoder
	// CancelCall ends a call whose caller no longer waits. Its answer is dropped, and references in it are released.
	CancelCall(call *OutgoingCall)

	// BeginAnswer must be called before an answer is encoded, which takes memory that is not counted yet, and again
	// with long as soon as it turns out to be long. If answers were long lately, or this one is, and many are being
	// encoded, it waits for a moment. An error means that too much waits for the peer, and is to be sent instead of
	// the answer. If limited, EndAnswer must be called after SendAnswer in any case, and BeginAnswer not again.
	BeginAnswer(long bool) (limited bool, err error)
	EndAnswer()
	// AnswerRoom returns the error of BeginAnswer, for an answer that need not be encoded.
	AnswerRoom() error
	// SendAnswer sends the answer to a call. The fragment holds one value and belongs to the connection from now on.
	// SendAnswer reports whether the connection no longer uses the call.
	SendAnswer(call Call, fragment *jelly.Fragment, isError bool) (done bool)
	// CloseCall notes that a call which asked for no answer has been carried out, or one that ended before it was.
	CloseCall(call Call)

	// WaitOver notes that a call ended while it waited for a promise; parked is what Wait was given.
	WaitOver(parked any)

	// Forget sends the decrefs for a reference that has been released.
	Forget(luid int64, perspective any, receipts int)
	// ForgetCache sends the decaches for a cache that has been released.
	ForgetCache(luid int64, receipts int)
}

// Call is a call from the peer: the part of a flavors.Invocation that is not for users.
type Call interface {
	// String names the call in logs.
	String() string
	// Begin sets what the call is, and does not keep call. It must be called before anything else.
	Begin(call *IncomingCall)
	// Refuse answers the call with an error, without a turn of the object.
	Refuse(err error)
	// ReplaceAnswer answers with an error because the broker cannot send the answer that the method gave.
	ReplaceAnswer(err error)
	// Cancel notes that the caller does not want the answer any more.
	Cancel()
	// Ended returns why the call was answered before it was carried out. Such a call counts until CloseCall is called.
	Ended() CallEnd
	// Entry is the call's place among the unanswered calls.
	Entry() *CallEntry

	// Wait notes that the call waits for a promise. When it ends before it is carried out, the connection's WaitOver is
	// called with parked.
	Wait(parked any)
	// Aim sets what was not known at Begin: the object of a call that waited for a promise.
	Aim(target Target)
	// Abandon ends a call that will not be answered, because the connection has ended.
	Abandon()
	// Lose notes that the connection has ended, so that the call's deadline does not count any more.
	Lose()
	// Failure returns the error that the call was answered with, if its result is kept.
	Failure() error

	WantsAnswer() bool
	RequestID() int64
	LongRequestID() *big.Int
	// Keep reports whether the result of the call is kept, because the peer may name it.
	Keep() bool
	Size() int
	Weight() int
	Serial() uint64
}

// CallEnd is why a call ended before it was carried out.
type CallEnd uint8

// The values of CallEnd.
const (
	NotEnded CallEnd = iota
	TimeOver
	CallerLeft
)

// IncomingCall is a call that the broker has read.
type IncomingCall struct {
	Conn Conn
	// Extended says that the connection speaks a dialect with deadlines and cancelling.
	Extended  bool
	RequestID int64
	// LongRequestID is the caller's number of the call if that has more than 64 bits, otherwise nil.
	LongRequestID *big.Int
	Method        string
	Args          jelly.Tuple
	Kw            *jelly.Dict
	// RawArgs and RawKw replace Args and Kw if these were not decoded. RawKw is nil if there are no keywords.
	RawArgs, RawKw *jelly.Raw
	WantsAnswer    bool
	// Keep is set if the result is kept, because the peer may name it.
	Keep bool
	// Prefix is that of the methods that may be called. It belongs to the export through which the call came.
	Prefix string
	// Caller makes the call; nil for an update.
	Caller Caller
	// Perspective is the one of the export, if it has one.
	Perspective any
	// Size is how many bytes the call has on the wire, Weight what it counts for in the runtime's memory budget. They
	// count against the peer's limits until the call is answered.
	Size, Weight int
	// Serial numbers the calls of a connection in the order in which they are delivered.
	Serial uint64
	// Read is when the call was read, by figures.Now. Many says that many others were read with it.
	Read time.Duration
	Many bool
	// Received is the handles that came in the arguments. The peer is told of their release when the call has been
	// answered.
	Received []Handle
	// Arrivals counts the call until it has been carried out.
	Arrivals *Arrivals
}

// Target is the part of an IncomingCall that depends on its object.
type Target struct {
	Args        jelly.Tuple
	Kw          *jelly.Dict
	RawArgs     *jelly.Raw
	RawKw       *jelly.Raw
	Prefix      string
	Caller      Caller
	Perspective any
	Serial      uint64
	Received    []Handle
}

// Handle is a handle that came from the peer: a *flavors.RemoteReference or a *flavors.Cached.
type Handle interface{ Release() }

// OutgoingCall is a call to the peer.
type OutgoingCall struct {
	// Cache marks an update of the peer's copy (cachemessage). Otherwise the call is to an object of the peer.
	Cache bool
	// MustSend says that the call must not be left out: a connection that cannot take it ends, as one does that cannot
	// take an update.
	MustSend bool
	// Undecoded says that the result is not decoded: it is a *jelly.Raw.
	Undecoded bool
	// Cancelled belongs to the broker: the caller left before the call had a number.
	Cancelled bool
	// Weight belongs to the broker as well: how the call is counted in Series.
	Weight figures.Weight
	// Timed says that Deadline is set.
	Timed bool
	// ID is the peer's luid of the target, unless Name is set.
	ID int64
	// Name is the target's published name, such as "root".
	Name string
	// Object replaces ID and Name in a call on a promise.
	Object *Promise
	// Promise is the promise of the Result; nil if no call can use it.
	Promise *Promise
	// Method is the wire name of the method.
	Method string
	// Fragment holds two expressions: the tuple of positional arguments and the dictionary of keywords.
	Fragment *jelly.Fragment
	// Encoded replaces Fragment where many calls share the same two expressions. It must not be written to.
	Encoded []byte
	// Observer replaces ID and Name in an update.
	Observer Observer
	// Result is completed by the answer. Nil means that no answer is asked for.
	Result *actor.Deferred
	// Perspective is the one under which the reference was received and the arguments were encoded.
	Perspective any
	// Deadline is when the caller ceases to wait, if Timed is set. The peer learns of it.
	Deadline time.Time
	// Metadata is the encoded entries of the call's metadata, of which there are Entries, without the deadline.
	Metadata []byte
	Entries  int

	// Want is how the answer is decoded directly; nil if it is not. Then its value has the type already.
	Want *jelly.Direct

	// TraceID names the trace to which the call belongs, for log lines; empty if they are off or there is none.
	TraceID string

	// RequestID belongs to the broker. It is zero until the call has been given a number.
	RequestID int64
	// These belong to the broker as well. Series is where the call is counted, nil until a call of the method has been
	// answered, and Sent when it was handed over to be written if it is timed, by figures.Now.
	Series *figures.Series
	Sent   time.Duration

	conn   Conn
	target *Refcount      // in use until the call has been written; nil for a published object or a copy
	result actor.Deferred // what Result points to, so that a call is one piece of memory
}

// Init sets the connection of a call, and the count of its target, of which the call takes over one use. The target is
// nil for a published object and for a copy.
func (c *OutgoingCall) Init(conn Conn, target *Refcount) { c.conn, c.target = conn, target }

// Free releases what the call mentions when it has been written, or will not be. It may be called more than once.
func (c *OutgoingCall) Free() {
	c.Fragment.Free()
	c.Fragment = nil
	if target := c.target; target != nil {
		c.target = nil
		target.Unuse()
	}
}

// WantAnswer sets the call's Result. Cancelling the Result cancels the call.
func (c *OutgoingCall) WantAnswer() {
	c.result.Init(c.conn.Runtime(), c)
	c.Result = &c.result
}

// AwaitAnswer is WantAnswer for a caller that will wait for the Result in any case.
func (c *OutgoingCall) AwaitAnswer() *actor.Waiter {
	c.Result = &c.result
	return c.result.InitAwaited(c.conn.Runtime(), c)
}

// CancelWork implements actor.Canceller.
func (c *OutgoingCall) CancelWork() { c.conn.CancelCall(c) }

// calls pools calls that are over, so that the next ones cost no memory that must be collected.
var calls = sync.Pool{New: func() any { return new(OutgoingCall) }}

// NewCall returns a call that may be recycled.
func NewCall() *OutgoingCall { return calls.Get().(*OutgoingCall) }

// NewUpdate returns an update for the copy that an observer's peer has.
func NewUpdate(conn Conn, observer Observer, method string, perspective any) *OutgoingCall {
	c := NewCall()
	c.Cache, c.Observer, c.Method, c.Perspective, c.conn = true, observer, method, perspective, conn
	return c
}

// maxKept is the largest capacity of the metadata of a call that is kept for the next one.
const maxKept = 256

// Recycle makes a call ready for use as another one, and pools it. The call was answered and its result was reset, or
// it is an update that wanted no answer and was sent. There must be no other reference to it.
func (c *OutgoingCall) Recycle() {
	c.Cache, c.Observer, c.Encoded = false, nil, nil
	c.ID, c.Name, c.Method, c.Perspective, c.conn, c.TraceID, c.Want = 0, "", "", nil, nil, "", nil
	c.Deadline, c.Timed, c.Entries, c.Object, c.Undecoded = time.Time{}, false, 0, nil, false
	if cap(c.Metadata) > maxKept {
		c.Metadata = nil
	}
	c.Metadata = c.Metadata[:0]
	c.Result, c.RequestID, c.Cancelled, c.Sent, c.Series, c.Weight = nil, 0, false, 0, nil, 0
	calls.Put(c)
}
