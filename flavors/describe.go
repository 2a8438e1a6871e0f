package flavors

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/usercode"
	"github.com/perspectivebroker/pb/supervision"
)

// MethodInfo describes a method to people.
type MethodInfo struct {
	// Name is the name on the wire.
	Name string `pb:"name"`
	// Signature is the method in a notation like that of Python: "order(article: str, n: int = 1) -> float". If it is
	// empty, what reflection finds is taken.
	Signature string `pb:"signature"`
	// Doc says what the method does.
	Doc string `pb:"doc"`
}

// Describer is implemented by objects that describe their methods, for peers that ask; see [Describe]. What code made
// by pb gen serves has the method. It is called outside of the object's turn, so it must not read what the object's
// methods change.
type Describer interface {
	DescribeMethods(p Prefix) []MethodInfo
}

// Describe describes the methods of v that peers can call, sorted by name. v is a pointer to a struct that embeds a
// flavor. What a [Describer] says comes first, for the rest reflection finds the types, and the names of parameters
// that have one (see [Publish]). Methods that v does not publish are left out; a [Handler] has those that it describes.
//
// Types are those of the wire: int, float, str, bytes, bool, list[T], dict[K, V], set[K], tuple, datetime and so on,
// ref for a reference, the name of a class for a copy, T? for a T or None, any. A parameter behind * is passed by name,
// one with = may be left out, *: T means any number of arguments, and ** any keywords.
func Describe(v any, p Prefix) (methods []MethodInfo, err error) {
	table, err := TableOf(v, p)
	if err != nil {
		return nil, err
	}
	if d, ok := v.(Describer); ok {
		if p := usercode.Do(func() { methods = slices.Clone(d.DescribeMethods(p)) }); p != nil {
			return nil, &PanicError{What: fmt.Sprintf("DescribeMethods of a %T", v), Value: p.Value, Stack: p.Stack}
		}
	}
	methods = slices.DeleteFunc(methods, func(m MethodInfo) bool {
		return table.lookup(m.Name).caller == nil && !table.handler
	})
	for _, name := range table.Names() {
		i := slices.IndexFunc(methods, func(m MethodInfo) bool { return m.Name == name })
		if i < 0 {
			methods = append(methods, MethodInfo{Name: name})
			i = len(methods) - 1
		}
		if methods[i].Signature == "" {
			methods[i].Signature = name + table.methods[name].describe()
		}
	}
	slices.SortFunc(methods, func(a, b MethodInfo) int { return strings.Compare(a.Name, b.Name) })
	return methods, nil
}

// describe returns the parameters and results of a method.
func (m *method) describe() string {
	results := make([]string, 0, m.results.values)
	t := m.fn.Type()
	for i := range m.results.values {
		results = append(results, typeText(t.Out(i), 0))
	}
	return m.signature.describe(results)
}

// describe returns the parameters and the result of a typed function.
func (c *typedCaller[T]) describe() string {
	switch {
	case c.whole != nil:
		return "(...)"
	case c.result == nil:
		return c.bound.describe(nil)
	}
	return c.bound.describe([]string{typeText(c.result, 0)})
}

func (s *signature) describe(results []string) string {
	var parts []string
	for i := range s.fixed {
		parts = append(parts, s.fixed[i].describeParam())
	}
	switch {
	case s.variadic != nil:
		parts = append(parts, "*: "+typeText(s.variadic.typ, 0))
	case s.keywords.count() > 0:
		parts = append(parts, "*")
	}
	for i := range s.keywords.count() {
		parts = append(parts, s.keywords.fields[i].describeParam())
	}
	if s.keywords != nil && s.keywords.typ == nil {
		parts = append(parts, "**")
	}
	text := "(" + strings.Join(parts, ", ") + ")"
	switch len(results) {
	case 0:
	case 1:
		text += " -> " + results[0]
	default:
		text += " -> (" + strings.Join(results, ", ") + ")"
	}
	return text
}

func (p *param) describeParam() string {
	text := typeText(p.typ, 0)
	if p.name != "" {
		text = p.name + ": " + text
	}
	switch {
	case p.optional && p.def.IsValid():
		text += " = " + jelly.Format(p.def.Interface())
	case p.optional:
		text += " = ..."
	}
	return text
}

// typeTexts are types with an encoding of their own.
var typeTexts = map[reflect.Type]string{
	reflect.TypeFor[jelly.Tuple](): "tuple", reflect.TypeFor[*jelly.Dict](): "dict", reflect.TypeFor[*jelly.Set](): "set",
	reflect.TypeFor[*jelly.FrozenSet](): "frozenset", reflect.TypeFor[*jelly.Decimal](): "Decimal",
	reflect.TypeFor[jelly.Decimal](): "Decimal", reflect.TypeFor[jelly.Date](): "date",
	reflect.TypeFor[jelly.TimeOfDay](): "time", reflect.TypeFor[jelly.Timedelta](): "timedelta",
	reflect.TypeFor[*actor.Deferred](): "any", reflect.TypeFor[*RemoteReference](): "ref",
	reflect.TypeFor[*ViewPoint](): "ref",
}

// maxTypeDepth bounds the text for types that contain themselves.
const maxTypeDepth = 6

// typeText returns the notation for a type.
func typeText(t reflect.Type, depth int) string {
	if text, ok := typeTexts[t]; ok {
		return text
	}
	if depth > maxTypeDepth {
		return "any"
	}
	depth++
	base := t
	if t.Kind() == reflect.Pointer {
		base = t.Elem()
	}
	switch {
	case t.PkgPath() == "time" && t.Name() == "Time":
		return "datetime"
	case t.PkgPath() == "time" && t.Name() == "Duration":
		return "timedelta"
	case base.PkgPath() == "math/big" && base.Name() == "Int":
		return "int"
	case embedsFlavor(base, nil):
		return flavorText(base)
	case base.PkgPath() == "net/url" && base.Name() == "URL", isText(t):
		return "str"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64:
		return "int"
	case reflect.Uint, reflect.Uint64:
		return "uint"
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return t.Kind().String()
	case reflect.Float32, reflect.Float64:
		return "float"
	case reflect.String:
		return "str"
	case reflect.Pointer:
		if text := typeText(t.Elem(), depth); text != "any" {
			return strings.TrimSuffix(text, "?") + "?"
		}
		return "any"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes"
		}
		return "list[" + typeText(t.Elem(), depth) + "]"
	case reflect.Map:
		key := typeText(t.Key(), depth)
		if e := t.Elem(); e.Kind() == reflect.Struct && e.NumField() == 0 {
			return "set[" + key + "]"
		}
		return "dict[" + key + ", " + typeText(t.Elem(), depth) + "]"
	case reflect.Struct:
		return dispatch.TypeName(t)
	}
	return "any"
}

// isText reports whether values of a type travel as text that they parse themselves.
func isText(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return t.Kind() != reflect.Pointer && p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) &&
		p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// flavorText returns the notation for a struct that embeds a flavor.
func flavorText(t reflect.Type) string {
	v := reflect.New(t).Interface()
	if a, ok := v.(anchored); ok {
		if a.branch() == supervision.Caches {
			return "cache[" + dispatch.TypeName(t) + "]"
		}
		return "ref[" + dispatch.TypeName(t) + "]"
	}
	return dispatch.TypeName(t)
}
