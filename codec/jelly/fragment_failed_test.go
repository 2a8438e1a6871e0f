package jelly_test

import (
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/require"
)

// A failed call does not affect later calls, in this fragment or after the pool.
func TestFragmentAfterAFailure(t *testing.T) {
	f := jelly.NewFragment(jelly.Context{})
	require.ErrorContains(t, f.Jelly(make(chan int)), "value: chan int")
	require.NoError(t, f.Jelly(1))
	require.ErrorContains(t, f.Jelly(make(chan int)), "value: chan int")
	f.Free()
	require.NoError(t, jelly.NewFragment(jelly.Context{}).Jelly(1))
}
