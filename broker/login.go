package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"
)

// PortalRoot is a root object at which clients log in. [Login], [LoginRoot] and [IdentityRoot] make it, and [Listen]
// and [WithPublished] publish it. What was wrong with their arguments is an error of Listen.
type PortalRoot struct {
	portal  *portalAdapter
	options *loginOptions
	err     error
}

// Login returns a root object at which clients log in. The checkers authenticate a user, and enter returns the user's
// avatar, usually a pointer to a struct that embeds [flavors.Avatar], and a function for the logout, which may be nil.
// The mind is a reference to an object of the client, or nil. Logins call enter concurrently, and it may block.
// [ConnOf] returns the connection, with the peer's address and the state of TLS.
//
//	enter := func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (*User, func(), error) {
//		return &User{name: id.Name(), from: broker.ConnOf(ctx).RemoteAddr()}, nil, nil
//	}
//	ln, err := broker.Listen(rt, url, broker.Login(enter, users))
//
// Login is [LoginRoot] with a new portal, which has enter for its realm. Use LoginRoot for options and for a realm that
// is not a function.
func Login[A any](
	enter func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (A, func(), error),
	checkers ...cred.Checker,
) *PortalRoot {
	if enter == nil {
		return &PortalRoot{err: errors.New("broker: Login was given no function that returns the avatar")}
	}
	if len(checkers) == 0 {
		return &PortalRoot{err: errors.New(
			"broker: Login was given no checker: give one, such as cred.NewInMemory or cred.AllowAnonymous",
		)}
	}
	portal, err := cred.NewPortal(cred.RealmFunc[*flavors.RemoteReference, A](enter), checkers...)
	if err != nil {
		return &PortalRoot{err: fmt.Errorf("broker: Login: %w", err)}
	}
	return LoginRoot(portal)
}

// LoginRoot publishes a portal. The root object is the login. A user gets the avatar that the portal's realm returns,
// usually a pointer to a struct that embeds [flavors.Avatar]. The mind is a reference to an object of the client, or
// nil. Checkers and the realm learn the peer's address and the state of TLS from [ConnOf].
//
//	ln, err := broker.Listen(rt, url, broker.LoginRoot(portal))
//
// LoginRoot supports Twisted's challenge-response login and anonymous login, if the portal has checkers for them. For
// clients of this library it also offers a login by plain password, over TLS only; by client certificate, over mutual
// TLS; and by the user id of the peer's process, over Unix sockets. The realm's logout runs once, when the client has
// released the avatar or its connection has ended.
func LoginRoot[A any](portal *cred.Portal[*flavors.RemoteReference, A], opts ...LoginOption) *PortalRoot {
	if portal == nil {
		return &PortalRoot{err: errNilPortal("LoginRoot")}
	}
	return newPortalRoot(opts, func(*loginOptions) *portalAdapter {
		return &portalAdapter{
			accepts: portal.Accepts,
			check:   portal.Authenticate,
			enter: func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (any, func(), error) {
				session, err := portal.Enter(ctx, id, mind)
				if err != nil {
					return nil, nil, err
				}
				return session.Avatar(), session.Logout, nil
			},
		}
	})
}

func errNilPortal(function string) error {
	return fmt.Errorf("broker: %s was given a nil portal: make one with cred.NewPortal", function)
}

func newPortalRoot(opts []LoginOption, adapt func(*loginOptions) *portalAdapter) *PortalRoot {
	o, err := newLoginOptions(opts)
	if err != nil {
		return &PortalRoot{err: err}
	}
	return &PortalRoot{portal: adapt(o), options: o}
}

// check returns why the root cannot be published.
func (r *PortalRoot) check() error {
	switch {
	case r == nil || r.err == nil && r.portal == nil:
		return errors.New("the PortalRoot is nil, or was not made by Login, LoginRoot or IdentityRoot")
	case r.err != nil:
		return r.err
	}
	return nil
}

// factory implements [RootFactory].
func (r *PortalRoot) factory(conn *Conn) (any, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	c := conn.c
	l := &loginRoot{conn: c, options: r.options, portal: r.portal}
	c.account.MarkStranger()
	l.expire()
	if c.offers == 1 {
		c.small.Store(int64(r.options.frame))
	}
	return l, nil
}

