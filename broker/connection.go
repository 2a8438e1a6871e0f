package broker

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/broker/internal/table"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/figures"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// connection is the state behind a [Conn] that its broker and codec actors share with callers. It implements
// seam.Conn.
type connection struct {
	conn Conn // what users hold
	lifecycle

	// Immutable once the broker has been spawned.
	rt       *actor.Runtime
	sock     net.Conn
	nonblock netio.NonBlocking // sock, if it can be used without blocking; otherwise nil
	client   bool              // we connected, the peer accepted
	peer     string
	began    time.Time
	limits   Limits
	options  *settings
	log      zerolog.Logger
	rootName string
	root     atomic.Pointer[flavors.RemoteReference] // to it, made when asked for
	keepers  keepers
	caller   seam.Caller // the caller of calls without a user
	out      *flow.Outbox
	account  *flow.Account   // what the connection holds of the runtime's memory budget
	mailbox  *actor.Mailbox  // the broker's; messages posted after it has stopped go to Undelivered
	writing  *actor.Mailbox  // the encoder's
	pid      *protoactor.PID // the broker's
	encoder  *protoactor.PID

	// Written by the decoder before the connection opens, immutable afterwards.
	profile banana.Profile
	jelly   *jelly.Prepared // how values for the peer are encoded

	published map[string]RootFactory // nil once the broker has them
	factories bool                   // some of them are made by functions of the application
	offers    int                    // number of published objects, set before the factories run
	small     atomic.Int64           // the limit of a message's bytes until a login succeeds; 0 without a login

	number  atomic.Uint64 // in the registry; 0 before the connection is in it
	queued  atomic.Int64  // messages handed to the broker that are not in the outbox
	inbound atomic.Int64  // unanswered calls of the peer
	pending atomic.Int64  // unanswered calls of ours
	// manyAnswered is set when one read has answered several calls of ours, until the next flush: their callers are
	// likely to call again together.
	manyAnswered atomic.Bool
	exported     atomic.Int64 // live exports, published objects not counted
	bytesOut     atomic.Int64
	arrivals     atomic.Pointer[seam.Arrivals] // of the peer's calls, written in the broker's turn
	metrics      metrics
	figures      *figures.Recorder
	encoding     *flow.EncodeLimit // of answers
	linger       netio.Linger
	lastHeard    atomic.Int64 // when the peer last sent something, by uptime; kept for keepalive only

	directMethods atomic.Pointer[directMethods] // nil until there is one
	directResults atomic.Pointer[directResults] // nil until there is one

	turns    seam.Turns // methods that run for the peer
	calls    seam.Calls // unanswered ones of the peer, if it may cancel them
	sessions sessions   // of users of ours

	// avatars are kept until the connection ends, because forgetting one would log out.
	avatars struct {
		sync.Mutex
		kept []keptAvatar
	}

	decrefs struct {
		sync.Mutex
		list []pendingDecrefs
	}
}

var (
	_ seam.Conn    = (*connection)(nil)
	_ flavors.Conn = (*Conn)(nil)
)

// smallFrame is the size of a command without its values, at most.
const smallFrame = 128

// metrics are the figures behind [Stats]. A call costs one addition and its answer none: the number of answered calls
// is what remains when the others are subtracted.
type metrics struct {
	madeOut, failedOut, cancelledOut atomic.Uint64
	madeIn, failedIn, cancelledIn    atomic.Uint64
	bytesIn, framesIn                atomic.Uint64
	collections                      atomic.Uint64
	imports, relays                  atomic.Int64
	caches, local, kept              atomic.Int64 // lengths of the broker's tables

	rejected struct {
		sync.Mutex
		counts map[Rejection]uint64
	}
	final atomic.Pointer[Stats] // set when the connection has ended
}

