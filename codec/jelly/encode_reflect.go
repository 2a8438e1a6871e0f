package jelly

import (
	"cmp"
	"encoding"
	"math/big"
	"net/url"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
)

// encodeFunc writes values of one type.
type encodeFunc func(e *Encoder, v reflect.Value) error

// encodeFuncs caches the function for each type.
var encodeFuncs sync.Map // reflect.Type -> encodeFunc

// reflected writes a value of a type without a fast path.
func (e *Encoder) reflected(v any) error {
	r := reflect.ValueOf(v)
	return encodeFuncOf(r.Type())(e, r)
}

// reflectedValue writes an element or a field. If it is addressable, its address may be transferable.
func (e *Encoder) reflectedValue(v reflect.Value) error {
	return encodeFuncOf(v.Type())(e, v)
}

func encodeFuncOf(t reflect.Type) encodeFunc {
	if f, ok := encodeFuncs.Load(t); ok {
		return f.(encodeFunc)
	}
	f, _ := encodeFuncs.LoadOrStore(t, chooseEncodeFunc(t))
	return f.(encodeFunc)
}

var (
	jellyableType = reflect.TypeFor[Jellyable]()
	marshalerType = reflect.TypeFor[encoding.TextMarshaler]()
	knownStructs  = map[reflect.Type]bool{
		reflect.TypeFor[time.Time](): true, reflect.TypeFor[big.Int](): true, reflect.TypeFor[url.URL](): true,
		reflect.TypeFor[Date](): true, reflect.TypeFor[TimeOfDay](): true, reflect.TypeFor[Timedelta](): true,
		reflect.TypeFor[Decimal](): true, reflect.TypeFor[Method](): true,
		reflect.TypeFor[Persistent](): true, reflect.TypeFor[Unpersistable](): true,
	}
	// knownTypes are types that value handles.
	knownTypes = map[reflect.Type]bool{
		reflect.TypeFor[Tuple](): true, reflect.TypeFor[Class](): true, reflect.TypeFor[Module](): true,
		reflect.TypeFor[Function](): true, reflect.TypeFor[time.Duration](): true,
		reflect.TypeFor[*Dict](): true, reflect.TypeFor[*Set](): true, reflect.TypeFor[*FrozenSet](): true,
		reflect.TypeFor[*Instance](): true, reflect.TypeFor[*Decimal](): true, reflect.TypeFor[*big.Int](): true,
		reflect.TypeFor[*url.URL](): true, reflect.TypeFor[[]any](): true, reflect.TypeFor[map[string]any](): true,
		reflect.TypeFor[map[string]string](): true, reflect.TypeFor[map[string]int](): true,
		reflect.TypeFor[map[string]int64](): true, reflect.TypeFor[map[string]float64](): true,
		reflect.TypeFor[map[string]bool](): true,
	}
)

// knownPointers are types that value handles only as pointers; by value they mean the same.
var knownPointers = map[reflect.Type]bool{
	reflect.TypeFor[Dict](): true, reflect.TypeFor[Set](): true, reflect.TypeFor[FrozenSet](): true,
	reflect.TypeFor[Instance](): true,
}

