package supervision

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/rs/zerolog"
)

// Decision is what a strategy decided about a child that failed.
type Decision struct {
	Child     *protoactor.PID
	Reason    any                  // what the handler panicked with
	Message   any                  // the message that it was handling
	Failures  int                  // of this child within the window, this one included
	Directive protoactor.Directive // stop, restart or resume; a strategy of this package never escalates
	Delay     time.Duration        // how long the child waits before it is restarted
}

// Limit is a number of failures of a child within a time. What happens beyond it is the strategy's to say.
type Limit struct {
	Restarts int           // default 10; negative: none
	Within   time.Duration // default 10 s
}

// The defaults of Limit.
const (
	DefaultRestarts = 10
	DefaultWithin   = 10 * time.Second
)

func (l Limit) withDefaults() Limit {
	if l.Restarts == 0 {
		l.Restarts = DefaultRestarts
	}
	if l.Within <= 0 {
		l.Within = DefaultWithin
	}
	return l
}

// StrategyOption adjusts a strategy. The options are made by OnDecision and Decide.
type StrategyOption interface{ apply(*strategy) }

type strategyOption func(*strategy)

func (o strategyOption) apply(s *strategy) { o(s) }

// OnDecision has f called with every decision before it is carried out, in the supervisor's turn: it must not
// block. Default: none.
func OnDecision(f func(Decision)) StrategyOption {
	return strategyOption(func(s *strategy) { s.hook = f })
}

// Decide asks f what to do about a failure, by its reason, instead of what the strategy does: RestartDirective stands
// for the strategy's own way to restart, and EscalateDirective is taken for StopDirective. Default: the strategy's own
// way, always.
func Decide(f func(reason any) protoactor.Directive) StrategyOption {
	return strategyOption(func(s *strategy) { s.decide = f })
}

// strategy decides about one child at a time. What it knows about a child is in upstream's RestartStatistics, so one
// strategy may serve any number of supervisors.
type strategy struct {
	rt      *actor.Runtime
	name    string
	normal  protoactor.Directive
	loud    int // how many failures are logged as warnings; 0: all
	restart func(s *strategy, d *Decision, stats *protoactor.RestartStatistics)
	hook    func(Decision)
	decide  func(reason any) protoactor.Directive
}

func newStrategy(rt *actor.Runtime, s strategy, opts []StrategyOption) *strategy {
	s.rt = rt
	for _, o := range opts {
		if o != nil {
			o.apply(&s)
		}
	}
	return &s
}

// StopStrategy stops a child that failed: for what cannot begin anew, such as a connection.
func StopStrategy(rt *actor.Runtime, opts ...StrategyOption) protoactor.SupervisorStrategy {
	return newStrategy(rt, strategy{name: "stop", normal: protoactor.StopDirective, restart: restartAtOnce}, opts)
}

// ResumeStrategy lets a child that failed go on with the next message, as if nothing had happened.
func ResumeStrategy(rt *actor.Runtime, opts ...StrategyOption) protoactor.SupervisorStrategy {
	return newStrategy(rt, strategy{name: "resume", normal: protoactor.ResumeDirective, restart: restartAtOnce}, opts)
}

// RestartStrategy restarts a child that failed, and stops it for good when it fails more often than limit allows.
func RestartStrategy(rt *actor.Runtime, limit Limit, opts ...StrategyOption) protoactor.SupervisorStrategy {
	limit = limit.withDefaults()
	return newStrategy(rt, strategy{
		name: "restart", normal: protoactor.RestartDirective,
		restart: func(_ *strategy, d *Decision, stats *protoactor.RestartStatistics) {
			stats.Fail()
			d.Failures = stats.NumberOfFailures(limit.Within)
			if d.Failures > limit.Restarts {
				d.Directive = protoactor.StopDirective
				return
			}
			prune(stats, d.Failures)
		},
	}, opts)
}