// portalAdapter is a portal without its type parameters.
type portalAdapter struct {
	accepts func(cred.Kind) bool
	check   func(context.Context, cred.Credentials) (cred.AvatarID, error)
	enter   func(context.Context, cred.AvatarID, *flavors.RemoteReference) (avatar any, logout func(), err error)
}

// loginRoot is the object that one connection sees as "root" (P-8.1).
type loginRoot struct {
	flavors.Root
	conn    *connection
	options *loginOptions
	portal  *portalAdapter

	challenges atomic.Int64 // held by the peer
	inProgress atomic.Int64 // logins
	sessions   atomic.Int64 // not logged out
	rejected   atomic.Int64 // logins
	succeeded  atomic.Bool  // one login has succeeded
	late       atomic.Bool  // the deadline has passed
}

// RemoteLogin starts Twisted's login. It answers with (challenge, challenger).
func (l *loginRoot) RemoteLogin(inv *flavors.Invocation, username string) (jelly.Tuple, error) {
	if !inv.WantsAnswer() {
		return nil, errLoginUnanswered
	}
	if !countUpTo(&l.challenges, l.options.challenges) {
		return nil, l.busy(rejectChallenges, "this connection holds %d challenges", l.options.challenges)
	}
	if !l.conn.account.Take(challengeSize) {
		l.challenges.Add(-1)
		return nil, l.busy(rejectMemoryTotal, "Limits.MemoryTotal leaves no room for another challenge")
	}
	giveBack := func() {
		l.challenges.Add(-1)
		l.conn.account.Add(-challengeSize)
	}
	c := &challenger{login: l, username: keptName(username), challenge: cred.NewChallenge()}
	answer, err := internal.NewLoginAnswer(c)
	if err != nil {
		giveBack()
		return nil, err
	}
	answer.Admit(nil, giveBack)
	return jelly.Tuple{c.challenge, answer}, nil
}

// challengeSize is what a challenge counts in the memory budget beside its export, with a name of
// cred.MaxUsernameBytes.
const challengeSize = 1 << 10

// keptName copies a user name, cut to one byte more than the longest that any store has, so that a name that was cut is
// still rejected.
func keptName(name string) string {
	return strings.Clone(name[:min(len(name), cred.MaxUsernameBytes+1)])
}

// challenger receives the response to one challenge.
type challenger struct {
	flavors.Referenceable
	login     *loginRoot
	username  string
	challenge []byte
	once      sync.Once
}

// RemoteRespond ends Twisted's login (P-8.2). A challenge can be answered once.
func (c *challenger) RemoteRespond(
	inv *flavors.Invocation,
	response []byte,
	mind *flavors.RemoteReference,
) *actor.Deferred {
	var presented cred.Credentials = refusedCredentials{c.username}
	c.once.Do(func() {
		presented = cred.ChallengeResponse{Username: c.username, Challenge: c.challenge, Response: response}
	})
	return c.login.begin(inv, presented, mind)
}

// refusedCredentials are rejected by every portal: a second response to a challenge.
type refusedCredentials struct{ claim string }

func (refusedCredentials) Kind() cred.Kind { return "perspectivebroker.refused" }
func (r refusedCredentials) Claim() string { return r.claim }

// RemoteLoginAnonymous logs in an anonymous user, if the portal accepts anonymous users (P-8.3).
func (l *loginRoot) RemoteLoginAnonymous(inv *flavors.Invocation, mind *flavors.RemoteReference) *actor.Deferred {
	return l.begin(inv, cred.Anonymous{}, mind)
}

// RemoteLoginMethods lists the logins that this connection offers. Clients of this library ask before they send a
// password. Stock peers do not have the method, so they never receive one.
func (l *loginRoot) RemoteLoginMethods() []string {
	methods := []string{}
	for _, m := range []struct {
		name    string
		kind    cred.Kind
		carried bool
	}{
		{"login", cred.KindChallengeResponse, true},
		{"loginAnonymous", cred.KindAnonymous, true},
		{methodPassword, cred.KindUsernamePassword, l.conn.tlsState() != nil},
		{methodCertificate, cred.KindClientCertificate, l.showsCertificate()},
		{methodPeer, cred.KindUnixPeer, l.knowsPeer()},
	} {
		if m.carried && l.portal.accepts(m.kind) {
			methods = append(methods, m.name)
		}
	}
	return methods
}

// Logins that stock peers do not have.
const (
	methodPassword    = "loginPassword"
	methodCertificate = "loginCertificate"
	methodPeer        = "loginPeer"
)

