package flavors

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// ErrReleased is the cause of a call's failure when its reference has been released.
var ErrReleased = errors.New("flavors: the reference has been released")

// RemoteReference is a handle on an object in the peer's program. A program gets one by receiving it. While the handle
// is in use, all receipts of the same object over one connection, under one perspective, give the same handle, so
// handles can be compared and used as map keys.
//
// The peer keeps its object as long as the handle lives. The handle ends with [RemoteReference.Release], with the last
// linked actor (see [Link]), when the garbage collector finds it, and with the connection.
type RemoteReference struct {
	remote *remote
}

// remote is the part of a handle that outlives it. It must not point to the handle.
type remote struct {
	// Immutable.
	conn        seam.Conn
	id          int64
	name        string // of a published object, which is not counted
	perspective any
	known       weak.Pointer[RemoteReference]

	form atomic.Pointer[referenceForm] // what the latest mention carried; nil if only the number

	count seam.Refcount

	mu sync.Mutex
	// Guarded by mu.
	process *referenceProcess
	relay   *relayCore // nil while no other peer is given the object
	ended   error      // why EndReference has ended it; nil if it has not
	notify  map[*func(cause error)]func() bool
}

// newRemoteReference makes a handle for the peer's object luid, with one receipt.
func newRemoteReference(conn seam.Conn, luid int64, perspective any) *RemoteReference {
	m := &remote{conn: conn, id: luid, perspective: perspective}
	m.count.Init(conn.Turns(), m)
	h := &RemoteReference{remote: m}
	m.known = weak.Make(h)
	watchHandle(conn.Runtime(), h, m)
	return h
}

// Value returns the handle, nil if it has been collected.
func (m *remote) Value() *RemoteReference { return m.known.Value() }

// IsReleased reports whether the last receipt has been given back.
func (m *remote) IsReleased() bool { return m.count.IsReleased() }

// Sweep releases the handle if it has been collected.
func (m *remote) Sweep() {
	if m.known.Value() == nil {
		m.forget()
	}
}

// forget is called after the handle has been collected.
func (m *remote) forget() {
	if m.count.Collected(m.conn.Turns()) {
		m.endProcess()
	}
}

// release gives back receipts by one of the methods of the count. The last receipt ends the reference.
func (m *remote) release(how func(*seam.Refcount, *seam.Turns) (last bool)) {
	if m.name != "" {
		return // Published objects are not counted.
	}
	if how(&m.count, m.conn.Turns()) {
		m.endProcess()
	}
}

// ReturnReceipts implements seam.Returner.
func (m *remote) ReturnReceipts(n int) { m.conn.Forget(m.id, m.perspective, n) }

// Release gives back one receipt of the reference. With the last one the handle ends and the peer may drop its object.
// Release does nothing on a published object, such as a connection's root.
//
// What was given to a call, an answer or an update before stays valid: the peer is told of the release after the last
// message that mentions the reference. So a method may return an argument and defer its Release, even if it returns a
// Deferred.
func (r *RemoteReference) Release() {
	if !r.isMade() {
		return
	}
	r.remote.release((*seam.Refcount).Release)
	runtime.KeepAlive(r)
}

// Conn returns the connection of the reference; nil if the reference is nil. References are good on no other
// connection.
func (r *RemoteReference) Conn() Conn {
	if !r.isMade() {
		return nil
	}
	return publicConn(r.remote.conn)
}

// Perspective returns the one under which the reference was received: that of the object that was called with it. A
// reference in an answer has one only with broker.WithRelaying, that of the object that has answered. Arguments of
// calls are encoded for it.
func (r *RemoteReference) Perspective() any {
	if !r.isMade() {
		return nil
	}
	return r.remote.perspective
}

// errNoReference is the error of all methods of a nil reference.
var errNoReference = DeadReference.New(
	"the reference is nil: nothing was received, or it was not made by receiving something",
)

func (r *RemoteReference) isMade() bool { return r != nil && r.remote != nil }