// newConn prepares a connection; its broker is spawned later.
func newConn(rt *actor.Runtime, sock net.Conn, client bool, name string, o *options) *connection {
	c := &connection{
		rt: rt, sock: sock, nonblock: netio.NonBlockingOf(sock), client: client, began: time.Now(),
		limits: o.limits, options: o.settings, rootName: name,
		published: o.published, factories: o.factories,
		mailbox: actor.NewMailbox(), writing: actor.NewMailbox(),
		encoding: flow.NewEncodeLimit(),
	}
	c.conn.c = c
	c.speak(banana.ProfileNone)
	c.init(context.WithValue(context.Background(), connKey{}, &c.conn))
	c.account = budgetOf(rt).NewAccount(flow.Limits{
		MemoryTotal: o.limits.MemoryTotal, Strangers: o.limits.Strangers, Imports: o.limits.Imports,
		BytesIn:        o.limits.BytesIn,
		WriteHighWater: o.limits.WriteHighWater, MaxWriteBacklog: o.limits.MaxWriteBacklog,
	}, func(why string) { c.abort(&ProtocolError{Rejection: rejectStrangers, What: why}) })
	c.out = flow.NewOutbox(c.account)
	c.arrivals.Store(seam.NewArrivals(nil))
	c.peer = peerName(sock)
	c.log = rt.Logger().With().Str("peer", c.peer).Logger()
	c.figures = registryOf(rt).figures.NewRecorder(c.peer, o.profiled, c.log.GetLevel() <= zerolog.DebugLevel)
	c.caller = internal.NewCaller(c)
	return c
}

// budgetKey finds the runtime's memory budget.
type budgetKey struct{}

func budgetOf(rt *actor.Runtime) *flow.Budget {
	return rt.Extension(budgetKey{}, func() any { return new(flow.Budget) }).(*flow.Budget)
}

// peerName names the peer in logs. Clients of a Unix socket have no address of their own.
func peerName(sock net.Conn) string {
	network, address := addressOf(sock.RemoteAddr)
	switch {
	case network == "":
		return "unknown"
	case address != "" && address != "@":
		return address
	}
	_, here := addressOf(sock.LocalAddr)
	return fmt.Sprintf("%s client of %s", network, here)
}

// pendingDecrefs is a reference for which the peer is owed decrefs.
type pendingDecrefs struct {
	command command.Name // Decref or Decache
	table.ImportKey
	receipts int
}

func (f *pendingDecrefs) append(dst []byte, p banana.Profile) []byte {
	if f.command == command.Decache {
		return command.AppendDecache(dst, p, f.ID)
	}
	return command.AppendDecref(dst, p, f.ID)
}

// rootReference returns the reference to the peer's root, always the same.
func (c *connection) rootReference() *flavors.RemoteReference {
	if c.root.Load() == nil {
		c.root.CompareAndSwap(nil, internal.NewNamedReference(c, c.rootName))
	}
	return c.root.Load()
}

// Public implements seam.Conn.
func (c *connection) Public() any { return &c.conn }

// Runtime implements seam.Conn.
func (c *connection) Runtime() *actor.Runtime { return c.rt }

// Context implements seam.Conn.
func (c *connection) Context() context.Context { return c.ctx }

// Logger implements seam.Conn.
func (c *connection) Logger() *zerolog.Logger { return &c.log }

// String names the connection in logs.
func (c *connection) String() string {
	if c.client {
		return "<connection to " + c.peer + ">"
	}
	return "<connection from " + c.peer + ">"
}

// Format writes what String returns, for every verb: the fields are in use by other goroutines.
func (c *connection) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// abort ends the connection at once. Unwritten data is lost.
func (c *connection) abort(cause error) {
	if cause == nil {
		cause = ErrClosed
	}
	c.sever(cause)
}

// sever closes the socket, which both codec actors notice, and ends the context.
func (c *connection) sever(cause error) {
	c.cancel(cause)
	c.post(closeNow{cause: cause})
	netio.Close(c.sock)
}

// countRejection counts one rejection; "" is none.
func (c *connection) countRejection(r Rejection) {
	if r == "" {
		return
	}
	n := &c.metrics.rejected
	n.Lock()
	defer n.Unlock()
	if n.counts == nil {
		n.counts = map[Rejection]uint64{}
	}
	n.counts[r]++
}

// JellyContext implements seam.Conn.
func (c *connection) JellyContext(perspective any) jelly.Context { return c.jelly.Context(perspective) }

// Encoding implements seam.Conn.
func (c *connection) Encoding() seam.Encoding {
	return seam.Encoding{Profile: c.profile, Limits: c.bananaLimits()}
}

// NewFragment implements seam.Conn.
func (c *connection) NewFragment(perspective any, root string) *jelly.Fragment {
	return c.jelly.NewFragment(perspective, root)
}

