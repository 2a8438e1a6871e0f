package actor

import (
	"os"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

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
