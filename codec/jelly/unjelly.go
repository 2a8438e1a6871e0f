package jelly

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Unbound is a placeholder in a decoded value for what only a connection or a registered class can supply. Bind
// replaces it wherever it occurs.
type Unbound struct {
	// Tag is "remote", "local", "cached" or "lcache", under an extended profile also "promise" or "address", or the
	// name of a class.
	Tag string
	// ID is the luid of a reference, with or without a class, or of the first occurrence of a RemoteCache.
	ID int64
	// Name is set instead of ID if a reference names its object, as in [local "root"], and for a promise whose id has
	// more than 64 bits.
	Name []byte
	// State is the state of an instance: for a class of kind Elements a []any of all elements. For a reference that
	// carries a class it is a []any of the extras, or nil. It may contain other Unbounds.
	State any
	// Offset is the position in the frame, for errors and logs.
	Offset int

	instance bool
	address  bool
	bound    bool
	extras   int // length of a reference's extras on the wire, or of an address's kind in Name
	weight   int // of the state of a RemoteCache; see StateWeigher
	entry    ClassEntry
	slot     *any
	more     []*any
	value    any
}

// IsInstance reports whether u is an object of a registered class, which Unjelly creates, rather than a reference.
func (u *Unbound) IsInstance() bool { return u.instance }

// IsReference reports whether u is a reference to an object of the peer, [remote id] or one that carries a class.
func (u *Unbound) IsReference() bool {
	return u.entry.Kind == Reference || u.Tag == tagNames[tagRemote]
}

// Extras returns what a reference carries beside its class and its id, and how many bytes that takes on the wire.
func (u *Unbound) Extras() (extras []any, size int) {
	if u.entry.Kind != Reference {
		return nil, 0
	}
	extras, _ = u.State.([]any)
	return extras, u.extras
}

// Entry returns the registry's entry of the class of an instance or a reference.
func (u *Unbound) Entry() ClassEntry { return u.entry }

// Bound reports whether Bind has been called.
func (u *Unbound) Bound() bool { return u.bound }

// Value returns the value that was passed to Bind.
func (u *Unbound) Value() any { return u.value }

// Bind replaces u with v wherever it occurs. It writes into the decoded value, so call it before the value is shared
// and before any part of it is moved.
func (u *Unbound) Bind(v any) {
	u.bound, u.value = true, v
	if u.slot != nil {
		*u.slot = v
	}
	for _, slot := range u.more {
		*slot = v
	}
}

// put stores u in another slot.
func (u *Unbound) put(slot *any) {
	*slot = u
	if u.slot == nil {
		u.slot = slot
		return
	}
	u.more = append(u.more, slot)
}

// StateSetter is implemented by objects of registered classes that set their own state. state is what the peer sent,
// usually a *Dict, with everything bound; objects in it may not have their states yet. Without this method a
// dictionary fills the fields with pb tags, and values that objects of a frame share are converted once. A method
// that calls Assign converts them for each object and must bound that work: a small frame can mention one large list
// very often. SetCopyableState must not block: later messages of the connection wait until it returns.
type StateSetter interface {
	SetCopyableState(state any) error
}

// ElementsSetter is implemented by objects of classes of kind Elements. elements are what the peer sent behind the
// class, with everything bound, as for a StateSetter. SetElements must not block.
type ElementsSetter interface {
	SetElements(elements []any) error
}

// PostUnjellier is implemented by objects whose PostUnjelly method is called once all objects of the frame have their
// states.
type PostUnjellier interface {
	PostUnjelly()
}

// UnjellyError reports an object that could not be created. It wraps the error of user code, or a [*PanicError].
type UnjellyError struct {
	// Class is the object's class, Offset its position in the frame.
	Class  string
	Offset int
	Err    error
}

func (e *UnjellyError) Error() string {
	return fmt.Sprintf("jelly: cannot make the %s at byte %d: %s",
		printable(e.Class), e.Offset, usercode.ErrorText(e.Err))
}

// Unwrap returns the cause.
func (e *UnjellyError) Unwrap() error { return e.Err }

