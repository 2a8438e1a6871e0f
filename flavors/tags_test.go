package flavors_test

import (
	"testing"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/stretchr/testify/require"
)

// The options of these tags are misspelt.
type (
	oddCopy struct {
		flavors.Copyable
		A int `pb:"a,omitemtpy"`
	}
	oddCache struct {
		flavors.RemoteCache
		A int `pb:"a,"`
	}
	oddOptions struct {
		A int `pb:"a,dflt=3"`
	}
	oddPart struct {
		A int `pb:"a,omitempty,x"`
	}
	ownSlice []ownSlice

	oddKeywords struct{ flavors.Referenceable }
	oddElement  struct{ flavors.Referenceable }
	goodOptions struct{ flavors.Referenceable }
)

func (*oddKeywords) RemoteSet(oddOptions) {}

func (*oddElement) RemoteSet(map[string][]*oddPart, int) {}

func (*goodOptions) RemoteSet(_ ownSlice, _ struct {
	A string `pb:"a,omitempty,default=x,y"`
}) {
}

// TestUnknownTagOptions refuses options of pb tags that mean nothing when a type is registered or published.
func TestUnknownTagOptions(t *testing.T) {
	r := jelly.NewRegistry()
	require.ErrorContains(t, flavors.RegisterCopy[oddCopy](r, "test.Copy"), `the option "omitemtpy" in its pb tag`)
	require.ErrorContains(t, flavors.RegisterCache[oddCache](r, "test.Cache"), `the option "" in its pb tag`)
	_, err := flavors.TableOf(&oddKeywords{}, flavors.PrefixRemote)
	require.ErrorContains(t, err, `the option "dflt=3" in its pb tag`)
	_, err = flavors.TableOf(&oddElement{}, flavors.PrefixRemote)
	require.ErrorContains(t, err, `the option "x" in its pb tag`)
	_, err = flavors.TableOf(&goodOptions{}, flavors.PrefixRemote)
	require.NoError(t, err)
}
