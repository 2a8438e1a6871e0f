package broker

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker/internal/netio"
	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"
)

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