// noSuchLogin is the error of a login that this connection does not support, as if the method did not exist.
func noSuchLogin(method string) error {
	return flavors.NoSuchMethod.New("No such method: remote_" + method)
}

// RemoteLoginPassword logs in by plain password. It exists over TLS only.
func (l *loginRoot) RemoteLoginPassword(
	inv *flavors.Invocation,
	username, password string,
	mind *flavors.RemoteReference,
) (*actor.Deferred, error) {
	if l.conn.tlsState() == nil {
		return nil, noSuchLogin(methodPassword)
	}
	return l.begin(inv, cred.UsernamePassword{Username: username, Password: cred.Secret(password)}, mind), nil
}

// RemoteLoginCertificate logs in the user named by the client certificate that TLS has verified.
func (l *loginRoot) RemoteLoginCertificate(
	inv *flavors.Invocation,
	mind *flavors.RemoteReference,
) (*actor.Deferred, error) {
	if !l.showsCertificate() {
		return nil, noSuchLogin(methodCertificate)
	}
	certificate, err := cred.VerifiedCertificate(l.conn.tlsState().VerifiedChains)
	if err != nil {
		return nil, noSuchLogin(methodCertificate)
	}
	return l.begin(inv, certificate, mind), nil
}

func (l *loginRoot) showsCertificate() bool {
	state := l.conn.tlsState()
	return state != nil && len(state.VerifiedChains) > 0
}

// RemoteLoginPeer logs in the user that the kernel reports for the other end of a Unix socket.
func (l *loginRoot) RemoteLoginPeer(inv *flavors.Invocation, mind *flavors.RemoteReference) (*actor.Deferred, error) {
	peer, err := netio.UnixPeer(l.conn.sock)
	if err != nil {
		return nil, noSuchLogin(methodPeer)
	}
	return l.begin(inv, peer, mind), nil
}

func (l *loginRoot) knowsPeer() bool {
	_, err := netio.UnixPeer(l.conn.sock)
	return err == nil
}

// refusedText is the text of every rejected login, whatever the reason (P-8.4).
const refusedText = "login refused"

// errLoginUnanswered fails a login that asks for no answer: nobody could release its avatar.
var errLoginUnanswered = flavors.PBError.New("a login is answered with the avatar: ask for an answer")

// errLoginAbandoned fails a login whose checker or realm called runtime.Goexit.
var errLoginAbandoned error = flavors.UnauthorizedLogin.New(refusedText)

// maxRefusedLogged is how many rejected logins of one connection are logged as warnings, so that a flood does not fill
// the log.
const maxRefusedLogged = 16

// expire closes the connection if no login succeeds within the deadline.
func (l *loginRoot) expire() {
	timer := patience.AfterFunc(l.options.deadline, func() {
		l.late.Store(true)
		l.closeIfLate()
	})
	context.AfterFunc(l.conn.ctx, timer.Stop)
}

// closeIfLate is called when the deadline passes and after each login. The answer of the last login is still written.
func (l *loginRoot) closeIfLate() {
	if l.late.Load() && !l.succeeded.Load() && l.inProgress.Load() == 0 {
		usercode.Log(func() { l.conn.log.Warn().Dur("deadline", l.options.deadline).Msg("nobody logged in in time") })
		l.conn.post(closeNow{cause: errNoLogin, flush: true})
	}
}

// countUpTo increments n unless that would exceed limit, and reports whether it has.
func countUpTo(n *atomic.Int64, limit int64) bool {
	if n.Add(1) > limit {
		n.Add(-1)
		return false
	}
	return true
}

// busy rejects a login that exceeds a limit, and logs it.
func (l *loginRoot) busy(r Rejection, format string, args ...any) error {
	l.conn.countRejection(r)
	what := fmt.Sprintf(format, args...)
	usercode.Log(func() { l.warning().Str("reason", what).Msg("login refused") })
	return Busy.New(what)
}

// warning begins a log line about a rejected login.
func (l *loginRoot) warning() *zerolog.Event {
	if l.rejected.Add(1) > maxRefusedLogged {
		return l.conn.log.Debug()
	}
	return l.conn.log.Warn()
}

