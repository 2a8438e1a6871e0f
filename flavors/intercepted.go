package flavors

import (
	"context"
	"runtime/debug"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/rs/zerolog"
)

// intercepted runs the method through the interceptors, in the turn of its object. The result is to be answered by
// answerIntercepted.
func (inv *Invocation) intercepted(chain CallFunc, o *object, m numbered) (any, error) {
	c := &incomingInfo{inv: inv}
	c.conn, c.method, c.typ, c.answer, c.in = inv.conn, inv.Method, &o.table.typeName, inv.wantsAnswer, c
	i := inv.interception
	i.object, i.method = o, m
	ctx := c.begin()
	i.info.Store(c)
	v, err := c.run(ctx, chain)
	if !c.end() && v == nil && err == nil {
		err = errNextNever
	}
	return v, err
}

// begin returns the context of the call, in memory that there is.
func (c *incomingInfo) begin() context.Context {
	inv := c.inv
	if !inv.extended {
		return inv.callerContext()
	}
	ctx := inv.contextIn(&c.context, true)
	c.context.metadata = inv.metadata
	return ctx
}

// isOwn reports whether ctx is the context that the interceptors were given.
func (c *incomingInfo) isOwn(ctx context.Context) bool {
	if c.inv.extended {
		return ctx == context.Context(c.inv.context.Load())
	}
	return ctx == c.inv.callerContext()
}

// invoke runs the method, once.
func (c *incomingInfo) invoke(ctx context.Context) (v any, err error) {
	for {
		s := c.state.Load()
		switch {
		case s&infoCalled != 0:
			return nil, errNextTwice
		case s&infoOver != 0:
			return nil, errNextLate
		}
		if c.state.CompareAndSwap(s, s|infoCalled) {
			break
		}
	}
	inv := c.inv
	i := inv.interception
	if !c.isOwn(ctx) {
		i.ctx = ctx
		c.state.Or(infoContext)
	}
	defer func() {
		if r := recover(); r != nil {
			i.panicked = &PanicError{What: "the method " + inv.name(), Value: r, Stack: debug.Stack()}
			inv.logPanic(i.panicked)
			v, err = nil, i.panicked
		}
		if c.state.Or(infoRan)&infoAwaited != 0 {
			close(i.ran)
		}
	}()
	v, i.kept, err = i.object.table.invoke(i.object.value, inv, i.method)
	if err == errAnswersLater {
		i.later = true
		return inv.deferred(), nil
	}
	if i.kept {
		if d := i.result.Load(); d != nil {
			if _, _, answered := d.Result(); answered {
				return d, nil // The method has called Answer, which counts.
			}
		}
	}
	return v, err
}

// deferred returns the result, for interceptors, of a method that answers by itself.
func (inv *Invocation) deferred() *actor.Deferred {
	i := inv.interception
	if d := i.result.Load(); d != nil {
		return d
	}
	i.result.CompareAndSwap(nil, actor.NewDeferred(inv.conn.Runtime()))
	return i.result.Load()
}

// end notes that the interceptors have returned, and reports whether the method has run. It waits for a method that an
// interceptor has not waited for, because the turn of the object would end otherwise.
func (c *incomingInfo) end() (ran bool) {
	for {
		s := c.state.Load()
		switch {
		case s&infoRan != 0:
			return true
		case s&infoCalled != 0:
			c.inv.interception.ran = make(chan struct{})
			if c.state.Or(infoAwaited)&infoRan != 0 {
				return true
			}
			usercode.Log(func() {
				c.conn.Logger().WithLevel(zerolog.WarnLevel).Str("call", c.inv.name()).
					Msg("an interceptor returned while the method that it runs on another goroutine has not returned")
			})
			<-c.inv.interception.ran
			return true
		case c.state.CompareAndSwap(s, s|infoOver):
			return false
		}
	}
}

// hasContext reports whether an interceptor has replaced the context of the method.
func (i *interception) hasContext() bool {
	c := i.current()
	return c != nil && c.state.Load()&infoContext != 0
}

// free pools an answered invocation to which the connection does not refer any more, if nobody else does.
func (c *incomingInfo) free() {
	if inv := c.inv; !inv.interception.kept && inv.interception.panicked == nil && c.letGo() {
		inv.free()
	}
}
