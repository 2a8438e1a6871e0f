package cred

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"runtime/debug"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Realm makes avatars: the objects that users call after their login. The mind represents the user's side, usually as a
// reference to an object of the client.
type Realm[Mind, Avatar any] interface {
	// RequestAvatar returns the user's avatar for this login and a function for its logout, which may be nil. An error
	// that is no [Refused] is logged as the realm's failure. [Refuse] with [ReasonDenied] rejects the user. Logins call it
	// concurrently.
	RequestAvatar(ctx context.Context, id AvatarID, mind Mind) (avatar Avatar, logout func(), err error)
}

// RealmFunc is a function that implements Realm.
type RealmFunc[Mind, Avatar any] func(ctx context.Context, id AvatarID, mind Mind) (Avatar, func(), error)

// RequestAvatar implements Realm.
func (f RealmFunc[Mind, Avatar]) RequestAvatar(ctx context.Context, id AvatarID, mind Mind) (Avatar, func(), error) {
	if f == nil {
		var none Avatar
		return none, nil, errors.New("cred: the RealmFunc is nil")
	}
	return f(ctx, id, mind)
}

// Portal performs logins: its checkers authenticate users, and its realm makes their avatars. It is immutable and safe
// for concurrent use.
type Portal[Mind, Avatar any] struct {
	realm    Realm[Mind, Avatar]
	checkers []Checker
	config   portalConfig
}

// NewPortal returns a portal. Only one checker may accept each kind of this package's credentials; [Only] restricts a
// checker.
func NewPortal[Mind, Avatar any](realm Realm[Mind, Avatar], checkers ...Checker) (*Portal[Mind, Avatar], error) {
	if isNil(realm) {
		return nil, errors.New("cred: NewPortal: the realm is nil")
	}
	for i, checker := range checkers {
		if o, ok := checker.(only); ok {
			checker = o.Checker
		}
		if isNil(checker) {
			return nil, fmt.Errorf("cred: NewPortal: checker %d of %d is nil", i+1, len(checkers))
		}
	}
	for _, kind := range kinds() {
		var first Checker
		for _, checker := range checkers {
			accepts, err := acceptsSafely(checker, kind)
			if err != nil {
				return nil, err
			}
			if !accepts {
				continue
			}
			if first != nil {
				return nil, fmt.Errorf("cred: NewPortal: two checkers accept %s, %T and %T: restrict one with cred.Only",
					kind, first, checker)
			}
			first = checker
		}
	}
	return &Portal[Mind, Avatar]{realm: realm, checkers: checkers, config: newPortalConfig(nil)}, nil
}

// With returns a portal with the same realm and checkers and these options.
func (p *Portal[Mind, Avatar]) With(opts ...PortalOption) *Portal[Mind, Avatar] {
	if p == nil {
		return nil
	}
	with := *p
	with.config = newPortalConfig(opts)
	return &with
}

// Accepts reports whether the portal has a checker for that kind of credentials. A server should not offer a login that
// can only fail.
func (p *Portal[Mind, Avatar]) Accepts(kind Kind) bool { return p.checker(kind) != nil }

func (p *Portal[Mind, Avatar]) checker(kind Kind) Checker {
	if p == nil {
		return nil
	}
	for _, checker := range p.checkers {
		if checker.Accepts(kind) {
			return checker
		}
	}
	return nil
}

// Login authenticates the credentials with the checker for their kind and then requests the avatar from the realm. Its
// error is always a [*Refused]: its text may be sent to the peer, and its Log method returns the details.
//
// If ctx ends while the realm works and the realm still returns an avatar, the login has succeeded, and the caller must
// call the session's Logout.
func (p *Portal[Mind, Avatar]) Login(
	ctx context.Context,
	credentials Credentials,
	mind Mind,
) (*Session[Avatar], error) {
	id, err := p.Authenticate(ctx, credentials)
	if err != nil {
		return nil, err
	}
	session, err := p.enter(ctx, id, mind)
	if err != nil {
		return nil, refusedBy(ctx, err, ReasonRealm).by(credentials)
	}
	return session, nil
}

