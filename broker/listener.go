package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Listener accepts connections. Each connection has its own broker. [Listener.Close] does not close them,
// [Listener.Shutdown] and closing the runtime do.
type Listener struct {
	rt       *actor.Runtime
	sock     net.Listener
	endpoint endpoint
	options  *options
	log      zerolog.Logger
	mailbox  *actor.Mailbox  // the acceptor's
	pid      *protoactor.PID // the acceptor's
	gone     chan struct{}   // closed when the acceptor has stopped, after all brokers

	withdraw  func() // ends the claim on the published objects
	closeOnce sync.Once
	closeErr  error

	mu sync.Mutex
	// Guarded by mu.
	conns   map[*connection]struct{} // whose sockets are open
	onClose func()                   // unregisters from the runtime's close; nil until registered
}

// Listen publishes root and accepts connections at a URL: pb://host:port, where port 0 picks a free one,
// pbs://host:port (TLS, see [WithTLS]) or pb+unix:///path (see [WithSocketMode]; a stale socket at the path is
// replaced). It does not block: it returns when the socket listens. The root is a pointer to a struct that embeds
// [flavors.Referenceable], which all connections share, a [RootFactory] or a [PortalRoot]; see [WithPublished] for
// other kinds. It may be nil if options publish objects.
func Listen(rt *actor.Runtime, url string, root any, opts ...ListenOption) (*Listener, error) {
	if err := usable(rt); err != nil {
		return nil, fmt.Errorf("broker: listening at %s: %w", url, err)
	}
	o, err := listenOptions(root, opts)
	if err != nil {
		return nil, err
	}
	e, err := parseURL(url, o.transports)
	if err != nil {
		return nil, err
	}
	if e.name != rootName {
		return nil, errListenName
	}
	if len(e.more) > 0 {
		return nil, errListenMany
	}
	if err := errors.Join(o.checkSocketMode(e.network), o.checkTLS(e)); err != nil {
		return nil, err
	}
	sock, err := listenAt(e, o)
	if err != nil {
		return nil, fmt.Errorf("broker: listening at %s: %w", url, err)
	}
	l, err := newListener(rt, sock, e, o)
	if err != nil {
		_ = sock.Close()
	}
	return l, err
}

// ListenOn is [Listen] on sock, which the listener closes. Like Listen it does not block. With [WithTLS] the
// connections use TLS over sock. See [NewPipeListener] for a listener without a network.
func ListenOn(rt *actor.Runtime, sock net.Listener, root any, opts ...ListenOption) (*Listener, error) {
	if isNil(sock) {
		return nil, errors.New("broker: ListenOn was given no listener")
	}
	if err := usable(rt); err != nil {
		return nil, fmt.Errorf("broker: listening: %w", err)
	}
	o, err := listenOptions(root, opts)
	if err != nil {
		return nil, err
	}
	if err := o.checkSocketMode(""); err != nil {
		return nil, err
	}
	network, _ := addressOf(sock.Addr)
	e := endpoint{scheme: "pb", network: network, name: rootName}
	if o.tls != nil {
		e.scheme = "pbs"
	}
	return newListener(rt, sock, e, o)
}

// listenOptions returns the options of a listener, with its root published.
func listenOptions(root any, opts []ListenOption) (*options, error) {
	o, err := newOptions(opts, ListenOption.applyListen)
	if err != nil {
		return nil, err
	}
	if root != nil {
		if err := o.publish(rootName, root); err != nil {
			return nil, err
		}
	}
	if len(o.published) == 0 {
		return nil, errors.New("broker: there is nothing to publish: give a root object, or WithPublished")
	}
	return o, nil
}

func newListener(rt *actor.Runtime, sock net.Listener, e endpoint, o *options) (l *Listener, err error) {
	if e.scheme == "pbs" {
		if sock, err = serveTLS(sock, o); err != nil {
			return nil, err
		}
	}
	l = &Listener{
		rt: rt, sock: sock, endpoint: e, options: o,
		mailbox: actor.NewMailbox(), gone: make(chan struct{}), conns: map[*connection]struct{}{},
	}
	l.log = rt.Logger().With().Str("listener", l.URL()).Logger()
	if l.withdraw, err = o.show(rt); err != nil {
		return nil, err
	}
	props := rt.Props(
		func() protoactor.Actor { return &acceptor{l: l} },
		protoactor.WithSupervisor(supervision.StopStrategy(rt)),
		protoactor.WithMailbox(func() protoactor.Mailbox { return l.mailbox }),
	)
	if l.pid, err = supervision.TreeOf(rt).Spawn(supervision.Listeners, props, "acceptor"); err != nil {
		l.withdraw()
		return nil, fmt.Errorf("broker: listening at %s: %w", l.URL(), err)
	}
	registryOf(rt).addListener(l)
	onClose := rt.OnClose(actor.PhaseRefuse, "listener "+l.URL(), func(context.Context) error { return l.Close() })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onClose = onClose
	return l, nil
}

