package jelly

import (
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
)

// mustHash refuses an unhashable container where Python requires a hashable value.
func (e *Encoder) mustHash(what string) error {
	if e.hashing {
		return invalid("a %s cannot be the key of a dictionary or the member of a set in Python: "+
			"use a jelly.Tuple or a *jelly.FrozenSet", what)
	}
	return nil
}

func (e *Encoder) list(v []any) error {
	if err := e.mustHash("list"); err != nil {
		return err
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
	if err := e.begin(word, len(v)); err != nil {
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
	e.end()
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
	if err := e.begin(banana.SymDictionary, len(entries)); err != nil {
		return err
	}
	for i := range entries {
		if name, ok := entries[i].Key.(string); ok {
			if err := e.namedPair(name); err != nil {
				return underNthKey(i, err)
			}
		} else {
			if err := e.List(2); err != nil {
				return err
			}
			if err := e.key(entries[i].Key); err != nil {
				return underNthKey(i, err)
			}
		}
		if err := e.value(entries[i].Value); err != nil {
			return underKey(entries[i].Key, err)
		}
		e.close()
	}
	e.end()
	return nil
}

// namedPair begins a pair of a dictionary and writes its key, a str. It writes both in one step if it can.
func (e *Encoder) namedPair(name string) error {
	depth := e.depth + 1
	if depth+1 >= e.lim.Depth || len(e.buf) > e.lim.Frame || e.lim.List < 2 {
		if err := e.List(2); err != nil {
			return err
		}
		return e.Str(name)
	}
	if !utf8.ValidString(name) {
		return e.Str(name) // It returns the error.
	}
	e.depth, e.deepest = depth, max(depth+1, e.deepest)
	e.buf = append(e.buf, "\x02\x80\x02\x80\x07\x82unicode"...)
	return e.String(name)
}

// key writes a value that must be hashable.
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
	if err := e.begin(banana.SymDictionary, len(names)); err != nil {
		return err
	}
	for i, name := range names {
		if err := e.namedPair(name); err != nil {
			return underNthKey(i, err)
		}
		if err := e.value(values[i]); err != nil {
			return underKey(name, err)
		}
		e.close()
	}
	e.end()
	return nil
}

// set writes a Set or a FrozenSet; v is a pointer to it.
func (e *Encoder) set(v any, word string, list []any) error {
	if met, err := e.meet(pointerIdentity(v)); met || err != nil {
		return err
	}
	if err := e.beginNamed(word, len(list)); err != nil {
		return err
	}
	for i := range list {
		if err := e.key(list[i]); err != nil {
			return underIndex(i, err)
		}
	}
	e.end()
	return nil
}

// beginList begins a slice whose type has this number. It reports whether the slice was met before, and so is written.
func beginList[T any](e *Encoder, typ uintptr, v []T) (met bool, err error) {
	if err := e.mustHash("list"); err != nil {
		return false, err
	}
	if met, err := e.meet(sliceIdentity(typ, v)); met || err != nil {
		return met, err
	}
	return false, e.begin(banana.SymList, len(v))
}

// intList writes a []int without boxing or a call for each element.
func (e *Encoder) intList(v []int) error {
	if e.ctx.Profile.IsExtended() {
		return numberArray(e, intsWord, v)
	}
	if met, err := beginList(e, intsWord, v); met || err != nil {
		return err
	}
	for _, n := range v {
		e.buf = banana.AppendInt(e.buf, int64(n))
	}
	e.end()
	return nil
}

// plainList writes a slice of scalars as a list without boxing the elements.
func plainList[T any](e *Encoder, typ uintptr, v []T, write func(e *Encoder, v T) error) error {
	if met, err := beginList(e, typ, v); met || err != nil {
		return err
	}
	for i := range v {
		if err := write(e, v[i]); err != nil {
			return underIndex(i, err)
		}
	}
	e.end()
	return nil
}

// numberList is plainList for a slice of numbers, which is written as an array to a peer that takes them.
func numberList[T number](e *Encoder, typ uintptr, v []T, write func(e *Encoder, v T) error) error {
	if e.ctx.Profile.IsExtended() {
		return numberArray(e, typ, v)
	}
	return plainList(e, typ, v, write)
}

// namedMap writes a map with string keys, sorted. v is m as an interface value.
func namedMap[V any](e *Encoder, v any, m map[string]V, write func(e *Encoder, v V) error) error {
	if err := e.mustHash("dictionary"); err != nil {
		return err
	}
	if m != nil {
		if met, err := e.meet(pointerIdentity(v)); met || err != nil {
			return err
		}
	}
	if err := e.begin(banana.SymDictionary, len(m)); err != nil {
		return err
	}
	first := len(e.names)
	for name := range m {
		e.names = append(e.names, name)
	}
	last := len(e.names)
	e.mostNames = max(e.mostNames, last)
	slices.Sort(e.names[first:])
	// Nested maps push their keys behind last and may move the stack.
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
	e.end()
	return nil
}

// The type numbers of slices of scalars.
var (
	intsWord    = typeNumber(reflect.TypeFor[[]int]())
	int64sWord  = typeNumber(reflect.TypeFor[[]int64]())
	floatsWord  = typeNumber(reflect.TypeFor[[]float64]())
	stringsWord = typeNumber(reflect.TypeFor[[]string]())
)

func writeInt(e *Encoder, n int) error       { e.Int(int64(n)); return nil }
func writeInt64(e *Encoder, n int64) error   { e.Int(n); return nil }
func writeFloat(e *Encoder, f float64) error { e.Float(f); return nil }
func writeBool(e *Encoder, b bool) error     { e.Bool(b); return nil }
