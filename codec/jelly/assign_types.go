package jelly

import (
	"encoding"
	"fmt"
	"math/big"
	"net/url"
	"reflect"
	"runtime/debug"
	"time"
)

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
		return &AssignError{Source: pythonName(src), Target: dst.Type().String(), Err: err}
	}
	dst.Set(reflect.ValueOf(*u))
	return nil
}

// assignText is for types that read their own text. What is no text goes by the type's kind.
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
		if err := unmarshalText(dst, text); err != nil {
			return &AssignError{Source: pythonName(src), Target: t.String(), Err: err}
		}
		return nil
	}
}

// unmarshalText calls the user's method, whose panic must not end the connection.
func unmarshalText(dst reflect.Value, text string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return dst.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
}

// parse counts text that will be parsed.
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

// parseAgain counts what has been parsed for the same type before. What each copy brings along is bounded by the frame.
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
