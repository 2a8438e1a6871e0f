package flavors

import (
	"context"
	"errors"
	"sync"
	"time"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/contextkey"
)

// callContext is the context of a call over a connection that speaks dialect pb+1. It ends when the caller cancels the
// call, at the call's deadline, and with the context of the caller itself. Most methods never wait for it, so what
// waiting needs is made when it is needed.
type callContext struct {
	// Immutable.
	parent   context.Context // of the caller: ends with the connection or the login
	metadata *receivedMetadata

	mu sync.Mutex
	// Guarded by mu.
	more  *contextParts // nil until needed
	given bool          // the application may have it
	ended bool          // the caller has cancelled the call
	over  bool          // the call has been answered and carried out: it cannot be cancelled any more
}

// contextParts is what waiting for the end of a callContext needs.
type contextParts struct {
	deadline time.Time               // zero if the call has none
	made     context.Context         // nil until needed
	cancel   context.CancelCauseFunc // ends made; nil if that is parent
	unfollow func() bool             // keeps the end of made from ending the call; nil if it does not
}

// errCallOver is the cause of a context that was kept long after its call.
var errCallOver = errors.New("flavors: the call was over long ago")

// incomingKey finds the metadata of the call in whose context it is asked for.
type incomingKey struct{}

// callKey finds the callContext in which a context was made.
type callKey struct{}

// follow has a call that is made in ctx end when the call is cancelled that ctx belongs to. It does not follow contexts
// that were derived from it: that they end does not mean that the result is not wanted.
func follow(ctx context.Context, result *actor.Deferred) {
	if ctx == context.Background() {
		return
	}
	c, ok := ctx.Value(callKey{}).(*callContext)
	if !ok {
		return
	}
	stop := context.AfterFunc(c, func() {
		if context.Cause(c) == context.Canceled && c.parent.Err() == nil {
			result.Cancel()
		}
	})
	result.OnComplete(func(any, error) { stop() })
}

// base returns the context to which everything is left that is not known without it.
func (c *callContext) base() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more == nil {
		c.more = new(contextParts)
	}
	if c.more.made == nil {
		c.makeLocked(c.more)
	}
	return c.more.made
}

func (c *callContext) makeLocked(p *contextParts) {
	if c.over && !c.ended {
		p.made = c.parent
		return
	}
	p.made, p.cancel = context.WithCancelCause(c.parent)
	if !p.deadline.IsZero() {
		var stop context.CancelFunc
		p.made, stop = context.WithDeadline(p.made, p.deadline)
		cancel := p.cancel
		p.cancel = func(cause error) { cancel(cause); stop() }
	}
	if c.ended {
		p.cancel(context.Canceled)
	}
}

// give notes that the application gets the context, if it does.
func (c *callContext) give(given bool) {
	if given {
		c.mu.Lock()
		c.given = true
		c.mu.Unlock()
	}
}

// end ends the context, because the caller has cancelled the call.
func (c *callContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	if c.more != nil && c.more.cancel != nil {
		c.more.cancel(context.Canceled)
	}
}

// callOver is called when the call cannot be cancelled any more. The context may be in use all the same, and ends with
// that of the caller.
func (c *callContext) callOver(caller *peerCaller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	p := c.more
	if p == nil {
		return
	}
	if p.unfollow != nil {
		p.unfollow()
		p.unfollow = nil
	}
	switch {
	case p.cancel == nil || c.ended:
	case !c.given || caller == nil:
		p.cancel(errCallOver)
	default:
		caller.keepContext(c)
	}
}

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.more == nil || c.more.deadline.IsZero() {
		return c.parent.Deadline()
	}
	return c.more.deadline, true
}

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} { return c.base().Done() }

// Err implements context.Context.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.more != nil && c.more.made != nil:
		return c.more.made.Err()
	case c.ended:
		return context.Canceled
	}
	return c.parent.Err()
}

// Value implements context.Context. Nothing is made for a key that the parent knows as well as base does.
func (c *callContext) Value(key any) any {
	switch key.(type) {
	case incomingKey:
		return c.metadata
	case outgoingKey:
		return nil
	case callKey:
		return c
	}
	if endKey == nil || key == endKey {
		return c.base().Value(key)
	}
	return c.parent.Value(key)
}

// endKey is the key by which package context asks a context for its end and its cause, nil if it could not be found. It
// is the only one for which the contexts differ that base adds to the parent.
var endKey = contextkey.Of(func(ctx context.Context) { _ = context.Cause(ctx) })

// String names the context in logs.
func (c *callContext) String() string { return "flavors.callContext" }

// IncomingMetadata returns what the call carried in whose context a method runs: that of [Invocation.Context] and of a
// method's context parameter. It is nil if there is none, and must not be changed.
func IncomingMetadata(ctx context.Context) Metadata {
	if ctx == nil {
		return nil
	}
	m, _ := ctx.Value(incomingKey{}).(*receivedMetadata)
	return m.all()
}

// lateContexts are the contexts of calls that are over. They end with their caller. A context that the application has
// dropped ends when there are too many.
type lateContexts struct {
	contexts []lateContext
	sweepAt  int
}

type lateContext struct {
	handle weak.Pointer[callContext]
	cancel context.CancelCauseFunc
}

// fewestLate is how many contexts of past calls a caller keeps until it looks for those that are not in use.
const fewestLate = 4096

// keepContext keeps the context of a call that is over.
func (c *peerCaller) keepContext(ctx *callContext) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.late
	l.contexts = append(l.contexts, lateContext{weak.Make(ctx), ctx.more.cancel})
	if len(l.contexts) < max(l.sweepAt, fewestLate) {
		return
	}
	kept := l.contexts[:0]
	for _, late := range l.contexts {
		if late.handle.Value() != nil {
			kept = append(kept, late)
		} else {
			late.cancel(errCallOver)
		}
	}
	clear(l.contexts[len(kept):])
	l.contexts, l.sweepAt = kept, 2*len(kept)
}