// Unjelly creates the instances among the Unbounds of a frame, in the order returned by a Decoder. First it creates
// and binds all blank objects, so that objects may refer to each other in cycles. Then it sets their states, inner
// objects first, and then it calls PostUnjelly. All these steps run user code.
//
// References that are not bound are passed to reference once the blank objects exist, because [cached luid] may name
// one of them. made is called with each blank object; its result takes the object's place in the value. Without made
// the objects are used themselves; without reference an unbound reference is an error.
func Unjelly(
	unbound []*Unbound,
	made func(u *Unbound, blank any) (any, error),
	reference func(u *Unbound) (any, error),
) error {
	blanks := make([]any, len(unbound))
	for i, u := range unbound {
		if !u.instance || u.bound {
			continue
		}
		err := guarded(u, func() error {
			blank := u.entry.New()
			if blank == nil {
				return errors.New("the New function of its class returned nil")
			}
			blanks[i] = blank
			stand := blank
			if made != nil {
				var err error
				if stand, err = made(u, blank); err != nil {
					return err
				}
			}
			u.Bind(stand)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, u := range unbound {
		if u.bound {
			continue
		}
		if reference == nil {
			return &UnjellyError{Class: u.Tag, Offset: u.Offset, Err: errors.New("it is not bound")}
		}
		err := guarded(u, func() error {
			v, err := reference(u)
			if err == nil {
				u.Bind(v)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	states := &states{blanks: blanks, copies: assignment{copies: true}}
	states.copies.states = states
	for i, u := range unbound {
		states.done = i
		if blanks[i] == nil {
			continue
		}
		if err := guarded(u, func() error { return states.set(u, blanks[i]) }); err != nil {
			return err
		}
	}
	for i, u := range unbound {
		p, ok := blanks[i].(PostUnjellier)
		if !ok {
			continue
		}
		if err := guarded(u, func() error { p.PostUnjelly(); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// StateTarget is implemented by blank objects that stand for another object, whose state is set instead of theirs.
type StateTarget interface {
	StateTarget() any
}

// StateWeigher is implemented by blank objects of kind [RemoteCache] that limit their memory. SetStateWeight is called
// before the state is set, with what the state counts for according to [Prices], in bytes. A state that mentions values
// of its message by reference counts as much as the whole message.
type StateWeigher interface {
	SetStateWeight(bytes int)
}

// states sets the states of the objects of one frame. Values that copies share are converted once for all of them, so
// that a small frame with many copies of one large value stays small.
type states struct {
	copies assignment
	caches int // bytes allocated for caches

	blanks []any
	done   int         // how many of them have their states
	places map[any]int // index of each blank; built on demand
}

func (s *states) set(u *Unbound, blank any) error {
	if t, ok := blank.(StateTarget); ok {
		blank = t.StateTarget()
	}
	if u.entry.Kind == Elements {
		own, ok := blank.(ElementsSetter)
		if !ok {
			return fmt.Errorf("a %T has no SetElements method", blank)
		}
		elements, _ := u.State.([]any)
		return own.SetElements(elements)
	}
	if w, ok := blank.(StateWeigher); ok {
		w.SetStateWeight(u.weight)
	}
	if own, ok := blank.(StateSetter); ok {
		return own.SetCopyableState(u.State)
	}
	dict, ok := u.State.(*Dict)
	if !ok {
		const only = "its state is a %s, which only a SetCopyableState method could accept"
		if _, ok := u.State.(int64); ok {
			return fmt.Errorf(only+"; if the peer sends a Cacheable, use flavors.RegisterCache", TypeName(u.State))
		}
		return fmt.Errorf(only, TypeName(u.State))
	}
	if u.entry.Kind == RemoteCache {
		return s.cache(blank, dict)
	}
	s.copies.text = 0 // The limit is per copy.
	return assignFields(&s.copies, blank, dict)
}

// cache sets the state of a cache. Each cache has an actor, so caches must not share values; they share the bound on
// their size.
func (s *states) cache(blank any, dict *Dict) error {
	c := assignment{bytes: s.caches, states: s}
	err := assignFields(&c, blank, dict)
	s.caches = c.bytes
	return err
}

// guarded calls f, which runs user code, and wraps its error or panic in an UnjellyError.
func guarded(u *Unbound, f func() error) error {
	if err := protect(f); err != nil {
		return &UnjellyError{Class: u.Tag, Offset: u.Offset, Err: err}
	}
	return nil
}

// incomplete returns why an object must not be copied yet, or "". While the objects of a frame get their states, a
// copy of one of them would miss what is set later.
func (s *states) incomplete(object any) string {
	if s == nil {
		return ""
	}
	if s.places == nil {
		s.places = make(map[any]int, len(s.blanks))
		for i, blank := range s.blanks {
			if blank != nil && reflect.TypeOf(blank).Kind() == reflect.Pointer {
				s.places[blank] = i
			}
		}
	}
	i, known := s.places[object]
	if !known {
		return ""
	}
	if i >= s.done {
		return "it contains the object that it is to be copied to"
	}
	if _, ok := s.blanks[i].(PostUnjellier); ok {
		return "its PostUnjelly method has not been called yet"
	}
	return ""
}