// begin checks credentials outside the object's turn: checkers and realms may block, and may call the mind.
func (l *loginRoot) begin(
	inv *flavors.Invocation,
	credentials cred.Credentials,
	mind *flavors.RemoteReference,
) *actor.Deferred {
	if !inv.WantsAnswer() {
		return actor.Failed(errLoginUnanswered)
	}
	if !countUpTo(&l.inProgress, l.options.atOnce) {
		return actor.Failed(l.busy(rejectLoginsAtOnce, "%d logins are in progress on this connection", l.options.atOnce))
	}
	d := actor.NewDeferred(l.conn.rt)
	started := l.conn.rt.Go("a login from "+l.conn.peer, func() {
		defer l.closeIfLate()
		var answer seam.LoginAnswer
		err := errLoginAbandoned
		defer func() { // also when a checker or a realm ends the goroutine
			if err == nil {
				l.succeeded.Store(true)
			}
			l.inProgress.Add(-1)
			if err != nil {
				d.Complete(nil, err)
				return
			}
			d.Complete(answer, nil)
		}()
		answer, err = l.enter(credentials, mind)
	})
	if !started {
		l.inProgress.Add(-1)
		l.conn.countRejection(rejectClosing)
		return actor.Failed(Busy.Errorf("the server is shutting down"))
	}
	return d
}

// enter performs one login and returns the avatar's reference.
func (l *loginRoot) enter(credentials cred.Credentials, mind *flavors.RemoteReference) (seam.LoginAnswer, error) {
	c := l.conn
	id, err := l.check(credentials)
	if err != nil {
		return nil, l.refuse(credentials, err)
	}
	// Authenticated: lift the limits for strangers. The realm may call the mind, whose answers may be long.
	c.account.MarkUser()
	c.small.Store(0)
	if !countUpTo(&l.sessions, l.options.sessions) {
		return nil, l.busy(rejectSessions, "%d users are logged in on this connection", l.options.sessions)
	}
	entered := false
	defer func() { // also when the realm ends the goroutine
		if !entered {
			l.sessions.Add(-1)
		}
	}()
	avatar, logout, err := l.portal.enter(c.ctx, id, mind)
	if err != nil {
		return nil, l.refuse(credentials, err)
	}
	entered = true
	leave := func() {
		defer l.sessions.Add(-1)
		logout()
		usercode.Log(func() { c.log.Info().Str("user", id.String()).Msg("logged out") })
	}
	answer, err := internal.NewLoginAnswer(avatar)
	if err != nil {
		leave()
		usercode.Log(
			func() { c.log.Error().Err(usercode.LogError(err)).Str("user", credentials.Claim()).Msg("login failed") },
		)
		return nil, flavors.UnauthorizedLogin.New(refusedText)
	}
	usercode.Log(func() { c.log.Info().Str("user", id.String()).Str("by", string(credentials.Kind())).Msg("logged in") })
	c.admit(answer, avatar, id.String(), leave)
	return answer, nil
}

// check calls the checker, and counts the attempt if the credentials can be guessed.
func (l *loginRoot) check(credentials cred.Credentials) (cred.AvatarID, error) {
	ctx := l.conn.ctx
	switch credentials.Kind() {
	case cred.KindAnonymous, cred.KindClientCertificate, cred.KindUnixPeer:
		return l.portal.check(ctx, credentials)
	}
	address := throttleKey(l.conn.sock)
	leave, err := l.options.turns.enter(ctx, address)
	if err != nil {
		return cred.AvatarID{}, err
	}
	defer leave()
	attempt, err := l.options.throttle.Enter(ctx, address)
	if err != nil {
		return cred.AvatarID{}, err
	}
	var id cred.AvatarID
	err = errLoginAbandoned
	defer func() { attempt.End(err) }()
	id, err = l.portal.check(ctx, credentials)
	return id, err
}

// refuse logs the reason, and returns an error without it.
func (l *loginRoot) refuse(credentials cred.Credentials, err error) error {
	var refused *cred.Refused
	if !usercode.AsInto(err, &refused) {
		refused = cred.Refuse(cred.ReasonRealm, "%v", err)
	}
	l.conn.countRejection(loginRejection(refused))
	line := l.warning()
	if refused.Fault() && refused.Reason() != cred.ReasonEnded {
		line = l.conn.log.Error()
	}
	usercode.Log(func() { line.Str("user", clip(credentials.Claim())).Str("reason", refused.Log()).Msg("login refused") })
	return refusalFor(refused)
}

