package flavors

import (
	"fmt"
	"path"
	"reflect"
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Copyable makes the struct that embeds it travel by copy: its state is sent. The peer makes an instance of the type
// that it has registered for the class, or refuses the copy if there is none.
//
// The state is a dictionary of the fields that have a pb tag, unless the struct has a method StateToCopyFor or
// StateToCopy. The class is package.Type, unless the struct has TypeToCopyFor or TypeToCopy. A Twisted peer registers
// the dotted name of a Python class, so one of these is nearly always needed.
//
//	type Pond struct {
//		flavors.Copyable
//		Color string `pb:"color"`
//		Frogs int    `pb:"numFrogs"`
//	}
//
//	func (*Pond) TypeToCopy() string { return "copy_sender.CopyPond" }
//
// A Copyable may be sent by pointer or by value, alone or within another value. In each case the methods of the pointer
// are called, on the goroutine that sends it or in the turn of the object that returns it. A pointer keeps its identity
// within a message: if it occurs twice, one object arrives.
//
// Sending fails if one of the four methods has another signature, or if the struct embeds two types that have it and
// so has none itself. The fields are never sent in its place.
type Copyable struct{}

// Methods of a Copyable, in the order of preference. The perspective is that of the user to whom the copy is sent; nil
// without a login.
type (
	stateToCopyFor interface{ StateToCopyFor(perspective any) any }
	stateToCopy    interface{ StateToCopy() any }
	typeToCopyFor  interface{ TypeToCopyFor(perspective any) string }
	typeToCopy     interface{ TypeToCopy() string }
)

// JellyTo writes [class state]. Package jelly calls it.
func (Copyable) JellyTo(e *jelly.Encoder, self any) error {
	self = e.Pointer(self)
	if err := hooksOf(self, copyHooks); err != nil {
		return err
	}
	return e.Instance(self, classFor(e, self), func() error { return jellyState(e, self) })
}

// classFor is classOf, but uses the encoder's perspective only if the class depends on it, because updates that do not
// are encoded once for all observers.
func classFor(e *jelly.Encoder, self any) string {
	if _, ok := self.(typeToCopyFor); ok {
		return classOf(self, e.Viewer())
	}
	return classOf(self, nil)
}

// jellyableError is an error with its own encoding, such as a Copyable.
type jellyableError interface {
	error
	jelly.Jellyable
}

func jellyState(e *jelly.Encoder, self any) error {
	switch v := self.(type) {
	case stateToCopyFor:
		return e.Value(v.StateToCopyFor(e.Viewer()))
	case stateToCopy:
		return e.Value(v.StateToCopy())
	}
	if err := checkFields(self); err != nil {
		return err
	}
	return e.Fields(self)
}

// untagged remembers for each type whether its state would be empty although it has fields.
var untagged sync.Map // reflect.Type -> bool

// checkFields refuses a struct that has exported fields but no pb tag: its state would be empty.
func checkFields(self any) error {
	t := reflect.TypeOf(self)
	empty, ok := untagged.Load(t)
	if !ok {
		empty, _ = untagged.LoadOrStore(t, hasOnlyUntagged(t))
	}
	if empty == true {
		return &jelly.InsecureJellyError{What: fmt.Sprintf(
			"no field of %s has a pb tag, so its state would be empty: "+
				"give the fields pb tags, or write a StateToCopy method", t)}
	}
	return nil
}

func hasOnlyUntagged(t reflect.Type) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	fields, err := jelly.Fields(t)
	if err != nil || len(fields) > 0 || t.Kind() != reflect.Struct {
		return false
	}
	for f := range t.Fields() {
		if _, tagged := f.Tag.Lookup("pb"); !f.Anonymous && f.IsExported() && !tagged {
			return true
		}
	}
	return false
}

// classOf returns the class under which a value is sent.
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

// ClassOf returns the class under which a [Copyable] is sent, if it does not depend on the receiver's perspective.
func ClassOf(copyable jelly.Jellyable) (string, error) {
	if copyable == nil || usercode.IsNilPointer(copyable) {
		return "", fmt.Errorf("flavors: the class of a nil %T is not known", copyable)
	}
	if _, ok := copyable.(typeToCopyFor); ok {
		return "", fmt.Errorf("flavors: the class of a %T depends on the perspective; register the classes one by one",
			copyable)
	}
	if err := hooksOf(copyable, copyHooks); err != nil {
		return "", fmt.Errorf("flavors: %w", err)
	}
	return classOf(copyable, nil), nil
}

// RegisterCopy registers *T for received copies of a class. The state of a copy fills the fields of T that have a pb
// tag, unless *T has a method SetCopyableState. PostUnjelly, if *T has it, is called when all objects of the message
// have their state. Both run in an actor of the connection and must not block. See [jelly.StateSetter] and
// [jelly.PostUnjellier].
//
// A parameter, result or field of type T rather than *T gets a copy of the instance; so do elements and keys.
//
// If *T implements error, it may also be the failure of a call.
func RegisterCopy[T any](r *jelly.Registry, class string) error {
	return RegisterCopyFactory(r, class, func() *T { return new(T) })
}

// RegisterCopyFactory is like [RegisterCopy], but calls blank for each new copy.
func RegisterCopyFactory[T any](r *jelly.Registry, class string, blank func() *T) error {
	if blank == nil {
		return fmt.Errorf("flavors: registering %q: the function that makes blank copies is nil", class)
	}
	if err := noCopyError[T](); err != nil {
		return fmt.Errorf("flavors: registering %q: %w", class, err)
	}
	if err := hooksOf((*T)(nil), stateSetterHooks); err != nil {
		return fmt.Errorf("flavors: class %q: %w", class, err)
	}
	if err := badTags(reflect.TypeFor[T]()); err != nil {
		return fmt.Errorf("flavors: registering %q: %w", class, err)
	}
	if err := r.Register(class, jelly.ClassEntry{Kind: jelly.RemoteCopy, New: func() any { return blank() }}); err != nil {
		return fmt.Errorf("flavors: %w", err)
	}
	return nil
}

// badTags returns what is wrong with the pb tags of a struct, or of the structs in a slice, an array or a map.
func badTags(t reflect.Type) error {
	for range maxContainers {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			t = t.Elem()
		default:
			_, err := jelly.Fields(t)
			return err
		}
	}
	return nil // It may be a slice of itself.
}