// chooseEncodeFunc returns the function for a type: by its methods, then by what this package knows, then by its kind.
func chooseEncodeFunc(t reflect.Type) encodeFunc {
	switch {
	case t.Kind() == reflect.Interface, knownTypes[t], knownStructs[t]:
		return encodeDynamic
	case t.Implements(jellyableType) && t.Kind() == reflect.Struct:
		return encodeJellyable
	case t.Implements(jellyableType):
		return encodeDynamic
	case reflect.PointerTo(t).Implements(jellyableType):
		return encodeByAddress
	case knownPointers[t]:
		return encodeCopied
	}
	tagged := t.Kind() == reflect.Struct && (len(planOf(t).fields) > 0 || planOf(t).err != nil)
	switch {
	case tagged && planOf(t).encodes != nil:
		return encodeTorn
	case tagged:
		return func(e *Encoder, v reflect.Value) error {
			if err := e.mustHash("dictionary"); err != nil {
				return err
			}
			return e.fields(planOf(t), v)
		}
	case t.Kind() == reflect.Pointer:
		return encodePointer
	case t.Implements(marshalerType):
		return encodeText
	case reflect.PointerTo(t).Implements(marshalerType):
		return encodeTextByAddress
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(e *Encoder, v reflect.Value) error { e.Bool(v.Bool()); return nil }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(e *Encoder, v reflect.Value) error { e.Int(v.Int()); return nil }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(e *Encoder, v reflect.Value) error { e.Uint(v.Uint()); return nil }
	case reflect.Float32, reflect.Float64:
		return func(e *Encoder, v reflect.Value) error { e.Float(v.Float()); return nil }
	case reflect.String:
		return func(e *Encoder, v reflect.Value) error { return e.Str(v.String()) }
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return func(e *Encoder, v reflect.Value) error { return e.Bytes(v.Bytes()) }
		}
		if form := formOf(t.Elem()); form != nil {
			return form.encode
		}
		return encodeSlice
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return encodeByteArray
		}
		return encodeArray
	case reflect.Map:
		if isSetMap(t) {
			return encodeSetMap
		}
		return encodeMap
	}
	return encodeRefused
}

// encodeDynamic is for types that value handles.
func encodeDynamic(e *Encoder, v reflect.Value) error {
	if v.Kind() == reflect.Interface && v.IsNil() {
		e.None()
		return nil
	}
	return e.value(v.Interface())
}

// encodeJellyable is for structs that encode themselves. JellyTo gets a pointer; see Encoder.Pointer.
func encodeJellyable(e *Encoder, v reflect.Value) error {
	if v.CanAddr() {
		v = v.Addr()
	}
	return e.value(v.Interface())
}

// encodeCopied is for types that value handles only as pointers.
func encodeCopied(e *Encoder, v reflect.Value) error { return e.value(addressOf(v).Interface()) }

// encodeByAddress is for types whose pointers encode themselves.
func encodeByAddress(e *Encoder, v reflect.Value) error {
	if !v.CanAddr() {
		return refuse("%s is not transferable, but a pointer to it is: send *%s", v.Type(), v.Type())
	}
	return e.value(v.Addr().Interface())
}

// encodeTorn refuses a struct with tags that embeds a type with a JellyTo method but does not have that method itself.
func encodeTorn(_ *Encoder, v reflect.Value) error {
	t := v.Type()
	return refuse(
		"%s is not transferable: it embeds %s, which says itself how it is sent, but does not have its JellyTo method, "+
			"because another embedded type has one too: write a JellyTo method for %s, or make them fields with tags",
		t,
		planOf(t).encodes,
		t,
	)
}

func encodeText(e *Encoder, v reflect.Value) error {
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return &EncodeError{What: "its MarshalText failed", Err: err}
	}
	return e.Str(string(text))
}

func encodeTextByAddress(e *Encoder, v reflect.Value) error { return encodeText(e, addressOf(v)) }

// addressOf returns a pointer to v or to a copy of it.
func addressOf(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v.Addr()
	}
	held := reflect.New(v.Type())
	held.Elem().Set(v)
	return held
}

// encodePointer follows a pointer. A pointer to a struct with tags is an object and takes part in sharing; other
// pointers do not.
func encodePointer(e *Encoder, v reflect.Value) error {
	if v.IsNil() {
		e.None()
		return nil
	}
	to := v.Type().Elem()
	if e.ctx.PersistentStore != nil && to.Kind() == reflect.Struct {
		if id, ok := e.ctx.PersistentStore(v.Interface()); ok {
			if met, err := e.meet(reflectIdentity(v, 0)); met || err != nil {
				return err
			}
			return e.persistent(id)
		}
	}
	if to.Kind() == reflect.Struct && to.Size() > 0 && len(planOf(to).fields) > 0 && !knownStructs[to] {
		if err := e.mustHash("dictionary"); err != nil {
			return err
		}
		if met, err := e.meet(reflectIdentity(v, 0)); met || err != nil {
			return err
		}
	} else if to.Kind() == reflect.Struct && !v.Type().Implements(marshalerType) && !knownStructs[to] {
		return encodeRefused(e, v)
	}
	if e.nest++; e.nest > 2*e.lim.Depth {
		return invalid("the pointers of type %s form a cycle", v.Type())
	}
	err := e.reflectedValue(v.Elem())
	e.nest--
	return err
}

