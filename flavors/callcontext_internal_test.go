package flavors

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Asking for a value makes nothing, known or not. Asking for the end does, and so do contexts that are derived.
func TestCallContextValues(t *testing.T) {
	type known struct{}
	type unknown struct{}
	end := errors.New("the end")
	parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), known{}, "value"))
	c := &callContext{parent: parent}
	assert.Equal(t, "value", c.Value(known{}))
	assert.Nil(t, c.Value(unknown{}))
	assert.Same(t, c, c.Value(callKey{}))
	assert.NoError(t, c.Err())
	assert.NoError(t, context.Cause(c))
	assert.Nil(t, c.more, "nothing was made")

	derived, stop := context.WithCancel(context.WithValue(c, unknown{}, "mine"))
	defer stop()
	assert.NotNil(t, c.more.made)
	cancel(end)
	assert.Equal(t, end, context.Cause(c))
	assert.Equal(t, end, context.Cause(derived), "without a goroutine in between")
	assert.Equal(t, "value", derived.Value(known{}))
}