// Err returns nil while the reference can be used, and afterwards the reason: errors.Is(err, [DeadReference]) holds.
func (r *RemoteReference) Err() error {
	if !r.isMade() {
		return errNoReference
	}
	m := r.remote
	if ctx := m.conn.Context(); ctx.Err() != nil {
		return DeadReference.Wrap(context.Cause(ctx))
	}
	if m.count.IsReleased() {
		return DeadReference.Wrap(ErrReleased)
	}
	if m.conn.Relays() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.ended != nil {
			return DeadReference.Wrap(m.ended)
		}
	}
	return nil
}

// EndReference ends a reference as the end of its connection would: later calls fail with [DeadReference], watchers
// get Terminated, and functions given to NotifyOnDisconnect are called. It is for peers that pass on the objects of
// others, over connections with broker.WithRelaying: they tell when the connection to such an object has ended. Calls
// under way are not affected. It has no effect on a reference that has ended.
func EndReference(ref *RemoteReference, cause error) {
	if ref.Err() != nil || !ref.remote.conn.Relays() {
		return
	}
	if cause == nil {
		cause = ErrReleased
	}
	m := ref.remote
	m.mu.Lock()
	if m.ended == nil {
		m.ended = cause
	}
	notify := m.notify
	m.notify = nil
	m.mu.Unlock()
	for f, stop := range notify {
		stop() // The connection would keep what f keeps.
		go (*f)(cause)
	}
	m.endProcess()
	runtime.KeepAlive(ref)
}

// Luid returns the number by which the peer knows the object; 0 for a published object, which has a name instead. The
// peer may use the number for another object after this one has been released.
func (r *RemoteReference) Luid() int64 {
	if !r.isMade() {
		return 0
	}
	return r.remote.id
}

// String describes the reference for logs.
func (r *RemoteReference) String() string {
	if !r.isMade() {
		return "<remote nil>"
	}
	if r.remote.name != "" {
		return fmt.Sprintf("<remote %q>", r.remote.name)
	}
	return fmt.Sprintf("<remote %d>", r.remote.id)
}

// DescribeJelly implements [jelly.Describer].
func (r *RemoteReference) DescribeJelly() string { return unbracketed(r.String()) }

// GoString implements [fmt.GoStringer] by String: %#v would read what other goroutines change.
func (r *RemoteReference) GoString() string { return r.String() }

// unbracketed removes the brackets that jelly.Format puts around a description.
func unbracketed(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">") }

// CallRemote calls a method of the peer's object and returns at once. The Deferred completes with the answer, or fails
// with a *[Failure] from the peer or with a local error: [DeadReference] if the reference has ended, [ConnectionLost]
// if the connection ended before the answer, an InsecureJelly error if an argument cannot be sent. It also fails if too
// much waits to be written; [Start] waits instead.
//
// The arguments are encoded before CallRemote returns, so the caller may change them afterwards. A last argument of
// type [Kw] holds the keyword arguments.
func (r *RemoteReference) CallRemote(method string, args ...any) *actor.Deferred {
	return callAtOnce(context.Background(), r, method, args)
}

// CallRemoteContext is [RemoteReference.CallRemote] for a call that belongs to ctx, such as that of an invocation.
// Under dialect pb+1 it carries ctx's deadline and metadata ([WithMetadata]), and is cancelled with the invocation that
// ctx is of. It does not wait for ctx, so the end of any other ctx does not cancel the call.
func (r *RemoteReference) CallRemoteContext(ctx context.Context, method string, args ...any) *actor.Deferred {
	return callWithContext(ctx, r, method, args)
}

func callWithContext(ctx context.Context, c Callee, method string, args []any) *actor.Deferred {
	if ctx == nil {
		return actor.Failed(fmt.Errorf("flavors: calling %s: %w", method, actor.ErrNilContext))
	}
	return callAtOnce(ctx, c, method, args)
}

func callAtOnce(ctx context.Context, c Callee, method string, args []any) *actor.Deferred {
	c = directOf(c)
	chain := chainFor(c)
	if chain == nil {
		return callNow(ctx, c, method, args)
	}
	v, err := outgoing(ctx, c, chain, sendNow, method, args)
	return deferred(connOf(c), v, err)
}

