package broker

import (
	"context"
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
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"
)

// LoginRoot publishes a portal: the root object is the login, and what a user gets is the avatar that the portal's
// realm has for him, a pointer to a struct that embeds [flavors.Avatar] as a rule. The mind is the client's reference
// to an object of its own, or nil.
//
//	ln, err := broker.Listen(rt, url, broker.LoginRoot(portal))
//
// It speaks Twisted's dance of challenge and response, and its anonymous login, as far as the portal has checkers for
// them. Beside these it offers, for clients of this library: a login by password in the clear, over TLS only; by the
// client's certificate, over mutual TLS; and by the user id of the peer's process, over Unix sockets. The realm's
// logout runs once, when the client has let go of the avatar or its connection has ended.
//
// It is nil for a nil portal, and Listen refuses that.
func LoginRoot[A any](portal *cred.Portal[*flavors.RemoteReference, A], opts ...LoginOption) RootFactory {
	if portal == nil {
		return nil
	}
	return newLogin(newLoginOptions(opts), &door{
		accepts: portal.Accepts,
		check:   portal.Authenticate,
		enter: func(ctx context.Context, id cred.AvatarID, mind *flavors.RemoteReference) (any, func(), error) {
			session, err := portal.Enter(ctx, id, mind)
			if err != nil {
				return nil, nil, err
			}
			return session.Avatar(), session.Logout, nil
		},
	})
}

// door is a portal without its type parameters.
type door struct {
	accepts func(cred.Kind) bool
	check   func(context.Context, cred.Credentials) (cred.AvatarID, error)
	enter   func(context.Context, cred.AvatarID, *flavors.RemoteReference) (avatar any, logout func(), err error)
}

func newLogin(o *loginOptions, d *door) RootFactory {
	return func(conn *Conn) (any, error) {
		c := conn.c
		l := &loginRoot{conn: c, options: o, door: d}
		c.account.MarkStranger()
		l.expire()
		if c.offers == 1 {
			c.small.Store(int64(o.frame))
		}
		return l, nil
	}
}

// loginRoot is the object that one connection sees as "root" (P-8.1).
type loginRoot struct {
	flavors.Root
	conn    *connection
	options *loginOptions
	door    *door

	challenges atomic.Int64 // that the peer holds
	underWay   atomic.Int64 // logins
	sessions   atomic.Int64 // that are not logged out
	refused    atomic.Int64 // logins
	begun      atomic.Bool  // a login has succeeded once
	late       atomic.Bool  // the deadline has passed
}

// RemoteLogin begins Twisted's dance: (challenge, challenger).
func (l *loginRoot) RemoteLogin(inv *flavors.Invocation, username string) (jelly.Tuple, error) {
	if !inv.WantsAnswer() {
		return nil, errLoginUnanswered
	}
	if !takePlace(&l.challenges, l.options.challenges) {
		return nil, l.busy(rejectChallenges, "%d challenges are held on this connection", l.options.challenges)
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
	answer, err := flavors.NewLoginAnswer(c)
	if err != nil {
		giveBack()
		return nil, err
	}
	answer.Admit(nil, giveBack)
	return jelly.Tuple{c.challenge, answer}, nil
}

// challengeSize is what a challenge counts for beside its export, with a name of cred.MaxUsernameBytes.
const challengeSize = 1 << 10

// keptName is what is kept of a name for as long as the peer has the challenge. No store has a longer one: cut short,
// it is still too long for each of them, and its login is refused like any other.
func keptName(name string) string {
	return strings.Clone(name[:min(len(name), cred.MaxUsernameBytes+1)])
}

// challenger waits for the response to one challenge.
type challenger struct {
	flavors.Referenceable
	login     *loginRoot
	username  string
	challenge []byte
	once      sync.Once
}

// RemoteRespond ends the dance (P-8.2). A challenge can be responded to once: another attempt begins anew.
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

// refusedCredentials are those that no portal accepts: a second response to a challenge.
type refusedCredentials struct{ claim string }

func (refusedCredentials) Kind() cred.Kind { return "perspectivebroker.refused" }
func (r refusedCredentials) Claim() string { return r.claim }

// RemoteLoginAnonymous lets in who does not say who he is, if the portal does (P-8.3).
func (l *loginRoot) RemoteLoginAnonymous(inv *flavors.Invocation, mind *flavors.RemoteReference) *actor.Deferred {
	return l.begin(inv, cred.Anonymous{}, mind)
}

// RemoteLoginMethods lists the logins that this connection is offered. A client of this library asks before it sends a
// password: stock peers have no such method, and so never see one.
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
		if m.carried && l.door.accepts(m.kind) {
			methods = append(methods, m.name)
		}
	}
	return methods
}

