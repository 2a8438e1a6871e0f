package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// ReconnectingClient keeps a connection to one server. When the connection is lost it dials again after a delay and
// runs the session function on the new one. References belong to the connection that made them and fail when it ends. S
// is the type of what the session function prepares.
//
// When the server says that it goes away (see [Conn.GoingAway]), the client connects anew at once: at the next address,
// if the URL has several. It goes on with the old session until the new one is up, and closes the old connection when
// its calls have been answered. So a server can be replaced while it is called, if each call takes its references from
// [ReconnectingClient.Session].
type ReconnectingClient[S any] struct {
	rt      *actor.Runtime
	url     string
	prepare func(ctx context.Context, conn *Conn) (S, error)
	options *options
	server  endpoint
	pid     *protoactor.PID
	ctx     context.Context
	cancel  context.CancelFunc
	gone    chan struct{}
	first   atomic.Int64 // which of the server's addresses is dialed first

	mu sync.Mutex
	// Guarded by mu.
	conn    *Conn         // of the current session; nil if there is none
	session S             // what was prepared for it
	changed chan struct{} // closed and replaced when conn or last changes
	last    error         // why there is no session
}

// Messages to the actors given to [ReconnectingClient.Watch].
type (
	// SessionUp reports that a session is up.
	SessionUp[S any] struct {
		Client  *ReconnectingClient[S]
		Conn    *Conn
		Session S // what the session function returned
	}
	// SessionDown reports that a session has ended or that an attempt has failed. Retry is the delay until the next
	// attempt.
	SessionDown[S any] struct {
		Client *ReconnectingClient[S]
		Cause  error
		Retry  time.Duration
	}
)

// ErrPermanent ends the client if the error of a session function wraps it, for example after a refused login.
var ErrPermanent = errors.New("broker: not to be tried again")

// ErrClientClosed is the error of a closed client.
var ErrClientClosed = errors.New("broker: the client has been closed")

// WithBackoff sets how long a [ReconnectingClient] waits before it dials again. The default is half a second after the
// first failure, doubled after each further one up to 30 seconds, and each time reduced by a random part of up to one
// half.
func WithBackoff(b supervision.Backoff) ReconnectOption {
	return optionFunc(func(o *options) error { o.backoff = b; return nil })
}

