package interop

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
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

func (s *service) RemotePoint(x, y any) *point { return &point{X: x, Y: y} }

func (s *service) RemoteTakePoint(p *point) []any { return []any{p.X, p.Y} }

func (s *service) RemotePond(name string, items []any) *pond {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	p := s.shared.ponds[name]
	if p == nil {
		p = &pond{items: items}
		s.shared.ponds[name] = p
	}
	return p
}

// pond finds one that was made before.
func (s *service) pond(name string) (*pond, error) {
	s.shared.mu.Lock()
	defer s.shared.mu.Unlock()
	if p := s.shared.ponds[name]; p != nil {
		return p, nil
	}
	return nil, flavors.KeyError.Errorf("there is no pond %q", name)
}

func (s *service) RemotePondAdd(name string, item any) (*actor.Deferred, error) {
	p, err := s.pond(name)
	if err != nil {
		return nil, err
	}
	return flavors.Update(p, func(observers flavors.Observers) {
		p.items = append(p.items, item)
		_ = observers.CallRemote("add", item)
	}), nil
}

func (s *service) RemotePondRemove(name string, item any) (*actor.Deferred, error) {
	p, err := s.pond(name)
	if err != nil {
		return nil, err
	}
	return flavors.Update(p, func(observers flavors.Observers) {
		if i := slices.Index(p.items, item); i >= 0 {
			p.items = slices.Delete(p.items, i, i+1)
			_ = observers.CallRemote("remove", item)
		}
	}), nil
}

func (s *service) RemotePondObservers(inv *flavors.Invocation, name string) (*actor.Deferred, error) {
	p, err := s.pond(name)
	if err != nil {
		return nil, err
	}
	n := 0
	return flavors.Update(p, func(observers flavors.Observers) { n = observers.Len() }).
		Then(inv, func(any, error) (any, error) { return n, nil }), nil
}

func (s *service) RemoteTakePond(p *flavors.Cached[remotePond]) { s.cache = p }

var errNoPond = errors.New("no pond was taken")

func (s *service) RemotePondState(inv *flavors.Invocation) (*actor.Deferred, error) {
	if s.cache == nil {
		return nil, errNoPond
	}
	var items []any
	return s.cache.Do(func(p *remotePond) { items = slices.Clone(p.items) }).
		Then(inv, func(_ any, err error) (any, error) { return items, err }), nil
}

func (s *service) RemoteReturnPond() any { return s.cache }

func (s *service) RemoteIgnorePond() error {
	if s.cache == nil {
		return errNoPond
	}
	s.cache.Release()
	s.cache = nil
	return nil
}

func (s *service) RemotePages(collector *flavors.RemoteReference, size, chunk int) error {
	if size < 0 || chunk <= 0 {
		return fmt.Errorf("%d bytes in pages of %d cannot be", size, chunk)
	}
	page := make([]byte, 0, chunk)
	for i := range size {
		page = append(page, byte(i%251))
		if len(page) == chunk || i == size-1 {
			if err := collector.CallRemoteNoAnswer("gotPage", page); err != nil {
				return err
			}
			page = page[:0]
		}
	}
	return collector.CallRemoteNoAnswer("endedPaging")
}

// collector counts what is paged to it.
type collector struct {
	flavors.Referenceable
	total int
	done  *actor.Deferred
}

func (c *collector) RemoteGotPage(page []byte) { c.total += len(page) }
func (c *collector) RemoteEndedPaging()        { c.done.Complete(c.total, nil) }

func (s *service) RemoteCollect(inv *flavors.Invocation, ref *flavors.RemoteReference, method string) *actor.Deferred {
	c := &collector{done: actor.NewDeferred(inv.Conn().Runtime())}
	return ref.CallRemote(method, c).Then(inv, func(_ any, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return c.done, nil
	})
}