// The logins that stock peers do not know.
const (
	methodPassword    = "loginPassword"
	methodCertificate = "loginCertificate"
	methodPeer        = "loginPeer"
)

// noSuchLogin is what a peer is told that asks for a login which this connection does not carry, as if there were none.
func noSuchLogin(method string) error {
	return flavors.NoSuchMethod.New("No such method: remote_" + method)
}

// RemoteLoginPassword takes a password in the clear. Without TLS it does not exist, and stock peers do not know it.
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

// RemoteLoginCertificate lets in whom the certificate names that TLS has verified.
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

// RemoteLoginPeer lets in whom the kernel names as the other end of a Unix socket.
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

// refusedText is all that anybody is told whose login was refused, whatever the reason (P-8.4).
const refusedText = "login refused"

// errLoginUnanswered fails a login whose sender asks for no answer: nobody would hold the avatar, and so nobody could
// let it go.
var errLoginUnanswered = flavors.PBError.New("a login is answered with the avatar: ask for an answer")

// errLoginAbandoned fails a login whose checker or realm called runtime.Goexit, which nothing can undo.
var errLoginAbandoned error = flavors.UnauthorizedLogin.New(refusedText)

// maxRefusedLogged is how many refused logins of one connection are worth a warning; whoever floods us should not flood
// the log.
const maxRefusedLogged = 16

// expire closes the connection of somebody who does not log in.
func (l *loginRoot) expire() {
	timer := patience.AfterFunc(l.options.deadline, func() {
		l.late.Store(true)
		l.closeIfLate()
	})
	context.AfterFunc(l.conn.ctx, timer.Stop)
}

// closeIfLate is asked when the deadline passes, and from then on whenever a login has failed. Its answer goes out
// first.
func (l *loginRoot) closeIfLate() {
	if l.late.Load() && !l.begun.Load() && l.underWay.Load() == 0 {
		usercode.Log(func() { l.conn.log.Warn().Dur("deadline", l.options.deadline).Msg("nobody logged in in time") })
		l.conn.post(closeNow{cause: errNoLogin, flush: true})
	}
}

// takePlace counts one more, unless that would be more than most. Whoever has a place gives it back by counting one
// less.
func takePlace(taken *atomic.Int64, most int64) bool {
	if taken.Add(1) > most {
		taken.Add(-1)
		return false
	}
	return true
}

// busy refuses what would be too much, whoever it is, and tells the log.
func (l *loginRoot) busy(r Rejection, format string, args ...any) error {
	l.conn.countRejection(r)
	what := fmt.Sprintf(format, args...)
	usercode.Log(func() { l.warning().Str("reason", what).Msg("login refused") })
	return Busy.New(what)
}

// warning is a line for the log about a refused login.
func (l *loginRoot) warning() *zerolog.Event {
	if l.refused.Add(1) > maxRefusedLogged {
		return l.conn.log.Debug()
	}
	return l.conn.log.Warn()
}

// begin checks credentials beside the object's turn: checkers and realms may wait, and may call the mind meanwhile.
func (l *loginRoot) begin(
	inv *flavors.Invocation,
	credentials cred.Credentials,
	mind *flavors.RemoteReference,
) *actor.Deferred {
	if !inv.WantsAnswer() {
		return actor.Failed(errLoginUnanswered)
	}
	if !takePlace(&l.underWay, l.options.atOnce) {
		return actor.Failed(l.busy(rejectLoginsAtOnce, "%d logins are under way on this connection", l.options.atOnce))
	}
	d := actor.NewDeferred(l.conn.rt)
	started := l.conn.rt.Go("a login from "+l.conn.peer, func() {
		defer l.closeIfLate()
		var answer *flavors.LoginAnswer
		err := errLoginAbandoned
		defer func() { // also when a checker or a realm ends the goroutine
			if err == nil {
				l.begun.Store(true)
			}
			l.underWay.Add(-1)
			if err != nil {
				d.Complete(nil, err)
				return
			}
			d.Complete(answer, nil)
		}()
		answer, err = l.enter(credentials, mind)
	})
	if !started {
		l.underWay.Add(-1)
		l.conn.countRejection(rejectClosing)
		return actor.Failed(Busy.Errorf("the server is shutting down"))
	}
	return d
}