// CallRemoteNoAnswer calls a method and asks for no answer: neither a result nor a failure is sent. An error means that
// the call was not sent, for example because too much waits to be written; [Send] waits instead. Not every cause is
// known when CallRemoteNoAnswer returns.
func (r *RemoteReference) CallRemoteNoAnswer(method string, args ...any) error {
	return sendAtOnce(r, method, args)
}

func sendAtOnce(c Callee, method string, args []any) error {
	chain := chainFor(c)
	if chain == nil {
		return sendOnlyNow(context.Background(), c, method, args)
	}
	_, err := outgoing(context.Background(), c, chain, sendNowOnly, method, args)
	return err
}

// prepare fills an empty call. Every call of a reference goes through it.
func (r *RemoteReference) prepare(ctx context.Context, call *seam.OutgoingCall, method string, args []any) error {
	if err := r.Err(); err != nil {
		return err
	}
	m := r.remote
	if err := describeCall(ctx, m.conn, call, method); err != nil {
		return err
	}
	fragment, err := encodeCall(m.conn, m.perspective, method, args)
	if err != nil {
		return err
	}
	var target *seam.Refcount
	if m.name == "" {
		if !m.count.Use() {
			fragment.Free()
			return DeadReference.Wrap(ErrReleased)
		}
		target = &m.count
	}
	call.Init(m.conn, target)
	call.ID, call.Name, call.Method, call.Fragment, call.Perspective = m.id, m.name, method, fragment, m.perspective
	return nil
}

// describeCall sets the deadline, the metadata and the trace that ctx has for a call of a method.
func describeCall(ctx context.Context, conn seam.Conn, call *seam.OutgoingCall, method string) (err error) {
	if ctx == context.Background() {
		return nil
	}
	if conn.Figures().Logs() {
		call.TraceID = TraceID(ctx)
	}
	if !conn.TakesMetadata() {
		return nil
	}
	call.Deadline, call.Timed = ctx.Deadline()
	if err = encodeOutgoing(ctx, conn.JellyContext(nil).Profile, call); err != nil {
		return fmt.Errorf("calling %s: %w", method, err)
	}
	return nil
}

// encodeCall encodes the arguments of a call, and checks the name of the method.
func encodeCall(conn seam.Conn, perspective any, method string, args []any) (*jelly.Fragment, error) {
	// Stock peers decode the name before anything else, and close the connection if they cannot.
	if len(method) > maxMethodName || !utf8.ValidString(method) {
		return nil, ValueError.Errorf(
			"the name of a method is UTF-8 of at most %d bytes, not %q",
			maxMethodName,
			clipText(method, maxQuotedName),
		)
	}
	fragment, err := encodeArguments(conn, perspective, args)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", method, err)
	}
	return fragment, nil
}

// maxMethodName is the limit of bytes in the name of a method that is called. Identifiers of Python and Go are far
// shorter.
const maxMethodName = 1 << 10

// encodeArguments encodes the two expressions of a call: the tuple of its positional and the dictionary of its keyword
// arguments.
func encodeArguments(conn seam.Conn, perspective any, args []any) (*jelly.Fragment, error) {
	args, kw := splitKw(args)
	fragment := conn.NewFragment(perspective, "")
	var err error
	if len(kw) == 0 && fragment.JellyPlainTuple(args) {
		err = fragment.JellyDict(nil)
	} else {
		err = encodeSafely(fragment, func() error {
			if err := fragment.JellyTuple(args); err != nil {
				return err
			}
			return kw.jelly(fragment)
		})
	}
	if err != nil {
		fragment.Free()
		return nil, localFailure(err)
	}
	return fragment, nil
}

