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

// Option changes how connections are made. The same options are for [Listen] and [Dial].
type Option interface{ apply(*options) }

// RootFactory makes the object that one connection gets to see under a published name. It runs before the peer's first
// call, in the turn of the connection's broker: it must not wait. An error refuses the connection.
type RootFactory func(c *Conn) (any, error)

// DialFunc makes a socket: a network such as "tcp" or "unix", and an address as package net writes them. It honours
// ctx.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// WithDialer has [Dial] and [Reconnect] make their sockets by way of a function: through a proxy, from a certain
// address, or over a network that fails, in a test. TLS, if the URL asks for it, is spoken over what it gives. The
// default is that of a net.Dialer.
func WithDialer(dial DialFunc) Option { return optionFunc(func(o *options) { o.dial = dial }) }

// WithServerIdentity says which server is dialed, for what is kept of it over sessions: copies of published originals
// are found again only in sessions with the same server, and two servers never get each other's. The default is the URL
// without the name behind it; for [Client] there is none, and nothing is kept. Give it for a server that is reached at
// several addresses, or for several that share what they publish. It must not come from the peer. Listeners do not look
// at it: they do not know who connects, and keep nothing.
func WithServerIdentity(name string) Option {
	return optionFunc(func(o *options) { o.identity = name })
}

type options struct {
	*settings
	published map[string]RootFactory
	objects   map[string]any // the same, as they were given
}

// settings is what a connection keeps of its options. What is published it must not keep: that may hold references to
// the peer's objects, and what is left of such a reference when it is forgotten leads to the connection.
type settings struct {
	dial             DialFunc
	keepalive        keepalive
	identity         string // of the server; empty until it is known
	backoff          supervision.Backoff
	limits           Limits
	polling          time.Duration
	tls              *tls.Config
	socketMode       *fs.FileMode // nil for what the umask says
	registry         *jelly.Registry
	unsafeTracebacks bool
	security         *jelly.SecurityOptions // nil for jelly's default
}

type optionFunc func(*options)

func (f optionFunc) apply(o *options) { f(o) }

// WithLimits replaces the default limits, field by field: zero fields keep their default.
func WithLimits(l Limits) Option { return optionFunc(func(o *options) { o.limits = l }) }

// defaultPolling is the default of [WithPolling].
const defaultPolling = 100 * time.Microsecond

// WithPolling sets for how long a connection's reader polls its socket before it parks, where each side makes one call
// after the other. It spares each call a wake-up and costs processor time: at most d after each read, on one connection
// of the runtime at a time. A reader polls only on systems of the Unix kind, without TLS, with more than one processor,
// while no more than one call is in progress; it stops while polling does not pay. The default is 100 µs; 0 turns
// polling off.
func WithPolling(d time.Duration) Option { return optionFunc(func(o *options) { o.polling = d }) }

// WithPublished publishes one more object under a name, beside "root". By default nothing else is published, and
// nothing at all by the side that dials. The object is a pointer to a struct that embeds [flavors.Referenceable] or
// [flavors.Viewable], a [flavors.ViewPoint], or a [RootFactory]. A Viewable that is published has no perspective, since
// nobody has logged in.
func WithPublished(name string, object any) Option {
	return optionFunc(func(o *options) { o.objects[name] = object })
}

// WithRegistry says which classes may come in as copies. The default lets none in but failures, which are added to the
// registry that is given. A registry may serve many connections.
func WithRegistry(r *jelly.Registry) Option {
	return optionFunc(func(o *options) { o.registry = r })
}

// WithSecurity replaces the taster, which says what types may come in. The default is [jelly.DefaultSecurity].
func WithSecurity(s *jelly.SecurityOptions) Option {
	return optionFunc(func(o *options) { o.security = s })
}

// WithUnsafeTracebacks shows peers the stack of a failure: Twisted's unsafeTracebacks. By default they get the
// exception's type and text only, and nothing of a panic.
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

// publish adds an object, and finds what can be found wrong before the first connection.
func (o *options) publish(name string, object any) error {
	switch f := object.(type) {
	case nil:
		return fmt.Errorf("broker: nil was given to be published as %q: give a pointer to a struct that embeds flavors.Referenceable, or a RootFactory", name)
	case RootFactory:
		if f == nil {
			return fmt.Errorf("broker: the RootFactory to be published as %q is nil; LoginRoot and IdentityRoot return nil for a nil portal", name)
		}
	case func(*Conn) (any, error):
		if f == nil {
			return fmt.Errorf("broker: the function to be published as %q is nil", name)
		}
	default:
		if _, err := flavors.ExportOf(object); err != nil {
			return fmt.Errorf("broker: the object to be published as %q: %w", name, err)
		}
	}
	o.objects[name] = object
	o.published[name] = factoryOf(object)
	return nil
}

// show claims the objects that a listener publishes for its runtime, until withdraw is called.
func (o *options) show(rt *actor.Runtime) (withdraw func(), err error) {
	var shown []func()
	withdraw = func() {
		for _, f := range shown {
			f()
		}
	}
	for name, object := range o.objects {
		hole, err := flavors.ExportOf(object)
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
