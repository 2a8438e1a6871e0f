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

// Decision is what a strategy decided about a failed child.
type Decision struct {
	Child     *protoactor.PID
	Reason    any                  // the value that the handler passed to panic
	Message   any                  // the message that was being handled
	Failures  int                  // of this child within the window, including this one
	Directive protoactor.Directive // stop, restart or resume; a strategy of this package never escalates
	Delay     time.Duration        // before the restart
}

// Limit is a number of failures of a child within a time. The strategy says what happens beyond it.
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

// StrategyOption configures a strategy. OnDecision and Decide return options.
type StrategyOption interface{ apply(*strategy) }

type strategyOption func(*strategy)

func (o strategyOption) apply(s *strategy) { o(s) }

// OnDecision calls f with every decision before it is carried out. f runs in the supervisor's turn and must not block.
// Default: none.
func OnDecision(f func(Decision)) StrategyOption {
	return strategyOption(func(s *strategy) { s.hook = f })
}

// Decide lets f decide about a failure by its reason. RestartDirective selects the strategy's own way to restart, and
// EscalateDirective counts as StopDirective. Default: the strategy decides.
func Decide(f func(reason any) protoactor.Directive) StrategyOption {
	return strategyOption(func(s *strategy) { s.decide = f })
}

// strategy decides about one child at a time. The state of a child is in protoactor's RestartStatistics, so one
// strategy can serve many supervisors.
type strategy struct {
	rt      *actor.Runtime
	name    string
	normal  protoactor.Directive
	loud    int // number of failures logged as warnings; 0 means all
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

// StopStrategy stops a child that failed. It is for actors that cannot start again, such as connections.
func StopStrategy(rt *actor.Runtime, opts ...StrategyOption) protoactor.SupervisorStrategy {
	return newStrategy(rt, strategy{name: "stop", normal: protoactor.StopDirective, restart: restartAtOnce}, opts)
}

// ResumeStrategy lets a child that failed continue with its next message.
func ResumeStrategy(rt *actor.Runtime, opts ...StrategyOption) protoactor.SupervisorStrategy {
	return newStrategy(rt, strategy{name: "resume", normal: protoactor.ResumeDirective, restart: restartAtOnce}, opts)
}

// RestartStrategy restarts a child that failed, and stops it when it fails more often than limit allows.
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

// PersistentStrategy restarts a child however often it fails, because others share it: a peer that can make a shared
// object panic must not be able to stop it. Failures beyond limit are logged at debug level instead of as warnings.
//
// A child that cannot start, because its producer or its handler of Started fails, is stopped beyond limit. It would
// otherwise be restarted forever.
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

// isStart reports whether a failure happened before the child could handle a message.
func isStart(message any) bool {
	switch message.(type) {
	case *protoactor.Started, *protoactor.Restart:
		return true
	}
	return false
}

// BackoffStrategy restarts a child that failed, without limit, after a delay that grows with each failure. The child's
// messages wait meanwhile; the supervisor does not. The count starts again after five times the longest delay without a
// failure.
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

// backoffMemory is how long a failure counts, in multiples of the longest delay.
const backoffMemory = 5

// maxFailures is how many failures of a child are remembered, because protoactor never forgets any. It is enough for
// any backoff to reach its maximum.
const maxFailures = 256

func restartAtOnce(_ *strategy, d *Decision, stats *protoactor.RestartStatistics) {
	stats.Fail()
	d.Failures = stats.FailureCount()
	prune(stats, d.Failures)
}

// prune forgets failures that no longer count or exceed maxFailures.
func prune(stats *protoactor.RestartStatistics, counting int) {
	if stats.FailureCount() <= maxFailures {
		return
	}
	stats.Reset()
	for range min(counting, maxFailures/2) {
		stats.Fail()
	}
}

// HandleFailure implements protoactor.SupervisorStrategy.
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
	defer s.carryOut(supervisor, child, &d) // also if the hook calls runtime.Goexit
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

// call calls the application's function and logs its panic, so that the child still gets a decision.
func (s *strategy) call(option string, f func()) {
	if p := usercode.Do(f); p != nil {
		usercode.Log(func() {
			s.rt.Logger().Error().Str("strategy", s.name).Str("panic", usercode.PanicText(p.Value)).Bytes("stack", p.Stack).
				Msgf("the function given to %s panicked", option)
		})
	}
}

// restartLater restarts the child after delay without blocking the supervisor's turn. RestartChildren only sends a
// message, so the timer's goroutine may call it. A child that has stopped meanwhile does not receive it.
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

// Backoff computes the delay before each attempt: Min before the first, multiplied by Factor each time, and at most
// Max.
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

// Delay returns the delay before attempt, counted from 1. rnd returns numbers in [0, 1); nil means math/rand. Fields
// that are zero or invalid have their defaults.
func (b Backoff) Delay(attempt int, rnd func() float64) time.Duration {
	b = b.withDefaults()
	delay := float64(b.Min) * math.Pow(b.Factor, float64(max(attempt, 1)-1))
	delay = min(delay, float64(b.Max)) // also if Pow overflows
	if b.Jitter > 0 {
		if rnd == nil {
			rnd = rand.Float64
		}
		delay -= delay * b.Jitter * rnd()
	}
	return time.Duration(delay)
}