// usable returns the reason why nothing can be started in a runtime.
func usable(rt *actor.Runtime) error {
	if err := rt.Check(); err != nil {
		return err
	}
	if isClosing(rt) {
		return supervision.ErrClosing
	}
	return nil
}

// isNil reports whether v is nil or holds a nil pointer, function, map, channel or slice.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan, reflect.Interface, reflect.Slice:
		return r.IsNil()
	}
	return false
}

// URL returns the URL of the listener, with the port that was bound.
func (l *Listener) URL() string {
	if !l.isMade() {
		return ""
	}
	var addr net.Addr = nowhere{}
	usercode.Do(func() {
		if a := l.sock.Addr(); a != nil {
			addr = a
		}
	})
	return l.endpoint.url(addr)
}

// nowhere is the address of a socket that has none.
type nowhere struct{}

func (nowhere) Network() string { return "unknown" }
func (nowhere) String() string  { return "unknown" }

func (l *Listener) isMade() bool { return l != nil && l.sock != nil }

// String names the listener in logs.
func (l *Listener) String() string {
	if !l.isMade() {
		return "<listener, nil>"
	}
	return "<listener at " + l.URL() + ">"
}

// Format writes what String returns, for every verb: the fields are in use by other goroutines.
func (l *Listener) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// PID returns the actor that accepts connections, the parent of their brokers.
func (l *Listener) PID() *protoactor.PID {
	if !l.isMade() {
		return nil
	}
	return l.pid
}

// Addr returns the address of the listening socket.
func (l *Listener) Addr() net.Addr {
	if !l.isMade() {
		return nil
	}
	return l.sock.Addr()
}

// Conns returns the open connections that this listener has accepted.
func (l *Listener) Conns() []*Conn {
	if !l.isMade() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	conns := make([]*Conn, 0, len(l.conns))
	for c := range l.conns {
		if c.wasOpened() && c.ctx.Err() == nil {
			conns = append(conns, &c.conn)
		}
	}
	return conns
}

// Close stops accepting. It does not close the connections.
func (l *Listener) Close() error {
	if !l.isMade() {
		return nil
	}
	l.closeOnce.Do(func() {
		if err := calling("the Close method of a listener", l.sock.Close); err != nil && !usercode.Is(err, net.ErrClosed) {
			l.closeErr = usercode.Wrap(err, "broker: closing %s", l.URL())
		}
		l.mailbox.PostUserMessage(acceptEnded{})
		l.withdraw()
		usercode.Log(func() { l.log.Debug().Msg("listener closed") })
		l.mu.Lock()
		onClose := l.onClose
		l.mu.Unlock()
		if onClose != nil {
			onClose()
		}
	})
	return l.closeErr
}

// Shutdown stops accepting and ends the accepted connections in good order: the calls of the peers that are in progress
// are answered, further ones fail with [Busy], and the answers are written. A peer that speaks dialect pb+1 is told, so
// that it can connect elsewhere: see [Conn.GoingAway]. Its calls are taken until it has not called for half a second,
// and for 5 seconds at most. Shutdown returns when all connections have ended and their sockets are closed. If ctx ends
// first, the error names the connections that are still open; they end when their calls are answered. Connections that
// have not negotiated are closed at once.
//
// Shutdown affects this listener only. [actor.Runtime.Close] also ends dialed connections and all actors.
func (l *Listener) Shutdown(ctx context.Context) error {
	switch {
	case !l.isMade():
		return nil
	case ctx == nil:
		return fmt.Errorf("broker: shutting down a listener: %w", actor.ErrNilContext)
	}
	err := l.Close()
	l.mailbox.PostUserMessage(acceptShutdown{})
	ended := l.gone
	for {
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("broker: shutting down %s: %w; still open: %s", l.URL(), context.Cause(ctx), l.stillOpen())
		}
		c := l.any()
		if c == nil {
			return err
		}
		ended = c.gone
	}
}

// any returns a connection whose socket is open, or nil.
func (l *Listener) any() *connection {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		return c
	}
	return nil
}

// maxNamed is how many connections an error of Shutdown names.
const maxNamed = 8

// stillOpen names the open connections.
func (l *Listener) stillOpen() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for c := range l.conns {
		names = append(names, fmt.Sprintf("%s with %d calls in progress", c, c.inbound.Load()))
	}
	slices.Sort(names)
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	if len(names) == 0 {
		return "no connection, but the listener's actor"
	}
	return strings.Join(names, ", ")
}

// acceptor is the actor of a listener and the parent of its connections' brokers.
type acceptor struct {
	l     *Listener
	ended bool // the socket is closed; the actor stops with its last broker
	over  bool // connections that come late are closed
	count int
}

// Messages to the acceptor.
type (
	accepted    struct{ sock net.Conn }
	acceptEnded struct{}
	// acceptShutdown follows acceptEnded.
	acceptShutdown struct{}
)