// NotifyOnDisconnect calls f, in a goroutine of its own, once the reference's connection has ended, with the reason.
// The returned function cancels that, and reports whether it came in time. NotifyOnDisconnect does not keep the
// reference alive unless f does; f is called in either case.
func (r *RemoteReference) NotifyOnDisconnect(f func(cause error)) (dontNotify func() bool) {
	if !r.isMade() || f == nil {
		return func() bool { return false }
	}
	m := r.remote
	ctx := m.conn.Context()
	var once sync.Once
	run := func(cause error) {
		once.Do(func() {
			defer func() {
				if p := recover(); p != nil { // A panic would end the process.
					usercode.Log(func() {
						m.conn.Logger().Error().Bytes("stack", debug.Stack()).
							Msgf("a function given to NotifyOnDisconnect panicked with a value of type %T", p)
					})
				}
			}()
			f(cause)
		})
	}
	stop := context.AfterFunc(ctx, func() { run(context.Cause(ctx)) })
	if !m.conn.Relays() {
		return stop
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended != nil {
		stop()
		go run(m.ended)
		return func() bool { return false }
	}
	if m.notify == nil {
		m.notify = map[*func(error)]func() bool{}
	}
	m.notify[&run] = stop
	return func() bool {
		m.mu.Lock()
		_, waits := m.notify[&run]
		delete(m.notify, &run)
		m.mu.Unlock()
		return stop() && waits
	}
}

// JellyTo implements [jelly.Jellyable]: the reference is sent home as [local luid]. It can be sent over another
// connection if both have broker.WithRelaying: PB itself has no third-party references.
func (r *RemoteReference) JellyTo(e *jelly.Encoder, _ any) error {
	if r == nil {
		return e.Value(nil)
	}
	if r.remote == nil {
		return errNoReference
	}
	if e.Invoker() != any(r.remote.conn) {
		if s, ok := r.remote.conn.(seam.Substituter); ok && r.remote.form.Load() != nil {
			if other := s.Substitute(r); other != nil {
				return e.Value(other)
			}
		}
		if to, ok := e.Invoker().(seam.Conn); ok && to.Relays() && r.remote.conn.Relays() {
			return r.jellyPassed(e, false)
		}
		return InsecureJelly.Errorf("%v belongs to another connection: PB has no third-party references; "+
			"send an object of your own that passes calls on", r)
	}
	return jellyLocal(e, localHole{r})
}

// Message calls a method when an actor sends it to the PID of a remote reference. With Send no answer is asked for;
// with Request the sender receives an [Answer].
type Message struct {
	Method string
	Args   []any
	Kw     Kw
	// Token comes back in the [Answer], so that an actor can tell its requests apart. It is not sent to the peer.
	Token any
}

// Answer is the reply to a [Message] that was sent as a request.
type Answer struct {
	// Value is the method's result as Jelly decoded it; nil if Err is not. [As] converts it.
	Value any
	Err   error
	// From is the PID of the reference, Method the method that was called.
	From   *protoactor.PID
	Method string
	// Token is that of the Message.
	Token any
}

// PID returns an address for the reference in the actor system: a [Message] sent to it is a call, and actors that watch
// it receive Terminated when the reference is released or its connection ends. PID keeps the reference alive until
// Release, even without other use of the handle. The PID of a dead reference answers a watcher at once.
func (r *RemoteReference) PID() *protoactor.PID {
	if !r.isMade() {
		return nil
	}
	m := r.remote
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil {
		p := &referenceProcess{ref: r, system: m.conn.Runtime().System()}
		// Ids come from the system's own counter and are never used twice.
		p.pid, _ = p.system.ProcessRegistry.Add(p, "pb/reference/"+p.system.ProcessRegistry.NextId())
		p.system.Root.Send(p.pid, bindPID{})
		p.stopNotify = context.AfterFunc(m.conn.Context(), m.endProcess)
		if m.count.IsReleased() || m.ended != nil {
			p.endNew()
			return p.pid
		}
		m.process = p
	}
	return m.process.pid
}

// endProcess ends the process with the reference or the connection. The process points to the handle, so remote must
// not keep it: the runtime's cleanup holds what is reachable from remote.
func (m *remote) endProcess() {
	m.mu.Lock()
	process := m.process
	m.process = nil
	m.mu.Unlock()
	if process != nil {
		process.end()
	}
}

// bindPID does nothing but have the PID remember its process. Without it, a PID that is used for the first time after
// the process has left the registry would lead to the dead letters, which answer no request.
type bindPID struct{}

// referenceProcess is the reference as a protoactor process. It is no actor: what is sent to it goes to the broker on
// the sender's goroutine.
type referenceProcess struct {
	// Immutable once PID has returned.
	ref        *RemoteReference
	system     *protoactor.ActorSystem
	pid        *protoactor.PID
	stopNotify func() bool

	mu       sync.Mutex
	watchers []*protoactor.PID
	ended    bool
}

// SendUserMessage implements protoactor.Process.
func (p *referenceProcess) SendUserMessage(pid *protoactor.PID, envelope any) {
	_, message, sender := protoactor.UnwrapEnvelope(envelope)
	var m Message
	switch v := message.(type) {
	case Message:
		m = v
	case *Message:
		if v != nil {
			m = *v
		}
	case bindPID:
		return
	case *protoactor.PoisonPill:
		p.Stop(pid)
		return
	default:
		err := fmt.Errorf("flavors: a remote reference understands flavors.Message, not %T", message)
		usercode.Log(func() { p.ref.remote.conn.Logger().Warn().Err(err).Str("pid", pid.Id).Msg("message refused") })
		p.reply(sender, Answer{Err: err, From: p.pid})
		return
	}
	if p.isEnded() {
		if sender == nil {
			p.system.DeadLetter.SendUserMessage(pid, envelope)
		}
		// A request gets one answer, and the dead letters would send another.
		p.reply(sender, Answer{Err: p.ref.Err(), From: p.pid, Method: m.Method, Token: m.Token})
		return
	}
	args := m.Args
	if len(m.Kw) > 0 {
		args = append(slices.Clip(args), m.Kw)
	}
	if sender == nil {
		if err := p.ref.CallRemoteNoAnswer(m.Method, args...); err != nil {
			usercode.Log(func() {
				p.ref.remote.conn.Logger().
					Warn().
					Err(err).
					Str("method", m.Method).
					Msg("a message could not be sent to a remote object")
			})
		}
		return
	}
	p.ref.CallRemote(m.Method, args...).OnComplete(func(v any, err error) {
		p.reply(sender, Answer{Value: v, Err: err, From: p.pid, Method: m.Method, Token: m.Token})
	})
}

func (p *referenceProcess) reply(sender *protoactor.PID, a Answer) {
	if sender != nil {
		p.ref.remote.conn.Runtime().Root().Send(sender, a)
	}
}

// SendSystemMessage implements protoactor.Process.
func (p *referenceProcess) SendSystemMessage(_ *protoactor.PID, message any) {
	switch m := message.(type) {
	case *protoactor.Watch:
		p.mu.Lock()
		if !p.ended {
			p.watchers = append(p.watchers, m.Watcher)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		p.terminated(m.Watcher)
	case *protoactor.Unwatch:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.watchers = slices.DeleteFunc(p.watchers, m.Watcher.Equal)
	case *protoactor.Stop:
		p.Stop(p.pid)
	}
}

// Stop implements protoactor.Process: it releases the reference. A reference to a published object stays good; only the
// PID ends.
func (p *referenceProcess) Stop(*protoactor.PID) {
	m := p.ref.remote
	if m.name != "" {
		m.endProcess()
		return
	}
	m.release((*seam.Refcount).ReleaseAll)
}

func (p *referenceProcess) isEnded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// endNew ends a process whose PID has not been given out.
func (p *referenceProcess) endNew() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.stopNotify()
	p.system.ProcessRegistry.Remove(p.pid)
}

// end notifies the watchers. PIDs keep pointing to the process, so it goes on answering Watch, and messages become dead
// letters.
func (p *referenceProcess) end() {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.ended = true
	watchers := p.watchers
	p.watchers = nil
	p.mu.Unlock()
	p.stopNotify()
	p.system.ProcessRegistry.Remove(p.pid)
	for _, w := range watchers {
		p.terminated(w)
	}
}

func (p *referenceProcess) terminated(watcher *protoactor.PID) {
	if process, ok := p.system.ProcessRegistry.Get(watcher); ok {
		process.SendSystemMessage(watcher, &protoactor.Terminated{Who: p.pid, Why: protoactor.TerminatedReason_Stopped})
	}
}
