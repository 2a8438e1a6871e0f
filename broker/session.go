package broker

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
)

const (
	// lastCallTime is how long calls that a peer has sent before it let go of an avatar, or closed the connection in good
	// order, may still begin and go on. Peers do that right behind their last calls, and expect these to be carried out.
	lastCallTime = 50 * time.Millisecond
	// logoutPatience is how long a logout waits for a method that runs for the user. Then it runs all the same: it must
	// not be lost because a method never returns.
	logoutPatience = time.Minute
)

// sessions are the users who are in by way of a connection.
type sessions struct {
	mu    sync.Mutex
	byKey map[any]*session      // by what the calls of the user are known by, see flavors.LoginAnswer
	all   map[*session]struct{} // also those whose logout is under way
}

// session is a user who is in. Several logins that give the same avatar are one, and end together.
type session struct {
	conn *connection
	key  any
	user *flavors.Caller

	// Guarded by the lock of sessions.
	shares  bool // the avatar hands out others, whose logout is a part of its own
	logins  int
	logouts []func() // of the logins that have ended
}

// enter counts a login.
func (x *sessions) enter(c *connection, key any, shares bool) *session {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.byKey[key]
	if s == nil {
		s = &session{conn: c, key: key, user: flavors.NewUser(c)}
		if x.byKey == nil {
			x.byKey, x.all = map[any]*session{}, map[*session]struct{}{}
		}
		x.byKey[key] = s
		x.all[s] = struct{}{}
	}
	s.shares = s.shares || shares
	s.logins++
	return s
}

// leave takes a login out. It returns what is to be run for the logout, once no login of the session is left.
func (x *sessions) leave(s *session, logout func()) (last bool, logouts []func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s.logins--
	s.logouts = append(s.logouts, logout)
	if s.logins > 0 {
		return false, nil
	}
	delete(x.byKey, s.key)
	return true, s.logouts
}

// userOf is on whose behalf calls under a perspective are made; nil if nobody is in under it.
func (x *sessions) userOf(perspective any) *flavors.Caller {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.byKey[perspective]; s != nil {
		return s.user
	}
	return nil
}

// loggedOut forgets a session.
func (x *sessions) loggedOut(s *session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.all, s)
}

// users are all who are in.
func (x *sessions) users() (users []*flavors.Caller) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := range x.all {
		users = append(users, s.user)
	}
	return users
}

// callerOf is on whose behalf calls through a new export are made: the user's under whose perspective it is, otherwise
// the connection's.
func (c *connection) callerOf(hole flavors.ExportHole) *flavors.Caller {
	if hole.Caller != nil {
		return hole.Caller
	}
	if hole.Perspective != nil {
		if user := c.sessions.userOf(hole.Perspective); user != nil {
			return user
		}
	}
	return c.caller
}

// admit lets a user in, to whom the answer is about to be sent. logout runs once, when the peer has let go of the
// avatar or the connection has ended, behind the user's calls: those that have begun have returned, and the others have
// been dropped.
func (c *connection) admit(answer *flavors.LoginAnswer, avatar any, logout func()) {
	shared, shares := avatar.(shared)
	s := c.sessions.enter(c, answer.Key(), shares)
	var ended atomic.Bool
	leave := func() {
		if !ended.Swap(true) {
			s.leave(logout)
		}
	}
	// Whichever comes first, the release of the avatar or the end of the connection. Nothing is kept of the session on the
	// connection afterwards, where another login may follow, and another.
	forget := context.AfterFunc(c.ctx, func() { c.beside(leave) })
	release := func() {
		forget()
		leave()
	}
	if shares {
		release = shared.shareRelease(release)
	}
	answer.Admit(s.user, func() { c.beside(release) })
	if c.ctx.Err() != nil {
		leave() // Here, where the runtime waits for it.
	}
}

// shared is an avatar that hands out others, which keep it as well.
type shared interface {
	// shareRelease is called before the avatar is sent; what it returns is called when the peer has let go of it.
	shareRelease(last func()) (release func())
}

// beside runs a logout outside the broker's turn.
func (c *connection) beside(leave func()) {
	if !c.rt.Go("a logout", leave) {
		go leave()
	}
}

// leave ends a login. With the last of a session the user's calls end, and then the logouts run.
func (s *session) leave(logout func()) {
	last, logouts := s.conn.sessions.leave(s, logout)
	if !last {
		return
	}
	defer s.conn.sessions.loggedOut(s)
	ctx := s.conn.ctx
	if ctx.Err() == nil && s.user.IsBusy() {
		over, stop := after(lastCallTime)
		select {
		case <-over:
		case <-ctx.Done():
		}
		stop()
	}
	over, stop := after(logoutPatience)
	defer stop()
	s.endUser(s.user, over)
	if s.shares && ctx.Err() != nil {
		for _, user := range s.conn.sessions.users() {
			s.endUser(user, over)
		}
	}
	runAll(logouts)
}

// after closes a channel when the process has run for d.
func after(d time.Duration) (over <-chan struct{}, stop func()) {
	done := make(chan struct{})
	return done, patience.AfterFunc(d, func() { close(done) }).Stop
}

// endUser ends a user's calls, and waits until no method runs for the user any more.
func (s *session) endUser(user *flavors.Caller, tooLong <-chan struct{}) {
	user.End()
	select {
	case <-user.Idle():
		return
	default:
	}
	select {
	case <-user.Idle():
	case <-tooLong:
		usercode.Log(func() {
			s.conn.log.Warn().Dur("waited", logoutPatience).
				Msg("a method has not returned since its user has gone, and the logout waits no longer; methods should heed Invocation.Context")
		})
	}
}

// runAll runs each of the functions, also when one of them panics or ends the goroutine.
func runAll(functions []func()) {
	if len(functions) > 0 {
		defer runAll(functions[1:])
		functions[0]()
	}
}

// isCalled reports whether a method runs for the peer, or a call of its has yet to begin.
func (c *connection) isCalled() bool {
	return c.caller.IsBusy() || slices.ContainsFunc(c.sessions.users(), (*flavors.Caller).IsBusy)
}

// endCalls drops the peer's calls that have not begun, when the connection has ended.
func (c *connection) endCalls() {
	c.caller.End()
	for _, user := range c.sessions.users() {
		user.End()
	}
}
