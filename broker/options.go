package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/supervision"
)

// The option interfaces are sealed: the With functions of this package make all options. A function takes only options
// that it can use, so that the compiler rejects others. What depends on a value, such as [WithTLS] with a pb:// URL, is
// an error of the function. If an option is given twice, the last one counts. A nil option has no effect.
type (
	// ListenOption configures [Listen] and [ListenOn].
	ListenOption interface{ applyListen(*options) error }
	// ReconnectOption configures [Reconnect].
	ReconnectOption interface{ applyReconnect(*options) error }
	// DialOption configures [Dial], [NewClientConn] and [Reconnect].
	DialOption interface {
		ReconnectOption
		applyDial(*options) error
	}
	// Option configures both sides: it is a [ListenOption] and a [DialOption].
	Option interface {
		ListenOption
		DialOption
	}
)

// optionFunc is every option. The type that a With function returns says where the option may be used.
type optionFunc func(*options) error

func (f optionFunc) applyListen(o *options) error    { return f(o) }
func (f optionFunc) applyReconnect(o *options) error { return f(o) }
func (f optionFunc) applyDial(o *options) error      { return f(o) }

// RootFactory makes the object that one connection sees under a published name. It is called on a goroutine of its own
// before the sides negotiate, so the state of TLS is not known yet, and may block for Limits.Handshake. The object may
// be a [PortalRoot]. If it returns an error, the connection is closed.
type RootFactory func(c *Conn) (any, error)

// make calls the factory, and that of a PortalRoot that it returns.
func (f RootFactory) make(c *Conn) (any, error) {
	v, err := f(c)
	if root, ok := v.(*PortalRoot); ok && err == nil {
		return root.factory(c)
	}
	return v, err
}

// WithOptions is several options in one, for example for a listener and a dialer that share them.
func WithOptions(opts ...Option) Option {
	return optionFunc(func(o *options) error {
		for _, opt := range opts {
			if isNil(opt) {
				continue
			}
			if err := opt.applyListen(o); err != nil {
				return err
			}
		}
		return nil
	})
}

// dialFunc connects to an address, as net.Dialer.DialContext does.
type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// WithDialer makes [Dial] and [Reconnect] open their sockets with dial, for example through a proxy or from a given
// address. The network is "tcp" or "unix"; dial must honor ctx. TLS, if the URL asks for it, runs over these sockets.
// The default is the DialContext method of a zero net.Dialer. [NewClientConn] has a socket already and rejects the
// option.
func WithDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) DialOption {
	return optionFunc(func(o *options) error {
		o.dial = dial
		return notNil("WithDialer", "function", dial == nil)
	})
}

// notNil returns the error of an option that was given nil.
func notNil(option, what string, isNil bool) error {
	if isNil {
		return fmt.Errorf("broker: %s was given no %s: give one, or leave the option out", option, what)
	}
	return nil
}

// WithServerIdentity names the server that is dialed. Copies of published originals are kept under this name and are
// found again only in sessions with the same server. The default is the URL without the object's name; [NewClientConn]
// has no default, and keeps no copies. Set it if a server has several addresses, or if several servers publish the same
// objects. The name must not come from the peer, and must not be empty.
func WithServerIdentity(name string) DialOption {
	return optionFunc(func(o *options) error {
		o.identity = name
		return notNil("WithServerIdentity", "name", name == "")
	})
}

type options struct {
	*settings
	published map[string]RootFactory
	factories bool           // one of them is the application's
	objects   map[string]any // as given to the options
}

// settings are the options that a connection keeps. It must not keep the published objects: they may hold references to
// the peer's objects, and such a reference leads back to the connection.
type settings struct {
	dial             dialFunc             // nil: net.Dialer's
	transports       map[string]Transport // by scheme
	keepalive        keepalive
	identity         string // of the server; empty until it is known
	backoff          supervision.Backoff
	limits           Limits
	extendedLimits   banana.Limits // limits.Banana for dialect pb+1
	polling          time.Duration
	tls              *tls.Config
	socketMode       *fs.FileMode // nil: the umask decides
	registry         *jelly.Registry
	unsafeTracebacks bool
	describe         bool
	security         *jelly.SecurityOptions // nil: jelly's default
	dialects         []banana.Profile       // best first
	profiled         bool
	relaying         bool
	substitutes      Substitutes
	originEnded      func(conn *Conn, gone flavors.Gone)
	freeClass        string
	lostAs           *flavors.Exception // nil for flavors.ConnectionLost
	interceptors     []flavors.Interceptor
	chain            any // them as a flavors.CallFunc; nil if there are none
}

