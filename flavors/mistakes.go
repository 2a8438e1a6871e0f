package flavors

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
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
