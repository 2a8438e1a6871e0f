package flavors

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// noFlavorError returns why a value is no object.
func noFlavorError(v any) error {
	t := reflect.TypeOf(v)
	if t == nil {
		return errors.New("flavors: nil is no object: give a pointer to a struct that embeds flavors.Referenceable")
	}
	if types := flavorsIn(t); len(types) > 1 {
		return twoFlavorsError(t, types)
	}
	if t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(reflect.TypeFor[anchored]()) {
		return fmt.Errorf("flavors: a %s is sent by reference: give a pointer to it, *%s", t, t)
	}
	return fmt.Errorf(
		"flavors: %T does not embed flavors.Referenceable or another flavor (or it was not given as a pointer)", v)
}

// nilFlavorError is the error for a value that embeds its flavor, or a struct with one, by a nil pointer.
type nilFlavorError struct{ what string }

func newNilFlavorError(v anchored) error {
	t := reflect.TypeOf(v)
	if embedded := usercode.NilEmbedded(v, "JellyTo"); embedded != nil { // Every flavor has it.
		return &nilFlavorError{usercode.EmbedsNil(t, embedded)}
	}
	return &nilFlavorError{fmt.Sprintf("%s embeds a nil pointer to its flavor: embed the flavor without a pointer", t)}
}

func (e *nilFlavorError) Error() string { return "flavors: " + e.what }

// noCopyError returns why *T cannot be filled with the state of a received copy; nil if it can.
func noCopyError[T any]() error {
	t := reflect.TypeFor[T]()
	p := reflect.PointerTo(t)
	switch {
	case p.Implements(reflect.TypeFor[RemoteCacher]()):
		return fmt.Errorf("%s embeds flavors.RemoteCache: use flavors.RegisterCache", t)
	case p.Implements(reflect.TypeFor[jelly.StateSetter]()), t.Kind() == reflect.Struct:
		return nil
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return fmt.Errorf("%s is a pointer: register the struct, %s", t, t.Elem())
	}
	return fmt.Errorf("%s is no struct, and *%s has no SetCopyableState method", t, t)
}

// checkOneFlavor refuses a struct that embeds several flavors, unless it says itself how it is sent.
func checkOneFlavor(t reflect.Type) error {
	if isFlavor(t) {
		return nil
	}
	if types := flavorsIn(t); len(types) > 1 {
		return twoFlavorsError(t, types)
	}
	return nil
}

func twoFlavorsError(t reflect.Type, types []reflect.Type) error {
	return fmt.Errorf("flavors: %s embeds two flavors, by %s and by %s: a flavor says how the whole struct is sent, "+
		"so embed one, and make the other a field with a name", t, types[0], types[1])
}

// flavorsIn returns the embedded types each of which is a flavor or brings one.
func flavorsIn(t reflect.Type) (types []reflect.Type) {
	for _, e := range dispatch.Embedded(t) {
		if e.Kind() == reflect.Interface || !embedsFlavor(e, nil) {
			continue
		}
		if e.Kind() == reflect.Pointer {
			e = e.Elem()
		}
		types = append(types, e)
	}
	return types
}
