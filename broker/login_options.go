package broker

import (
	"time"

	"github.com/perspectivebroker/pb/cred"
)

// LoginOption changes how logins are received.
type LoginOption interface{ applyLogin(*loginOptions) }

type loginOptions struct {
	throttle   *cred.Throttle
	deadline   time.Duration
	atOnce     int64
	challenges int64
	sessions   int64
	frame      int
}

type loginOptionFunc func(*loginOptions)

func (f loginOptionFunc) applyLogin(o *loginOptions) { f(o) }

// Defaults of the [LoginOption]s.
const (
	// DefaultLoginDeadline is how long a connection may stay without a login.
	DefaultLoginDeadline = time.Minute
	// DefaultLoginsAtOnce is how many logins one connection may have under way.
	DefaultLoginsAtOnce = 8
	// DefaultSessions is how many users may be in by way of one connection, and how many challenges it may hold besides.
	DefaultSessions = 256
	// DefaultFrameBeforeLogin is how many bytes a message may have before anybody's credentials were accepted.
	DefaultFrameBeforeLogin = 64 << 10
)

// WithThrottle sets who slows down those that guess. Attempts with passwords are counted by the peer's address, or by
// its user id on a Unix socket, until the checker has decided; the realm may take its time. Nothing can be guessed of a
// certificate, a peer's user id or of anonymous users, so these are not counted. The default is a cred.Throttle of the
// root's own, with its defaults.
func WithThrottle(t *cred.Throttle) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.throttle = t })
}

// WithLoginDeadline sets how long a connection may stay without somebody being in, [DefaultLoginDeadline] by default.
// Then it is closed, or once the logins that are under way have failed.
func WithLoginDeadline(d time.Duration) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.deadline = d })
}

// WithLoginsAtOnce sets how many logins one connection may have under way, [DefaultLoginsAtOnce] by default. Further
// ones fail with [Busy].
func WithLoginsAtOnce(n int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.atOnce = int64(n) })
}

// WithSessions sets how many users may be in by way of one connection at a time, [DefaultSessions] by default, and how
// many challenges it may hold unanswered besides, and how many perspectives each of them may be getting attached to.
// Further ones fail with [Busy].
func WithSessions(n int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.sessions, o.challenges = int64(n), int64(n) })
}

// WithFrameBeforeLogin sets how many bytes a message may have before anybody's credentials were accepted,
// [DefaultFrameBeforeLogin] by default: a stranger needs no more, and cannot make us keep more. His answers to calls of
// ours are messages, too. It has no effect where anything besides the login is published, nor where Limits.Banana.Frame
// is less.
func WithFrameBeforeLogin(bytes int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.frame = bytes })
}

func newLoginOptions(opts []LoginOption) *loginOptions {
	o := &loginOptions{
		deadline: DefaultLoginDeadline, atOnce: DefaultLoginsAtOnce, challenges: DefaultSessions, sessions: DefaultSessions,
		frame: DefaultFrameBeforeLogin,
	}
	for _, opt := range opts {
		if opt != nil {
			opt.applyLogin(o)
		}
	}
	if o.throttle == nil {
		o.throttle = cred.NewThrottle()
	}
	return o
}
