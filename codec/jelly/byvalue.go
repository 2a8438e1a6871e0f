package jelly

import "reflect"

// valueCopy is a value that was met by value, and the pointer that stands for it.
type valueCopy struct {
	pointer any
	value   reflect.Value // not addressable
}

// Pointer returns self if it is a pointer, and otherwise a pointer to a copy of it. The method set of a pointer
// includes the methods with pointer receivers, so a JellyTo method that asks its self for further methods must ask a
// pointer: a value would be sent as if it had none. The Encoder has called Pointer for every struct that it gives to a
// JellyTo method; a method that gets its self from elsewhere calls it itself.
//
// The copy lasts until the JellyTo method returns, and nothing in it has an address of its own: Fields refuses those of
// its fields that can only be sent as pointers.
func (e *Encoder) Pointer(self any) any {
	if self == nil || reflect.TypeOf(self).Kind() == reflect.Pointer {
		return self
	}
	value := reflect.ValueOf(self)
	p := reflect.New(value.Type())
	p.Elem().Set(value)
	self = p.Interface()
	e.copies = append(e.copies, valueCopy{self, value})
	return self
}

// IsCopy reports whether p is the pointer to a copy that Pointer made of a value. What is sent by reference must refuse
// it, because nobody else knows the copy.
func (e *Encoder) IsCopy(p any) bool {
	for i := range e.copies {
		if e.copies[i].pointer == p {
			return true
		}
	}
	return false
}

// fieldsOf returns the struct that v is or points to, as Fields sees it.
func (e *Encoder) fieldsOf(v any) reflect.Value {
	for i := range e.copies {
		if e.copies[i].pointer == v {
			return e.copies[i].value
		}
	}
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer && !r.IsNil() {
		r = r.Elem()
	}
	return r
}

// byValue stores what src points to, an object of a registered class or a value of this package, where its struct is
// wanted by value.
func (c *assignment) byValue(dst, src reflect.Value) error {
	t, object := dst.Type(), src.Interface()
	if reflect.PointerTo(t).Implements(jellyableType) && !t.Implements(jellyableType) {
		return mismatchBecause(object, t, "it must not be copied: use a pointer")
	}
	if why := c.states.incomplete(object); why != "" {
		return mismatchBecause(object, t, why+": use a pointer")
	}
	dst.Set(src.Elem())
	return nil
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
