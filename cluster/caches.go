package cluster

import (
	"runtime"
	"sync"
	"weak"

	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// A Cacheable of one node crosses a link as a reference to a source. The other node makes a flavors.CacheRelay of it,
// which is a Cacheable for its clients. State and updates cross the link once, whatever number of clients have a copy.

// sourceClass is the class of references to sources. Its one extra is the class of the Cacheable.
const sourceClass = "perspectivebroker.cluster.Source"

// sources has what stands for the Cacheables of this node at one other node.
type sources struct {
	node *Node

	mu   sync.Mutex
	made map[sourceKey]*source // guarded by mu
}

// sourceKey names a view of a Cacheable. No user sees another's.
type sourceKey struct{ original, perspective any }

// source is an original that another node follows.
type source struct {
	flavors.Referenceable
	of    *sources
	key   sourceKey
	class string

	mu        sync.Mutex
	followers map[*flavors.RemoteReference]follower // guarded by mu; by the feeds of other nodes
}

// follower is what follows an original for another node.
type follower struct {
	*flavors.Follower
	forget func() bool // ends the watch of the feed, which would keep it
}

// substitute returns the source for an original.
func (s *sources) substitute(original, perspective any) any {
	if m, ok := original.(*flavors.CacheRelay); ok {
		return m.Source()
	}
	value, ok := original.(jelly.Jellyable)
	if !ok {
		return nil
	}
	class, err := flavors.ClassOf(value)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sourceKey{original, perspective}
	if one := s.made[key]; one != nil {
		return one
	}
	one := &source{of: s, key: key, class: class, followers: map[*flavors.RemoteReference]follower{}}
	s.made[key] = one
	return one
}

// originalOf returns the Cacheable that a source stands for.
func originalOf(object any) any {
	if s, ok := object.(*source); ok {
		return s.key.original
	}
	return nil
}

// ReferenceClass is the class of references to the source.
func (s *source) ReferenceClass() (class string, extras []any) { return sourceClass, []any{s.class} }

// RemoteState sends the state to a feed, which gets the later updates too.
func (s *source) RemoteState(feed *flavors.RemoteReference) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, known := s.followers[feed]
	if !known {
		f, err := flavors.Follow(s.key.original, feed, s.key.perspective)
		if err != nil {
			return err
		}
		one = follower{f, feed.NotifyOnDisconnect(func(error) { s.stop(feed) })}
		s.followers[feed] = one
	}
	one.SendState()
	return nil
}

// RemoteStop ends the following: no client of the other node has a copy.
func (s *source) RemoteStop(feed *flavors.RemoteReference) { s.stop(feed) }

func (s *source) stop(feed *flavors.RemoteReference) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.mu.Lock()
	f, known := s.followers[feed]
	delete(s.followers, feed)
	last := len(s.followers) == 0
	s.mu.Unlock()
	if known {
		f.forget()
		f.Stop()
	}
	if last && s.of.made[s.key] == s {
		delete(s.of.made, s.key)
	}
}

// mirrors has what stands for the Cacheables of other nodes.
type mirrors struct {
	mu   sync.Mutex
	made map[*flavors.RemoteReference]weak.Pointer[flavors.CacheRelay] // guarded by mu
}

// substitute returns the mirror for a reference to a source.
func (s *mirrors) substitute(ref *flavors.RemoteReference) any {
	if ref.Class() != sourceClass {
		return nil
	}
	extras := ref.Extras()
	if len(extras) != 1 {
		return nil
	}
	class, err := flavors.As[string](extras[0], nil)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.made[ref].Value(); m != nil {
		return m
	}
	done, err := flavors.Retain(ref)
	if err != nil {
		return nil
	}
	m, err := flavors.NewCacheRelay(class, ref)
	if err != nil {
		done()
		return nil
	}
	s.made[ref] = weak.Make(m)
	runtime.AddCleanup(m, s.forget, held{ref, done})
	return m
}

// held is the source that a mirror had.
type held struct {
	ref  *flavors.RemoteReference
	done func()
}

func (s *mirrors) forget(h held) {
	h.done()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made[h.ref].Value() == nil {
		delete(s.made, h.ref)
	}
}

// substitutes returns what stands for what on a link.
func (n *Node) substitutes() broker.Option {
	s := &sources{node: n, made: map[sourceKey]*source{}}
	return broker.WithSubstitutes(broker.Substitutes{
		Cacheable: s.substitute, Reference: n.mirrors.substitute, Home: originalOf,
		Address: n.addressOf, Object: n.resolve,
	})
}
