package contextkey

import "context"

// Of returns the last key that ask asks its context for.
func Of(ask func(ctx context.Context)) any {
	ctx := noting{Context: context.Background()}
	ask(&ctx)
	return ctx.key
}

// noting notes the key that it is asked for, and has no values.
type noting struct {
	context.Context
	key any
}

// Value implements context.Context.
func (c *noting) Value(key any) any { c.key = key; return nil }