// enter is one login from its beginning to the avatar's reference.
func (l *loginRoot) enter(credentials cred.Credentials, mind *flavors.RemoteReference) (*flavors.LoginAnswer, error) {
	c := l.conn
	id, err := l.check(credentials)
	if err != nil {
		return nil, l.refuse(credentials, err)
	}
	// No stranger any more: the realm may ask the mind something that has a long answer.
	c.account.MarkUser()
	c.small.Store(0)
	if !takePlace(&l.sessions, l.options.sessions) {
		return nil, l.busy(rejectSessions, "%d users are in by way of this connection", l.options.sessions)
	}
	entered := false
	defer func() { // also when the realm ends the goroutine
		if !entered {
			l.sessions.Add(-1)
		}
	}()
	avatar, logout, err := l.door.enter(c.ctx, id, mind)
	if err != nil {
		return nil, l.refuse(credentials, err)
	}
	entered = true
	leave := func() {
		defer l.sessions.Add(-1)
		logout()
		usercode.Log(func() { c.log.Info().Str("user", id.String()).Msg("logged out") })
	}
	answer, err := flavors.NewLoginAnswer(avatar)
	if err != nil {
		leave()
		usercode.Log(
			func() { c.log.Error().Err(usercode.LogError(err)).Str("user", credentials.Claim()).Msg("login failed") },
		)
		return nil, flavors.UnauthorizedLogin.New(refusedText)
	}
	usercode.Log(func() { c.log.Info().Str("user", id.String()).Str("by", string(credentials.Kind())).Msg("logged in") })
	c.admit(answer, avatar, leave)
	return answer, nil
}

// check asks the checker, and counts the attempt where something can be guessed.
func (l *loginRoot) check(credentials cred.Credentials) (cred.AvatarID, error) {
	ctx := l.conn.ctx
	switch credentials.Kind() {
	case cred.KindAnonymous, cred.KindClientCertificate, cred.KindUnixPeer:
		return l.door.check(ctx, credentials)
	}
	attempt, err := l.options.throttle.Enter(ctx, throttleKey(l.conn.sock))
	if err != nil {
		return cred.AvatarID{}, err
	}
	var id cred.AvatarID
	err = errLoginAbandoned
	defer func() { attempt.End(err) }()
	id, err = l.door.check(ctx, credentials)
	return id, err
}

// refuse tells the log why, and the peer nothing.
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
	return flavors.UnauthorizedLogin.New(refusedText)
}

// throttleKey is by what attempts are counted: the address; of IPv6 the network, because whoever has one address has
// all in it; of a Unix socket the user, because its addresses say nothing.
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
	defaultLoginDeadline    = time.Minute
	defaultLoginsAtOnce     = 8
	defaultSessions         = 256
	defaultFrameBeforeLogin = 64 << 10
)

// WithThrottle sets the throttle that slows down repeated attempts. Attempts with passwords are counted by the peer's
// address, or by its user id on a Unix socket, until the checker has decided. Certificates, user ids of peers and
// anonymous logins cannot be guessed and are not counted. The default is a cred.Throttle of the root's own.
func WithThrottle(t *cred.Throttle) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.throttle = t })
}

// WithLoginDeadline sets how long a connection may stay without a successful login, one minute by default. Then it is
// closed, after the logins in progress have failed.
func WithLoginDeadline(d time.Duration) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.deadline = d })
}

// WithLoginsAtOnce sets how many logins of one connection may be in progress, 8 by default. Further ones fail with
// [Busy].
func WithLoginsAtOnce(n int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.atOnce = int64(n) })
}

// WithSessions sets how many users may be logged in on one connection, how many unanswered challenges it may hold, and
// how many perspectives each user may be attaching, 256 each by default. Further ones fail with [Busy].
func WithSessions(n int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.sessions, o.challenges = int64(n), int64(n) })
}

// WithFrameBeforeLogin sets how many bytes a message may have before a login on the connection has succeeded, 64 KiB by
// default. Answers to our calls are messages too. It has no effect if anything besides the login is published, or if
// Limits.Banana.Frame is smaller.
func WithFrameBeforeLogin(bytes int) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.frame = bytes })
}

func newLoginOptions(opts []LoginOption) *loginOptions {
	o := &loginOptions{
		deadline: defaultLoginDeadline, atOnce: defaultLoginsAtOnce, challenges: defaultSessions, sessions: defaultSessions,
		frame: defaultFrameBeforeLogin,
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
