package jelly

import (
	"fmt"
	"runtime/debug"
)

// StateSetter is implemented by objects of registered classes that take their state
// themselves. state is what the peer sent, usually a *Dict, with all in it that had to be bound; an
// object in it may still wait for its own state. Without this method a dictionary fills the fields
// with pb tags.
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
	return fmt.Sprintf("jelly: cannot make the %s at byte %d: %v", printable(e.Class), e.Offset, e.Err)
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
func Unjelly(unbound []*Unbound, made func(u *Unbound, blank any) (any, error), reference func(u *Unbound) (any, error)) error {
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
	for i, u := range unbound {
		if blanks[i] == nil {
			continue
		}
		if err := guarded(u, func() error { return setState(blanks[i], u.State) }); err != nil {
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

func setState(blank, state any) error {
	if s, ok := blank.(StateSetter); ok {
		return s.SetCopyableState(state)
	}
	dict, ok := state.(*Dict)
	if !ok {
		return fmt.Errorf("its state is a %s, which only a SetCopyableState method could take", pythonName(state))
	}
	return AssignFields(blank, dict)
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
