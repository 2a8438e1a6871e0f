package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/internal/seam"
	"github.com/perspectivebroker/pb/internal/usercode"
)

const (
	// lastCallTime is how long calls may still begin and run that a peer sent before it released an avatar or closed
	// the connection in good order. Peers do that right after their last calls and expect these to run.
	lastCallTime = 50 * time.Millisecond
	// logoutPatience is how long a logout waits for the user's running methods. Then it runs in any case, so that a
	// method that never returns does not prevent it.
	logoutPatience = time.Minute
)

// sessions are the users who are logged in on a connection.
type sessions struct {
	mu    sync.Mutex
	byKey map[any]*session      // by the key of the user's calls, see seam.LoginAnswer
	all   map[*session]struct{} // including those that are logging out
	open  map[*login]struct{}   // whose avatars the peer has
	over  bool                  // the connection has ended
}

// login is a login that succeeded.
type login struct {
	session *session
	logout  func()
	ended   atomic.Bool
}

// end ends the login. It has an effect once.
func (l *login) end() {
	if !l.ended.Swap(true) {
		l.session.leave(l.logout)
	}
}

// session is a user who is logged in. Logins that return the same avatar share one session.
type session struct {
	conn *connection
	key  any
	user seam.Caller
	name string // of the user, at the first login

	// Guarded by the lock of sessions.
	shares  bool // the avatar hands out others, which log out with it
	logins  int
	logouts []func() // of the logins that have ended
}

// enter adds a login.
func (x *sessions) enter(c *connection, key any, name string, shares bool) *session {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.byKey[key]
	if s == nil {
		s = &session{conn: c, key: key, name: name, user: internal.NewUser(c)}
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

// begin adds a login that ends with the connection, unless it is forgotten before. It reports false if the connection
// has ended.
func (x *sessions) begin(l *login) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return false
	}
	if x.open == nil {
		x.open = map[*login]struct{}{}
	}
	x.open[l] = struct{}{}
	return true
}

// forget removes a login that ends before the connection.
func (x *sessions) forget(l *login) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.open, l)
}

// endAll returns the logins that end with the connection.
func (x *sessions) endAll() map[*login]struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	open := x.open
	x.open, x.over = nil, true
	return open
}

// leave removes a login. With the last login of the session it returns the logouts to run.
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

// userOf returns the caller of calls under a perspective, or nil if no user has it.
func (x *sessions) userOf(perspective any) seam.Caller {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.byKey[perspective]; s != nil {
		return s.user
	}
	return nil
}

// loggedOut removes a session.
func (x *sessions) loggedOut(s *session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.all, s)
}

// users returns all logged-in users.
func (x *sessions) users() (users []seam.Caller) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := range x.all {
		users = append(users, s.user)
	}
	return users
}

// names returns the names of all logged-in users.
func (x *sessions) names() (names []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for s := range x.all {
		names = append(names, s.name)
	}
	return names
}

// callerOf returns the caller of calls through a new export: the user with its perspective, or the connection.
func (c *connection) callerOf(hole seam.Export) seam.Caller {
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

// admit begins a session of the user with a name, before the answer is sent. logout runs once, when the peer has
// released the avatar or the connection has ended, after the user's running calls have returned and the waiting ones
// were dropped.
func (c *connection) admit(answer seam.LoginAnswer, avatar any, name string, logout func()) {
	shared, shares := avatar.(shared)
	s := c.sessions.enter(c, answer.Key(), name, shares)
	// The release of the avatar or the end of the connection ends the session. Afterwards the connection keeps nothing
	// of it, since many logins may follow.
	l := &login{session: s, logout: logout}
	begun := c.sessions.begin(l)
	release := func() {
		c.sessions.forget(l)
		l.end()
	}
	if shares {
		release = shared.shareRelease(release)
	}
	answer.Admit(s.user, func() { c.beside(release) })
	if !begun {
		l.end() // The runtime waits for this goroutine.
	}
}

// shared is an avatar that hands out others, which keep it logged in.
type shared interface {
	// shareRelease is called before the avatar is sent. The returned function is called when the peer has released it.
	shareRelease(last func()) (release func())
}

// endLogins has the logins end with the connection. The broker calls it in its turn: a runtime that closes waits for it
// and, from then on, for the logouts.
func (c *connection) endLogins() {
	for l := range c.sessions.endAll() {
		c.beside(l.end)
	}
}

// beside runs a logout outside the broker's turn.
func (c *connection) beside(leave func()) {
	if !c.rt.Go("a logout", leave) {
		go leave()
	}
}

// leave ends a login. With the last one of a session, the user's calls end and the logouts run.
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

// after returns a channel that is closed when the process has run for d.
func after(d time.Duration) (over <-chan struct{}, stop func()) {
	done := make(chan struct{})
	return done, patience.AfterFunc(d, func() { close(done) }).Stop
}

// endUser ends a user's calls, and waits until no method runs for the user.
func (s *session) endUser(user seam.Caller, tooLong <-chan struct{}) {
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
				Msg("a method still runs after its user has left, the logout does not wait; " +
					"methods should heed Invocation.Context")
		})
	}
}

// runAll runs all functions, even if one panics or ends the goroutine.
func runAll(functions []func()) {
	if len(functions) > 0 {
		defer runAll(functions[1:])
		functions[0]()
	}
}

// isCalled reports whether a method runs for the peer, or a call of the peer waits.
func (c *connection) isCalled() bool {
	return c.caller.IsBusy() || slices.ContainsFunc(c.sessions.users(), seam.Caller.IsBusy)
}

// endCalls drops the peer's waiting calls.
func (c *connection) endCalls() {
	c.caller.End()
	for _, user := range c.sessions.users() {
		user.End()
	}
}
