package jelly

import (
	"reflect"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// mustHash refuses a container where Python wants something hashable.
func (e *Encoder) mustHash(what string) error {
	if e.hashing {
		return invalid(
			"a %s cannot be the key of a dictionary or the member of a set in Python: use a jelly.Tuple or a *jelly.FrozenSet",
			what,
		)
	}
	return nil
}

func (e *Encoder) list(v []any) error {
	if e.hashing {
		return e.mustHash("list")
	}
	if met, err := e.meet(sliceIdentity(listWord, v)); met || err != nil {
		return err
	}
	return e.sequence(banana.SymList, v)
}

func (e *Encoder) tuple(v Tuple) error {
	if met, err := e.meet(sliceIdentity(tupleWord, v)); met || err != nil {
		return err
	}
	return e.sequence(banana.SymTuple, v)
}

func (e *Encoder) sequence(word banana.Symbol, v []any) error {
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.open(word, len(v)); err != nil {
		return err
	}
	for i := range v {
		if n, ok := v[i].(int); ok {
			e.buf = banana.AppendInt(e.buf, int64(n))
			continue
		}
		if err := e.value(v[i]); err != nil {
			return underIndex(i, err)
		}
	}
	e.leave()
	e.close()
	return nil
}

func (e *Encoder) dict(d *Dict) error {
	if d == nil {
		e.None()
		return nil
	}
	if err := e.mustHash("dictionary"); err != nil {
		return err
	}
	if met, err := e.meet(pointerIdentity(d)); met || err != nil {
		return err
	}
	return e.pairs(d.entries)
}

func (e *Encoder) pairs(entries []Entry) error {
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.open(banana.SymDictionary, len(entries)); err != nil {
		return err
	}
	for i := range entries {
		if name, ok := entries[i].Key.(string); ok {
			if err := e.namedPair(name); err != nil {
				return under("<key "+stepNumber(i)+">", err)
			}
		} else {
			if err := e.List(2); err != nil {
				return err
			}
			if err := e.key(entries[i].Key); err != nil {
				return under("<key "+stepNumber(i)+">", err)
			}
		}
		if err := e.value(entries[i].Value); err != nil {
			return underKey(entries[i].Key, err)
		}
		e.close()
	}
	e.leave()
	e.close()
	return nil
}

// namedPair begins a pair of a dictionary and writes its key, a str.
func (e *Encoder) namedPair(name string) error {
	depth := e.depth + 1
	if depth+1 >= e.lim.Depth || len(e.buf) > e.lim.Frame || e.lim.List < 2 {
		if err := e.List(2); err != nil {
			return err
		}
		return e.Str(name)
	}
	if !utf8.ValidString(name) {
		return e.Str(name) // It says what is wrong.
	}
	e.depth, e.deepest = depth, max(depth+1, e.deepest)
	e.buf = append(e.buf, "\x02\x80\x02\x80\x07\x82unicode"...)
	return e.String(name)
}

// key writes what must be hashable.
func (e *Encoder) key(v any) error {
	was := e.hashing
	e.hashing = true
	err := e.value(v)
	e.hashing = was
	return err
}

func (e *Encoder) kw(names []string, values []any) error {
	if len(names) != len(values) {
		return invalid("%d names for %d values", len(names), len(values))
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.open(banana.SymDictionary, len(names)); err != nil {
		return err
	}
	for i, name := range names {
		if err := e.namedPair(name); err != nil {
			return under("<key "+stepNumber(i)+">", err)
		}
		if err := e.value(values[i]); err != nil {
			return underKey(name, err)
		}
		e.close()
	}
	e.leave()
	e.close()
	return nil
}

// set writes a Set or a FrozenSet; v is the pointer to it.
func (e *Encoder) set(v any, word string, list []any) error {
	if met, err := e.meet(pointerIdentity(v)); met || err != nil {
		return err
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.openNamed(word, len(list)); err != nil {
		return err
	}
	for i := range list {
		if err := e.key(list[i]); err != nil {
			return underIndex(i, err)
		}
	}
	e.leave()
	e.close()
	return nil
}

// intList is list for what measurements and samples come as, without a box for each number.
func (e *Encoder) intList(v []int) error {
	if e.hashing {
		return e.mustHash("list")
	}
	if cap(v) > 0 {
		id := identity{at: unsafe.Pointer(unsafe.SliceData(v)), typ: intsWord, len: len(v)}
		if met, err := e.meet(id); met || err != nil {
			return err
		}
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.open(banana.SymList, len(v)); err != nil {
		return err
	}
	for _, n := range v {
		e.buf = banana.AppendInt(e.buf, int64(n))
	}
	e.leave()
	e.close()
	return nil
}

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
