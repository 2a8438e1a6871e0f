package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
	"github.com/rs/zerolog"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// Listener accepts connections. Each gets a broker of its own; the listener's end does not end them, the runtime's
// does.
type Listener struct {
	rt       *actor.Runtime
	sock     net.Listener
	endpoint endpoint
	options  *options
	log      zerolog.Logger
	mailbox  *actor.Mailbox // the acceptor's

	withdraw  func() // takes back the claim on what is published
	closeOnce sync.Once
	closeErr  error

	mu sync.Mutex
	// Guarded by mu.
	conns   map[*connection]struct{}
	onClose func() // takes back the request to be closed with the runtime; nil before it was made
}

// Listen publishes root and accepts connections at the URL: pb://host:port (port 0 picks a free one), pbs://host:port
// (TLS, see [WithTLS]) or pb+unix:///path (see [WithSocketMode] for who can connect; a socket that a killed process
// left there is replaced). The root is a pointer to a struct that embeds [flavors.Referenceable], shared by all
// connections, or a [RootFactory], or nil if options publish all there is; see [WithPublished] for what else it may be.
func Listen(rt *actor.Runtime, url string, root any, opts ...Option) (*Listener, error) {
	if err := usable(rt); err != nil {
		return nil, fmt.Errorf("broker: listening at %s: %w", url, err)
	}
	e, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if e.name != rootName {
		return nil, errListenName
	}
	o, err := newOptions(opts)
	if err != nil {
		return nil, err
	}
	if err := o.checkSocketMode(e.network); err != nil {
		return nil, err
	}
	sock, err := listenAt(e, o)
	if err != nil {
		return nil, fmt.Errorf("broker: listening at %s: %w", url, err)
	}
	l, err := newListener(rt, sock, e, root, opts)
	if err != nil {
		_ = sock.Close()
	}
	return l, err
}

// secured is the socket that the listener accepts from.
func secured(sock net.Listener, e endpoint, o *options) (net.Listener, error) {
	switch {
	case e.scheme == "pbs":
		return serveTLS(sock, o)
	case o.tls != nil:
		return nil, errTLSUnused(e.url(sock.Addr()))
	}
	return sock, nil
}

// Serve is [Listen] on a socket of the caller's own, which the listener closes: one that was inherited, wraps another,
// or needs no network (see [NewPipeListener]). With [WithTLS] TLS is spoken over it.
func Serve(rt *actor.Runtime, sock net.Listener, root any, opts ...Option) (*Listener, error) {
	if isNil(sock) {
		return nil, errors.New("broker: Serve was given no listener")
	}
	if err := usable(rt); err != nil {
		return nil, fmt.Errorf("broker: serving: %w", err)
	}
	network, _ := addressOf(sock.Addr)
	e := endpoint{scheme: "pb", network: network, name: rootName}
	if o, err := newOptions(opts); err == nil {
		if err := o.checkSocketMode(""); err != nil {
			return nil, err
		}
		if o.tls != nil {
			e.scheme = "pbs"
		}
	}
	return newListener(rt, sock, e, root, opts)
}

func newListener(rt *actor.Runtime, sock net.Listener, e endpoint, root any, opts []Option) (*Listener, error) {
	o, err := newOptions(opts)
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
	if sock, err = secured(sock, e, o); err != nil {
		return nil, err
	}
	l := &Listener{
		rt: rt, sock: sock, endpoint: e, options: o,
		mailbox: actor.NewMailbox(), conns: map[*connection]struct{}{},
	}
	l.log = rt.Logger().With().Str("listener", l.URL()).Logger()
	if l.withdraw, err = o.show(rt); err != nil {
		return nil, err
	}
	props := rt.Props(
		func() protoactor.Actor { return &acceptor{l: l} },
		protoactor.WithSupervisor(brokerStrategy(rt)),
		protoactor.WithMailbox(func() protoactor.Mailbox { return l.mailbox }),
	)
	if _, err = supervision.TreeOf(rt).Spawn(supervision.Listeners, props, "acceptor"); err != nil {
		l.withdraw()
		return nil, fmt.Errorf("broker: listening at %s: %w", l.URL(), err)
	}
	onClose := rt.OnClose(actor.PhaseRefuse, "listener "+l.URL(), func(context.Context) error { return l.Close() })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onClose = onClose
	return l, nil
}

// usable says why nothing can be begun in a runtime.
func usable(rt *actor.Runtime) error {
	if err := rt.Check(); err != nil {
		return err
	}
	if isClosing(rt) {
		return supervision.ErrClosing
	}
	return nil
}

// isNil reports whether an interface holds nothing, or a nil pointer, function or the like.
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

// URL is where the listener can be reached, with the port that was really taken.
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

// nowhere is the address of a socket that does not say its own.
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

// Format prints what String returns, whatever the verb: a listener is large, and in use by other goroutines.
func (l *Listener) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, l.String()) }

// Addr is the address of the listening socket.
func (l *Listener) Addr() net.Addr {
	if !l.isMade() {
		return nil
	}
	return l.sock.Addr()
}

// Conns are the connections that this listener has accepted and that have been negotiated.
func (l *Listener) Conns() []*Conn {
	if !l.isMade() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	conns := make([]*Conn, 0, len(l.conns))
	for c := range l.conns {
		if c.isReady() {
			conns = append(conns, &c.conn)
		}
	}
	return conns
}

// Close accepts nothing more. Connections that were accepted go on.
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