// speak sets the profile, and what follows from it.
func (c *connection) speak(p banana.Profile) {
	c.profile = p
	c.jelly = jelly.Context{
		Profile: p, Limits: c.bananaLimits(), Nesting: c.limits.Nesting, Invoker: seam.Conn(c),
	}.Prepare()
}

// bananaLimits returns the limits of what is sent. Under pb+1 a string may be as long as a frame (P-12.5).
func (c *connection) bananaLimits() banana.Limits {
	if c.profile.IsExtended() {
		return c.options.extendedLimits
	}
	return c.limits.Banana
}

// TakesMetadata implements seam.Conn.
func (c *connection) TakesMetadata() bool { return !c.wasOpened() || c.profile.IsExtended() }

// Interceptor implements seam.Conn.
func (c *connection) Interceptor() any { return c.options.chain }

// Figures implements seam.Conn.
func (c *connection) Figures() *figures.Recorder { return c.figures }

// Turns implements seam.Conn.
func (c *connection) Turns() *seam.Turns { return &c.turns }

// UnsafeTracebacks implements seam.Conn.
func (c *connection) UnsafeTracebacks() bool { return c.options.unsafeTracebacks }

// ServerIdentity implements seam.Conn.
func (c *connection) ServerIdentity() string {
	if !c.client {
		return "" // Every client of a listener would have the same.
	}
	return c.options.identity
}

// WaitWritable implements seam.Conn.
func (c *connection) WaitWritable(ctx context.Context) error {
	if ctx == nil {
		return actor.ErrNilContext
	}
	if err := c.out.WaitBelow(ctx, c.account.WriteHighWater()); err != flow.ErrOutboxClosed {
		return err
	}
	return nil // The call reports the end of the connection.
}

