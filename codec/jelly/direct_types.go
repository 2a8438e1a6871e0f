package jelly

import (
	"bytes"
	"math"
	"math/big"
	"net/url"
	"reflect"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// hasOwnConversion reports whether values of a type are converted by a function of this package, not by their kind.
func hasOwnConversion(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[Timedelta](),
		reflect.TypeFor[big.Int](), reflect.TypeFor[Decimal](), reflect.TypeFor[url.URL](),
		reflect.TypeFor[Dict](), reflect.TypeFor[Set](), reflect.TypeFor[FrozenSet](), reflect.TypeFor[Tuple]():
		return true
	}
	return false
}

// mayGain reports whether a type of this kind may gain by being decoded directly.
func mayGain(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Struct || k == reflect.Slice || k == reflect.Map
}

// gainsDirectly reports whether the general value of a type is worth avoiding.
func gainsDirectly(t reflect.Type) bool {
	if hasOwnConversion(t) {
		return false
	}
	switch t.Kind() {
	case reflect.Pointer:
		return !hasOwnConversion(t.Elem()) && directStructOf(t.Elem()) != nil
	case reflect.Struct:
		return directStructOf(t) != nil
	case reflect.Slice:
		k := t.Elem().Kind()
		return k != reflect.Uint8 && k != reflect.Interface
	case reflect.Map:
		return isScalar(t.Key())
	}
	return false
}

// runsUserCode reports whether a conversion to a type may run code of the application, which must not run while a
// message is read.
func runsUserCode(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || hasOwnConversion(t) {
		return false
	}
	seen[t] = true
	if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(unmarshalerType) {
		return true
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return runsUserCode(t.Elem(), seen)
	case reflect.Map:
		return runsUserCode(t.Key(), seen) || runsUserCode(t.Elem(), seen)
	case reflect.Struct:
		plan := planOf(t)
		for i := range plan.fields {
			if runsUserCode(plan.fields[i].typ, seen) {
				return true
			}
		}
	}
	return false
}

// compileDirect returns the function for a type.
func compileDirect(t reflect.Type) directFunc {
	a := AssignerFor(t)
	if hasOwnConversion(t) {
		return a.directly
	}
	switch t.Kind() {
	case reflect.Interface:
		if t == reflect.TypeFor[any]() {
			return func(d *Decoder, at unsafe.Pointer) bool { return d.plain((*any)(at)) }
		}
	case reflect.Struct:
		if s := directStructOf(t); s != nil {
			return s.decode
		}
	case reflect.Pointer:
		if s := directStructOf(t.Elem()); s != nil && !hasOwnConversion(t.Elem()) {
			return func(d *Decoder, at unsafe.Pointer) bool { return s.pointer(d, a, at) }
		}
	case reflect.Slice:
		return compileSlice(t, a)
	case reflect.Map:
		if isScalar(t.Key()) {
			return compileMap(t, a)
		}
	}
	if f := compileScalar(t.Kind(), a); f != nil {
		return f
	}
	return a.directly
}

// directly decodes in the general way and converts.
func (a *Assigner) directly(d *Decoder, at unsafe.Pointer) bool { return d.convert(a, at) }

func compileScalar(k reflect.Kind, a *Assigner) directFunc {
	switch k {
	case reflect.Int:
		return directNumber(intOf[int])
	case reflect.Int8:
		return directNumber(intOf[int8])
	case reflect.Int16:
		return directNumber(intOf[int16])
	case reflect.Int32:
		return directNumber(intOf[int32])
	case reflect.Int64:
		return directNumber(intOf[int64])
	case reflect.Float64:
		return directNumber(floatOf)
	case reflect.Bool:
		return func(d *Decoder, at unsafe.Pointer) bool {
			b, ok := boolOf(d)
			if !ok {
				return d.convert(a, at)
			}
			*(*bool)(at) = b
			return true
		}
	case reflect.String:
		return func(d *Decoder, at unsafe.Pointer) bool {
			start := *d.r
			s, ok := stringOf(d)
			if !ok {
				*d.r = start
				return d.convert(a, at)
			}
			*(*string)(at) = s
			return true
		}
	}
	return nil
}

func directNumber[T any](of func(d *Decoder) (T, bool)) directFunc {
	return func(d *Decoder, at unsafe.Pointer) bool {
		n, ok := of(d)
		*(*T)(at) = n
		return ok
	}
}