func reflectIdentity(v reflect.Value, n int) identity {
	return identity{at: v.UnsafePointer(), typ: typeNumber(v.Type()), len: n}
}

func encodeSlice(e *Encoder, v reflect.Value) error {
	if err := e.mustHash("list"); err != nil {
		return err
	}
	if v.Cap() > 0 && v.Type().Elem().Size() > 0 {
		if met, err := e.meet(reflectIdentity(v, v.Len())); met || err != nil {
			return err
		}
	}
	return e.elements(banana.SymList, v)
}

// encodeArray writes an array as a list, or as a tuple where it must be hashable: arrays can be keys in Go, lists
// cannot in Python.
func encodeArray(e *Encoder, v reflect.Value) error {
	if e.hashing {
		return e.elements(banana.SymTuple, v)
	}
	return e.elements(banana.SymList, v)
}

func (e *Encoder) elements(word banana.Symbol, v reflect.Value) error {
	n := v.Len()
	if err := e.begin(word, n); err != nil {
		return err
	}
	write := encodeFuncOf(v.Type().Elem())
	for i := range n {
		if err := write(e, v.Index(i)); err != nil {
			return underIndex(i, err)
		}
	}
	e.end()
	return nil
}

func encodeByteArray(e *Encoder, v reflect.Value) error {
	if v.CanAddr() {
		return e.Bytes(v.Bytes())
	}
	b := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(b), v)
	return e.Bytes(b)
}

// enterMap begins a map that is written as a dictionary or set. It reports whether the map was met before, and so is
// written.
func enterMap(e *Encoder, v reflect.Value, word string) (met bool, err error) {
	if err := e.mustHash(word); err != nil {
		return false, err
	}
	if !v.IsNil() {
		if met, err := e.meet(reflectIdentity(v, 0)); met || err != nil {
			return met, err
		}
	}
	return false, e.enter()
}

// encodeMap writes a map with sorted keys, so that equal maps give equal bytes. Keys without an order, such as
// pointers, come last, in the order of iteration.
func encodeMap(e *Encoder, v reflect.Value) error {
	if met, err := enterMap(e, v, "dictionary"); met || err != nil {
		return err
	}
	if err := e.open(banana.SymDictionary, v.Len()); err != nil {
		return err
	}
	pairs := sortedPairs(v)
	writeValue := encodeFuncOf(v.Type().Elem())
	for i, pair := range pairs {
		if err := e.List(2); err != nil {
			return err
		}
		was := e.hashing
		e.hashing = true
		if err := e.reflectedValue(pair.key); err != nil {
			return underNthKey(i, err)
		}
		e.hashing = was
		if err := writeValue(e, pair.value); err != nil {
			return underKey(basicKey(pair.key), err)
		}
		e.close()
	}
	e.end()
	return nil
}

// isSetMap reports whether maps of type t are sets: their values are empty structs without methods of their own.
func isSetMap(t reflect.Type) bool {
	elem := t.Elem()
	return elem.Kind() == reflect.Struct && elem.NumField() == 0 &&
		!reflect.PointerTo(elem).Implements(jellyableType) && !reflect.PointerTo(elem).Implements(marshalerType)
}

// encodeSetMap writes a map as a set, sorted as by encodeMap.
func encodeSetMap(e *Encoder, v reflect.Value) error {
	if met, err := enterMap(e, v, "set"); met || err != nil {
		return err
	}
	if err := e.openNamed("set", v.Len()); err != nil {
		return err
	}
	write := encodeFuncOf(v.Type().Key())
	was := e.hashing
	e.hashing = true
	for i, pair := range sortedPairs(v) {
		if err := write(e, pair.key); err != nil {
			return underIndex(i, err)
		}
	}
	e.hashing = was
	e.end()
	return nil
}

// sortedPairs returns the entries of a map in the order in which they are sent.
func sortedPairs(v reflect.Value) []mapPair {
	pairs := make([]mapPair, 0, v.Len())
	for key, value := range v.Seq2() {
		pairs = append(pairs, mapPair{key, value})
	}
	slices.SortStableFunc(pairs, func(a, b mapPair) int { return compareKeys(a.key, b.key) })
	return pairs
}

