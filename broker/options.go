package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/supervision"
)

// Option configures [Listen], [ListenOn], [Dial], [NewClientConn] and [Reconnect].
type Option interface{ apply(*options) }

// RootFactory makes the object that one connection sees under a published name. It is called before the peer's first
// call, in the turn of the connection's broker, and must not block. If it returns an error, the connection is closed.
type RootFactory func(c *Conn) (any, error)

// DialFunc connects to an address on a network, such as "tcp" or "unix", as net.Dialer.DialContext does. It must honor
// ctx.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// WithDialer makes [Dial] and [Reconnect] open their sockets with dial, for example through a proxy or from a given
// address. TLS, if the URL asks for it, runs over these sockets. The default is a zero net.Dialer.
func WithDialer(dial DialFunc) Option { return optionFunc(func(o *options) { o.dial = dial }) }

// WithServerIdentity names the server that is dialed. Copies of published originals are kept under this name and are
// found again only in sessions with the same server. The default is the URL without the object's name; [NewClientConn]
// has no default, and keeps no copies. Set it if a server has several addresses, or if several servers publish the same
// objects. The name must not come from the peer. Listeners ignore this option and keep no copies.
func WithServerIdentity(name string) Option {
	return optionFunc(func(o *options) { o.identity = name })
}

type options struct {
	*settings
	published map[string]RootFactory
	objects   map[string]any // as given to the options
}

// settings are the options that a connection keeps. It must not keep the published objects: they may hold references to
// the peer's objects, and such a reference leads back to the connection.
type settings struct {
	dial             DialFunc
	keepalive        keepalive
	identity         string // of the server; empty until it is known
	backoff          supervision.Backoff
	limits           Limits
	polling          time.Duration
	tls              *tls.Config
	socketMode       *fs.FileMode // nil: the umask decides
	registry         *jelly.Registry
	unsafeTracebacks bool
	security         *jelly.SecurityOptions // nil: jelly's default
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithLimits sets the limits. Zero fields keep their default; see [DefaultLimits].
func WithLimits(l Limits) Option { return optionFunc(func(o *options) { o.limits = l }) }

// defaultPolling is the default of [WithPolling].
const defaultPolling = 100 * time.Microsecond

// WithPolling sets how long a reader polls its socket before it sleeps, while each side makes one call after the other.
// Polling saves each call a wake-up and costs processor time: at most d after each read, on one connection of the
// runtime at a time. It applies to Unix-like systems with more than one processor, without TLS, while no more than one
// call is in progress; it stops while it does not pay. The default is 100 µs; 0 turns polling off.
func WithPolling(d time.Duration) Option { return optionFunc(func(o *options) { o.polling = d }) }

// WithPublished publishes another object under a name, beside "root". By default a listener publishes only its root and
// a dialer nothing. The object is a pointer to a struct that embeds [flavors.Referenceable] or [flavors.Viewable], a
// [flavors.ViewPoint], or a [RootFactory]. A published Viewable has no perspective, because nobody has logged in.
func WithPublished(name string, object any) Option {
	return optionFunc(func(o *options) { o.objects[name] = object })
}

// WithRegistry sets the classes that may be received as copies. By default only failures are accepted; they are added
// to r. A registry may serve many connections.
func WithRegistry(r *jelly.Registry) Option {
	return optionFunc(func(o *options) { o.registry = r })
}

// WithSecurity sets the taster, which decides what types may be received. The default is [jelly.DefaultSecurity].
func WithSecurity(s *jelly.SecurityOptions) Option {
	return optionFunc(func(o *options) { o.security = s })
}

// WithUnsafeTracebacks sends the stack of a failure to peers, as Twisted's unsafeTracebacks does. By default peers get
// only the exception's type and text, and nothing of a panic.
func WithUnsafeTracebacks() Option { return optionFunc(func(o *options) { o.unsafeTracebacks = true }) }

func factoryOf(object any) RootFactory {
	switch f := object.(type) {
	case RootFactory:
		return f
	case func(*Conn) (any, error):
		return f
	}
	return func(*Conn) (any, error) { return object, nil }
}

func newOptions(opts []Option) (*options, error) {
	o := &options{published: map[string]RootFactory{}, objects: map[string]any{}, settings: &settings{
		registry: jelly.NewRegistry(), backoff: defaultBackoff, dial: new(net.Dialer).DialContext, polling: defaultPolling,
	}}
	for _, opt := range opts {
		if opt != nil {
			opt.apply(o)
		}
	}
	if o.registry == nil {
		o.registry = jelly.NewRegistry()
	}
	if o.dial == nil {
		return nil, errors.New("broker: WithDialer was given no function")
	}
	if _, ok := o.registry.Lookup(flavors.CopyableFailureClass); !ok {
		entry := jelly.ClassEntry{New: func() any { return new(flavors.Failure) }}
		if err := o.registry.Register(flavors.CopyableFailureClass, entry); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	for name, object := range o.objects {
		if err := o.publish(name, object); err != nil {
			return nil, err
		}
	}
	o.limits = o.limits.withDefaults()
	return o, nil
}

// publish adds an object. It reports what can be found wrong before the first connection.
func (o *options) publish(name string, object any) error {
	switch f := object.(type) {
	case nil:
		return fmt.Errorf("broker: the object to be published as %q is nil: "+
			"give a pointer to a struct that embeds flavors.Referenceable, or a RootFactory", name)
	case RootFactory:
		if f == nil {
			return fmt.Errorf("broker: the RootFactory to be published as %q is nil; "+
				"LoginRoot and IdentityRoot return nil for a nil portal", name)
		}
	case func(*Conn) (any, error):
		if f == nil {
			return fmt.Errorf("broker: the function to be published as %q is nil", name)
		}
	default:
		if _, err := internal.ExportOf(object); err != nil {
			return fmt.Errorf("broker: the object to be published as %q: %w", name, err)
		}
	}
	o.objects[name] = object
	o.published[name] = factoryOf(object)
	return nil
}

// show claims the published objects for rt until withdraw is called.
func (o *options) show(rt *actor.Runtime) (withdraw func(), err error) {
	var shown []func()
	withdraw = func() {
		for _, f := range shown {
			f()
		}
	}
	for name, object := range o.objects {
		hole, err := internal.ExportOf(object)
		if err != nil {
			continue // It is a factory.
		}
		f, err := hole.Core.Publish(rt)
		if err != nil {
			withdraw()
			return nil, fmt.Errorf("broker: the object to be published as %q: %w", name, err)
		}
		shown = append(shown, f)
	}
	return withdraw, nil
}

type keepalive struct{ idle, deadline time.Duration }

func (k keepalive) on() bool { return k.idle > 0 && k.deadline > 0 }

// defaultBackoff is the default of [WithBackoff].
var defaultBackoff = supervision.Backoff{Min: 500 * time.Millisecond, Max: 30 * time.Second, Factor: 2, Jitter: 0.5}