// defaultDialects is the default of [WithDialects].
var defaultDialects = []banana.Profile{banana.ProfilePB1, banana.ProfilePB, banana.ProfileNone}

// WithDialects sets the dialects that this side speaks, best first. A listener offers them in this order, and a dialer
// takes the first of the server's that is among them. The default is [banana.ProfilePB1], [banana.ProfilePB],
// [banana.ProfileNone]. Stock peers know the last two only.
//
// [banana.ProfilePB1] adds deadlines, cancelling and metadata of calls. To do without these, leave it out:
//
//	broker.WithDialects(banana.ProfilePB, banana.ProfileNone)
//
// [Conn.Dialect] returns what the two sides agreed on.
func WithDialects(dialects ...banana.Profile) Option {
	return optionFunc(func(o *options) error {
		for i, d := range dialects {
			if !d.IsKnown() {
				return fmt.Errorf(
					"broker: WithDialects was given %v, which is no dialect: use the constants of package banana", d)
			}
			if slices.Contains(dialects[:i], d) {
				return fmt.Errorf("broker: WithDialects was given %v twice", d)
			}
		}
		o.dialects = slices.Clone(dialects)
		return notNil("WithDialects", "dialect", len(dialects) == 0)
	})
}

// WithLimits sets the limits. Zero and negative fields have their default. The default is [DefaultLimits].
func WithLimits(l Limits) Option {
	return optionFunc(func(o *options) error { o.limits = l; return nil })
}

// defaultPolling is the default of [WithPolling].
const defaultPolling = 100 * time.Microsecond

// WithPolling sets how long a reader polls its socket before it sleeps, while each side makes one call after the other.
// Polling saves each call a wake-up and costs processor time: at most d after each read, on one connection of the
// runtime at a time. It applies to Unix-like systems with more than one processor, without TLS, while no more than one
// call is in progress; it stops while it does not pay. The default is 100 µs; 0 turns polling off.
func WithPolling(d time.Duration) Option {
	return optionFunc(func(o *options) error {
		o.polling = d
		if d < 0 {
			return fmt.Errorf("broker: WithPolling(%v): must not be negative; 0 turns polling off", d)
		}
		return nil
	})
}

// WithPublished publishes another object under a name, beside "root". By default a listener publishes only its root and
// a dialer nothing. The object is a pointer to a struct that embeds [flavors.Referenceable] or [flavors.Viewable], a
// [flavors.ViewPoint], a [RootFactory] or a [PortalRoot]. A published Viewable has no perspective, because nobody has
// logged in. A name can be published once.
//
// If an object has a method RegisterClasses(*jelly.Registry) error, it is called with the listener's or dialer's
// registry, perhaps more than once.
func WithPublished(name string, object any) Option {
	return optionFunc(func(o *options) error { return o.publish(name, object) })
}

// WithRegistry sets the classes that may be received as copies. By default only failures are accepted; they are added
// to r. A registry may serve many connections.
func WithRegistry(r *jelly.Registry) Option {
	return optionFunc(func(o *options) error {
		o.registry = r
		return notNil("WithRegistry", "registry", r == nil)
	})
}

// WithSecurity sets the taster, which decides what types may be received. The default is [jelly.DefaultSecurity].
func WithSecurity(s *jelly.SecurityOptions) Option {
	return optionFunc(func(o *options) error {
		o.security = s
		return notNil("WithSecurity", "*jelly.SecurityOptions", s == nil)
	})
}

// WithUnsafeTracebacks sends the stack of a failure to peers, as Twisted's unsafeTracebacks does. By default peers get
// only the exception's type and text, and nothing of a panic.
func WithUnsafeTracebacks() Option {
	return optionFunc(func(o *options) error { o.unsafeTracebacks = true; return nil })
}

