package jelly

import (
	"encoding"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"reflect"
	"time"
	"unicode/utf8"
	"unsafe"
)

var unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()

// chooseAssign returns the function for a target type. It stores values that are assignable without conversion.
func chooseAssign(t reflect.Type) assignFunc {
	convert := chooseConversion(t)
	if t.Kind() == reflect.Interface {
		return func(_ *assignment, dst reflect.Value, src any) error {
			if src == nil {
				dst.SetZero()
				return nil
			}
			v := reflect.ValueOf(src)
			if !v.Type().AssignableTo(t) {
				return mismatchBecause(src, t, "it does not have the methods")
			}
			dst.Set(v)
			return nil
		}
	}
	if isScalar(t) {
		return convert // It accepts its own type, and no other type is assignable.
	}
	return func(c *assignment, dst reflect.Value, src any) error {
		if src != nil {
			if v := reflect.ValueOf(src); v.Type() == t || v.Type().AssignableTo(t) {
				dst.Set(v)
				return nil
			}
		}
		if c.depth++; c.depth > maxAssignDepth {
			return mismatchBecause(src, t, "it is nested too deeply")
		}
		err := convert(c, dst, src)
		c.depth--
		return err
	}
}

func chooseConversion(t reflect.Type) assignFunc {
	switch t {
	case reflect.TypeFor[time.Time]():
		return assignTime
	case reflect.TypeFor[time.Duration]():
		return assignDuration
	case reflect.TypeFor[Timedelta]():
		return assignTimedelta
	case reflect.TypeFor[big.Int]():
		return assignBig
	case reflect.TypeFor[Decimal]():
		return assignDecimal
	case reflect.TypeFor[url.URL]():
		return assignURL
	}
	if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(unmarshalerType) {
		return assignText(t)
	}
	return chooseByKind(t)
}

func chooseByKind(t reflect.Type) assignFunc {
	switch t.Kind() {
	case reflect.Bool:
		return assignBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return assignInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return assignUint
	case reflect.Float32, reflect.Float64:
		return assignFloat
	case reflect.String:
		return assignString
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return assignBytes
		}
		return assignSlice
	case reflect.Array:
		return assignArray
	case reflect.Map:
		return assignMap
	case reflect.Struct:
		return assignStruct
	case reflect.Pointer:
		return assignPointer
	}
	return assignNothing
}

func assignNothing(_ *assignment, dst reflect.Value, src any) error {
	return mismatch(src, dst.Type())
}

func assignBool(_ *assignment, dst reflect.Value, src any) error {
	switch b := src.(type) {
	case bool:
		dst.SetBool(b)
		return nil
	case int64: // Python programs use 0 and 1 for truth values.
		if b != 0 && b != 1 {
			return mismatchBecause(src, dst.Type(), "it is neither 0 nor 1")
		}
		dst.SetBool(b == 1)
		return nil
	}
	if v := reflect.ValueOf(src); v.IsValid() && v.Kind() == reflect.Bool {
		dst.SetBool(v.Bool())
		return nil
	}
	return mismatch(src, dst.Type())
}

func assignInt(_ *assignment, dst reflect.Value, src any) error {
	n, ok := src.(int64)
	if !ok {
		switch v := reflect.ValueOf(src); {
		case isBig(src):
			return outOfRange(src, dst)
		case !v.IsValid():
			return mismatch(src, dst.Type())
		case v.CanInt():
			n = v.Int()
		case v.CanUint():
			if v.Uint() > math.MaxInt64 {
				return outOfRange(src, dst)
			}
			n = int64(v.Uint())
		default:
			return mismatch(src, dst.Type())
		}
	}
	if dst.OverflowInt(n) {
		return outOfRange(src, dst)
	}
	dst.SetInt(n)
	return nil
}