// Receive implements protoactor.Actor.
func (a *acceptor) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started:
		a.l.rt.Go("accepting at "+a.l.URL(), a.l.accept)
	case accepted:
		if a.over {
			netio.Close(m.sock)
			return
		}
		a.adopt(ctx, m.sock)
	case acceptEnded:
		a.ended = true
		a.endWithLast(ctx)
	case acceptShutdown:
		a.over = true
		a.l.drain()
	case *protoactor.Terminated:
		a.count--
		a.endWithLast(ctx)
	case *protoactor.Stopping:
		netio.Close(a.l.sock)
	case *protoactor.Stopped:
		close(a.l.gone)
		registryOf(a.l.rt).removeListener(a.l)
	}
}

// Undelivered implements actor.DeadLetterHandler. It closes a connection that was accepted while the listener ended.
func (a *acceptor) Undelivered(message any) {
	if m, ok := message.(accepted); ok {
		netio.Close(m.sock)
	}
}

func (a *acceptor) endWithLast(ctx protoactor.Context) {
	if a.ended && a.count == 0 {
		ctx.Stop(ctx.Self())
	}
}

// adopt starts the broker of an accepted connection.
func (a *acceptor) adopt(ctx protoactor.Context, sock net.Conn) {
	l := a.l
	c := newConn(l.rt, sock, false, rootName, l.options)
	l.add(c)
	a.count++
	c.superviseClose()
	ctx.SpawnPrefix(c.props(), "broker")
}

// drain ends all connections in good order.
func (l *Listener) drain() {
	l.mu.Lock()
	conns := slices.Collect(maps.Keys(l.conns))
	l.mu.Unlock()
	for _, c := range conns {
		c.drain()
	}
}

// add lists a connection until its socket is closed.
func (l *Listener) add(c *connection) {
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	c.onGone = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, c)
	}
}

// accept runs until the socket is closed. Errors such as a lack of file descriptors are temporary, so it retries with a
// backoff. For each missing descriptor it drops one connection without a login.
func (l *Listener) accept() {
	backoff := supervision.Backoff{Min: 5 * time.Millisecond, Max: time.Second, Factor: 2}
	failures := 0
	for {
		var sock net.Conn
		err := calling("the listener's Accept method", func() (err error) { sock, err = l.sock.Accept(); return err })
		if err == nil && sock == nil {
			err = errors.New("broker: the listener accepted nothing")
		}
		if err == nil {
			failures = 0
			l.mailbox.PostUserMessage(accepted{sock})
			continue
		}
		if usercode.Is(err, net.ErrClosed) || isClosing(l.rt) {
			return
		}
		if usercode.Is(err, syscall.EMFILE) || usercode.Is(err, syscall.ENFILE) {
			budgetOf(l.rt).DropOldest(
				"the process has no file descriptors left, and this connection has waited longest for a login",
			)
		}
		failures++
		delay := backoff.Delay(failures, rand.Float64)
		usercode.Log(func() {
			l.log.Error().Err(usercode.LogError(err)).Dur("retry_in", delay).Msg("a connection could not be accepted")
		})
		select {
		case <-time.After(delay):
		case <-l.rt.Closing():
			return
		}
	}
}

func isClosing(rt *actor.Runtime) bool {
	select {
	case <-rt.Closing():
		return true
	default:
		return false
	}
}

// WithSocketMode sets the permissions of the socket that [Listen] makes for a pb+unix:// URL. To connect, a user needs
// write permission on the socket and search permission on every directory above it (Linux; some systems check only the
// directories). The mode is exact: the umask does not change it, and the socket never has more permissions. Without the
// option the umask decides, as for any other file: with the usual 022 the socket is 0755, and only its owner can
// connect. Twisted's endpoints make it 0666.
//
// Use 0660 to let the group connect, 0600 for the owner alone. Only the server's user should be able to write to the
// directory: a user with write permission there can replace the socket. Other URLs and [ListenOn] reject the option.
func WithSocketMode(mode fs.FileMode) ListenOption {
	return optionFunc(func(o *options) error { o.socketMode = &mode; return nil })
}

// checkSocketMode reports why the option cannot be used with a network.
func (o *options) checkSocketMode(network string) error {
	switch {
	case o.socketMode == nil:
		return nil
	case network != "unix":
		return errors.New("broker: WithSocketMode is for Listen at a pb+unix:// URL")
	case *o.socketMode != o.socketMode.Perm():
		return fmt.Errorf(
			"broker: WithSocketMode(%v): only the nine bits of permissions can be given, such as 0o660",
			*o.socketMode,
		)
	}
	return nil
}

// listenAt makes the listening socket of an endpoint.
func listenAt(e endpoint, o *options) (net.Listener, error) {
	if t, ok := o.transports[e.scheme]; ok {
		return t.listen(e.address, o)
	}
	if e.network == "unix" {
		return netio.ListenUnix(e.address, o.socketMode)
	}
	return net.Listen(e.network, e.address)
}
