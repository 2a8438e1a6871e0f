package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
)

// LoginOption changes how logins are received.
type LoginOption interface{ applyLogin(*loginOptions) }

type loginOptions struct {
	throttle *cred.Throttle
	deadline time.Duration
	atOnce   int64
}

type loginOptionFunc func(*loginOptions)

func (f loginOptionFunc) applyLogin(o *loginOptions) { f(o) }

// Defaults of the [LoginOption]s.
const (
	// DefaultLoginDeadline is how long a connection may stay without a login.
	DefaultLoginDeadline = time.Minute
	// DefaultLoginsAtOnce is how many logins one connection may have under way.
	DefaultLoginsAtOnce = 8
)

// WithThrottle sets who slows down those that guess. Attempts are counted by the peer's address. The default is a cred.Throttle
// of the root's own, with its defaults.
func WithThrottle(t *cred.Throttle) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.throttle = t })
}

// WithLoginDeadline sets how long a connection may stay without a login having begun, [DefaultLoginDeadline] by default. Then it is closed.
func WithLoginDeadline(d time.Duration) LoginOption {
	return loginOptionFunc(func(o *loginOptions) { o.deadline = d })
}

// LoginRoot publishes a portal: the root object is the login, and what a user gets is the avatar that the portal's realm has for him, a
// pointer to a struct that embeds [flavors.Avatar] as a rule. The mind is the client's reference to an object of its own, or nil.
//
//	ln, err := broker.Listen(rt, url, broker.LoginRoot(portal))
//
// It speaks Twisted's dance of challenge and response, and its anonymous login, as far as the portal has checkers for them. Beside these
// it offers, for clients of this library: a login by password in the clear, over TLS only; by the client's certificate, over
// mutual TLS; and by the user id of the peer's process, over Unix sockets. The realm's logout runs once, when the client has let go
// of the avatar or its connection has ended.
func LoginRoot[A any](portal *cred.Portal[*flavors.RemoteReference, A], opts ...LoginOption) RootFactory {
	o := &loginOptions{deadline: DefaultLoginDeadline, atOnce: DefaultLoginsAtOnce}
	for _, opt := range opts {
		opt.applyLogin(o)
	}
	if o.throttle == nil {
		o.throttle = cred.NewThrottle()
	}
	login := func(ctx context.Context, c cred.Credentials, mind *flavors.RemoteReference) (avatar any, logout func(), err error) {
		session, err := portal.Login(ctx, c, mind)
		if err != nil {
			return nil, nil, err
		}
		return session.Avatar(), session.Logout, nil
	}
	return func(c *Conn) (any, error) {
		l := &loginRoot{conn: c, options: o, accepts: portal.Accepts, login: login}
		l.expire()
		return l, nil
	}
}

// loginRoot is the object that one connection sees as "root".
type loginRoot struct {
	flavors.Root
	conn    *Conn
	options *loginOptions
	accepts func(cred.Kind) bool
	login   func(context.Context, cred.Credentials, *flavors.RemoteReference) (avatar any, logout func(), err error)

	underWay atomic.Int64
	begun    atomic.Bool // a login has succeeded once
}

// expire closes the connection of somebody who does not log in.
func (l *loginRoot) expire() {
	timer := time.AfterFunc(l.options.deadline, func() {
		if !l.begun.Load() && l.underWay.Load() == 0 {
			l.conn.Abort(fmt.Errorf("broker: nobody logged in within %v", l.options.deadline))
		}
	})
	context.AfterFunc(l.conn.ctx, func() { timer.Stop() })
}

// RemoteLogin begins Twisted's dance: (challenge, challenger).
func (l *loginRoot) RemoteLogin(username string) (jelly.Tuple, error) {
	challenge := cred.NewChallenge()
	return jelly.Tuple{challenge, &challenger{login: l, username: username, challenge: challenge}}, nil
}

// challenger waits for the response to one challenge.
type challenger struct {
	flavors.Referenceable
	login     *loginRoot
	username  string
	challenge []byte
	once      sync.Once
}

// RemoteRespond ends the dance. A challenge can be responded to once: another attempt begins anew.
func (c *challenger) RemoteRespond(response []byte, mind *flavors.RemoteReference) (d *actor.Deferred) {
	var presented cred.Credentials = refusedCredentials{c.username}
	c.once.Do(func() {
		presented = cred.ChallengeResponse{Username: c.username, Challenge: c.challenge, Response: response}
	})
	return c.login.begin(presented, mind)
}

// RemoteLoginAnonymous lets in who does not say who he is, if the portal does.
func (l *loginRoot) RemoteLoginAnonymous(mind *flavors.RemoteReference) *actor.Deferred {
	return l.begin(cred.Anonymous{}, mind)
}

