package flavors_test

import (
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type (
	lentList     struct{ flavors.Root }
	lentVariadic struct{ flavors.Root }
	lentKeyword  struct{ flavors.Root }
	lentOption   struct {
		Data *flavors.Lent `pb:"data"`
	}
)

func (*lentList) RemoteTake([]*flavors.Lent)        {}
func (*lentVariadic) RemoteTake(...*flavors.Lent)   {}
func (*lentKeyword) RemoteTake(_ int, _ lentOption) {}

// A *Lent is a parameter of its own.
func TestLentWithinOtherTypes(t *testing.T) {
	for want, recv := range map[string]any{
		"parameter 1 cannot be filled from the wire: a *flavors.Lent is a parameter of its own":        &lentList{},
		"its last parameter cannot be filled from the wire: a *flavors.Lent is a parameter of its own": &lentVariadic{},
		"field data: a *flavors.Lent is a parameter of its own":                                        &lentKeyword{},
	} {
		_, err := flavors.TableOf(recv, flavors.PrefixRemote)
		require.ErrorContains(t, err, want)
	}
}

// Bytes that came otherwise become a Lent of their own.
func TestLentOfOtherBytes(t *testing.T) {
	l, err := flavors.As[*flavors.Lent]([]byte("quill"), nil)
	require.NoError(t, err)
	assert.Equal(t, "quill", string(l.Bytes()))
	assert.Equal(t, "<5 lent bytes>", fmt.Sprint(l))
	assert.Equal(t, "<5 lent bytes>", fmt.Sprintf("%#v", l))
	_, err = flavors.As[*flavors.Lent](int64(5), nil)
	require.ErrorContains(t, err, "cannot use int as *flavors.Lent")
	l, err = flavors.As[*flavors.Lent](nil, nil)
	require.NoError(t, err)
	assert.Nil(t, l)
	assert.Nil(t, l.Bytes())
	l.Release()
	<-l.Done()
}

// The bytes stay until the last message with them has been freed.
func TestLentUses(t *testing.T) {
	for _, size := range []int{10, 100_000} {
		l := flavors.Lend(make([]byte, size))
		encode := func() *jelly.Fragment {
			f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
			require.NoError(t, f.Jelly([]any{l, l}))
			return f
		}
		one, other := encode(), encode()
		l.Release()
		l.Release()
		require.Nil(t, l.Bytes())
		if size > 1000 {
			select {
			case <-l.Done():
				require.Fail(t, "messages with it have not been written")
			default:
			}
			b, err := one.Append(nil, nil)
			require.NoError(t, err)
			require.Greater(t, len(b), 2*size)
		}
		one.Free()
		other.Free()
		<-l.Done()
		<-l.Done()
		f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
		require.ErrorIs(t, f.Jelly(l), flavors.DeadReference)
	}
}