// PersistentStrategy restarts a child that failed, however often it does, since others need it: a peer that can make a
// shared object panic must not be able to stop it. Failures beyond limit are logged at the debug level instead of as
// warnings.
//
// A child that cannot even start (its producer or its handler of Started fails) is stopped beyond limit, because it
// would be restarted without end and without a message to blame.
func PersistentStrategy(rt *actor.Runtime, limit Limit, opts ...StrategyOption) protoactor.SupervisorStrategy {
	limit = limit.withDefaults()
	return newStrategy(rt, strategy{
		name: "restart always", normal: protoactor.RestartDirective, loud: max(limit.Restarts, 1),
		restart: func(_ *strategy, d *Decision, stats *protoactor.RestartStatistics) {
			stats.Fail()
			d.Failures = stats.NumberOfFailures(limit.Within)
			if d.Failures > limit.Restarts && isStart(d.Message) {
				d.Directive = protoactor.StopDirective
				return
			}
			prune(stats, d.Failures)
		},
	}, opts)
}

// isStart reports whether a failure happened before the child could take a message.
func isStart(message any) bool {
	switch message.(type) {
	case *protoactor.Started, *protoactor.Restart:
		return true
	}
	return false
}

// BackoffStrategy restarts a child that failed, without a limit, after a delay that grows from failure to failure.
// Meanwhile the child's messages wait, and the supervisor does not. After five times the longest delay without a
// failure the next one counts as the first again.
func BackoffStrategy(rt *actor.Runtime, b Backoff, opts ...StrategyOption) protoactor.SupervisorStrategy {
	b = b.withDefaults()
	return newStrategy(rt, strategy{
		name: "restart with backoff", normal: protoactor.RestartDirective,
		restart: func(_ *strategy, d *Decision, stats *protoactor.RestartStatistics) {
			stats.Fail()
			d.Failures = stats.NumberOfFailures(backoffMemory * b.Max)
			d.Delay = b.Delay(d.Failures, nil)
			prune(stats, d.Failures)
		},
	}, opts)
}

// backoffMemory times the longest delay is how long a failure counts.
const backoffMemory = 5

// maxFailures is how many failures of a child are remembered, since upstream remembers all of them forever. It is
// enough for any backoff to have reached its maximum.
const maxFailures = 256

func restartAtOnce(_ *strategy, d *Decision, stats *protoactor.RestartStatistics) {
	stats.Fail()
	d.Failures = stats.FailureCount()
	prune(stats, d.Failures)
}

// prune forgets failures that do not count any more, or are too many to be remembered.
func prune(stats *protoactor.RestartStatistics, counting int) {
	if stats.FailureCount() <= maxFailures {
		return
	}
	stats.Reset()
	for range min(counting, maxFailures/2) {
		stats.Fail()
	}
}

// HandleFailure is called in the supervisor's turn when a child has failed and waits for a decision.
func (s *strategy) HandleFailure(_ *protoactor.ActorSystem, supervisor protoactor.Supervisor, child *protoactor.PID,
	stats *protoactor.RestartStatistics, reason, message any,
) {
	d := Decision{Child: child, Reason: reason, Message: message, Directive: s.normal}
	if s.decide != nil {
		s.call("Decide", func() { d.Directive = s.decide(reason) })
	}
	switch d.Directive {
	case protoactor.RestartDirective:
		s.restart(s, &d, stats)
	case protoactor.ResumeDirective:
	default:
		d.Directive = protoactor.StopDirective
	}
	defer s.carryOut(supervisor, child, &d) // also when the hook ends the goroutine
	s.log(d)
	if s.hook != nil {
		s.call("OnDecision", func() { s.hook(d) })
	}
}

func (s *strategy) carryOut(supervisor protoactor.Supervisor, child *protoactor.PID, d *Decision) {
	switch d.Directive {
	case protoactor.ResumeDirective:
		supervisor.ResumeChildren(child)
	case protoactor.RestartDirective:
		s.restartLater(supervisor, child, d.Delay)
	default:
		supervisor.StopChildren(child)
	}
}

