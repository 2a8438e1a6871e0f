package flavors

import (
	"fmt"
	"slices"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/seam"
)

// Some references carry the class of their object, and sometimes more. In Twisted these are the references to objects
// whose class has a jellyFor method of its own, such as those of twisted.words.service:
//
//	[twisted.words.service.PBMind luid]
//	[twisted.words.service.PBGroup name luid]

// referenceClasser is implemented by objects whose references carry a class.
type referenceClasser interface {
	// ReferenceClass returns the class, and what the reference carries besides. An empty class means a plain reference.
	ReferenceClass() (class string, extras []any)
}

// RegisterReference accepts references that carry a class: [class luid] and [class extra… luid]. Like any other
// reference, such a reference arrives as a *[RemoteReference]; its Class and Extras methods return what it carries. A
// class that is not registered is refused with [InsecureJelly].
//
// What a reference carries beside its class and its number may have [jelly.MaxExtras] bytes.
//
//	err := flavors.RegisterReference(registry, "twisted.words.service.PBGroup")
func RegisterReference(r *jelly.Registry, class string) error {
	if err := r.Register(class, jelly.ClassEntry{Kind: jelly.Reference}); err != nil {
		return fmt.Errorf("flavors: %w", err)
	}
	return nil
}

// Class returns the class that the latest mention of the reference carried, or "" if it carried none. See
// [RegisterReference].
func (r *RemoteReference) Class() string {
	if !r.isMade() {
		return ""
	}
	if f := r.remote.form.Load(); f != nil {
		return f.class
	}
	return ""
}

// Extras returns what the latest mention of the reference carried between the class and the number, as Jelly decoded
// it. Names that a stock peer puts there are bytes.
func (r *RemoteReference) Extras() []any {
	if !r.isMade() {
		return nil
	}
	if f := r.remote.form.Load(); f != nil {
		return slices.Clone(f.extras)
	}
	return nil
}

// referenceForm is what a mention of a reference carried beside its number. It is immutable.
type referenceForm struct {
	class  string
	extras []any
}

// carry sets what the latest mention carried.
func (m *remote) carry(class string, extras []any) {
	now := m.form.Load()
	switch {
	case class == "" && now == nil:
	case class == "":
		m.form.Store(nil)
	case now == nil || now.class != class || len(now.extras)+len(extras) > 0:
		m.form.Store(&referenceForm{class, extras})
	}
}

// RegisterElements registers *T for objects of a class whose state is not one value: *T gets everything that the peer
// sent behind the class, [class a b c…], by a method
//
//	SetElements(elements []any) error
//
// Elements that are lists are Jelly; numbers and byte strings stand for themselves. SetElements and PostUnjelly, if *T
// has it, run in an actor of the connection and must not block. See [RegisterCopy] for the rest.
func RegisterElements[T any, P interface {
	*T
	jelly.ElementsSetter
}](r *jelly.Registry, class string) error {
	if err := hooksOf((*T)(nil), elementsHooks); err != nil {
		return fmt.Errorf("flavors: class %q: %w", class, err)
	}
	entry := jelly.ClassEntry{Kind: jelly.Elements, New: func() any { return P(new(T)) }}
	if err := r.Register(class, entry); err != nil {
		return fmt.Errorf("flavors: %w", err)
	}
	return nil
}

// writeReference writes the list of a reference, with a placeholder for its number: [remote luid], or what the
// object's ReferenceClass method says.
func writeReference(e *jelly.Encoder, hole seam.Export) error {
	var class string
	var extras []any
	if c, ok := hole.Core.Value().(referenceClasser); ok {
		class, extras = c.ReferenceClass()
	}
	if err := writeForm(e, class, extras); err != nil {
		return err
	}
	e.Hole(hole)
	return nil
}

// writeForm writes the list of a reference up to its number.
func writeForm(e *jelly.Encoder, class string, extras []any) error {
	if class == "" {
		if err := e.List(2); err != nil {
			return err
		}
		e.Symbol(banana.SymRemote)
		return nil
	}
	if err := jelly.CheckClass(class); err != nil {
		return &jelly.EncodeError{Err: err}
	}
	if err := e.List(2 + len(extras)); err != nil {
		return err
	}
	if err := e.String(class); err != nil {
		return err
	}
	for _, extra := range extras {
		if err := e.Value(extra); err != nil {
			return err
		}
	}
	return nil
}
