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

// Runtime owns an actor system, a dispatcher, other goroutines, and the order in which they end. All methods may be
// called from any goroutine.
type Runtime struct {
	system     *protoactor.ActorSystem
	own        bool // Close shuts the system down
	root       *protoactor.RootContext
	logger     zerolog.Logger
	dispatcher protoactor.Dispatcher
	elastic    *Dispatcher // the dispatcher, if Close ends it
	watcher    *watcher
	discard    *protoactor.PID

	extensions sync.Map  // any -> func() any
	waiters    sync.Pool // of *Waiter
	tasks      tasks
	ending     ending
}

// deadLetterInterval is how long a goroutine lives that protoactor starts to count dead letters. The default of one
// second would delay every Close.
const deadLetterInterval = time.Millisecond

// NewRuntime makes a Runtime with its own actor system.
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
	repairRegistry(system, is32Bit)
	return newRuntime(system, true, c), nil
}

// Adopt makes a Runtime in an actor system that the application already has. It does not change the system, and closing
// the Runtime does not shut the system down. On a 32-bit machine it fails: protoactor's own systems panic there.
func Adopt(system *protoactor.ActorSystem, opts ...Option) (*Runtime, error) {
	if system == nil {
		return nil, errors.New("actor: adopt: the actor system is nil; pass one, or use NewRuntime")
	}
	if err := checkRegistry(system, is32Bit); err != nil {
		return nil, err
	}
	if system.IsStopped() {
		return nil, fmt.Errorf("actor: adopt: the actor system %s has been shut down; pass a running one", system.ID)
	}
	c := newConfig(opts)
	if err := c.check(); err != nil {
		return nil, err
	}
	if len(c.system) > 0 {
		return nil, errors.New("actor: adopt: WithSystemOptions is for NewRuntime; " +
			"configure the system where it is made")
	}
	return newRuntime(system, false, c), nil
}

func (c *config) check() error {
	if c.err != nil {
		return c.err
	}
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

// Check returns an error if the Runtime is nil or was not made by [NewRuntime] or [Adopt]. A closed Runtime passes.
func (rt *Runtime) Check() error {
	switch {
	case rt == nil:
		return errors.New("actor: the Runtime is nil; make one with NewRuntime or Adopt")
	case rt.system == nil:
		return errors.New("actor: this Runtime was not made by NewRuntime or Adopt")
	}
	return nil
}

// String returns the name of the Runtime for logs.
func (rt *Runtime) String() string {
	if err := rt.Check(); err != nil {
		return "<Runtime, not usable>"
	}
	return "<Runtime of actor system " + rt.system.ID + ">"
}

// Format prints what String returns, whatever the verb, because other goroutines may be changing the Runtime.
func (rt *Runtime) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, rt.String()) }

// System returns the actor system.
func (rt *Runtime) System() *protoactor.ActorSystem {
	if rt == nil {
		return nil
	}
	return rt.system
}

// Root returns a context for sending and spawning outside actors. It has none of the middleware and guardians of the
// system's own root context.
func (rt *Runtime) Root() *protoactor.RootContext {
	if rt == nil {
		return nil
	}
	return rt.root
}

// Logger returns the Runtime's logger.
func (rt *Runtime) Logger() *zerolog.Logger {
	if rt == nil {
		nowhere := zerolog.Nop()
		return &nowhere
	}
	return &rt.logger
}

// Dispatcher returns the dispatcher of the actors made from Props.
func (rt *Runtime) Dispatcher() protoactor.Dispatcher {
	if rt == nil {
		return nil
	}
	return rt.dispatcher
}

// Discard returns the address of a process that discards its messages. Use it as the sender of messages whose answer is
// not needed.
func (rt *Runtime) Discard() *protoactor.PID {
	if rt == nil {
		return nil
	}
	return rt.discard
}

// Props returns the properties of guarded actors that run on the Runtime's dispatcher with its mailbox; see the package
// documentation. opts override the Runtime's own.
func (rt *Runtime) Props(producer func() protoactor.Actor, opts ...protoactor.PropsOption) *protoactor.Props {
	if err := rt.Check(); err != nil {
		return protoactor.PropsFromProducer(func() protoactor.Actor {
			panic(err.Error()) //nolint:forbidigo // a producer cannot return an error; Tree.Spawn recovers it
		})
	}
	return protoactor.PropsFromProducer(
		func() protoactor.Actor { return rt.guard(rt.produce(producer)) },
		append([]protoactor.PropsOption{
			protoactor.WithDispatcher(rt.dispatcher),
			protoactor.WithMailbox(produceMailbox),
		}, opts...)...)
}

// produce logs a panic of the producer and rethrows it: to the goroutine that spawns or, on a restart, to the
// supervisor, whose child keeps the previous instance until an attempt succeeds.
func (rt *Runtime) produce(producer func() protoactor.Actor) (inner protoactor.Actor) {
	defer func() {
		if r := recover(); r != nil {
			usercode.Log(func() {
				rt.logger.Error().
					Str("panic", usercode.PanicText(r)).
					Bytes("stack", debug.Stack()).
					Msg("an actor's producer panicked")
			})
			panic(r) //nolint:forbidigo // rethrown: a producer cannot return an error
		}
	}()
	if producer == nil {
		panic("actor: the producer given to Props is nil") //nolint:forbidigo // a producer cannot return an error
	}
	if inner = producer(); inner == nil {
		panic("actor: the producer given to Props returned no actor") //nolint:forbidigo // a producer returns no error
	}
	return inner
}

// Extension returns the Runtime's value for key. The first call makes it with produce, exactly once. produce may call
// Extension for other keys. Keys should have an unexported type, like those of a context.Context.
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

// DefaultIdleWorkers is the number of idle goroutines that a Runtime's dispatcher keeps. Each keeps its stack, usually
// 8 KiB.
const DefaultIdleWorkers = 64

// DefaultThroughput is how many messages an actor may handle before it yields to other goroutines. protoactor uses 300.
const DefaultThroughput = 256

// Option configures a Runtime. The With functions of this package return options.
type Option interface{ apply(*config) }

type config struct {
	logger     zerolog.Logger
	dispatcher protoactor.Dispatcher
	idle       int
	throughput int
	system     []protoactor.ConfigOption
	err        error // of an option
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

// WithLogger sets the logger of the Runtime and of the actor system that NewRuntime makes. Default: warnings and errors
// as JSON lines on standard error, so a panic in a user's method leaves a trace. [WithSlog] is for a slog.Logger; the
// last of the two options counts.
func WithLogger(l zerolog.Logger) Option {
	return option(func(c *config) { c.logger = l })
}

// WithDispatcher runs the Runtime's actors on d. Close then neither closes d nor waits for its goroutines. Default: a
// [Dispatcher] that ends with the Runtime.
func WithDispatcher(d protoactor.Dispatcher) Option {
	return option(func(c *config) { c.dispatcher = d })
}

// WithIdleWorkers sets how many idle goroutines the Runtime's own dispatcher keeps. Default: DefaultIdleWorkers.
func WithIdleWorkers(n int) Option {
	return option(func(c *config) { c.idle = n })
}

// WithThroughput sets how many messages an actor may handle before it yields. Default: DefaultThroughput.
func WithThroughput(n int) Option {
	return option(func(c *config) { c.throughput = n })
}

// WithSystemOptions adds options for the actor system that NewRuntime makes. Adopt rejects them. Default: warnings and
// errors go to the Runtime's logger, and requests that become dead letters are not logged.
func WithSystemOptions(opts ...protoactor.ConfigOption) Option {
	return option(func(c *config) { c.system = append(c.system, opts...) })
}
