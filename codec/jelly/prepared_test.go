package jelly

import (
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestPrepared takes fragments from the pool by turns in several ways: none has the limits of the one before.
func TestPrepared(t *testing.T) {
	short := Context{Profile: banana.ProfilePB, Limits: banana.Limits{String: 3}, Nesting: 1, Invoker: "conn"}
	long := Context{Profile: banana.ProfileNone, PersistentStore: func(any) (any, bool) { return "id", true }}
	preparedShort, preparedLong := short.Prepare(), long.Prepare()
	for range 3 {
		for _, f := range []*Fragment{NewFragment(short), preparedShort.NewFragment("me", "result")} {
			require.ErrorContains(t, f.Jelly([]byte("four")), "too long")
			require.ErrorContains(t, f.Jelly([]any{[]any{}}), "nested too deeply")
			assert.Equal(t, 3, f.e.Limits().String)
			assert.Equal(t, "conn", f.e.Invoker())
			f.Free()
		}
		for _, f := range []*Fragment{NewFragment(long), preparedLong.NewFragment(nil, "")} {
			require.NoError(t, f.Jelly([]any{[]byte("four"), []any{}}))
			assert.Equal(t, banana.ProfileNone, f.e.Profile())
			assert.Equal(t, banana.DefaultString, f.e.Limits().String)
			require.NoError(t, f.Jelly(&struct{}{}), "the persistent store has it")
			f.Free()
		}
	}
	f := preparedShort.NewFragment("me", "result")
	assert.Equal(t, "me", f.e.Perspective())
	require.ErrorContains(t, f.Jelly([]byte("four")), "result")
	f.Free()
	c := preparedShort.Context("you")
	assert.Equal(t, "you", c.Perspective)
	assert.Equal(t, short.Limits, c.Limits)
}