func assignUint(_ *assignment, dst reflect.Value, src any) error {
	var n uint64
	switch v := reflect.ValueOf(src); {
	case isBig(src):
		b := src.(*big.Int)
		if !b.IsUint64() {
			return outOfRange(src, dst)
		}
		n = b.Uint64()
	case !v.IsValid():
		return mismatch(src, dst.Type())
	case v.CanInt():
		if v.Int() < 0 {
			return outOfRange(src, dst)
		}
		n = uint64(v.Int())
	case v.CanUint():
		n = v.Uint()
	default:
		return mismatch(src, dst.Type())
	}
	if dst.OverflowUint(n) {
		return outOfRange(src, dst)
	}
	dst.SetUint(n)
	return nil
}

func isBig(src any) bool {
	b, ok := src.(*big.Int)
	return ok && b != nil
}

func outOfRange(src any, dst reflect.Value) error {
	return mismatchBecause(src, dst.Type(), "it is out of range")
}

func assignFloat(_ *assignment, dst reflect.Value, src any) error {
	var f float64
	switch v := reflect.ValueOf(src); {
	case isBig(src):
		f, _ = new(big.Float).SetInt(src.(*big.Int)).Float64()
	case !v.IsValid():
		return mismatch(src, dst.Type())
	case v.CanFloat():
		f = v.Float()
	case v.CanInt() && v.Type() != reflect.TypeFor[time.Duration]():
		f = float64(v.Int())
	case v.CanUint():
		f = float64(v.Uint())
	default:
		d, ok := src.(*Decimal)
		if !ok || d == nil {
			return mismatch(src, dst.Type())
		}
		f = d.Float64()
	}
	if dst.OverflowFloat(f) && !math.IsInf(f, 0) {
		return outOfRange(src, dst)
	}
	dst.SetFloat(f)
	return nil
}

// assignString also accepts bytes, which Python 2 peers send for text.
func assignString(c *assignment, dst reflect.Value, src any) error {
	switch x := src.(type) {
	case string:
		dst.SetString(x)
	case []byte:
		k := bytesKey(x, dst.Type())
		if v, ok := c.remembered(k); ok {
			dst.Set(v)
			return nil
		}
		if !utf8.Valid(x) {
			return mismatchBecause(src, dst.Type(), "it is not valid UTF-8")
		}
		dst.SetString(string(x))
		c.remember(k, valueOf(dst))
	case Class, Module, Function:
		dst.SetString(reflect.ValueOf(src).String())
	default:
		if v := reflect.ValueOf(src); v.IsValid() && v.Kind() == reflect.String {
			dst.SetString(v.String())
			return nil
		}
		return mismatch(src, dst.Type())
	}
	return nil
}

// assignBytes also accepts str, as UTF-8.
func assignBytes(c *assignment, dst reflect.Value, src any) error {
	switch x := src.(type) {
	case nil:
		dst.SetZero()
	case []byte:
		dst.SetBytes(x)
	case string:
		k := stringKey(x, dst.Type())
		if v, ok := c.remembered(k); ok {
			dst.Set(v)
			return nil
		}
		dst.SetBytes([]byte(x))
		c.remember(k, valueOf(dst))
	default:
		if _, ok := numbersOf(src); ok || isSequence(src) {
			return assignSlice(c, dst, src)
		}
		return mismatch(src, dst.Type())
	}
	return nil
}

// valueOf returns a copy of the current value of a variable.
func valueOf(variable reflect.Value) reflect.Value {
	v := reflect.New(variable.Type()).Elem()
	v.Set(variable)
	return v
}

// bytesKey returns the key for a conversion of bytes. Short ones have none.
func bytesKey(b []byte, t reflect.Type) madeKey {
	if len(b) < cheapBytes {
		return madeKey{}
	}
	return madeKey{identity{at: unsafe.Pointer(unsafe.SliceData(b)), len: len(b)}, t}
}

func stringKey(s string, t reflect.Type) madeKey {
	if len(s) < cheapBytes {
		return madeKey{}
	}
	return madeKey{identity{at: unsafe.Pointer(unsafe.StringData(s)), len: len(s)}, t}
}

func assignTime(c *assignment, dst reflect.Value, src any) error {
	if date, ok := src.(Date); ok {
		dst.Set(reflect.ValueOf(date.Time()))
		return nil
	}
	return assignText(dst.Type())(c, dst, src)
}