func intOf[T ~int | ~int8 | ~int16 | ~int32 | ~int64](d *Decoder) (T, bool) {
	n, ok := d.r.TakeInt()
	if !ok {
		var t banana.Token
		if d.r.Read(&t) != nil || t.Kind != banana.Int {
			return 0, false
		}
		n = t.Int
	}
	return T(n), int64(T(n)) == n
}

func floatOf(d *Decoder) (float64, bool) {
	var t banana.Token
	if d.r.Read(&t) != nil {
		return 0, false
	}
	switch t.Kind {
	case banana.Float:
		return t.Float, true
	case banana.Int:
		return float64(t.Int), true
	}
	return math.NaN(), false
}

// The usual encodings of booleans.
const (
	trueBytes  = "\x02\x80\x07\x82boolean\x04\x82true"
	falseBytes = "\x02\x80\x07\x82boolean\x05\x82false"
)

// boolOf reads nothing if it is not ok.
func boolOf(d *Decoder) (b, ok bool) {
	if d.depth == 0 || !d.allowed[tagBoolean] {
		return false, false
	}
	if d.r.Take(trueBytes) {
		return true, true
	}
	return false, d.r.Take(falseBytes)
}

// usualText reads the bytes of a str in its usual encoding. They are not checked.
func (d *Decoder) usualText() ([]byte, bool) {
	if d.depth == 0 || !d.allowed[tagUnicode] || !d.r.Take("\x02\x80"+unicodeWord) {
		return nil, false
	}
	var t banana.Token
	if d.r.Read(&t) != nil || t.Kind != banana.String {
		return nil, false
	}
	return t.Bytes, true
}

func stringOf(d *Decoder) (string, bool) {
	b, ok := d.usualText()
	if !ok || !utf8.Valid(b) || !d.take(len(b), 1) {
		return "", false
	}
	if len(b) > cachedString {
		return string(b), true
	}
	s, ok := d.boxString(b).(string)
	return s, ok
}

// compileSlice returns the function for a type of slices.
func compileSlice(t reflect.Type, a *Assigner) directFunc {
	switch elem := t.Elem(); {
	case elem.Kind() == reflect.Uint8:
		return directBytes(a)
	case elem == reflect.TypeFor[string]():
		return directSlice(a, stringElem)
	case elem == reflect.TypeFor[float64]():
		return directSlice(a, floatOf)
	}
	elem := compiledFor(t.Elem())
	size := t.Elem().Size()
	if k := t.Elem().Kind(); (k == reflect.Int || k == reflect.Int64) && size == 8 && !hasOwnConversion(t.Elem()) {
		return compileInts(a)
	}
	return func(d *Decoder, at unsafe.Pointer) bool {
		word, n, ok := d.sequence()
		switch {
		case !ok:
			return d.convert(a, at)
		case !d.take(n, size):
			return false
		}
		slice := reflect.NewAt(t, at).Elem()
		makeSlice(slice, n)
		elems := slice.UnsafePointer()
		d.enter(word)
		for i := range n {
			if !elem.decode(d, unsafe.Add(elems, uintptr(i)*size)) {
				return false
			}
		}
		d.leave(word)
		return true
	}
}

// compileInts is for slices of integers of 64 bits.
func compileInts(a *Assigner) directFunc {
	return func(d *Decoder, at unsafe.Pointer) bool {
		word, n, ok := d.sequence()
		switch {
		case !ok:
			return d.convert(a, at)
		case !d.take(n, 8):
			return false
		}
		s := make([]int64, n)
		d.enter(word)
		for done := d.r.Ints(s); done < n; done++ {
			if s[done], ok = intOf[int64](d); !ok {
				return false
			}
		}
		d.leave(word)
		*(*[]int64)(at) = s
		return true
	}
}

// makeSlice stores a slice of n zero elements, without the header that reflect.MakeSlice allocates.
func makeSlice(slice reflect.Value, n int) {
	if n == 0 {
		slice.Set(reflect.MakeSlice(slice.Type(), 0, 0))
		return
	}
	slice.SetZero()
	slice.Grow(n)
	slice.SetLen(n)
	slice.SetCap(n)
}

// sequence reads the head of a list or tuple. It reads nothing if it is not ok.
func (d *Decoder) sequence() (word tag, n int, ok bool) {
	start := *d.r
	word, n, ok = d.open()
	if !ok || word != tagList && word != tagTuple {
		*d.r = start
		return 0, 0, false
	}
	return word, n, true
}

func stringElem(d *Decoder) (string, bool) {
	start := *d.r
	s, ok := stringOf(d)
	if !ok {
		*d.r = start
		if !d.plain(&d.direct.slot) || Assign(&s, d.direct.slot) != nil {
			return "", false
		}
	}
	return s, true
}

