package broker

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// reconnector is the actor of a [ReconnectingClient]. Dialing and the application's session function run beside it, one
// attempt at a time.
type reconnector struct {
	c        *ReconnectingClient
	failures int // in a row
	up       *Conn
	watchers []*protoactor.PID
	retry    *time.Timer
}

// Messages to the reconnector.
type (
	sessionUp    struct{ conn *Conn }
	sessionEnded struct {
		cause error
		lived time.Duration // how long the session was up; 0 if it never was
	}
	dialAgain       struct{}
	watchSessions   struct{ pid *protoactor.PID }
	unwatchSessions struct{ pid *protoactor.PID }
)

// Receive implements protoactor.Actor.
func (r *reconnector) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started, dialAgain:
		r.dial(ctx)
	case sessionUp:
		r.up = m.conn
		r.c.set(m.conn, nil)
		r.tell(ctx, SessionUp{Client: r.c, Conn: m.conn})
	case sessionEnded:
		r.ended(ctx, m)
	case watchSessions:
		r.watchers = append(r.watchers, m.pid)
		ctx.Watch(m.pid)
		if r.up != nil {
			ctx.Send(m.pid, SessionUp{Client: r.c, Conn: r.up})
		}
	case unwatchSessions:
		r.forget(m.pid)
	case *protoactor.Terminated:
		r.forget(m.Who)
	case *protoactor.Stopping, *protoactor.Restarting:
		stopTimer(r.retry)
	case *protoactor.Stopped:
		r.c.cancel()
		close(r.c.gone)
	}
}

func (r *reconnector) forget(pid *protoactor.PID) {
	r.watchers = slices.DeleteFunc(r.watchers, pid.Equal)
}

func (r *reconnector) tell(ctx protoactor.Context, message any) {
	for _, w := range r.watchers {
		ctx.Send(w, message)
	}
}

// dial makes one attempt beside the actor.
func (r *reconnector) dial(ctx protoactor.Context) {
	c, self := r.c, ctx.Self()
	started := c.rt.Go("the client of "+c.url, func() {
		lived, cause := c.attempt(func(conn *Conn) { c.rt.Root().Send(self, sessionUp{conn}) })
		c.rt.Root().Send(self, sessionEnded{cause: cause, lived: lived})
	})
	if !started {
		ctx.Stop(self)
	}
}

// attempt makes a connection and a session, and returns when it is over.
func (c *ReconnectingClient) attempt(up func(*Conn)) (lived time.Duration, cause error) {
	conn, err := Dial(c.ctx, c.rt, c.url, c.opts...)
	if err != nil {
		return 0, err
	}
	if err := c.prepare(conn); err != nil {
		conn.Abort(err)
		<-conn.Done()
		return 0, err
	}
	began := time.Now()
	up(conn)
	<-conn.Done()
	return time.Since(began), context.Cause(conn.c.ctx)
}

// prepare runs the application's function. Its panic is its error.
func (c *ReconnectingClient) prepare(conn *Conn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			usercode.Log(func() {
				conn.c.log.Error().
					Str("panic", usercode.PanicText(p)).
					Bytes("stack", debug.Stack()).
					Msg("a session function panicked")
			})
			err = &flavors.PanicError{What: "the session function", Value: p, Stack: debug.Stack()}
		}
	}()
	if err := c.session(conn.c.ctx, conn); err != nil {
		return err
	}
	return context.Cause(conn.c.ctx)
}

// ended decides when to try again.
func (r *reconnector) ended(ctx protoactor.Context, m sessionEnded) {
	c := r.c
	r.up = nil
	if m.lived > c.backoff.Max || (m.lived > 0 && r.failures == 0) {
		r.failures = 0 // It was not the server's being down.
	}
	r.failures++
	delay := c.backoff.Delay(r.failures, rand.Float64)
	final := usercode.Is(m.cause, ErrPermanent) || c.ctx.Err() != nil
	if final {
		delay = 0
	}
	c.set(nil, m.cause)
	r.tell(ctx, SessionDown{Client: c, Cause: m.cause, Retry: delay})
	if final {
		ctx.Stop(ctx.Self())
		return
	}
	usercode.Log(func() {
		c.rt.Logger().
			Info().
			Str("url", c.url).
			Err(usercode.LogError(m.cause)).
			Dur("retry_in", delay).
			Msg("no session with the server")
	})
	self := ctx.Self()
	r.retry = time.AfterFunc(delay, func() { c.rt.Root().Send(self, dialAgain{}) })
}
