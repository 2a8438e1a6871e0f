package dispatch

import (
	"reflect"
	"slices"
)

// WithoutReceiver returns the type of a method as a function without its receiver.
func WithoutReceiver(t reflect.Type) reflect.Type {
	in := make([]reflect.Type, 0, t.NumIn())
	for i := 1; i < t.NumIn(); i++ {
		in = append(in, t.In(i))
	}
	out := make([]reflect.Type, t.NumOut())
	for i := range out {
		out[i] = t.Out(i)
	}
	return reflect.FuncOf(in, out, t.IsVariadic())
}

// LosesMethod returns a type embedded in t, at any depth, that has the named method where t has not. seen guards
// against types that embed themselves.
func LosesMethod(t reflect.Type, name string, seen ...reflect.Type) reflect.Type {
	for _, e := range Embedded(t) {
		if slices.Contains(seen, e) {
			continue
		}
		if _, ok := e.MethodByName(name); ok {
			return e
		}
		if from := LosesMethod(e, name, append(seen, e)...); from != nil {
			return from
		}
	}
	return nil
}

// Embedded returns the types from which t may have promoted methods. Structs are returned as pointers if t is one.
func Embedded(t reflect.Type) []reflect.Type {
	s := t
	addressable := false
	if s.Kind() == reflect.Pointer {
		s, addressable = s.Elem(), true
	}
	if s.Kind() != reflect.Struct {
		return nil
	}
	var types []reflect.Type
	for i := range s.NumField() {
		f := s.Field(i)
		if !f.Anonymous {
			continue
		}
		ft := f.Type
		if addressable && ft.Kind() != reflect.Pointer && ft.Kind() != reflect.Interface {
			ft = reflect.PointerTo(ft)
		}
		types = append(types, ft)
	}
	return types
}

// SourcesOf returns the types embedded in t from which the method may be promoted. If an embedded type has it with
// another signature or for other receivers, it is not promoted from there.
func SourcesOf(t reflect.Type, name string) []reflect.Type {
	have, ok := methodType(t, name)
	if !ok {
		return nil
	}
	var sources []reflect.Type
	for _, e := range Embedded(t) {
		if typ, ok := methodType(e, name); ok && typ == have && sameReceivers(t, e, name) {
			sources = append(sources, e)
		}
	}
	return sources
}

// methodType returns the type of a method as a function without its receiver.
func methodType(t reflect.Type, name string) (reflect.Type, bool) {
	m, ok := t.MethodByName(name)
	if !ok {
		return nil, false
	}
	if t.Kind() == reflect.Interface {
		return m.Type, true
	}
	return WithoutReceiver(m.Type), true
}

// sameReceivers reports whether the struct behind the pointer t has the method by value exactly if the embedded e has,
// as is the case for a promoted method.
func sameReceivers(t, e reflect.Type, name string) bool {
	if t.Kind() != reflect.Pointer {
		return true
	}
	_, byValue := t.Elem().MethodByName(name)
	if !embedsByPointer(t.Elem(), e) && e.Kind() == reflect.Pointer {
		e = e.Elem()
	}
	_, embeddedByValue := e.MethodByName(name)
	return byValue == embeddedByValue
}

// embedsByPointer reports whether a struct has an embedded field of type e itself, rather than of e's element type.
func embedsByPointer(s, e reflect.Type) bool {
	for i := range s.NumField() {
		if f := s.Field(i); f.Anonymous && f.Type == e {
			return true
		}
	}
	return false
}

// EmbeddedField returns the exported embedded field, at any depth, of type target or *target.
func EmbeddedField(t, target reflect.Type) ([]int, bool) {
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return nil, false
	}
	for _, f := range reflect.VisibleFields(t.Elem()) {
		if f.Anonymous && f.IsExported() && (f.Type == target || f.Type == reflect.PointerTo(target)) {
			return f.Index, true
		}
	}
	return nil, false
}

// BehindPointer reports whether a promoted field lies in a struct that is embedded by pointer.
func BehindPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}
