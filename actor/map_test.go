package actor_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/perspectivebroker/pb/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMap(t *testing.T) {
	again := func(v any, err error) (any, error) { return []any{v, err}, nil }
	failure := errors.New("x")
	v, err := actor.Succeeded(1).Map(again).Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []any{1, nil}, v)
	v, err = actor.Failed(failure).Map(again).Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []any{nil, failure}, v)
	_, err = actor.Failed(failure).Map(nil).Await(t.Context())
	require.ErrorIs(t, err, failure)
	var none *actor.Deferred
	_, err = none.Map(nil).Await(t.Context())
	require.ErrorIs(t, err, actor.ErrNilDeferred)

	inner := actor.NewDeferred(nil)
	d := actor.Succeeded(1).Map(func(any, error) (any, error) { return inner, nil })
	assert.Equal(t, "<Deferred, pending>", d.String())
	inner.Complete(2, nil)
	v, err = d.Await(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2, v)
}

func TestMapPanics(t *testing.T) {
	d := actor.Succeeded(1).Map(func(any, error) (any, error) { panic("x") })
	_, err := d.Await(t.Context())
	var p *actor.PanicError
	require.ErrorAs(t, err, &p)
	assert.Equal(t, "x", p.Value)

	source := actor.NewDeferred(nil)
	d = source.Map(func(any, error) (any, error) { runtime.Goexit(); return nil, nil })
	go source.Complete(1, nil)
	_, err = d.Await(t.Context())
	require.ErrorIs(t, err, actor.ErrGoexit)
}

func TestMapCancel(t *testing.T) {
	source := actor.NewDeferred(nil)
	cancelled := 0
	source.OnCancel(func() { cancelled++ })
	d := source.Map(func(v any, err error) (any, error) { return v, err })
	d.Cancel()
	_, err := d.Await(t.Context())
	require.ErrorIs(t, err, actor.ErrCancelled)
	assert.Equal(t, 1, cancelled)
}
