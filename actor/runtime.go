package actor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

// Runtime is where actors of this module live: an actor system, a dispatcher,
// the goroutines beside it and the order in which they end. All methods may be
// called from any goroutine.
type Runtime struct {
	system     *protoactor.ActorSystem
	own        bool // the system is ours to shut down
	root       *protoactor.RootContext
	logger     zerolog.Logger
	dispatcher protoactor.Dispatcher
	elastic    *Dispatcher // dispatcher, when it is ours to close
	watcher    *watcher
	discard    *protoactor.PID

	extensions sync.Map  // any -> func() any
	waiters    sync.Pool // of *listener, for Await
	tasks      tasks
	ending     ending
}

// deadLetterInterval is how long a goroutine lives that upstream starts after a dead letter, to count further ones; its
// default of a second would hold up every end.
const deadLetterInterval = time.Millisecond

// NewRuntime makes a Runtime with an actor system of its own.
func NewRuntime(opts ...Option) (*Runtime, error) {
	c := newConfig(opts)
	if err := c.check(); err != nil {
		return nil, err
	}
	system := protoactor.NewActorSystem(append([]protoactor.ConfigOption{
		protoactor.WithLoggerFactory(slogFactory(c.logger)),
		protoactor.WithDeadLetterRequestLogging(false),
		protoactor.WithDeadLetterThrottleInterval(deadLetterInterval),
	}, c.system...)...)
	return newRuntime(system, true, c), nil
}

// Adopt makes a Runtime inside an actor system that the application already has. Nothing of the system
// is changed, and closing the Runtime does not shut it down.
func Adopt(system *protoactor.ActorSystem, opts ...Option) (*Runtime, error) {
	if system == nil {
		return nil, errors.New("actor: adopt: the actor system is nil; pass one, or use NewRuntime")
	}
	if system.IsStopped() {
		return nil, fmt.Errorf("actor: adopt: the actor system %s has been shut down; pass a running one", system.ID)
	}
	c := newConfig(opts)
	if err := c.check(); err != nil {
		return nil, err
	}
	return newRuntime(system, false, c), nil
}

func (c *config) check() error {
	if c.idle < 0 {
		return fmt.Errorf("actor: WithIdleWorkers(%d): must not be negative", c.idle)
	}
	if c.throughput < 1 {
		return fmt.Errorf("actor: WithThroughput(%d): must be at least 1", c.throughput)
	}
	return nil
}

func newRuntime(system *protoactor.ActorSystem, own bool, c config) *Runtime {
	rt := &Runtime{
		system:     system,
		own:        own,
		root:       protoactor.NewRootContext(system, nil),
		logger:     c.logger,
		dispatcher: c.dispatcher,
		watcher:    watcherOf(system),
		discard:    discardOf(system),
	}
	if rt.dispatcher == nil {
		rt.elastic = newDispatcher(c.idle, c.throughput, &rt.logger)
		rt.dispatcher = rt.elastic
	}
	rt.tasks.init(&rt.logger)
	rt.ending.init()
	return rt
}

// Check says why the Runtime cannot be used: it is nil, or neither [NewRuntime] nor [Adopt] has made it. A Runtime that
// has been closed passes.
func (rt *Runtime) Check() error {
	switch {
	case rt == nil:
		return errors.New("actor: the Runtime is nil; make one with NewRuntime or Adopt")
	case rt.system == nil:
		return errors.New("actor: this Runtime was not made by NewRuntime or Adopt")
	}
	return nil
}

// String names the Runtime in logs.
func (rt *Runtime) String() string {
	if err := rt.Check(); err != nil {
		return "<Runtime, not usable>"
	}
	return "<Runtime of actor system " + rt.system.ID + ">"
}

// Format prints what String returns, whatever the verb: a Runtime is large, and in use by other goroutines.
func (rt *Runtime) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, rt.String()) }

// System returns the actor system.
func (rt *Runtime) System() *protoactor.ActorSystem {
	if rt == nil {
		return nil
	}
	return rt.system
}

// Root returns a context for sending and spawning from outside of any actor. It has none of the
// middleware and guardians that an application may have given to its system's own root.
func (rt *Runtime) Root() *protoactor.RootContext {
	if rt == nil {
		return nil
	}
	return rt.root
}

// Logger returns the logger that the Runtime was made with.
func (rt *Runtime) Logger() *zerolog.Logger {
	if rt == nil {
		nowhere := zerolog.Nop()
		return &nowhere
	}
	return &rt.logger
}

// Dispatcher returns what the actors made from Props run on.
func (rt *Runtime) Dispatcher() protoactor.Dispatcher {
	if rt == nil {
		return nil
	}
	return rt.dispatcher
}

// Discard returns the address of a process that swallows what it is sent. It is
// of use as the sender of messages whose answer nobody wants.
func (rt *Runtime) Discard() *protoactor.PID {
	if rt == nil {
		return nil
	}
	return rt.discard
}