// directSlice is for slices whose elements need no reflection.
func directSlice[T any](a *Assigner, of func(d *Decoder) (T, bool)) directFunc {
	var zero T
	return func(d *Decoder, at unsafe.Pointer) bool {
		word, n, ok := d.sequence()
		switch {
		case !ok:
			return d.convert(a, at)
		case !d.take(n, unsafe.Sizeof(zero)):
			return false
		}
		d.enter(word)
		s := make([]T, n)
		for i := range s {
			if s[i], ok = of(d); !ok {
				return false
			}
		}
		d.leave(word)
		*(*[]T)(at) = s
		return true
	}
}

func directBytes(a *Assigner) directFunc {
	return func(d *Decoder, at unsafe.Pointer) bool {
		start := *d.r
		var t banana.Token
		if d.AliasFrom > 0 || d.r.Read(&t) != nil || t.Kind != banana.String || len(t.Bytes) == 0 {
			*d.r = start
			return d.convert(a, at)
		}
		if !d.take(len(t.Bytes), 1) {
			return false
		}
		*(*[]byte)(at) = bytes.Clone(t.Bytes)
		return true
	}
}

// pairs reads the head of a dictionary, for a variable that takes one. It reads nothing if it is not ok.
func (d *Decoder) pairs() (n int, ok bool) {
	start := *d.r
	word, n, ok := d.open()
	if !ok || word != tagDictionary {
		*d.r = start
		return 0, false
	}
	return n, true
}

// enterPairs begins with the pairs of a dictionary; leavePairs ends it.
func (d *Decoder) enterPairs(n int) bool {
	if n > len(d.r.Rest())/shortestPair || n > 0 && d.depth == 1 {
		return false
	}
	d.enter(tagDictionary)
	d.depth--
	return true
}

func (d *Decoder) leavePairs() {
	d.depth++
	d.leave(tagDictionary)
}

// nextPair reads the head of a pair.
func (d *Decoder) nextPair() bool {
	if d.r.Take("\x02\x80") {
		return true
	}
	var t banana.Token
	return d.r.Read(&t) == nil && t.Kind == banana.List && t.Int == 2
}

// compileMap returns the function for a type of maps with scalar keys.
func compileMap(t reflect.Type, a *Assigner) directFunc {
	if t.Key() == reflect.TypeFor[string]() {
		switch t.Elem() {
		case reflect.TypeFor[int]():
			return directMap(t, a, intOf[int])
		case reflect.TypeFor[int64]():
			return directMap(t, a, intOf[int64])
		case reflect.TypeFor[float64]():
			return directMap(t, a, floatOf)
		case reflect.TypeFor[string]():
			return directMap(t, a, stringElem)
		case reflect.TypeFor[any]():
			return directMap(t, a, anyOf)
		}
	}
	key, value, size := compiledFor(t.Key()), compiledFor(t.Elem()), mapSize(t)
	return func(d *Decoder, at unsafe.Pointer) bool {
		n, ok := d.pairs()
		switch {
		case !ok:
			return d.convert(a, at)
		case !d.enterPairs(n) || !d.take(n, size):
			return false
		}
		made := reflect.MakeMapWithSize(t, n)
		k, v := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
		for range n {
			k.SetZero()
			v.SetZero()
			if !d.nextPair() || !key.decode(d, k.Addr().UnsafePointer()) || !value.decode(d, v.Addr().UnsafePointer()) {
				return false
			}
			made.SetMapIndex(k, v)
		}
		d.leavePairs()
		reflect.NewAt(t, at).Elem().Set(made)
		return true
	}
}

func anyOf(d *Decoder) (v any, ok bool) {
	d.direct.slot = nil
	ok = d.plain(&d.direct.slot)
	return d.direct.slot, ok
}

// directMap is for maps that need no reflection.
func directMap[V any](t reflect.Type, a *Assigner, of func(d *Decoder) (V, bool)) directFunc {
	size := mapSize(t)
	return func(d *Decoder, at unsafe.Pointer) bool {
		n, ok := d.pairs()
		switch {
		case !ok:
			return d.convert(a, at)
		case !d.enterPairs(n) || !d.take(n, size):
			return false
		}
		made := make(map[string]V, n)
		for range n {
			if !d.nextPair() {
				return false
			}
			name, ok := stringElem(d)
			if !ok {
				return false
			}
			if made[name], ok = of(d); !ok {
				return false
			}
		}
		d.leavePairs()
		*(*map[string]V)(at) = made
		return true
	}
}
