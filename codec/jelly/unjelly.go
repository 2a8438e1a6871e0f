package jelly

import (
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// Unbound stands in a decoded value for what only a connection or a registered
// class can supply. Bind puts that in its place, or rather its places: something
// shared stands in several.
type Unbound struct {
	// Tag is "remote", "local", "cached" or "lcache", or the name of a class.
	Tag string
	// ID is the luid: of a reference, or of a RemoteCache that comes for the first time.
	ID int64
	// Name is set in the place of ID where a reference names its object, as in [local "root"].
	Name []byte
	// State is the state of an instance. It may hold other Unbounds.
	State any
	// Offset is where it stands in the frame, for errors and logs.
	Offset int

	instance bool
	bound    bool
	entry    ClassEntry
	slot     *any
	more     []*any
	value    any
}

// IsInstance reports whether it is an object of a registered class, which Unjelly makes, and
// not a reference, which the connection knows.
func (u *Unbound) IsInstance() bool { return u.instance }

// Entry returns what the registry knew of an instance's class.
func (u *Unbound) Entry() ClassEntry { return u.entry }

// Bound reports whether Bind has been called.
func (u *Unbound) Bound() bool { return u.bound }

// Value returns what Bind was given.
func (u *Unbound) Value() any { return u.value }

// Bind puts v wherever u stands. It writes into the decoded value, so it must be
// called before anybody else is given that value, and only while no part of it has been
// moved.
func (u *Unbound) Bind(v any) {
	u.bound, u.value = true, v
	if u.slot != nil {
		*u.slot = v
	}
	for _, slot := range u.more {
		*slot = v
	}
}

// put makes u stand in another slot.
func (u *Unbound) put(slot *any) {
	*slot = u
	if u.slot == nil {
		u.slot = slot
		return
	}
	u.more = append(u.more, slot)
}

// StateSetter is implemented by objects of registered classes that take their state themselves. state is what the peer
// sent, usually a *Dict, with all in it that had to be bound; an object in it may still wait for its own state. Without
// this method a dictionary fills the fields with pb tags; what several objects of a frame share is converted once then.
// A method that calls Assign converts it once for each object, and must bound that itself: a small frame can mention
// one large list very often. It must not wait: later messages of its connection are carried out when it has returned.
type StateSetter interface {
	SetCopyableState(state any) error
}

// PostUnjellier is implemented by objects that want to know when everything that
// came with them has its state.
type PostUnjellier interface {
	PostUnjelly()
}

// UnjellyError says that an object could not be made. It wraps what the user's code returned, or a *PanicError.
type UnjellyError struct {
	// Class is the object's class, Offset where it stands in the frame.
	Class  string
	Offset int
	Err    error
}

func (e *UnjellyError) Error() string {
	return fmt.Sprintf("jelly: cannot make the %s at byte %d: %s", printable(e.Class), e.Offset, usercode.ErrorText(e.Err))
}

// Unwrap returns the cause.
func (e *UnjellyError) Unwrap() error { return e.Err }

// Unjelly makes the instances among the Unbounds of a frame, in the order in which a Decoder
// returns these. First all blank objects are made and put in place, so
// that objects may refer to each other in circles; then they get their states, what is inside first;
// then PostUnjelly is called. All user code that receiving runs is called here.
//
// References may have been bound before. Those that are not are passed to
// reference after the blank objects have been made, because [cached luid] may name one of
// them. made is called with each blank object; what it returns takes the object's place in
// the value. Either may be nil: then objects stand for themselves, and a reference that is not bound is an error.
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
				return fmt.Errorf("the New function of its class returned nil")
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
			return &UnjellyError{Class: u.Tag, Offset: u.Offset, Err: fmt.Errorf("nobody has bound it")}
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

// StateTarget is implemented by blank objects that stand for another, whose state is to be set in the place of theirs.
type StateTarget interface {
	StateTarget() any
}

// states sets the states of the objects of one frame. What copies share is converted once for all of them, so that a
// small frame with many copies that mention something large does not become one large thing for each.
type states struct {
	copies assignment
	caches int // bytes that were made room for, for caches

	blanks []any
	done   int         // how many of them have their states
	places map[any]int // of the blanks, once they are asked for
}

func (s *states) set(u *Unbound, blank any) error {
	if t, ok := blank.(StateTarget); ok {
		blank = t.StateTarget()
	}
	if own, ok := blank.(StateSetter); ok {
		return own.SetCopyableState(u.State)
	}
	dict, ok := u.State.(*Dict)
	if !ok {
		return fmt.Errorf("its state is a %s, which only a SetCopyableState method could take", pythonName(u.State))
	}
	if u.entry.Kind == RemoteCache {
		return s.cache(blank, dict)
	}
	s.copies.text = 0 // That is each copy's own.
	return assignFields(&s.copies, blank, dict)
}

// cache sets the state of a cache. Caches change in turns of their own, so they must not share what they are made of;
// they share the bound on its size.
func (s *states) cache(blank any, dict *Dict) error {
	c := assignment{bytes: s.caches, states: s}
	err := assignFields(&c, blank, dict)
	s.caches = c.bytes
	return err
}

// guarded calls what is, or leads to, the user's code.
func guarded(u *Unbound, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
		if err != nil {
			err = &UnjellyError{Class: u.Tag, Offset: u.Offset, Err: err}
		}
	}()
	return f()
}

// incomplete says what an object still waits for while the objects of a frame get their states, because a copy of it
// would not be told. It returns "" for an object that is complete, and for those of other frames.
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
		return "it contains what it is to be a part of"
	}
	if _, ok := s.blanks[i].(PostUnjellier); ok {
		return "its PostUnjelly method is called when everything has its state"
	}
	return ""
}
