package flavors

import (
	"fmt"
	"path"
	"reflect"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// Copyable makes the struct that embeds it travel by copy: each time it is sent, its state is. The peer makes of it
// what it has registered for the class, and refuses it if it has registered nothing.
//
// The state is a dictionary of the fields that have a pb tag, unless the struct has a method StateToCopyFor or
// StateToCopy. The class is package.Type, unless it has TypeToCopyFor or TypeToCopy; what a Twisted peer registers is
// the dotted name of a Python class, so one of these is nearly always wanted.
//
//	type Pond struct {
//		flavors.Copyable
//		Color string `pb:"color"`
//		Frogs int    `pb:"numFrogs"`
//	}
//
//	func (*Pond) TypeToCopy() string { return "copy_sender.CopyPond" }
//
// A Copyable may be sent by pointer or by value, alone or as an element, a field or a key of something else: the
// methods are those of the pointer in any case. Sent by pointer it keeps its identity within a message: mentioned twice
// it arrives as one object. These methods run in the goroutine that sends, or in the turn of the object that returns
// it.
//
// A method that has one of the four names but another signature is an error when the struct is sent, and so is one that
// the struct would have from two embedded types and therefore has from neither: the fields never go out in its place.
type Copyable struct{}

// What a Copyable may implement, in the order in which it is asked. The perspective is that of the user to whom the
// copy is sent, or nil where there was no login.
type (
	stateToCopyFor interface{ StateToCopyFor(perspective any) any }
	stateToCopy    interface{ StateToCopy() any }
	typeToCopyFor  interface{ TypeToCopyFor(perspective any) string }
	typeToCopy     interface{ TypeToCopy() string }
)

// JellyTo writes [class state]. It is called by the jelly.
func (Copyable) JellyTo(e *jelly.Encoder, self any) error {
	self = e.Pointer(self)
	if err := hooksOf(self, copyHooks); err != nil {
		return err
	}
	return e.Instance(self, classFor(e, self), func() error { return jellyState(e, self) })
}

// classFor asks for the perspective only if that matters: what is the same for everybody is encoded once for all
// observers of a cache.
func classFor(e *jelly.Encoder, self any) string {
	if _, ok := self.(typeToCopyFor); ok {
		return classOf(self, e.Perspective())
	}
	return classOf(self, nil)
}

// jellyableError is an error that says itself how it is sent, as a Copyable does.
type jellyableError interface {
	error
	jelly.Jellyable
}

func jellyState(e *jelly.Encoder, self any) error {
	switch v := self.(type) {
	case stateToCopyFor:
		return e.Value(v.StateToCopyFor(e.Perspective()))
	case stateToCopy:
		return e.Value(v.StateToCopy())
	}
	return e.Fields(self)
}

// classOf is the class under which a value travels.
func classOf(self, perspective any) string {
	switch v := self.(type) {
	case typeToCopyFor:
		return v.TypeToCopyFor(perspective)
	case typeToCopy:
		return v.TypeToCopy()
	}
	t := reflect.TypeOf(self)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return path.Base(t.PkgPath()) + "." + t.Name()
}

// RegisterCopy lets copies of a class in, as *T. The state of a copy fills the fields of T that have a pb tag, unless
// *T has a method SetCopyableState; PostUnjelly, if *T has it, is called when everything that came with the copy has
// its state. Both run in the connection's unjellier and must not wait. See [jelly.StateSetter] and
// [jelly.PostUnjellier].
//
// Where a parameter, a result or a field is a T rather than a *T, or has Ts as elements or keys, it gets a copy of what
// was made.
//
// A *T that implements error may also come as the failure of a call.
func RegisterCopy[T any](r *jelly.Registry, class string) error {
	return RegisterCopyFactory(r, class, func() *T { return new(T) })
}

// RegisterCopyFactory is [RegisterCopy] for values that a function makes.
func RegisterCopyFactory[T any](r *jelly.Registry, class string, blank func() *T) error {
	if blank == nil {
		return fmt.Errorf("flavors: registering %q: the function that makes blank copies is nil", class)
	}
	if err := hooksOf((*T)(nil), stateSetterHooks); err != nil {
		return fmt.Errorf("flavors: class %q: %w", class, err)
	}
	if err := r.Register(class, jelly.ClassEntry{Kind: jelly.RemoteCopy, New: func() any { return blank() }}); err != nil {
		return fmt.Errorf("flavors: %w", err)
	}
	return nil
}