// mapPair is an entry of a map. Pairs are sorted rather than keys because a NaN cannot be looked up.
type mapPair struct{ key, value reflect.Value }

// basicKey returns a key for an error's path.
func basicKey(key reflect.Value) any {
	switch {
	case key.Kind() == reflect.Interface && !key.IsNil():
		return basicKey(key.Elem())
	case key.Kind() == reflect.String:
		return key.String()
	case key.CanInt():
		return key.Int()
	}
	return key.Interface()
}

// compareKeys orders the keys of a map: numbers, then strings, then the rest.
func compareKeys(a, b reflect.Value) int {
	a, b = concrete(a), concrete(b)
	if rank := cmp.Compare(keyRank(a), keyRank(b)); rank != 0 {
		return rank
	}
	switch {
	case !a.IsValid():
		return 0
	case a.Kind() == reflect.Bool:
		return cmp.Compare(boolNumber(a), boolNumber(b))
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	case a.CanFloat():
		return cmp.Compare(a.Float(), b.Float())
	case a.Kind() == reflect.String:
		return cmp.Compare(a.String(), b.String())
	case a.Kind() == reflect.Array:
		for i := range min(a.Len(), b.Len()) {
			if c := compareKeys(a.Index(i), b.Index(i)); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.Len(), b.Len())
	}
	return 0
}

func concrete(v reflect.Value) reflect.Value {
	if v.IsValid() && v.Kind() == reflect.Interface {
		return v.Elem()
	}
	return v
}

func keyRank(v reflect.Value) int {
	switch {
	case !v.IsValid():
		return 0
	case v.Kind() == reflect.Bool:
		return 1
	case v.CanInt():
		return 2
	case v.CanUint():
		return 3
	case v.CanFloat():
		return 4
	case v.Kind() == reflect.String:
		return 5
	case v.Kind() == reflect.Array:
		return 6
	}
	return 7
}

func boolNumber(v reflect.Value) int {
	if v.Bool() {
		return 1
	}
	return 0
}

// encodeRefused returns the error for a type that is not transferable.
func encodeRefused(_ *Encoder, v reflect.Value) error {
	t := v.Type()
	elem := t
	if t.Kind() == reflect.Pointer {
		elem = t.Elem()
	}
	if elem.Kind() == reflect.Struct {
		if first, second := twoEncoders(elem); second != nil {
			return refuse("%s is not transferable: it embeds %s and %s, which both say how it is sent: embed one of them, "+
				"and make the other a field with a name", t, first, second)
		}
		return refuse(
			"%s is not transferable: give it pb tags to send its fields, or a flavor to send a reference or a copy",
			t,
		)
	}
	return refuse("%s is not transferable", t)
}

// valueCopy is a struct that was passed by value and the pointer that stands for it.
type valueCopy struct {
	pointer any
	value   reflect.Value // not addressable
}

// Pointer returns self if it is a pointer, and otherwise a pointer to a copy of it. Only a pointer's method set
// includes methods with pointer receivers, so a JellyTo method must look for further methods on a pointer. The
// Encoder calls Pointer for every struct that it passes to a JellyTo method; a method that gets self from elsewhere
// calls it.
//
// The copy is valid until the JellyTo method returns. Fields treats its fields as not addressable, and so refuses those
// that can be sent only as pointers.
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

// IsCopy reports whether p points to a copy that Pointer made. Such a value must not be sent by reference, because
// nothing else refers to the copy.
func (e *Encoder) IsCopy(p any) bool {
	for i := range e.copies {
		if e.copies[i].pointer == p {
			return true
		}
	}
	return false
}

// fieldsOf returns the struct that v is or points to. For a copy it is the original, which is not addressable.
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

// twoEncoders returns the first two embedded types with a JellyTo method, of which Go promotes neither.
func twoEncoders(t reflect.Type) (first, second reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		encodes := f.Type.Implements(jellyableType) || reflect.PointerTo(f.Type).Implements(jellyableType)
		switch {
		case !f.Anonymous || !encodes:
		case first == nil:
			first = f.Type
		default:
			return first, f.Type
		}
	}
	return first, nil
}