// Props describes actors that run on the Runtime's dispatcher, with its mailbox, and guarded: see
// the package's documentation for what that means. The options come after ours and so win over them.
func (rt *Runtime) Props(producer func() protoactor.Actor, opts ...protoactor.PropsOption) *protoactor.Props {
	if err := rt.Check(); err != nil {
		return protoactor.PropsFromProducer(func() protoactor.Actor {
			panic(
				err.Error(),
			) //nolint:forbidigo // upstream's producers have no other way to fail; Tree.Spawn makes an error of it
		})
	}
	return protoactor.PropsFromProducer(
		func() protoactor.Actor { return rt.guard(rt.produce(producer)) },
		append([]protoactor.PropsOption{
			protoactor.WithDispatcher(rt.dispatcher),
			protoactor.WithMailbox(produceMailbox),
		}, opts...)...)
}

// produce logs a panic of the producer, and of a producer that makes nothing, before it goes on: to whoever spawns, or
// on a restart to the supervisor, whose child keeps the former instance until another attempt succeeds.
func (rt *Runtime) produce(producer func() protoactor.Actor) (inner protoactor.Actor) {
	defer func() {
		if r := recover(); r != nil {
			usercode.Log(func() {
				rt.logger.Error().
					Str("panic", usercode.PanicText(r)).
					Bytes("stack", debug.Stack()).
					Msg("an actor's producer panicked")
			})
			panic(r) //nolint:forbidigo // it was one; upstream's producers have no other way to fail
		}
	}()
	if producer == nil {
		panic(
			"actor: the producer given to Props is nil",
		) //nolint:forbidigo // upstream's producers have no other way to fail
	}
	if inner = producer(); inner == nil {
		panic(
			"actor: the producer given to Props returned no actor",
		) //nolint:forbidigo // likewise; Tree.Spawn makes an error of it
	}
	return inner
}

// Extension returns the value that belongs to this Runtime under key, and makes it on the first
// call, exactly once. produce may ask for other extensions. Keys should be of an unexported type, as those
// of a context.Context are.
func (rt *Runtime) Extension(key any, produce func() any) any {
	if rt == nil {
		if produce == nil {
			return nil
		}
		return produce()
	}
	get, ok := rt.extensions.Load(key)
	if !ok {
		if produce == nil {
			return nil
		}
		get, _ = rt.extensions.LoadOrStore(key, sync.OnceValue(produce))
	}
	return get.(func() any)()
}

// DefaultIdleWorkers is how many goroutines a Runtime's dispatcher keeps
// waiting for work. Each keeps its stack, 8 KiB as a rule.
const DefaultIdleWorkers = 64

// DefaultThroughput is how many messages an actor may handle before it yields
// to other goroutines. It is in the order of protoactor's 300.
const DefaultThroughput = 256

// Option configures a Runtime. The options are made by the With functions of this package.
type Option interface{ apply(*config) }

type config struct {
	logger     zerolog.Logger
	dispatcher protoactor.Dispatcher
	idle       int
	throughput int
	system     []protoactor.ConfigOption
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

func newConfig(opts []Option) config {
	c := config{
		logger:     zerolog.New(os.Stderr).Level(zerolog.WarnLevel).With().Timestamp().Logger(),
		idle:       DefaultIdleWorkers,
		throughput: DefaultThroughput,
	}
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	return c
}

// WithLogger sets the logger of the Runtime and of an actor system that it makes. Default: warnings and
// worse, as JSON lines on standard error, so that a panic in a user's method is never without a trace.
func WithLogger(l zerolog.Logger) Option {
	return option(func(c *config) { c.logger = l })
}

// WithDispatcher makes the Runtime's actors run on d instead of a dispatcher of its own. The
// Runtime then neither closes d nor waits for its goroutines. Default: an elastic dispatcher
// that ends with the Runtime.
func WithDispatcher(d protoactor.Dispatcher) Option {
	return option(func(c *config) { c.dispatcher = d })
}

// WithIdleWorkers sets how many goroutines of the Runtime's own dispatcher wait for work when there is none.
// Default: DefaultIdleWorkers.
func WithIdleWorkers(n int) Option {
	return option(func(c *config) { c.idle = n })
}

// WithThroughput sets how many messages an actor may handle before it yields. Default: DefaultThroughput.
func WithThroughput(n int) Option {
	return option(func(c *config) { c.throughput = n })
}

// WithSystemOptions adds options for the actor system that NewRuntime makes; Adopt ignores them.
// Default: warnings and worse go to the Runtime's logger, requests that became dead letters
// are not logged.
func WithSystemOptions(opts ...protoactor.ConfigOption) Option {
	return option(func(c *config) { c.system = append(c.system, opts...) })
}