// Authenticate is the first half of [Portal.Login]: it authenticates the credentials with the checker for their kind.
// Use it if the time of that decision matters, for example to count failures, because the realm may be slow. The error
// is always a [*Refused].
func (p *Portal[Mind, Avatar]) Authenticate(ctx context.Context, credentials Credentials) (AvatarID, error) {
	if ctx == nil {
		return AvatarID{}, Fault(context.Background(), ReasonStore, errNoContext)
	}
	if credentials == nil {
		return AvatarID{}, Refuse(ReasonMalformed, "no credentials were given")
	}
	id, err := p.check(ctx, credentials)
	if err != nil {
		return AvatarID{}, refusedBy(ctx, err, ReasonStore).by(credentials)
	}
	return id, nil
}

// Enter is the second half of [Portal.Login]: it requests the avatar for the result of Authenticate. Its ctx is used as
// in Login, and the error is always a [*Refused].
func (p *Portal[Mind, Avatar]) Enter(ctx context.Context, id AvatarID, mind Mind) (*Session[Avatar], error) {
	switch {
	case ctx == nil:
		return nil, Fault(context.Background(), ReasonRealm, errNoContext)
	case p == nil || p.realm == nil:
		return nil, Fault(ctx, ReasonRealm, errNoPortal)
	}
	if id.IsZero() {
		return nil, Refuse(ReasonDenied, "the zero avatar id names nobody")
	}
	session, err := p.enter(ctx, id, mind)
	if err != nil {
		return nil, refusedBy(ctx, err, ReasonRealm)
	}
	return session, nil
}

// check calls the checker and recovers its panics.
func (p *Portal[Mind, Avatar]) check(ctx context.Context, credentials Credentials) (id AvatarID, err error) {
	defer func() {
		if r := recover(); r != nil {
			id, err = AvatarID{}, Fault(ctx, ReasonStore, &panicked{what: "the checker", value: r, stack: debug.Stack()})
		}
	}()
	checker := p.checker(credentials.Kind())
	if checker == nil {
		return AvatarID{}, Refuse(ReasonUnhandled, "the portal has checkers for other kinds only")
	}
	if err := ctx.Err(); err != nil {
		return AvatarID{}, Fault(ctx, ReasonEnded, err)
	}
	id, err = checker.Check(ctx, credentials)
	switch {
	case err != nil:
		return AvatarID{}, err
	case id.IsZero():
		return AvatarID{}, Fault(ctx, ReasonStore, fmt.Errorf("%T returned neither an avatar id nor an error", checker))
	case id.Anonymous() && !mayBeAnonymous(checker, credentials):
		return AvatarID{}, Fault(
			ctx,
			ReasonStore,
			fmt.Errorf("%T took %s credentials for anonymous ones", checker, credentials.Kind()),
		)
	}
	return id, nil
}

func (p *Portal[Mind, Avatar]) enter(ctx context.Context, id AvatarID, mind Mind) (*Session[Avatar], error) {
	return enter(ctx, p.realm, id, mind, p.config.logger)
}

// enter requests the avatar from the realm and makes the session.
func enter[Mind, Avatar any](
	ctx context.Context,
	realm Realm[Mind, Avatar],
	id AvatarID,
	mind Mind,
	logger *slog.Logger,
) (session *Session[Avatar], err error) {
	defer func() {
		if r := recover(); r != nil {
			session, err = nil, Fault(ctx, ReasonRealm, &panicked{what: "the realm", value: r, stack: debug.Stack()})
		}
	}()
	avatar, logout, err := realm.RequestAvatar(ctx, id, mind)
	if err != nil {
		return nil, err
	}
	return newSession(ctx, id, avatar, logout, logger), nil
}

var (
	errNoContext = errors.New("cred: the context is nil; pass context.Background()")
	errNoPortal  = errors.New("cred: the portal is nil, or was not made by NewPortal")
)

// isNil reports whether v is nil or holds a nil pointer or function.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return (r.Kind() == reflect.Pointer || r.Kind() == reflect.Func) && r.IsNil()
}

// acceptsSafely calls the checker's Accepts and recovers its panic.
func acceptsSafely(checker Checker, kind Kind) (accepts bool, err error) {
	if p := usercode.Do(func() { accepts = checker.Accepts(kind) }); p != nil {
		return false, fmt.Errorf("cred: the Accepts method of a %T panicked: %s", checker, usercode.PanicText(p.Value))
	}
	return accepts, nil
}

