package broker

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
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
