package jelly

import (
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
