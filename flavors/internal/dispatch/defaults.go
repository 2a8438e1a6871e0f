package dispatch

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// ParseDefault parses a default for a parameter of type t. For an any, the text decides: None, true, false, an integer,
// a float, otherwise a string.
func ParseDefault(t reflect.Type, text string) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	bad := func(err error) (reflect.Value, error) {
		var e *strconv.NumError
		if errors.As(err, &e) {
			err = e.Err
		}
		return v, fmt.Errorf("%q is no %s: %w", text, t, err)
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return bad(err)
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 0, t.Bits())
		if err != nil {
			return bad(err)
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, err := strconv.ParseUint(text, 0, t.Bits())
		if err != nil {
			return bad(err)
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		x, err := strconv.ParseFloat(text, t.Bits())
		if err != nil {
			return bad(err)
		}
		v.SetFloat(x)
	case reflect.Interface:
		if t.NumMethod() != 0 {
			return v, fmt.Errorf("a %s cannot have a default", t)
		}
		if guess := guessDefault(text); guess != nil {
			v.Set(reflect.ValueOf(guess))
		}
	default:
		if text == "None" && Nillable(t) {
			return v, nil
		}
		return v, fmt.Errorf("a %s cannot have the default %q", t, text)
	}
	return v, nil
}

func guessDefault(text string) any {
	switch text {
	case "None":
		return nil
	case "True", "true":
		return true
	case "False", "false":
		return false
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil {
		return x
	}
	return text
}

func Nillable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	}
	return false
}
