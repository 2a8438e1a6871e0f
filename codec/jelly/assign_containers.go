package jelly

import (
	"reflect"
	"strconv"
)

// sequenceOf returns the elements of a list, tuple or set.
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

// containerKey returns the key for a conversion of a container.
func containerKey(src any, t reflect.Type) madeKey {
	switch x := src.(type) {
	case []any:
		return madeKey{sliceIdentity(listWord, x), t}
	case Tuple:
		return madeKey{sliceIdentity(tupleWord, x), t}
	case *Dict, *Set, *FrozenSet:
		return madeKey{pointerIdentity(src), t}
	}
	if v, ok := numbersOf(src); ok && v.Cap() > 0 {
		return madeKey{reflectIdentity(v, v.Len()), t}
	}
	return madeKey{}
}

func assignSlice(c *assignment, dst reflect.Value, src any) error {
	if src == nil {
		dst.SetZero()
		return nil
	}
	t := dst.Type()
	if numbers, ok := numbersOf(src); ok {
		return c.numbers(dst, numbers)
	}
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

// isScalar reports whether a conversion to t takes constant time.
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

// plainElements fills frequent types of slices without reflection, up to the first element that must be converted, and
// returns the number of elements.
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

// plainSlice makes a slice of a sequence whose elements need no conversion, and reports whether it could.
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
		if text, ok := textOf(src); ok {
			if len(text) != n {
				return wrongLength(src, dst, len(text))
			}
			reflect.Copy(dst, reflect.ValueOf([]byte(text)))
			return nil
		}
	}
	list, ok := sequenceOf(src)
	if numbers, packed := numbersOf(src); packed && numbers.Len() == n {
		var err error
		if list, err = c.boxed(dst.Type(), numbers); err != nil {
			return err
		}
	} else if packed {
		return wrongLength(src, dst, numbers.Len())
	} else if !ok {
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

func wrongLength(src any, dst reflect.Value, n int) error {
	return mismatchBecause(src, dst.Type(), "its length is "+strconv.Itoa(n))
}

func assignStruct(c *assignment, dst reflect.Value, src any) error {
	hasClass := c.hasClass != nil && c.hasClass(dst.Type())
	if dict, ok := src.(*Dict); ok && dict != nil && !hasClass {
		return c.fields(dst, dict)
	}
	if v := reflect.ValueOf(src); v.IsValid() && v.Kind() == reflect.Pointer && v.Type().Elem() == dst.Type() &&
		!v.IsNil() {
		return c.byValue(dst, v)
	}
	if hasClass {
		return mismatchBecause(src, dst.Type(), "only an instance of the class is accepted, as a copy")
	}
	switch x := src.(type) {
	case Tuple:
		return c.tuple(dst, src, x)
	case []any:
		return c.tuple(dst, src, x)
	}
	if numbers, ok := numbersOf(src); ok {
		list, err := c.boxed(dst.Type(), numbers)
		if err != nil {
			return err
		}
		return c.tuple(dst, src, list)
	}
	return mismatch(src, dst.Type())
}

// tuple sets the fields of a struct with pb tags from a tuple or list, in their order.
func (c *assignment) tuple(dst reflect.Value, src any, elements []any) error {
	plan := planOf(dst.Type())
	switch {
	case plan.err != nil:
		return mismatchBecause(src, dst.Type(), plan.err.Error())
	case len(plan.fields) == 0:
		return mismatchBecause(src, dst.Type(), "it has no fields with pb tags")
	case len(plan.fields) != len(elements):
		why := "it has " + strconv.Itoa(len(elements)) + " elements, for " + strconv.Itoa(len(plan.fields)) +
			" fields with pb tags"
		return mismatchBecause(src, dst.Type(), why)
	}
	for i := range plan.fields {
		f := &plan.fields[i]
		field, err := settableField(dst, f.index)
		if err != nil {
			return mismatchBecause(src, dst.Type(), err.Error())
		}
		if err := AssignerFor(f.typ).into(c, field, elements[i]); err != nil {
			return at("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// fields sets the fields of a struct. It looks up the name of each field, so that the work does not depend on the
// size of the dictionary, which may be mentioned often.
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

// settableField returns a field and allocates the embedded structs on the path to it.
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

// assignPointer allocates a variable, or uses the one that was allocated for the same source before.
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
	// SetMapIndex copies, so one variable serves for all keys and one for all values.
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

// mapSize is the approximate size of a map entry.
func mapSize(t reflect.Type) uintptr { return t.Key().Size() + t.Elem().Size() + 16 }

// setMap converts a set to a map of empty structs.
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

// plainEntries is like plainElements for maps.
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

// mapKey converts a key and checks that it is comparable. For a key of type any, bytes become a string.
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
	if text, ok := textOf(key); ok {
		return "[" + strconv.Quote(clip(text)) + "]"
	}
	if n, ok := key.(int64); ok {
		return "[" + strconv.FormatInt(n, 10) + "]"
	}
	return "<value " + strconv.Itoa(i) + ">"
}

// byValue copies the struct that src points to, an object of a registered class or a value of this package.
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
