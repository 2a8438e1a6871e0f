package contextkey

import "context"

// Of returns the last key that ask asks its context for. The context has ended, because some look for the cause of the
// end only then. Of returns nil if ask asks for no key.
func Of(ask func(ctx context.Context)) any {
	ctx := noting{Context: context.Background()}
	ask(&ctx)
	return ctx.key
}

// noting notes the key that it is asked for. It has no values, and has ended.
type noting struct {
	context.Context
	key any
}

// Done implements context.Context.
func (c *noting) Done() <-chan struct{} { return ended }

// ended is closed.
var ended = func() chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// Err implements context.Context.
func (c *noting) Err() error { return context.Canceled }

// Value implements context.Context.
func (c *noting) Value(key any) any { c.key = key; return nil }
