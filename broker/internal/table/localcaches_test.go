package table

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeCache is a LocalCache.
type fakeCache struct{ held, ended bool }

func (f *fakeCache) IsHeld() bool  { return f.held }
func (f *fakeCache) Disconnected() { f.ended = true }
func (f *fakeCache) Sweep()        { f.held = false }

func TestLocalCaches(t *testing.T) {
	var x LocalCaches[*fakeCache]
	assert.False(t, x.Uncache(1))
	_, ok := x.Receive(1)
	assert.False(t, ok)
	x.Release(1)
	assert.Zero(t, x.Held())

	first, second := &fakeCache{held: true}, &fakeCache{held: true}
	x.Add(1, first)
	x.Add(2, second)
	x.Release(1) // Some of its mentions, not all.
	assert.Equal(t, 2, x.Held())
	x.Sweep()
	x.Release(1)
	assert.Equal(t, 1, x.Held())
	assert.Equal(t, 1, x.Taken(5), "released caches do not count")
	assert.Equal(t, 2, x.Taken(0), "unless there are too many")
	got, ok := x.Receive(1)
	require.True(t, ok)
	assert.Same(t, first, got)
	assert.Equal(t, 2, x.Held())

	third := &fakeCache{held: true}
	x.Add(1, third)
	assert.True(t, first.ended)
	assert.Equal(t, 2, x.Len())
	assert.True(t, x.Uncache(1))
	assert.True(t, third.ended)
	assert.False(t, x.Uncache(1))
	x.Clear()
	assert.True(t, second.ended)
	assert.Zero(t, x.Len())
}

func TestRefusedLocalCaches(t *testing.T) {
	var x LocalCaches[*fakeCache]
	assert.False(t, x.Refuse(1, false), "was never sent")
	assert.True(t, x.Refuse(1, true))
	assert.True(t, x.Refuse(1, false))
	assert.Equal(t, 1, x.Refused())
	assert.Zero(t, x.Len())
	assert.True(t, x.Uncache(1))
	assert.False(t, x.Uncache(1))
	x.Refuse(2, true)
	x.Add(2, &fakeCache{})
	assert.Zero(t, x.Refused())
}