// refusalFor returns what the peer is told: nothing, unless the application wants that. An error of a type that has a
// form of its own on the wire is sent in that form, and the text of any other as an UnauthorizedLogin.
func refusalFor(refused *cred.Refused) error {
	public := refused.Public()
	if public == nil {
		return flavors.UnauthorizedLogin.New(refusedText)
	}
	var own interface {
		error
		jelly.Jellyable
	}
	if usercode.AsInto(public, &own) {
		return public
	}
	return flavors.UnauthorizedLogin.New(usercode.ErrorText(public))
}

// throttleKey returns the key by which attempts are counted: the IPv4 address, the IPv6 /64 network, because one user
// usually has all its addresses, or the user id on a Unix socket.
func throttleKey(sock net.Conn) string {
	if peer, err := netio.UnixPeer(sock); err == nil {
		return fmt.Sprintf("uid %d", peer.UID)
	}
	a := sock.RemoteAddr()
	if a == nil {
		return ""
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.Network()
	}
	ip := ap.Addr().Unmap()
	if ip.Is6() {
		if prefix, err := ip.WithZone("").Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return ip.String()
}

// LoginOption configures [LoginRoot] and [IdentityRoot].
type LoginOption interface{ applyLogin(*loginOptions) error }

type loginOptions struct {
	throttle   *cred.Throttle
	turns      *loginTurns
	deadline   time.Duration
	atOnce     int64
	challenges int64
	sessions   int64
	frame      int
}

type loginOptionFunc func(*loginOptions) error

func (f loginOptionFunc) applyLogin(o *loginOptions) error { return f(o) }

// Defaults of the [LoginOption]s.
const (
	defaultLoginDeadline    = time.Minute
	defaultLoginsAtOnce     = 8
	defaultSessions         = 256
	defaultFrameBeforeLogin = 64 << 10
)

// WithThrottle sets the throttle that slows down repeated attempts. Attempts with passwords are counted by the peer's
// address, or by its user id on a Unix socket, until the checker has decided. As many of one address are checked at a
// time as failures are free; up to 256 more wait for these, up to 30 s. Certificates, user ids of peers and anonymous
// logins cannot be guessed and are not counted. The default is a cred.Throttle of the root's own.
func WithThrottle(t *cred.Throttle) LoginOption {
	return loginOptionFunc(func(o *loginOptions) error {
		o.throttle = t
		return notNil("WithThrottle", "throttle", t == nil)
	})
}

// WithLoginDeadline sets how long a connection may stay without a successful login, one minute by default. Then it is
// closed, after the logins in progress have failed.
func WithLoginDeadline(d time.Duration) LoginOption {
	return loginOptionFunc(func(o *loginOptions) error { o.deadline = d; return positive("WithLoginDeadline", d) })
}

// WithLoginsAtOnce sets how many logins of one connection may be in progress, 8 by default. Further ones fail with
// [Busy].
func WithLoginsAtOnce(n int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) error { o.atOnce = int64(n); return positive("WithLoginsAtOnce", n) })
}

// WithSessions sets how many users may be logged in on one connection, how many unanswered challenges it may hold, and
// how many perspectives each user may be attaching, 256 each by default. Further ones fail with [Busy].
func WithSessions(n int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) error {
		o.sessions, o.challenges = int64(n), int64(n)
		return positive("WithSessions", n)
	})
}

// WithFrameBeforeLogin sets how many bytes a message may have before a login on the connection has succeeded, 64 KiB by
// default. Answers to our calls are messages too. It has no effect if anything besides the login is published, or if
// Limits.Banana.Frame is smaller.
func WithFrameBeforeLogin(bytes int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) error { o.frame = bytes; return positive("WithFrameBeforeLogin", bytes) })
}

// positive returns the error of an option with a value that is not positive.
func positive[T int | time.Duration](option string, v T) error {
	if v <= 0 {
		return fmt.Errorf("broker: %s(%v): must be positive", option, v)
	}
	return nil
}

func newLoginOptions(opts []LoginOption) (*loginOptions, error) {
	o := &loginOptions{
		deadline: defaultLoginDeadline, atOnce: defaultLoginsAtOnce, challenges: defaultSessions, sessions: defaultSessions,
		frame: defaultFrameBeforeLogin,
	}
	for _, opt := range opts {
		if isNil(opt) {
			continue
		}
		if err := opt.applyLogin(o); err != nil {
			return nil, err
		}
	}
	if o.throttle == nil {
		o.throttle = cred.NewThrottle()
	}
	o.turns = newLoginTurns(o.throttle)
	return o, nil
}