// Reconnect starts a client and returns at once; [ReconnectingClient.Session] waits for a session. The client ends with
// [ReconnectingClient.Close], with the runtime, or with [ErrPermanent].
//
// The session function prepares a new connection: it logs in, gets the references that the application needs, and
// returns them. It runs on its own goroutine; ctx ends with the connection. The session is up when it returns without
// an error. If it returns an error the connection is closed and another attempt follows. If session is nil nothing is
// prepared, and S is the zero value.
//
//	login := func(ctx context.Context, conn *broker.Conn) (*flavors.RemoteReference, error) {
//		return conn.Login(ctx, credentials, nil)
//	}
//	client, err := broker.Reconnect(rt, url, login)
//	avatar, err := client.Session(ctx)
func Reconnect[S any](
	rt *actor.Runtime,
	url string,
	session func(ctx context.Context, conn *Conn) (S, error),
	opts ...ReconnectOption,
) (*ReconnectingClient[S], error) {
	if err := usable(rt); err != nil {
		return nil, fmt.Errorf("broker: connecting to %s: %w", url, err)
	}
	e, o, err := dialOptions(url, opts, ReconnectOption.applyReconnect)
	if err != nil {
		return nil, err
	}
	if session == nil {
		session = func(context.Context, *Conn) (none S, _ error) { return none, nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &ReconnectingClient[S]{
		rt: rt, url: url, prepare: session, options: o, server: e, ctx: ctx, cancel: cancel,
		gone: make(chan struct{}), changed: make(chan struct{}),
	}
	props := rt.Props(func() protoactor.Actor { return &reconnector[S]{c: c} })
	if c.pid, err = supervision.TreeOf(rt).Spawn(supervision.Dialers, props, "client"); err != nil {
		cancel()
		return nil, fmt.Errorf("broker: connecting to %s: %w", url, err)
	}
	unhook := rt.OnClose(actor.PhaseRefuse, "client of "+url, func(context.Context) error {
		// The connection is drained with all others; here the client only stops dialing.
		cancel()
		return nil
	})
	context.AfterFunc(ctx, unhook)
	return c, nil
}

// Session returns what the session function prepared for the current session, and waits for a session if there is none.
// If ctx ends, the error includes the last failure. References in it fail when the session ends; call Session again for
// those of the next one.
func (c *ReconnectingClient[S]) Session(ctx context.Context) (S, error) {
	_, session, err := c.current(ctx)
	return session, err
}

// Conn returns the connection of the current session, and waits like [ReconnectingClient.Session].
func (c *ReconnectingClient[S]) Conn(ctx context.Context) (*Conn, error) {
	conn, _, err := c.current(ctx)
	return conn, err
}

// current waits for a session.
func (c *ReconnectingClient[S]) current(ctx context.Context) (conn *Conn, session S, err error) {
	var none S
	switch {
	case !c.isMade():
		return nil, none, errNoClient
	case ctx == nil:
		return nil, none, fmt.Errorf("broker: waiting for a session: %w", actor.ErrNilContext)
	}
	for {
		conn, session, changed, last := c.state()
		if conn != nil && context.Cause(conn.c.ctx) == nil {
			return conn, session, nil
		}
		if usercode.Is(last, ErrPermanent) {
			return nil, none, last
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			// The permanent error may have been set since the last look.
			if _, _, _, last = c.state(); usercode.Is(last, ErrPermanent) {
				return nil, none, last
			}
			return nil, none, errors.Join(ErrClientClosed, last)
		case <-ctx.Done():
			return nil, none, errors.Join(context.Cause(ctx), last)
		}
	}
}

// state returns the current session, a channel that is closed when it changes, and the last error.
func (c *ReconnectingClient[S]) state() (conn *Conn, session S, changed <-chan struct{}, last error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn, c.session, c.changed, c.last
}

// Watch sends each [SessionUp] and [SessionDown] to an actor, and a SessionUp at once if a session is up. The messages
// are values, SessionUp[S] and SessionDown[S] with the client's type S, not pointers:
//
//	switch m := ctx.Message().(type) {
//	case broker.SessionUp[*Session]: …
//	case broker.SessionDown[*Session]: …
//	}
//
// A SessionDown comes when a session has ended, and after each attempt that failed. The actor gets messages until
// [ReconnectingClient.Unwatch] or the end of the client.
func (c *ReconnectingClient[S]) Watch(pid *protoactor.PID) {
	if c.isMade() && pid != nil {
		c.rt.Root().Send(c.pid, watchSessions{pid})
	}
}

// errNoClient is the error of the methods of a nil or zero client.
var errNoClient = errors.New("broker: the ReconnectingClient is nil, or was not made by Reconnect")

func (c *ReconnectingClient[S]) isMade() bool { return c != nil && c.rt != nil }

// String names the client in logs.
func (c *ReconnectingClient[S]) String() string {
	if !c.isMade() {
		return "<client, nil>"
	}
	return "<client of " + c.url + ">"
}

// Format writes what String returns, for every verb: the fields are in use by other goroutines.
func (c *ReconnectingClient[S]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// Unwatch ends Watch.
func (c *ReconnectingClient[S]) Unwatch(pid *protoactor.PID) {
	if c.isMade() && pid != nil {
		c.rt.Root().Send(c.pid, unwatchSessions{pid})
	}
}

// Close closes the connection in good order and stops dialing.
func (c *ReconnectingClient[S]) Close(ctx context.Context) error {
	switch {
	case !c.isMade():
		return nil
	case ctx == nil:
		return fmt.Errorf("broker: closing a client: %w", actor.ErrNilContext)
	}
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	c.cancel()
	var err error
	if conn != nil {
		err = conn.Close(ctx)
	}
	c.rt.Root().Poison(c.pid)
	select {
	case <-c.gone:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return err
}

// set sets the current session and wakes the waiters.
func (c *ReconnectingClient[S]) set(conn *Conn, session S, last error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.session, c.last = conn, session, last
	close(c.changed)
	c.changed = make(chan struct{})
}

// reconnector is the actor of a [ReconnectingClient]. Dialing and the session function run on another goroutine, one
// attempt at a time.
type reconnector[S any] struct {
	c        *ReconnectingClient[S]
	failures int           // in a row
	up       *SessionUp[S] // the current session
	dialing  bool          // an attempt has no session yet, or is due
	watchers []*protoactor.PID
	retry    *time.Timer
}

// Messages to the reconnector.
type (
	sessionEnded struct {
		conn  *Conn // nil if there was no session
		cause error
		lived time.Duration // how long the session was up; 0 if it never was
	}
	// sessionLeaves says that the server of a session goes away.
	sessionLeaves struct {
		conn  *Conn
		lived time.Duration
	}
	dialAgain       struct{}
	watchSessions   struct{ pid *protoactor.PID }
	unwatchSessions struct{ pid *protoactor.PID }
)

// Receive implements protoactor.Actor.
func (r *reconnector[S]) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case *protoactor.Started, dialAgain:
		r.dial(ctx)
	case SessionUp[S]:
		r.isUp(ctx, m)
	case sessionLeaves:
		r.leaves(ctx, m)
	case sessionEnded:
		r.ended(ctx, m)
	case watchSessions:
		r.watchers = append(r.watchers, m.pid)
		ctx.Watch(m.pid)
		if r.up != nil {
			ctx.Send(m.pid, *r.up)
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

func (r *reconnector[S]) forget(pid *protoactor.PID) {
	r.watchers = slices.DeleteFunc(r.watchers, pid.Equal)
}

func (r *reconnector[S]) tell(ctx protoactor.Context, message any) {
	for _, w := range r.watchers {
		ctx.Send(w, message)
	}
}

// dial starts one attempt.
func (r *reconnector[S]) dial(ctx protoactor.Context) {
	c, self := r.c, ctx.Self()
	r.dialing = true
	started := c.rt.Go("the client of "+c.url, func() {
		c.rt.Root().Send(self, c.attempt(func(message any) { c.rt.Root().Send(self, message) }))
	})
	if !started {
		ctx.Stop(self)
	}
}

// attempt dials and prepares a session. It returns when the session has ended.
func (c *ReconnectingClient[S]) attempt(tell func(message any)) sessionEnded {
	conn, at, err := dialAny(c.ctx, c.rt, c.url, c.server, int(c.first.Load()), c.options)
	if err != nil {
		return sessionEnded{cause: err}
	}
	c.first.Store(int64(at))
	session, err := c.prepared(conn)
	if err != nil {
		conn.Abort(err)
		<-conn.Done()
		return sessionEnded{cause: err}
	}
	began := time.Now()
	tell(SessionUp[S]{Client: c, Conn: conn, Session: session})
	select {
	case <-conn.GoingAway():
		c.first.Store(int64(at) + 1)
		tell(sessionLeaves{conn, time.Since(began)})
		<-conn.Done()
	case <-conn.Done():
	}
	return sessionEnded{conn, context.Cause(conn.c.ctx), time.Since(began)}
}

// isUp begins a session. If it follows one whose server goes away, that one ends for the watchers.
func (r *reconnector[S]) isUp(ctx protoactor.Context, m SessionUp[S]) {
	before := r.up
	r.up, r.dialing = &m, false
	r.c.set(m.Conn, m.Session, nil)
	if before != nil {
		before.Conn.c.post(leave{})
		r.tell(ctx, SessionDown[S]{Client: r.c, Cause: errMoved})
	}
	r.tell(ctx, m)
}

// errMoved is why a session has ended whose server goes away.
var errMoved = errors.New("broker: the server goes away, the session has moved")

// leaves looks for another server. One that goes away as soon as it is asked is asked again after a delay only.
func (r *reconnector[S]) leaves(ctx protoactor.Context, m sessionLeaves) {
	if r.up == nil || r.up.Conn != m.conn || r.dialing {
		return
	}
	if m.lived >= r.c.options.backoff.Min {
		r.failures = 0
		r.dial(ctx)
		return
	}
	r.failures++
	r.dialLater(ctx)
}

// dialLater schedules an attempt, and returns the delay.
func (r *reconnector[S]) dialLater(ctx protoactor.Context) time.Duration {
	delay := r.c.options.backoff.Delay(r.failures, rand.Float64)
	r.dialing = true
	self := ctx.Self()
	r.retry = time.AfterFunc(delay, func() { r.c.rt.Root().Send(self, dialAgain{}) })
	return delay
}

// prepared calls the session function, and returns its panic as an error.
func (c *ReconnectingClient[S]) prepared(conn *Conn) (session S, err error) {
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
	if session, err = c.prepare(conn.c.ctx, conn); err != nil {
		return session, err
	}
	return session, context.Cause(conn.c.ctx)
}

// ended schedules the next attempt.
func (r *reconnector[S]) ended(ctx protoactor.Context, m sessionEnded) {
	c := r.c
	final := usercode.Is(m.cause, ErrPermanent) || c.ctx.Err() != nil
	if m.conn == nil {
		r.dialing = false
	} else if r.up == nil || r.up.Conn != m.conn {
		return // The session has moved.
	}
	if r.up != nil && m.conn == nil && !final {
		r.failures++ // The server goes away, and its session goes on meanwhile.
		r.dialLater(ctx)
		return
	}
	if r.up != nil && m.conn == nil {
		r.up.Conn.c.post(leave{})
	}
	r.up = nil
	if m.lived > c.options.backoff.Max || (m.lived > 0 && r.failures == 0) {
		r.failures = 0 // The server was up.
	}
	var none S
	c.set(nil, none, m.cause)
	var delay time.Duration
	if !final && !r.dialing {
		r.failures++
		delay = r.dialLater(ctx)
	}
	r.tell(ctx, SessionDown[S]{Client: c, Cause: m.cause, Retry: delay})
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
}
