package jelly

import (
	"reflect"
	"strconv"
)

func assignMap(c *assignment, dst reflect.Value, src any) error {
	t := dst.Type()
	var entries []Entry
	switch x := src.(type) {
	case nil:
		dst.SetZero()
		return nil
	case *Dict:
		entries = x.Entries()
	case *Set, *FrozenSet:
		list, ok := sequenceOf(src)
		if !ok || t.Elem().Kind() != reflect.Struct || t.Elem().NumField() > 0 {
			return mismatch(src, t)
		}
		return c.setMap(dst, src, list)
	default:
		return mismatch(src, t)
	}
	k := containerKey(src, t)
	if v, ok := c.remembered(k); ok {
		dst.Set(v)
		return nil
	}
	if err := c.makeRoom(src, t, len(entries), mapSize(t)); err != nil {
		return err
	}
	made := reflect.MakeMapWithSize(t, len(entries))
	c.remember(k, made)
	done := plainEntries(made, entries)
	if done == len(entries) {
		dst.Set(made)
		return nil
	}
	intoValue := AssignerFor(t.Elem()).into
	// A map takes copies, so one variable does for all keys, and one for all values.
	key, value := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
	for i := done; i < len(entries); i++ {
		key.SetZero()
		value.SetZero()
		if err := c.mapKey(key, entries[i].Key); err != nil {
			return at("<key "+strconv.Itoa(i)+">", err)
		}
		if err := intoValue(c, value, entries[i].Value); err != nil {
			return at(keyStep(entries[i].Key, i), err)
		}
		made.SetMapIndex(key, value)
	}
	dst.Set(made)
	return nil
}

// mapSize is about what an entry of a map takes.
func mapSize(t reflect.Type) uintptr { return t.Key().Size() + t.Elem().Size() + 16 }

// setMap makes a map with empty values of a set.
func (c *assignment) setMap(dst reflect.Value, src any, list []any) error {
	t := dst.Type()
	k := containerKey(src, t)
	if v, ok := c.remembered(k); ok {
		dst.Set(v)
		return nil
	}
	if err := c.makeRoom(src, t, len(list), mapSize(t)); err != nil {
		return err
	}
	made := reflect.MakeMapWithSize(t, len(list))
	c.remember(k, made)
	key, empty := reflect.New(t.Key()).Elem(), reflect.Zero(t.Elem())
	for i, member := range list {
		key.SetZero()
		if err := c.mapKey(key, member); err != nil {
			return at("["+strconv.Itoa(i)+"]", err)
		}
		made.SetMapIndex(key, empty)
	}
	dst.Set(made)
	return nil
}

// plainEntries fills the commonest maps without reflection, as plainElements does for slices.
func plainEntries(made reflect.Value, entries []Entry) (done int) {
	switch m := made.Interface().(type) {
	case map[string]any:
		for i := range entries {
			name, ok := entries[i].Key.(string)
			if !ok {
				return i
			}
			m[name] = entries[i].Value
		}
		return len(entries)
	case map[string]string:
		return fillNamed(m, entries)
	case map[string]int:
		for i := range entries {
			name, isName := entries[i].Key.(string)
			n, ok := entries[i].Value.(int64)
			if !isName || !ok || int64(int(n)) != n {
				return i
			}
			m[name] = int(n)
		}
		return len(entries)
	case map[string]int64:
		return fillNamed(m, entries)
	case map[string]float64:
		return fillNamed(m, entries)
	case map[string]bool:
		return fillNamed(m, entries)
	}
	return 0
}

func fillNamed[V any](m map[string]V, entries []Entry) int {
	for i := range entries {
		name, isName := entries[i].Key.(string)
		v, ok := entries[i].Value.(V)
		if !isName || !ok {
			return i
		}
		m[name] = v
	}
	return len(entries)
}

// mapKey converts a key, and sees to it that Go can compare it: bytes become a string where any key will do.
func (c *assignment) mapKey(key reflect.Value, src any) error {
	t := key.Type()
	if b, ok := src.([]byte); ok && t.Kind() == reflect.Interface {
		src = string(b)
	}
	if err := AssignerFor(t).into(c, key, src); err != nil {
		return err
	}
	if !key.Comparable() {
		return mismatchBecause(src, t, "Go cannot use it as the key of a map: *jelly.Dict can")
	}
	return nil
}

func keyStep(key any, i int) string {
	switch k := key.(type) {
	case string:
		return "[" + strconv.Quote(clip(k)) + "]"
	case []byte:
		return "[" + strconv.Quote(clip(string(k))) + "]"
	case int64:
		return "[" + strconv.FormatInt(k, 10) + "]"
	}
	return "<value " + strconv.Itoa(i) + ">"
}