// WithRelaying lets the objects of one peer be passed to another, if both connections have the option. A
// [flavors.RemoteReference] can then be sent over any such connection. The peer that gets it can call it, and its calls
// are passed on to the peer whose object it is, in order, with their arguments and answers as they came: this side need
// not know the classes of the copies in them. A reference that comes home is the very object that was sent.
//
// What a user's objects answer, and what the user gives to the objects of others, belongs to the user's perspective, as
// what the avatar is given does. So it makes no difference in which way a reference has come.
//
// A peer can reach what it was given, and nothing else. Its calls count against its own limits until they are answered.
// They go by interceptors ([WithInterceptor]) of both connections, which would have nothing decoded to see. A Cacheable
// cannot be passed on.
//
// Methods can keep values undecoded as well: see [flavors.Relayed] and [flavors.NewRelay].
func WithRelaying() Option {
	return optionFunc(func(o *options) error { o.relaying = true; return nil })
}

// WithLostAs sets the exception with which calls fail whose connection ends before their answers come. It should have
// flavors.ConnectionLost, which is the default, among its parents. It is for connections that carry the calls of
// others, such as those between the nodes of a cluster.
func WithLostAs(exception *flavors.Exception) Option {
	return optionFunc(func(o *options) error {
		if exception == nil {
			return errors.New("broker: WithLostAs was given no exception")
		}
		o.lostAs = exception
		return nil
	})
}

// Substitutes say what is sent in place of values that cannot be passed on as they are. The functions must not block.
// What they return is sent in place of the value; nil stands for the value itself.
type Substitutes struct {
	// Cacheable is called for each [flavors.Cacheable] that is sent over the connection. It may be nil.
	Cacheable func(original, perspective any) any
	// Reference is called for each reference that carries a class (see [flavors.RegisterReference]), came over the
	// connection, and is sent over another one. It may be nil.
	Reference func(ref *flavors.RemoteReference) any
	// Home is called for each object of this process that the peer sends back. Methods and other peers get what it
	// returns: for a substitute that Cacheable returned, this is the Cacheable. It may be nil.
	Home func(object any) any
	// Address is called for each object with a [flavors.Relay] that is sent over the connection. With ok, the object is
	// sent as an address, [address kind id], of at most [jelly.MaxAddress] bytes, and otherwise as a reference. The
	// peer needs Object. It may be nil.
	Address func(object any) (kind, id string, ok bool)
	// Object returns what an address stands for that the peer has sent, and nil if it is nothing. Without it addresses
	// are refused. It hands out objects that the peer was not given, so such a peer must be trusted.
	Object func(kind, id string) any
}

// WithSubstitutes has other values sent in place of some. It is for connections with [WithRelaying] between programs
// that know what stands for what.
func WithSubstitutes(s Substitutes) Option {
	return optionFunc(func(o *options) error { o.substitutes = s; return nil })
}

// WithFreeClass says that the peer hands out any number of objects to which its references are of a class, see
// [flavors.RegisterReference]. Of others a peer may hand out 1,024, as stock peers do, or they may be objects of such a
// peer that it passes on: so garbage collections are asked for to give back those that are not in use, and wait.
func WithFreeClass(class string) Option {
	return optionFunc(func(o *options) error { o.freeClass = class; return nil })
}

// WithOriginEnded has f called when a reference that was passed on over a connection, and that the peer still holds,
// has lost the connection that it came over. f sends gone to the peer as an argument of a call: the peer gets the
// reference once more, to know which one has ended; see [flavors.EndReference]. f runs on a goroutine of its own, and
// may be called again for the same object. It is for connections with [WithRelaying].
func WithOriginEnded(f func(conn *Conn, gone flavors.Gone)) Option {
	return optionFunc(func(o *options) error { o.originEnded = f; return nil })
}

// WithPprofLabels runs each method that a peer calls with the label "pb.method" for profiles of the process. Its value
// is the object's type and the method, as Account.deposit. Goroutines that the method starts inherit it. By default
// there is no label; it costs a call some ten nanoseconds.
func WithPprofLabels() Option {
	return optionFunc(func(o *options) error { o.profiled = true; return nil })
}

