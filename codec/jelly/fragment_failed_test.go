package jelly_test

import (
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/require"
)

// A failed call must not fail the calls after it, in this fragment or in one that comes from the pool.
func TestFragmentForgetsAFailure(t *testing.T) {
	f := jelly.NewFragment(jelly.Context{})
	require.ErrorContains(t, f.Jelly(make(chan int)), "value: chan int")
	require.NoError(t, f.Jelly(1))
	require.ErrorContains(t, f.Jelly(make(chan int)), "value: chan int")
	f.Free()
	require.NoError(t, jelly.NewFragment(jelly.Context{}).Jelly(1))
}
