package interop

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// errCustom and errExpected have the names of the classes in python/conformance.py.
var (
	errCustom   = flavors.NewException("conformance.Custom", flavors.PlainException)
	errExpected = flavors.NewException("conformance.Expected", flavors.PBError)
)

// The classes of python/conformance.py.
const (
	pointClass = "conformance.Point"
	pondClass  = "conformance.Pond"
)

// point is a Copyable in both directions.
type point struct {
	flavors.Copyable
	X any `pb:"x"`
	Y any `pb:"y"`
}

// TypeToCopy returns the class name.
func (*point) TypeToCopy() string { return pointClass }

// pond is a Cacheable list.
type pond struct {
	flavors.Cacheable
	items []any
}

// TypeToCopy is the class under which it travels.
func (*pond) TypeToCopy() string { return pondClass }

// StateToCacheAndObserveFor returns the items.
func (p *pond) StateToCacheAndObserveFor(any, *flavors.Observer) any { return p.items }

// remotePond is the cache of a peer's pond.
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

// newRegistry registers the classes of the conformance programs.
func newRegistry(t *testing.T) *jelly.Registry {
	t.Helper()
	registry := jelly.NewRegistry()
	require.NoError(t, flavors.RegisterCopy[point](registry, pointClass))
	require.NoError(t, flavors.RegisterCache[remotePond](registry, pondClass))
	return registry
}
