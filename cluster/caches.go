package cluster

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"weak"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/broker"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// A Cacheable of one node crosses a link as a reference to a source. The other node makes a mirror of it, which is a
// Cacheable for its clients: its state is asked from the source, which tells it of updates. Updates cross the link
// once, whatever number of clients have a copy.

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
	followers map[*flavors.RemoteReference]*follower // guarded by mu; by the mirrors of other nodes
}

// follower is another node that follows an original.
type follower struct {
	source  *source
	mirror  *flavors.RemoteReference
	follows *flavors.Follower
	updates int64 // how many there were; only for the turn of the original
}

// substitute returns the source for an original.
func (s *sources) substitute(original, perspective any) any {
	if m, ok := original.(*mirror); ok && m.source.Err() != nil {
		return nil
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
	one := &source{of: s, key: key, class: class, followers: map[*flavors.RemoteReference]*follower{}}
	s.made[key] = one
	return one
}

// ReferenceClass is the class of references to the source.
func (s *source) ReferenceClass() (class string, extras []any) { return sourceClass, []any{s.class} }

// RemoteState answers the state and how many updates came before it. The mirror gets the later ones.
func (s *source) RemoteState(m *flavors.RemoteReference) (*actor.Deferred, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.followers[m]
	if one == nil {
		one = &follower{source: s, mirror: m}
		var err error
		if one.follows, err = flavors.Follow(s.key.original, m, s.key.perspective, one.update); err != nil {
			return nil, err
		}
		s.followers[m] = one
		m.NotifyOnDisconnect(func(error) { s.stop(m) })
	}
	d := actor.NewDeferred(s.of.node.rt)
	one.follows.State(func(state any, err error) {
		if err != nil {
			d.Complete(nil, err)
			return
		}
		d.Complete(jelly.Tuple{one.updates, state}, nil) // The answer is encoded here, in the turn of the original.
	})
	return d, nil
}

// update runs in the turn of the original.
func (f *follower) update(method string, args []any) {
	f.updates++
	all := append([]any{f.updates, method}, args...)
	if err := f.mirror.CallRemoteNoAnswer("update", all...); err != nil && f.mirror.Err() == nil {
		f.source.of.node.log.Warn().Err(err).Str("class", f.source.class).
			Msg("cluster: an update cannot be passed on; copies are stale")
	}
}

// RemoteStop ends the following: no client of the other node has a copy.
func (s *source) RemoteStop(m *flavors.RemoteReference) { s.stop(m) }

func (s *source) stop(m *flavors.RemoteReference) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.mu.Lock()
	f := s.followers[m]
	delete(s.followers, m)
	last := len(s.followers) == 0
	s.mu.Unlock()
	if f != nil {
		f.follows.Stop()
	}
	if last && s.of.made[s.key] == s {
		delete(s.of.made, s.key)
	}
}

// mirrors has the mirrors of the Cacheables of other nodes.
type mirrors struct {
	node *Node

	mu   sync.Mutex
	made map[*flavors.RemoteReference]weak.Pointer[mirror] // guarded by mu
}

// mirror is the Cacheable of another node, for the clients of this one.
type mirror struct {
	flavors.Cacheable
	node   *Node
	source *flavors.RemoteReference
	class  string
	feed   *mirrorFeed
	since  map[*flavors.Observer]int64 // how many updates came before the state; only for the mirror's turn
}

// mirrorFeed gets the updates.
type mirrorFeed struct {
	flavors.Referenceable
	mirror weak.Pointer[mirror]
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
	m := &mirror{node: s.node, source: ref, class: class, since: map[*flavors.Observer]int64{}}
	m.feed = &mirrorFeed{mirror: weak.Make(m)}
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

// TypeToCopy returns the class of the original.
func (m *mirror) TypeToCopy() string { return m.class }

// StateToCacheAndObserveFor asks for the state. It blocks the mirror's turn only: updates wait behind it, and those
// that the state has already are left out.
func (m *mirror) StateToCacheAndObserveFor(_ any, o *flavors.Observer) any {
	ctx, cancel := context.WithTimeout(m.node.ctx, PlacingTimeout)
	defer cancel()
	answer, err := flavors.Call[jelly.Tuple](ctx, m.source, "state", m.feed)
	if err != nil || len(answer) != 2 {
		m.node.log.Warn().Err(err).Str("class", m.class).
			Msg("cluster: the state of a Cacheable of another node is not available")
		return stateFailed{errors.Join(Unavailable, err)}
	}
	m.since[o], _ = flavors.As[int64](answer[0], nil)
	return answer[1]
}

// stateFailed is a state that cannot be sent.
type stateFailed struct{ err error }

// JellyTo implements jelly.Jellyable.
func (s stateFailed) JellyTo(*jelly.Encoder, any) error { return s.err }

// StoppedObserving tells the source when no client has a copy.
func (m *mirror) StoppedObserving(_ any, o *flavors.Observer) {
	delete(m.since, o)
	if m.Observers().Len() == 0 {
		_ = m.source.CallRemoteNoAnswer("stop", m.feed) // If the link is lost, it has stopped.
	}
}

// RemoteUpdate passes an update on to the copies of this node's clients.
func (f *mirrorFeed) RemoteUpdate(number int64, method string, args ...any) {
	m := f.mirror.Value()
	if m == nil {
		return
	}
	flavors.Update(m, func(observers flavors.Observers) {
		for o := range observers.All() {
			if number <= m.since[o] {
				m.updateSome(observers, number, method, args)
				return
			}
		}
		_ = observers.CallRemote(method, args...) // It logs what cannot be sent.
	})
}

func (m *mirror) updateSome(observers flavors.Observers, number int64, method string, args []any) {
	for o := range observers.All() {
		if number > m.since[o] {
			o.CallRemote(method, args...)
		}
	}
}

// substitutes returns what stands for what on a link.
func (n *Node) substitutes() broker.Option {
	s := &sources{node: n, made: map[sourceKey]*source{}}
	return broker.WithSubstitutes(broker.Substitutes{Cacheable: s.substitute, Reference: n.mirrors.substitute})
}

// registerSources lets references to sources in. A registry that several nodes of one process share has it already.
func registerSources(r *jelly.Registry) error {
	if _, ok := r.Lookup(sourceClass); ok {
		return nil
	}
	return flavors.RegisterReference(r, sourceClass)
}