// RemoteLoginPassword takes a password in the clear. Without TLS it does not exist, and stock peers do not know it.
func (l *loginRoot) RemoteLoginPassword(username, password string, mind *flavors.RemoteReference) (*actor.Deferred, error) {
	if l.conn.tlsState() == nil {
		return nil, flavors.NoSuchMethod.New("No such method: remote_loginPassword")
	}
	return l.begin(cred.UsernamePassword{Username: username, Password: cred.Secret(password)}, mind), nil
}

// RemoteLoginCertificate lets in whom the certificate names that TLS has verified.
func (l *loginRoot) RemoteLoginCertificate(mind *flavors.RemoteReference) (*actor.Deferred, error) {
	state := l.conn.tlsState()
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil, flavors.NoSuchMethod.New("No such method: remote_loginCertificate")
	}
	certificate, err := cred.VerifiedCertificate(state.VerifiedChains)
	if err != nil {
		return nil, flavors.UnauthorizedLogin.New(refusedText)
	}
	return l.begin(certificate, mind), nil
}

// RemoteLoginPeer lets in whom the kernel names as the other end of a Unix socket.
func (l *loginRoot) RemoteLoginPeer(mind *flavors.RemoteReference) (*actor.Deferred, error) {
	peer, err := unixPeer(l.conn.sock)
	if err != nil {
		return nil, flavors.NoSuchMethod.New("No such method: remote_loginPeer")
	}
	return l.begin(peer, mind), nil
}

// refusedText is all that anybody is told whose login was refused.
const refusedText = "login refused"

// refusedCredentials are those that no portal accepts.
type refusedCredentials struct{ claim string }

func (refusedCredentials) Kind() cred.Kind { return "perspectivebroker.refused" }
func (r refusedCredentials) Claim() string { return r.claim }

// begin checks credentials beside the object's turn: checkers and realms may wait, and may call the mind meanwhile.
func (l *loginRoot) begin(credentials cred.Credentials, mind *flavors.RemoteReference) *actor.Deferred {
	if l.underWay.Add(1) > l.options.atOnce {
		l.underWay.Add(-1)
		return actor.Failed(Busy.Errorf("%d logins are under way on this connection", l.options.atOnce))
	}
	d := actor.NewDeferred(l.conn.rt)
	started := l.conn.rt.Go("a login from "+l.conn.peer, func() {
		answer, err := l.enter(credentials, mind)
		l.underWay.Add(-1)
		if err != nil {
			d.Complete(nil, err)
			return
		}
		l.begun.Store(true)
		d.Complete(answer, nil)
	})
	if !started {
		l.underWay.Add(-1)
		return actor.Failed(Busy.Errorf("the server is shutting down"))
	}
	return d
}

func (l *loginRoot) enter(credentials cred.Credentials, mind *flavors.RemoteReference) (*flavors.LoginAnswer, error) {
	c := l.conn
	attempt, err := l.options.throttle.Enter(c.ctx, throttleKey(c.sock))
	if err != nil {
		return nil, l.refuse(credentials, err)
	}
	avatar, logout, err := l.login(c.ctx, credentials, mind)
	attempt.End(err)
	if err != nil {
		return nil, l.refuse(credentials, err)
	}
	// Whichever comes first, the release of the avatar or the end of the connection; a session logs out once.
	answer, err := flavors.NewLoginAnswer(avatar, func() { c.rt.Go("a logout", logout) })
	if err != nil {
		logout()
		c.log.Error().Err(err).Str("user", credentials.Claim()).Msg("login failed")
		return nil, flavors.UnauthorizedLogin.New(refusedText)
	}
	context.AfterFunc(c.ctx, logout)
	c.log.Info().Str("user", credentials.Claim()).Str("by", string(credentials.Kind())).Msg("logged in")
	return answer, nil
}

// refuse tells the log why, and the peer nothing.
func (l *loginRoot) refuse(credentials cred.Credentials, err error) error {
	line := l.conn.log.Warn().Str("user", clip(credentials.Claim()))
	var refused *cred.Refused
	if errors.As(err, &refused) {
		line = line.Str("reason", refused.Log())
		if refused.Fault() && refused.Cause() != nil {
			line = line.AnErr("cause", refused.Cause())
		}
	}
	line.Msg("login refused")
	return flavors.UnauthorizedLogin.New(refusedText)
}

// throttleKey is by what attempts are counted: the address; of IPv6 the network, because whoever has one address has all in it.
func throttleKey(sock net.Conn) string {
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