// WaitSent implements seam.Conn.
func (c *connection) WaitSent(ctx context.Context) error {
	if ctx == nil {
		return actor.ErrNilContext
	}
	r := make(reached)
	c.post(r)
	select {
	case <-r:
		return c.WaitWritable(ctx)
	case <-c.stopped:
		return nil // The next call reports the end of the connection.
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// SendCall implements seam.Conn.
func (c *connection) SendCall(call *seam.OutgoingCall) error {
	size, ok := c.reserve(call)
	if !ok {
		return ErrBackedUp
	}
	return c.sendReserved(call, size)
}

// reserve reserves the bytes of a call, or fails it.
func (c *connection) reserve(call *seam.OutgoingCall) (size int, ok bool) {
	var limit int
	must := call.Observer != nil || call.MustSend
	if must {
		limit = c.account.MaxWriteBacklog()
	} else {
		limit = c.account.WriteHighWater()
	}
	size = sizeOf(call)
	if c.out.TryReserve(size, limit) {
		return size, true
	}
	if must {
		// An update that is left out would leave the copy wrong for good.
		c.abort(ErrBackedUp)
	} else {
		c.countRejection(rejectWriteHighWater)
	}
	_ = failCall(call, ErrBackedUp)
	return 0, false
}

// SendCallSoon implements seam.Conn.
func (c *connection) SendCallSoon(ctx context.Context, call *seam.OutgoingCall) error {
	size := sizeOf(call)
	if err := c.out.ReserveWait(ctx, size, c.account.WriteHighWater()); err != nil {
		return failCall(call, err)
	}
	return c.sendReserved(call, size)
}

// sendReserved hands a call to the broker after its bytes were reserved.
func (c *connection) sendReserved(call *seam.OutgoingCall, size int) error {
	var err error
	switch {
	case c.ctx.Err() != nil:
		err = flavors.DeadReference.Wrap(context.Cause(c.ctx))
	case call.Result != nil && !c.countPending():
		c.countRejection(rejectCallsOut)
		err = ErrTooManyCalls
	}
	if err != nil {
		c.out.Release(size)
		return failCall(call, err)
	}
	c.sendCounted(call)
	return nil
}

// countPending counts one more unanswered call. It reports false, and counts none, if there may be no more.
func (c *connection) countPending() bool {
	if c.pending.Add(1) <= int64(c.limits.CallsOut) {
		return true
	}
	c.pending.Add(-1)
	return false
}

// sendCounted hands a call to the broker after its bytes were reserved, and it was counted if it wants an answer.
func (c *connection) sendCounted(call *seam.OutgoingCall) {
	c.metrics.madeOut.Add(1)
	c.queued.Add(1)
	if call.Encoded != nil || call.Fragment != nil && call.Fragment.Holes() == 0 {
		// The broker only copies bytes, so the caller's locks cannot block it.
		c.mailbox.Lend(call)
	} else {
		c.post(call)
	}
}

// failCall fails a call that has no request id, and returns err.
func failCall(call *seam.OutgoingCall, err error) error {
	call.Free()
	if call.Result != nil {
		call.Result.Complete(nil, err)
	}
	return err
}

// CancelCall implements seam.Conn.
func (c *connection) CancelCall(call *seam.OutgoingCall) { c.post(cancelCall{call}) }

// BeginAnswer implements seam.Conn.
func (c *connection) BeginAnswer(long bool) (limited bool, err error) {
	if limited = long || c.encoding.Applies(); limited {
		c.encoding.Enter(c.ctx)
	}
	return limited, c.AnswerRoom()
}

// EndAnswer implements seam.Conn.
func (c *connection) EndAnswer() { c.encoding.Leave() }

// AnswerRoom implements seam.Conn.
func (c *connection) AnswerRoom() error {
	waiting := c.out.Waiting()
	if waiting <= c.account.MaxAnswerBacklog() {
		return nil
	}
	c.countRejection(rejectWriteBacklog)
	return Busy.Errorf("the answer was dropped, because %d bytes of others have not been read", waiting)
}

// SendAnswer implements seam.Conn. An answer without placeholders goes directly to the outbox, unless messages
// handed to the broker earlier are not in it yet: updates and decrefs of a method precede its answer.
func (c *connection) SendAnswer(
	inv seam.Call,
	fragment *jelly.Fragment,
	isError bool,
) (done bool) {
	c.encoding.Encoded(fragment.Len())
	if isError && inv.Ended() == seam.NotEnded {
		c.metrics.failedIn.Add(1)
	}
	if fragment.Holes() > 0 || c.queued.Load() > 0 || inv.Keep() {
		c.handOver(&outgoingAnswer{inv, fragment, isError})
		return false
	}
	unused := false
	err := c.appendOut(smallFrame+c.ownLen(fragment), 0, func(dst []byte) (_ []byte, err error) {
		dst, unused, err = c.appendAnswer(dst, inv, fragment, isError, nil)
		return dst, err
	})
	fragment.Free()
	if err != nil {
		if err != flow.ErrOutboxClosed {
			usercode.Log(func() { c.log.Error().Err(err).Stringer("call", inv).Msg("an answer could not be written") })
		}
		unused = c.answered(inv)
	}
	return unused
}

// appendAnswer appends an answer to the outbox's bytes. The call counts as answered before the encoder can take them,
// because the peer may call again at once. On an error it does not count yet. unused is what answered reports.
func (c *connection) appendAnswer(
	dst []byte,
	inv seam.Call,
	fragment *jelly.Fragment,
	isError bool,
	fill func(dst []byte, hole any) ([]byte, error),
) (_ []byte, unused bool, err error) {
	dst, err = c.appendFragment(c.appendAnswerHead(dst, inv, isError), fragment, fill)
	if err == nil {
		unused = c.answered(inv)
	}
	return dst, unused, err
}

// gathers reports whether long strings of a fragment are written from where they are. Where the socket cannot gather
// the parts of a message in one system call, they are copied.
func (c *connection) gathers(fragment *jelly.Fragment) bool {
	return c.nonblock != nil && fragment.Longs() > 0
}

// ownLen returns how many bytes of a fragment appendFragment appends to the outbox's own.
func (c *connection) ownLen(fragment *jelly.Fragment) int {
	if c.gathers(fragment) {
		return fragment.OwnLen()
	}
	return fragment.Len()
}

// appendFragment appends a fragment to the outbox's bytes, within the function that is given to appendOut.
func (c *connection) appendFragment(
	dst []byte,
	fragment *jelly.Fragment,
	fill func(dst []byte, hole any) ([]byte, error),
) ([]byte, error) {
	if !c.gathers(fragment) {
		return fragment.Append(dst, fill)
	}
	return fragment.AppendAround(dst, fill, func(before []byte, l *jelly.Long) { c.out.AddLong(before, l) })
}

// WaitOver implements seam.Conn.
func (c *connection) WaitOver(parked any) { c.post(waitOver{parked.(*parkedCall)}) }

// CloseCall implements seam.Conn.
func (c *connection) CloseCall(call seam.Call) {
	switch call.Ended() {
	case seam.CallerLeft:
		c.metrics.cancelledIn.Add(1)
	case seam.TimeOver:
		c.metrics.failedIn.Add(1)
	}
	if call.Keep() {
		c.post(closedCall{call.RequestID(), call.Failure()})
	}
	c.closed(call)
}

// answered counts a call of the peer as done, unless it goes on. It reports whether the connection no longer uses the
// call.
func (c *connection) answered(inv seam.Call) (unused bool) {
	return inv.Ended() == seam.NotEnded && c.closed(inv)
}

// closed counts a call of the peer as done, and notifies a draining broker of the last one. It reports whether the
// connection no longer uses the call.
func (c *connection) closed(inv seam.Call) (unused bool) {
	unused = !c.profile.IsExtended() || !inv.WantsAnswer() || c.calls.Remove(inv.Entry())
	c.account.Answered(flow.Cost{Wire: inv.Size(), Memory: inv.Weight()})
	if c.inbound.Add(-1) == 0 && c.now() == stateDraining {
		c.post(drainCheck{})
	}
	return unused
}

// Forget implements seam.Conn. It must not wait.
func (c *connection) Forget(luid int64, perspective any, receipts int) {
	c.queueDecrefs(pendingDecrefs{command.Decref, table.ImportKey{ID: luid, Perspective: perspective}, receipts})
}

// ForgetCache implements seam.Conn.
func (c *connection) ForgetCache(luid int64, receipts int) {
	c.queueDecrefs(pendingDecrefs{command.Decache, table.ImportKey{ID: luid}, receipts})
}

func (c *connection) queueDecrefs(f pendingDecrefs) {
	if c.ended() {
		return
	}
	c.decrefs.Lock()
	first := len(c.decrefs.list) == 0
	c.decrefs.list = append(c.decrefs.list, f)
	c.decrefs.Unlock()
	if first {
		c.handOver(flushDecrefs{})
	}
}

// Congested implements seam.Conn.
func (c *connection) Congested() bool { return !c.ended() && c.out.Congested() }

// WhenClear implements seam.Conn.
func (c *connection) WhenClear(f func()) { c.out.WhenClear(f) }

// appendOut appends to the outbox and has the encoder write it, on this goroutine if the connection is not busy. It
// gives back the bytes that were reserved for the message.
func (c *connection) appendOut(size, reserved int, f func(dst []byte) ([]byte, error)) error {
	busy := c.busy() // before f, which may count a call as answered
	wake, err := c.out.AppendReserved(size, reserved, f)
	switch {
	case !wake:
	case c.nonblock != nil && !busy:
		c.writing.Lend(flushNow{})
	default:
		c.writing.PostUserMessage(flush{})
	}
	return err
}

// handOver posts a message to be sent. Its size is reserved until it is in the outbox.
func (c *connection) handOver(message any) {
	c.out.Reserve(sizeOf(message))
	c.queued.Add(1)
	c.post(message)
}

// busy reports whether more than one call is in progress or about to be made, so that waiting a moment gathers more
// into one write.
func (c *connection) busy() bool {
	return c.inbound.Load() > 1 || c.pending.Load() > 1 || c.manyAnswered.Load()
}

// post posts a message to the broker's mailbox. The PID is not used, because protoactor drops messages to an actor that
// is stopping.
func (c *connection) post(message any) { c.mailbox.PostUserMessage(message) }

func (c *connection) appendAnswerHead(dst []byte, inv seam.Call, isError bool) []byte {
	id := command.Number{Int: inv.RequestID(), Big: inv.LongRequestID()}
	if isError {
		return command.AppendError(dst, c.profile, id)
	}
	return command.AppendAnswer(dst, c.profile, id)
}

// NewDecoder implements seam.Conn.
func (c *connection) NewDecoder() *jelly.Decoder { return c.newDecoder() }

// newDecoder decodes values from this peer.
func (c *connection) newDecoder() *jelly.Decoder {
	return &jelly.Decoder{
		Registry:   c.options.registry,
		Taster:     c.options.security,
		Limits:     c.limits.Banana,
		Nesting:    c.limits.Nesting,
		References: c.limits.Imports,
		Addresses:  c.options.substitutes.Object != nil,
	}
}