// panicked is the cause of a fault that was a panic. Its text includes the stack.
type panicked struct {
	what  string
	value any
	stack []byte
}

func (p *panicked) Error() string {
	return fmt.Sprintf("%s panicked: %s\n%s", p.what, usercode.PanicValue(p.value), p.stack)
}

// PortalOption configures a Portal or Identities. The With functions of this package return options.
type PortalOption interface{ applyPortal(*portalConfig) }

type portalConfig struct{ logger *slog.Logger }

func newPortalConfig(opts []PortalOption) portalConfig {
	c := portalConfig{logger: slog.Default()}
	for _, o := range opts {
		if o != nil {
			o.applyPortal(&c)
		}
	}
	return c
}

// LoggerOption is the option that [WithLogger] returns. Everything in this package that logs accepts it.
type LoggerOption struct{ logger *slog.Logger }

// WithLogger sets the logger for errors without a caller, such as the panic of a logout function. Callers log refused
// logins themselves, because they know the peer's address. Default: slog.Default().
func WithLogger(logger *slog.Logger) LoggerOption { return LoggerOption{logger} }

func (o LoggerOption) applyPortal(c *portalConfig) { o.set(&c.logger) }

func (o LoggerOption) set(logger **slog.Logger) {
	if o.logger != nil {
		*logger = o.logger
	}
}

// Session is a logged-in user, until Logout.
type Session[Avatar any] struct {
	id     AvatarID
	avatar Avatar
	logger *slog.Logger

	ctx context.Context
	end context.CancelFunc

	left   atomic.Bool // set by the first Logout
	logout func()      // called by the first Logout; may be nil
	done   chan struct{}
}

func newSession[Avatar any](
	ctx context.Context,
	id AvatarID,
	avatar Avatar,
	logout func(),
	logger *slog.Logger,
) *Session[Avatar] {
	s := &Session[Avatar]{id: id, avatar: avatar, logger: logger, logout: logout, done: make(chan struct{})}
	// The deadline of the login's context was for the login only.
	s.ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// Avatar returns the avatar that the realm made for this login.
func (s *Session[Avatar]) Avatar() (avatar Avatar) {
	if s != nil {
		avatar = s.avatar
	}
	return avatar
}

// AvatarID returns the user's avatar id.
func (s *Session[Avatar]) AvatarID() (id AvatarID) {
	if s != nil {
		id = s.id
	}
	return id
}

// Context returns a context that carries the values of the login's context and ends when Logout begins.
func (s *Session[Avatar]) Context() context.Context {
	if s == nil || s.ctx == nil {
		return endedContext()
	}
	return s.ctx
}

func endedContext() context.Context {
	ctx, end := context.WithCancel(context.Background())
	end()
	return ctx
}

// Done returns a channel that is closed when Logout has been called and the realm's logout function has returned.
func (s *Session[Avatar]) Done() <-chan struct{} {
	if s == nil || s.done == nil {
		return endedContext().Done()
	}
	return s.done
}

// Logout ends the session and calls the realm's logout function exactly once, however often Logout is called. Only the
// first call waits for that function; the others return at once, also within it. A panic of the function is logged.
func (s *Session[Avatar]) Logout() {
	if s == nil || s.done == nil || s.left.Swap(true) {
		return
	}
	defer close(s.done)
	s.end()
	defer func() {
		if r := recover(); r != nil {
			stack := string(debug.Stack())
			usercode.Log(func() {
				s.logger.Error(
					"cred: the realm's logout function panicked",
					"avatar",
					s.id.String(),
					"panic",
					usercode.PanicText(r),
					"stack",
					stack,
				)
			})
		}
	}()
	if logout := s.logout; logout != nil {
		s.logout = nil // Do not keep what it references alive.
		logout()
	}
}

// Format implements fmt.Formatter.
func (p *Portal[Mind, Avatar]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<portal>") }

// Format implements fmt.Formatter.
func (s *Session[Avatar]) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "<session of "+s.AvatarID().String()+">")
}