// WithInterceptor has interceptors wrap the calls of each connection, in both directions. The first of them is the
// outermost: it sees a call first and its result last. If the option is given several times, its interceptors come
// after those given before. By default there are none, and then a call costs nothing more.
//
// A Forwarder takes calls of a connection with interceptors in turns of its own, not in the turn of the connection: see
// [flavors.Forward].
func WithInterceptor(interceptors ...flavors.Interceptor) Option {
	return optionFunc(func(o *options) error {
		o.interceptors = append(slices.Clip(o.interceptors), interceptors...)
		return nil
	})
}

// chainInterceptors makes one function of the interceptors.
func (o *options) chainInterceptors() error {
	if len(o.interceptors) == 0 {
		return nil
	}
	chain, err := internal.Intercept(o.interceptors)
	if err != nil {
		return fmt.Errorf("broker: WithInterceptor: %w", err)
	}
	o.chain = chain
	return nil
}

func factoryOf(object any) RootFactory {
	switch f := object.(type) {
	case RootFactory:
		return f
	case func(*Conn) (any, error):
		return f
	case *PortalRoot:
		return f.factory
	}
	return func(*Conn) (any, error) { return object, nil }
}

// newOptions applies opts with one of the methods of the option interfaces.
func newOptions[O any](opts []O, apply func(O, *options) error) (*options, error) {
	o := &options{published: map[string]RootFactory{}, objects: map[string]any{}, settings: &settings{
		backoff: defaultBackoff, polling: defaultPolling, dialects: defaultDialects,
	}}
	for _, opt := range opts {
		if isNil(opt) {
			continue
		}
		if err := apply(opt, o); err != nil {
			return nil, err
		}
	}
	if o.registry == nil {
		o.registry = jelly.NewRegistry()
	}
	if _, ok := o.registry.Lookup(flavors.CopyableFailureClass); !ok {
		entry := jelly.ClassEntry{New: func() any { return new(flavors.Failure) }}
		if err := o.registry.Register(flavors.CopyableFailureClass, entry); err != nil {
			return nil, fmt.Errorf("broker: %w", err)
		}
	}
	for name, object := range o.objects {
		if err := o.registerClasses(name, object); err != nil {
			return nil, err
		}
	}
	o.limits = o.limits.withDefaults()
	o.extendedLimits = o.limits.Banana.WithLongStrings()
	if err := o.checkDescribe(); err != nil {
		return o, err
	}
	return o, o.chainInterceptors()
}

// classRegistrar is implemented by published objects whose arguments have classes of their own. RegisterClasses may be
// called more than once for a registry.
type classRegistrar interface {
	RegisterClasses(r *jelly.Registry) error
}

// publish adds an object. It reports what can be found wrong before the first connection.
func (o *options) publish(name string, object any) error {
	if name == "" {
		return errors.New("broker: WithPublished was given no name")
	}
	if _, ok := o.published[name]; ok {
		return fmt.Errorf("broker: two objects are to be published as %q: give each another name", name)
	}
	switch f := object.(type) {
	case nil:
		return fmt.Errorf("broker: the object to be published as %q is nil: "+
			"give a pointer to a struct that embeds flavors.Referenceable, or a RootFactory", name)
	case RootFactory:
		if f == nil {
			return fmt.Errorf("broker: the RootFactory to be published as %q is nil", name)
		}
		o.factories = true
	case func(*Conn) (any, error):
		if f == nil {
			return fmt.Errorf("broker: the function to be published as %q is nil", name)
		}
		o.factories = true
	case *PortalRoot:
		if err := f.check(); err != nil {
			return fmt.Errorf("broker: the login to be published as %q: %w", name, err)
		}
	default:
		if _, err := internal.ExportOf(object); err != nil {
			return fmt.Errorf("broker: the object to be published as %q: %w", name, err)
		}
	}
	o.objects[name] = object
	o.published[name] = factoryOf(object)
	if o.registry == nil {
		return nil // newOptions does it when it knows the registry.
	}
	return o.registerClasses(name, object)
}

// registerClasses registers the classes that an object needs.
func (o *options) registerClasses(name string, object any) error {
	r, ok := object.(classRegistrar)
	if !ok {
		return nil
	}
	if err := r.RegisterClasses(o.registry); err != nil {
		return fmt.Errorf("broker: the classes of the object to be published as %q: %w", name, err)
	}
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
