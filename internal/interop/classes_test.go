package interop

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// errCustom and errExpected bear the names of the classes in python/conformance.py.
var (
	errCustom   = flavors.NewException("conformance.Custom", flavors.PlainException)
	errExpected = flavors.NewException("conformance.Expected", flavors.PBError)
)

// The classes of python/conformance.py.
const (
	pointClass = "conformance.Point"
	pondClass  = "conformance.Pond"
)

// point is copied, in both directions.
type point struct {
	flavors.Copyable
	X any `pb:"x"`
	Y any `pb:"y"`
}

// TypeToCopy is the class under which it travels.
func (*point) TypeToCopy() string { return pointClass }

// pond is the original of a list that others follow.
type pond struct {
	flavors.Cacheable
	items []any
}

// TypeToCopy is the class under which it travels.
func (*pond) TypeToCopy() string { return pondClass }

// StateToCacheAndObserveFor is the list as it is.
func (p *pond) StateToCacheAndObserveFor(any, *flavors.Observer) any { return p.items }

// remotePond is the copy of somebody else's.
type remotePond struct {
	flavors.RemoteCache
	items []any
}

// SetCopyableState implements jelly.StateSetter.
func (p *remotePond) SetCopyableState(state any) error { return jelly.Assign(&p.items, state) }

func (p *remotePond) ObserveAdd(item any) { p.items = append(p.items, item) }

func (p *remotePond) ObserveRemove(item any) {
	if i := slices.Index(p.items, item); i >= 0 {
		p.items = slices.Delete(p.items, i, i+1)
	}
}

// newRegistry lets in what the conformance programs send.
func newRegistry(t *testing.T) *jelly.Registry {
	t.Helper()
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[point](registry, pointClass))
	require.NoError(t, flavors.RegisterCache[remotePond](registry, pondClass))
	return registry
}
