package jelly

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// namedMap writes a map with strings for keys, sorted. v is m as well, which must not be nil to be met again.
func namedMap[V any](e *Encoder, v any, m map[string]V, write func(e *Encoder, v V) error) error {
	if err := e.mustHash("dictionary"); err != nil {
		return err
	}
	if m != nil {
		if met, err := e.meet(pointerIdentity(v)); met || err != nil {
			return err
		}
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.open(banana.SymDictionary, len(m)); err != nil {
		return err
	}
	first := len(e.names)
	for name := range m {
		e.names = append(e.names, name)
	}
	last := len(e.names)
	e.mostNames = max(e.mostNames, last)
	slices.Sort(e.names[first:])
	// What is nested uses the scratch behind last, and may move it.
	for i := first; i < last; i++ {
		name := e.names[i]
		if err := e.namedPair(name); err != nil {
			return underKey(name, err)
		}
		if err := write(e, m[name]); err != nil {
			return underKey(name, err)
		}
		e.close()
	}
	e.names = e.names[:first]
	e.leave()
	e.close()
	return nil
}

// plainList writes a slice of scalars as a list, without a box for each.
func plainList[T any](e *Encoder, typ uintptr, v []T, write func(e *Encoder, v T) error) error {
	if e.hashing {
		return e.mustHash("list")
	}
	if cap(v) > 0 {
		if met, err := e.meet(identity{at: unsafe.Pointer(unsafe.SliceData(v)), typ: typ, len: len(v)}); met || err != nil {
			return err
		}
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.open(banana.SymList, len(v)); err != nil {
		return err
	}
	for i := range v {
		if err := write(e, v[i]); err != nil {
			return underIndex(i, err)
		}
	}
	e.leave()
	e.close()
	return nil
}

// The type numbers of these slices.
var (
	intsWord    = typeNumber(reflect.TypeFor[[]int]())
	int64sWord  = typeNumber(reflect.TypeFor[[]int64]())
	floatsWord  = typeNumber(reflect.TypeFor[[]float64]())
	stringsWord = typeNumber(reflect.TypeFor[[]string]())
)

// The ways of writing what is in these containers.

func writeInt(e *Encoder, n int) error       { e.Int(int64(n)); return nil }
func writeInt64(e *Encoder, n int64) error   { e.Int(n); return nil }
func writeFloat(e *Encoder, f float64) error { e.Float(f); return nil }
func writeBool(e *Encoder, b bool) error     { e.Bool(b); return nil }

// common writes the commonest maps and slices of a certain type without reflection, and says whether v is one.
func (e *Encoder) common(v any) (is bool, err error) {
	switch x := v.(type) {
	case map[string]string:
		return true, namedMap(e, v, x, (*Encoder).Str)
	case map[string]int:
		return true, namedMap(e, v, x, writeInt)
	case map[string]int64:
		return true, namedMap(e, v, x, writeInt64)
	case map[string]float64:
		return true, namedMap(e, v, x, writeFloat)
	case map[string]bool:
		return true, namedMap(e, v, x, writeBool)
	case []string:
		return true, plainList(e, stringsWord, x, (*Encoder).Str)
	case []int64:
		return true, plainList(e, int64sWord, x, writeInt64)
	case []float64:
		return true, plainList(e, floatsWord, x, writeFloat)
	}
	return false, nil
}
