package cred

import (
	"context"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Session is somebody who is in, until Logout.
type Session[Avatar any] struct {
	id     AvatarID
	avatar Avatar
	logger *slog.Logger

	ctx context.Context
	end context.CancelFunc

	left   atomic.Bool // the first Logout takes it
	logout func()      // may be nil; run by that Logout alone
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
	// What the login's context carries stays, its deadline does not: that was for logging in.
	s.ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

// Avatar is what the realm made for this login.
func (s *Session[Avatar]) Avatar() (avatar Avatar) {
	if s != nil {
		avatar = s.avatar
	}
	return avatar
}

// AvatarID is whose avatar it is.
func (s *Session[Avatar]) AvatarID() (id AvatarID) {
	if s != nil {
		id = s.id
	}
	return id
}

// Context carries the values of the login's context and ends when Logout begins, so that what was begun for this
// user ends as well.
func (s *Session[Avatar]) Context() context.Context {
	if s == nil || s.ctx == nil {
		return endedContext() // There is no session.
	}
	return s.ctx
}

func endedContext() context.Context {
	ctx, end := context.WithCancel(context.Background())
	end()
	return ctx
}

// Done is closed when the user is out: Logout has been called and the realm's function has returned.
func (s *Session[Avatar]) Done() <-chan struct{} {
	if s == nil || s.done == nil {
		return endedContext().Done()
	}
	return s.done
}

// Logout ends the session and runs the function that the realm gave for it, exactly once, however often and from
// wherever it is called. Only the first call waits for that function; the others return at once, even from within
// it. A panic of the function is logged and goes no further.
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
		s.logout = nil // What it holds on to is let go of with the session's end, not with the session.
		logout()
	}
}
