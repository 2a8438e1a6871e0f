package stub

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Value converts plain data, as [flavors.As] does.
func Value[T any](from any) (T, error) {
	if v, ok := from.(T); ok {
		return v, nil
	}
	var v T
	err := jelly.Assign(&v, from)
	return v, err
}

// Nested is [Value] for types that have Copyables in their slices, maps or fields. These accept instances of the class
// of copies that is registered for their type, as [Copy] does, and no dictionaries.
func Nested[T any](from any) (T, error) {
	var v T
	err := jelly.AssignInstances(&v, from, isCopyable)
	return v, err
}

// isCopyable reports whether a struct embeds a Copyable.
func isCopyable(t reflect.Type) bool {
	if known, ok := copyables.Load(t); ok {
		return known.(bool)
	}
	value, pointer := reflect.TypeFor[flavors.Copyable](), reflect.TypeFor[*flavors.Copyable]()
	is := slices.ContainsFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool {
		return f.Anonymous && (f.Type == value || f.Type == pointer)
	})
	copyables.Store(t, is)
	return is
}

// copyables caches what isCopyable finds.
var copyables sync.Map // reflect.Type -> bool

// Copy accepts an instance of the class of copies that is registered for T, and nothing else.
func Copy[T any](from any) (*T, error) {
	if v, ok := from.(*T); ok && v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("cannot use %s as %s: only an instance of the class is accepted, as a copy",
		jelly.TypeName(from), reflect.TypeFor[*T]())
}

// CopyOrNil is [Copy], but accepts None.
func CopyOrNil[T any](from any) (*T, error) {
	if from == nil {
		return nil, nil
	}
	return Copy[T](from)
}

// CopyValue is [Copy] for a parameter that is no pointer.
func CopyValue[T any](from any) (T, error) {
	v, err := Copy[T](from)
	if err != nil {
		var zero T
		return zero, err
	}
	return *v, nil
}

// Local accepts an object of this program that the peer sends back, or a copy of a peer's Cacheable: a value that has
// the type already.
func Local[T any](from any) (T, error) {
	if v, ok := from.(T); ok && !reflect.ValueOf(v).IsZero() {
		return v, nil
	}
	var zero T
	return zero, fmt.Errorf("cannot use %s as %s: only that object is accepted",
		jelly.TypeName(from), reflect.TypeFor[T]())
}

// Reference accepts a reference to an object of the peer.
func Reference(from any) (*flavors.RemoteReference, error) {
	if ref, ok := from.(*flavors.RemoteReference); ok && ref != nil {
		return ref, nil
	}
	return nil, fmt.Errorf("cannot use %s as a reference to an object of the caller", jelly.TypeName(from))
}

// ReferenceOrNil is [Reference], but accepts None.
func ReferenceOrNil(from any) (*flavors.RemoteReference, error) {
	if from == nil {
		return nil, nil
	}
	return Reference(from)
}

// Callee accepts what can be called: a reference to an object of the peer, or a placed object of a cluster.
func Callee(from any) (flavors.Callee, error) {
	if c, ok := from.(flavors.Callee); ok && !reflect.ValueOf(c).IsZero() {
		return c, nil
	}
	return nil, fmt.Errorf("cannot use %s as an object that can be called", jelly.TypeName(from))
}

// CalleeOrNil is [Callee], but accepts None.
func CalleeOrNil(from any) (flavors.Callee, error) {
	if from == nil {
		return nil, nil
	}
	return Callee(from)
}

// Relayed returns a value that came undecoded. None is nil.
func Relayed(from any) (*flavors.Relayed, error) { return flavors.As[*flavors.Relayed](from, nil) }

// Slice returns a conversion of lists whose elements convert.
func Slice[T any](element func(any) (T, error)) func(any) ([]T, error) {
	return func(from any) ([]T, error) {
		var list []any
		if err := jelly.Assign(&list, from); err != nil {
			return nil, err
		}
		if list == nil {
			return nil, nil
		}
		made := make([]T, len(list))
		for i := range list {
			v, err := element(list[i])
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			made[i] = v
		}
		return made, nil
	}
}

// Map returns a conversion of dictionaries whose values convert.
func Map[K comparable, T any](element func(any) (T, error)) func(any) (map[K]T, error) {
	return func(from any) (map[K]T, error) {
		var values map[K]any
		if err := jelly.Assign(&values, from); err != nil {
			return nil, err
		}
		if values == nil {
			return nil, nil
		}
		made := make(map[K]T, len(values))
		for k, from := range values {
			v, err := element(from)
			if err != nil {
				return nil, fmt.Errorf("[%v]: %w", jelly.Format(k), err)
			}
			made[k] = v
		}
		return made, nil
	}
}

// Pointer returns a conversion that accepts None as nil.
func Pointer[T any](to func(any) (T, error)) func(any) (*T, error) {
	return func(from any) (*T, error) {
		if from == nil {
			return nil, nil
		}
		v, err := to(from)
		if err != nil {
			return nil, err
		}
		return &v, nil
	}
}

// Object returns a conversion that accepts a reference to an I. client makes an I that calls an object of the peer, or
// a placed object of a cluster. A server of this program that the peer sends back becomes what it serves. With a class,
// the peer's reference must carry it, and a placed object, whose references carry none, is not accepted; without one,
// any is.
func Object[I any, C flavors.Callee](name, class string, client func(C) I) func(any) (I, error) {
	return func(from any) (I, error) {
		var zero I
		switch v := from.(type) {
		case interface{ Implementation() I }:
			return v.Implementation(), nil
		case C:
			switch {
			case reflect.ValueOf(v).IsZero():
			case class != "" && classOf(v) != class:
				return zero, fmt.Errorf("cannot use a reference as %s: it must carry the class %s", name, class)
			default:
				return client(v), nil
			}
		}
		return zero, fmt.Errorf("cannot use %s as %s: only a reference to one is accepted", jelly.TypeName(from), name)
	}
}

// classOf returns the class that a reference carries; "" if it carries none.
func classOf(c flavors.Callee) string {
	if ref, ok := c.(*flavors.RemoteReference); ok {
		return ref.Class()
	}
	return ""
}

// ObjectOrNil is [Object], but accepts None.
func ObjectOrNil[I any, C flavors.Callee](name, class string, client func(C) I) func(any) (I, error) {
	convert := Object(name, class, client)
	return func(from any) (I, error) {
		if from == nil {
			var none I
			return none, nil
		}
		return convert(from)
	}
}

// Result returns the results of a method as those of a function for [Func].
func Result[R any](v R, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Results returns the values of an answer that is a tuple of n.
func Results(v any, err error, n int) ([]any, error) {
	if err != nil {
		return make([]any, n), err
	}
	switch list := v.(type) {
	case jelly.Tuple:
		if len(list) == n {
			return list, nil
		}
	case []any:
		if len(list) == n {
			return list, nil
		}
	}
	return make([]any, n), fmt.Errorf("the answer is no tuple of %d: it is a %s", n, jelly.TypeName(v))
}

// Part converts one of the values of an answer, unless err has an error already.
func Part[T any](err *error, from any, convert func(any) (T, error)) T {
	var zero T
	if *err != nil {
		return zero
	}
	v, failed := convert(from)
	if failed != nil {
		*err = fmt.Errorf("the answer: %w", failed)
		return zero
	}
	return v
}

// errNoImplementation is the error of a server that serves nothing.
var errNoImplementation = errors.New("the server was made with a nil implementation: give it an object to serve")