// call calls a function of the application's. Without it the child would wait for a decision for ever if the function
// panicked.
func (s *strategy) call(option string, f func()) {
	if p := usercode.Do(f); p != nil {
		usercode.Log(func() {
			s.rt.Logger().Error().Str("strategy", s.name).Str("panic", usercode.PanicText(p.Value)).Bytes("stack", p.Stack).
				Msgf("the function given to %s panicked", option)
		})
	}
}

// restartLater does not hold up the supervisor's turn. RestartChildren only sends a message, so it may be called from
// the timer's goroutine; a child that has ended in the meantime does not get it.
func (s *strategy) restartLater(supervisor protoactor.Supervisor, child *protoactor.PID, delay time.Duration) {
	if delay <= 0 || s.rt.Check() != nil {
		supervisor.RestartChildren(child)
		return
	}
	ended := make(chan func() bool, 1)
	timer := time.AfterFunc(delay, func() {
		if cancel := <-ended; cancel() {
			supervisor.RestartChildren(child)
		}
	})
	ended <- s.rt.WhenStopped(child, func() { timer.Stop() })
}

func (s *strategy) log(d Decision) {
	usercode.Log(func() {
		level := zerolog.WarnLevel
		if s.loud > 0 && d.Failures > s.loud && d.Directive != protoactor.StopDirective {
			level = zerolog.DebugLevel
		}
		e := s.rt.Logger().WithLevel(level)
		if e == nil {
			return
		}
		e.Str("child", d.Child.Id).Str("strategy", s.name).Str("directive", directiveName(d.Directive)).
			Int("failures", d.Failures).Type("message_type", d.Message).Str("reason", usercode.PanicText(d.Reason))
		if d.Delay > 0 {
			e.Dur("delay", d.Delay)
		}
		e.Msg("an actor failed")
	})
}

func directiveName(d protoactor.Directive) string {
	switch d {
	case protoactor.ResumeDirective:
		return "resume"
	case protoactor.RestartDirective:
		return "restart"
	case protoactor.StopDirective:
		return "stop"
	default:
		return "escalate"
	}
}

// Backoff says how long to wait before another attempt: Min before the first one, longer by Factor
// each time, Max at the most.
type Backoff struct {
	Min    time.Duration // default 100 ms
	Max    time.Duration // default 30 s
	Factor float64       // default 2; at least 1
	Jitter float64       // random part of the delay, from 0 to 1: with 0.3 a delay is 70 to 100 % of its full length
}

// The defaults of Backoff.
const (
	DefaultBackoffMin    = 100 * time.Millisecond
	DefaultBackoffMax    = 30 * time.Second
	DefaultBackoffFactor = 2.0
)

func (b Backoff) withDefaults() Backoff {
	if b.Min <= 0 {
		b.Min = DefaultBackoffMin
	}
	if b.Max <= 0 {
		b.Max = DefaultBackoffMax
	}
	b.Max = max(b.Max, b.Min)
	if !(b.Factor >= 1) { // NaN included
		b.Factor = DefaultBackoffFactor
	}
	if !(b.Jitter >= 0) {
		b.Jitter = 0
	}
	b.Jitter = min(b.Jitter, 1)
	return b
}

// Delay returns how long to wait before the attempt with this number, from 1 on. rnd returns
// numbers from 0 up to 1; nil stands for math/rand. Fields that are zero or make no sense have their defaults.
func (b Backoff) Delay(attempt int, rnd func() float64) time.Duration {
	b = b.withDefaults()
	delay := float64(b.Min) * math.Pow(b.Factor, float64(max(attempt, 1)-1))
	delay = min(delay, float64(b.Max)) // also where Pow is infinite
	if b.Jitter > 0 {
		if rnd == nil {
			rnd = rand.Float64
		}
		delay -= delay * b.Jitter * rnd()
	}
	return time.Duration(delay)
}