func assignDuration(_ *assignment, dst reflect.Value, src any) error {
	if span, ok := src.(time.Duration); ok {
		dst.SetInt(int64(span))
		return nil
	}
	delta, ok := src.(Timedelta)
	if !ok {
		return mismatch(src, dst.Type())
	}
	span, ok := delta.Duration()
	if !ok {
		return mismatchBecause(src, dst.Type(), "it is out of range: jelly.Timedelta holds it")
	}
	dst.SetInt(int64(span))
	return nil
}

func assignTimedelta(_ *assignment, dst reflect.Value, src any) error {
	span, ok := src.(time.Duration)
	if !ok {
		return mismatch(src, dst.Type())
	}
	dst.Set(reflect.ValueOf(TimedeltaOf(span)))
	return nil
}

func assignBig(_ *assignment, dst reflect.Value, src any) error {
	n := dst.Addr().Interface().(*big.Int)
	switch v := reflect.ValueOf(src); {
	case isBig(src):
		n.Set(src.(*big.Int))
	case v.IsValid() && v.CanInt() && v.Type() != reflect.TypeFor[time.Duration]():
		n.SetInt64(v.Int())
	case v.IsValid() && v.CanUint():
		n.SetUint64(v.Uint())
	default:
		return mismatch(src, dst.Type())
	}
	return nil
}

func assignDecimal(_ *assignment, dst reflect.Value, src any) error {
	d := dst.Addr().Interface().(*Decimal)
	switch x := src.(type) {
	case *Decimal:
		if x == nil {
			return mismatch(nil, dst.Type())
		}
		d.coefficient.Set(&x.coefficient)
		d.exponent = x.exponent
	case int64:
		d.coefficient.SetInt64(x)
		d.exponent = 0
	case *big.Int:
		if x == nil {
			return mismatch(nil, dst.Type())
		}
		d.coefficient.Set(x)
		d.exponent = 0
	default:
		return mismatch(src, dst.Type())
	}
	return nil
}

func assignURL(c *assignment, dst reflect.Value, src any) error {
	text, ok := textOf(src)
	if !ok {
		return mismatch(src, dst.Type())
	}
	if err := c.parse(src, dst.Type(), len(text)); err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err != nil {
		return &AssignError{Source: TypeName(src), Target: dst.Type().String(), Err: err}
	}
	dst.Set(reflect.ValueOf(*u))
	return nil
}

// assignText is for TextUnmarshalers. Values that are not text are converted by the type's kind.
func assignText(t reflect.Type) assignFunc {
	byKind := chooseByKind(t)
	return func(c *assignment, dst reflect.Value, src any) error {
		text, ok := textOf(src)
		if !ok {
			return byKind(c, dst, src)
		}
		if err := c.parse(src, t, len(text)); err != nil {
			return err
		}
		into := dst.Addr().Interface().(encoding.TextUnmarshaler)
		if err := protect(func() error { return into.UnmarshalText([]byte(text)) }); err != nil {
			return &AssignError{Source: TypeName(src), Target: t.String(), Err: err}
		}
		return nil
	}
}

// parse counts n bytes of text before they are parsed.
func (c *assignment) parse(src any, t reflect.Type, n int) error {
	c.text += n
	if c.copies {
		c.parseAgain(src, t, n)
	}
	if max(c.text, c.repeated) > maxUnmarshalText {
		return mismatchBecause(src, t, fmt.Sprintf("more than %d bytes of text would have to be parsed", maxUnmarshalText))
	}
	return nil
}

// parseAgain counts text that was parsed for the same type before. The frame bounds the text of each copy.
func (c *assignment) parseAgain(src any, t reflect.Type, n int) {
	k := textKey(src, t)
	if _, before := c.remembered(k); before {
		c.repeated += n
	} else {
		c.remember(k, reflect.Value{})
	}
}

func textKey(src any, t reflect.Type) madeKey {
	switch x := src.(type) {
	case string:
		return stringKey(x, t)
	case []byte:
		return bytesKey(x, t)
	}
	return madeKey{}
}

func textOf(src any) (string, bool) {
	switch x := src.(type) {
	case string:
		return x, true
	case []byte:
		return string(x), true
	}
	return "", false
}
