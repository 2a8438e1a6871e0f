package flavors

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// keywordParam is the last parameter of a method when it takes keywords: a Kw, or a struct with pb tags (or a pointer
// to one).
type keywordParam struct {
	typ     reflect.Type // of the struct; nil for a Kw
	pointer bool
	fields  []keywordField
	byName  map[string]int
	// first can be filled by a dictionary: then a dictionary in its place is that field and not the whole struct.
	firstTakesDict bool
}

type keywordField struct {
	param
	index []int
}

func (k *keywordParam) count() int {
	if k == nil {
		return 0
	}
	return len(k.fields)
}

// find gives the place of the field with that name, or -1.
func (k *keywordParam) find(name string) int {
	if k == nil {
		return -1
	}
	if i, ok := k.byName[name]; ok {
		return i
	}
	return -1
}

// keywordParamFor looks whether a parameter of type t takes keywords. It gives nil for all other types.
//
// A field is called by its pb tag; fields without a tag take no part. A field must be given, unless the tag has the
// option omitempty (then it stays zero) or default=text, which comes last; a pointer field need never be given.
func keywordParamFor(t reflect.Type) (*keywordParam, error) {
	if t == reflect.TypeFor[Kw]() {
		return &keywordParam{}, nil
	}
	k := &keywordParam{typ: t, byName: map[string]int{}}
	if t.Kind() == reflect.Pointer {
		k.typ, k.pointer = t.Elem(), true
	}
	if k.typ.Kind() != reflect.Struct || isFlavor(t) {
		return nil, nil
	}
	fields, err := jelly.Fields(k.typ)
	if err != nil || len(fields) == 0 {
		return nil, err
	}
	for i, f := range fields {
		if behindPointer(k.typ, f.Index) {
			return nil, fmt.Errorf("field %s lies behind an embedded pointer, which nobody would set", f.Name)
		}
		field := keywordField{param: param{name: f.Name, typ: f.Type}, index: f.Index}
		if why := unfillable(f.Type); why != "" {
			return nil, fmt.Errorf("field %s: %s", f.Name, why)
		}
		if err := field.describeByTag(f.Options); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		k.byName[f.Name] = i
		k.fields = append(k.fields, field)
	}
	switch first := k.fields[0].typ; first.Kind() {
	case reflect.Interface, reflect.Map, reflect.Struct, reflect.Pointer:
		k.firstTakesDict = true
	}
	return k, nil
}

// describeByTag reads the options of a pb tag. The text of a default may hold commas, so it takes all that is left.
func (p *param) describeByTag(options []string) error {
	p.optional = p.typ.Kind() == reflect.Pointer
	for i, option := range options {
		if option == "omitempty" {
			p.optional = true
		}
		if text, ok := strings.CutPrefix(option, "default="); ok {
			text = strings.Join(append([]string{text}, options[i+1:]...), ",")
			def, err := parseDefault(p.typ, text)
			if err != nil {
				return err
			}
			p.optional, p.def = true, def
			break
		}
	}
	return nil
}

// behindPointer reports whether a promoted field lies in a struct that is embedded by pointer.
func behindPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

// parseDefault reads the text of a default for a parameter of type t. For a parameter of type any it is what it looks
// like: None, true, false, an integer, a float, and else a string.
func parseDefault(t reflect.Type, text string) (reflect.Value, error) {
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
		if text == "None" && nillable(t) {
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

func nillable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	}
	return false
}
