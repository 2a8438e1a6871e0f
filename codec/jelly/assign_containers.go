package jelly

import (
	"reflect"
	"strconv"
)

// sequenceOf returns the elements of what is a sequence in Python, or a set.
func sequenceOf(src any) ([]any, bool) {
	switch x := src.(type) {
	case []any:
		return x, true
	case Tuple:
		return x, true
	case *Set:
		if x != nil {
			return x.list, true
		}
	case *FrozenSet:
		if x != nil {
			return x.list, true
		}
	}
	return nil, false
}

func isSequence(src any) bool {
	_, ok := sequenceOf(src)
	return ok
}

// containerKey is the key for what is made of a container.
func containerKey(src any, t reflect.Type) madeKey {
	switch x := src.(type) {
	case []any:
		return madeKey{sliceIdentity(listWord, x), t}
	case Tuple:
		return madeKey{sliceIdentity(tupleWord, x), t}
	case *Dict, *Set, *FrozenSet:
		return madeKey{pointerIdentity(src), t}
	}
	return madeKey{}
}

func assignSlice(c *assignment, dst reflect.Value, src any) error {
	if src == nil {
		dst.SetZero()
		return nil
	}
	t := dst.Type()
	list, ok := sequenceOf(src)
	if !ok {
		return mismatch(src, t)
	}
	k := containerKey(src, t)
	if len(list) <= cheapElements && isScalar(t.Elem()) {
		k = madeKey{}
	}
	if v, ok := c.remembered(k); ok {
		dst.Set(v)
		return nil
	}
	if err := c.makeRoom(src, t, len(list), t.Elem().Size()); err != nil {
		return err
	}
	made := reflect.MakeSlice(t, len(list), len(list))
	c.remember(k, made)
	if err := c.convert(made, list); err != nil {
		return err
	}
	dst.Set(made)
	return nil
}

// isScalar reports whether converting to t costs a bounded amount of work.
func isScalar(t reflect.Type) bool {
	k := t.Kind()
	return k >= reflect.Bool && k <= reflect.Float64 || k == reflect.String
}

func (c *assignment) convert(dst reflect.Value, list []any) error {
	done := 0
	if dst.Kind() == reflect.Slice {
		done = plainElements(dst, list)
	}
	into := AssignerFor(dst.Type().Elem()).into
	for i := done; i < len(list); i++ {
		if err := into(c, dst.Index(i), list[i]); err != nil {
			return at("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// plainElements fills the commonest slices without reflection, up to the first element that must be
// converted, and returns how far it came.
func plainElements(dst reflect.Value, list []any) (done int) {
	switch s := dst.Interface().(type) {
	case []int:
		return fillInts(s, list)
	case []int64:
		return fillPlain(s, list)
	case []float64:
		return fillPlain(s, list)
	case []string:
		return fillPlain(s, list)
	case []bool:
		return fillPlain(s, list)
	}
	return 0
}

// plainSlice makes a slice of a sequence in which nothing has to be converted, and says whether it could.
func plainSlice[T any](dst *[]T, src any, fill func(s []T, list []any) int) bool {
	list, ok := sequenceOf(src)
	if !ok {
		return false
	}
	s := make([]T, len(list))
	if fill(s, list) < len(list) {
		return false
	}
	*dst = s
	return true
}

func fillInts(s []int, list []any) int {
	for i, elem := range list {
		n, ok := elem.(int64)
		if !ok || int64(int(n)) != n {
			return i
		}
		s[i] = int(n)
	}
	return len(list)
}

func fillPlain[T any](s []T, list []any) int {
	for i, elem := range list {
		v, ok := elem.(T)
		if !ok {
			return i
		}
		s[i] = v
	}
	return len(list)
}

func assignArray(c *assignment, dst reflect.Value, src any) error {
	n := dst.Len()
	if dst.Type().Elem().Kind() == reflect.Uint8 {
		if b, ok := bytesOf(src); ok {
			if len(b) != n {
				return wrongLength(src, dst, len(b))
			}
			reflect.Copy(dst, reflect.ValueOf(b))
			return nil
		}
	}
	list, ok := sequenceOf(src)
	if !ok {
		return mismatch(src, dst.Type())
	}
	if len(list) != n {
		return wrongLength(src, dst, len(list))
	}
	if err := c.makeRoom(src, dst.Type(), n, dst.Type().Elem().Size()); err != nil {
		return err
	}
	return c.convert(dst, list)
}

func bytesOf(src any) ([]byte, bool) {
	switch x := src.(type) {
	case []byte:
		return x, true
	case string:
		return []byte(x), true
	}
	return nil, false
}

func wrongLength(src any, dst reflect.Value, n int) error {
	return mismatchBecause(src, dst.Type(), "its length is "+strconv.Itoa(n))
}

func assignStruct(c *assignment, dst reflect.Value, src any) error {
	if dict, ok := src.(*Dict); ok && dict != nil {
		return c.fields(dst, dict)
	}
	if v := reflect.ValueOf(src); v.IsValid() && v.Kind() == reflect.Pointer && v.Type().Elem() == dst.Type() &&
		!v.IsNil() {
		return c.byValue(dst, v)
	}
	return mismatch(src, dst.Type())
}

// fields fills a struct. It looks up each field's name, so that a large dictionary
// which is mentioned often costs no more than a small one.
func (c *assignment) fields(dst reflect.Value, dict *Dict) error {
	plan := planOf(dst.Type())
	if plan.err != nil {
		return mismatchBecause(dict, dst.Type(), plan.err.Error())
	}
	if len(plan.fields) == 0 {
		return mismatchBecause(dict, dst.Type(), "it has no fields with pb tags")
	}
	for i := range plan.fields {
		f := &plan.fields[i]
		src, ok := dict.GetName(f.name)
		if !ok {
			continue
		}
		field, err := settableField(dst, f.index)
		if err != nil {
			return mismatchBecause(dict, dst.Type(), err.Error())
		}
		if err := AssignerFor(f.typ).into(c, field, src); err != nil {
			return at("."+f.name, err)
		}
	}
	return nil
}

// settableField returns a field, and makes the embedded structs on the way to it.
func settableField(v reflect.Value, index []int) (reflect.Value, error) {
	for i, n := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v, nil
}

// assignPointer makes a new variable, or finds the one that was made of the same
// dictionary before.
func assignPointer(c *assignment, dst reflect.Value, src any) error {
	if src == nil {
		dst.SetZero()
		return nil
	}
	t := dst.Type()
	k := containerKey(src, t)
	if v, ok := c.remembered(k); ok {
		dst.Set(v)
		return nil
	}
	if err := c.makeRoom(src, t, 1, t.Elem().Size()); err != nil {
		return err
	}
	made := reflect.New(t.Elem())
	if made.Type() != t {
		made = made.Convert(t)
	}
	c.remember(k, made)
	if err := AssignerFor(t.Elem()).into(c, made.Elem(), src); err != nil {
		if e, ok := err.(*AssignError); ok && e.Path == "" { //nolint:errorlint // as in at
			e.Target = t.String()
		}
		return err
	}
	dst.Set(made)
	return nil
}

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
