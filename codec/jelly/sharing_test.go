package jelly

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// A fragment that held a large graph still detects sharing in small ones.
func TestSharingAfterALargeGraph(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	require.NoError(t, f.Jelly(sharedGraph(5000)))
	for range 3 {
		before := f.Len()
		require.NoError(t, f.Jelly(sharedGraph(50)))
		require.Equal(t, len(encodeOne(t, sharedGraph(50), banana.ProfilePB)), f.Len()-before)
		for i, slot := range f.e.sharing.table {
			require.Zero(t, slot, "slot %d", i)
		}
	}
}
