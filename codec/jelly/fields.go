package jelly

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/codec/banana"
)

// field is a struct field with a tag.
type field struct {
	name      string
	index     []int // path through embedded structs
	goName    string
	typ       reflect.Type
	omitEmpty bool
	options   []string
}

// structPlan describes the fields of a struct type with pb tags.
type structPlan struct {
	fields []field
	byName map[string]int
	err    error
	// encodes is an embedded type with a JellyTo method. If the outer struct does not have that method, because
	// several such types are embedded, it must not be sent as fields.
	encodes reflect.Type
}

// Field describes a struct field with a pb tag.
type Field struct {
	// Name is the name on the wire, Index the path for reflect.Value.FieldByIndex.
	Name  string
	Index []int
	// Type is the field's type.
	Type reflect.Type
	// Options are the parts of the tag after the name.
	Options []string
}

// Fields returns the fields of a struct type that have a pb tag, in order, including those of embedded structs. It
// returns none if t is not a struct. The error reports two fields with one name, a tagged field that is not
// exported, or an unknown option in a tag.
func Fields(t reflect.Type) ([]Field, error) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil, nil
	}
	plan := planOf(t)
	out := make([]Field, len(plan.fields))
	for i, f := range plan.fields {
		out[i] = Field{Name: f.name, Index: slices.Clone(f.index), Type: f.typ, Options: slices.Clone(f.options)}
	}
	return out, plan.err
}

// plans caches the plan of each type.
var plans sync.Map // reflect.Type -> *structPlan

func planOf(t reflect.Type) *structPlan {
	if p, ok := plans.Load(t); ok {
		return p.(*structPlan)
	}
	plan := &structPlan{byName: map[string]int{}}
	plan.collect(t, nil, map[reflect.Type]bool{})
	p, _ := plans.LoadOrStore(t, plan)
	return p.(*structPlan)
}

// collect adds the fields of t, which is at index in the outermost struct.
func (p *structPlan) collect(t reflect.Type, index []int, seen map[reflect.Type]bool) {
	if seen[t] {
		return // It embeds a pointer to itself.
	}
	seen[t] = true
	defer delete(seen, t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("pb")
		name, rest, more := strings.Cut(tag, ",")
		path := append(slices.Clone(index), i)
		if !tagged && f.Anonymous {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			// Fields cannot be set through an embedded pointer to an unexported type.
			if inner.Kind() == reflect.Struct && (f.IsExported() || f.Type.Kind() == reflect.Struct) {
				if p.encodes == nil && reflect.PointerTo(inner).Implements(jellyableType) {
					p.encodes = inner
				}
				p.collect(inner, path, seen)
			}
			continue
		}
		if !tagged || name == "-" {
			continue
		}
		if !f.IsExported() {
			p.fail(fmt.Errorf("field %s of %s has a pb tag but is not exported", f.Name, t))
			continue
		}
		if name == "" {
			name = f.Name
		}
		var options []string
		if more {
			options = strings.Split(rest, ",")
		}
		if bad, ok := unknownOption(options); ok {
			p.fail(fmt.Errorf("field %s of %s has the option %q in its pb tag; the options are omitempty and, at the end, "+
				"default=VALUE", f.Name, t, bad))
			continue
		}
		p.add(field{name: name, index: path, goName: f.Name, typ: f.Type,
			omitEmpty: slices.Contains(options, "omitempty"), options: options}, t)
	}
}

// unknownOption returns an option of a tag that has no meaning. What follows default= belongs to it.
func unknownOption(options []string) (bad string, found bool) {
	for _, option := range options {
		if strings.HasPrefix(option, "default=") {
			return "", false
		}
		if option != "omitempty" {
			return option, true
		}
	}
	return "", false
}

// add adds a field. As in Go, a less deeply nested field hides others with its name.
func (p *structPlan) add(f field, t reflect.Type) {
	i, ok := p.byName[f.name]
	if !ok {
		p.byName[f.name] = len(p.fields)
		p.fields = append(p.fields, f)
		return
	}
	switch other := p.fields[i]; {
	case len(f.index) < len(other.index):
		p.fields[i] = f
	case len(f.index) == len(other.index):
		p.fail(fmt.Errorf("two fields of %s have the name %q in their pb tags", t, f.name))
	}
}

func (p *structPlan) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Fields writes a dictionary of the fields with pb tags of v, a struct or a pointer to one, even if v is Jellyable. The
// dictionary does not take part in sharing.
func (e *Encoder) Fields(v any) error {
	r := e.fieldsOf(v)
	if r.Kind() != reflect.Struct {
		return refuse("%T is not a struct", v)
	}
	return e.fields(planOf(r.Type()), r)
}

func (e *Encoder) fields(plan *structPlan, r reflect.Value) error {
	if plan.err != nil {
		return invalid("%v", plan.err)
	}
	n := 0
	for i := range plan.fields {
		if _, ok := plan.fields[i].in(r); ok {
			n++
		}
	}
	if err := e.begin(banana.SymDictionary, n); err != nil {
		return err
	}
	for i := range plan.fields {
		f := &plan.fields[i]
		v, ok := f.in(r)
		if !ok {
			continue
		}
		if err := e.namedPair(f.name); err != nil {
			return under("."+f.goName, err)
		}
		if err := e.reflectedValue(v); err != nil {
			return under("."+f.goName, err)
		}
		e.close()
	}
	e.end()
	return nil
}

// in returns the field of the struct r. It returns false if the field is omitted: it is empty and has omitempty, or
// is in an embedded struct whose pointer is nil.
func (f *field) in(r reflect.Value) (reflect.Value, bool) {
	if len(f.index) == 1 {
		r = r.Field(f.index[0])
	} else {
		for i, n := range f.index {
			if i > 0 && r.Kind() == reflect.Pointer {
				if r.IsNil() {
					return reflect.Value{}, false
				}
				r = r.Elem()
			}
			r = r.Field(n)
		}
	}
	if f.omitEmpty && isEmpty(r) {
		return reflect.Value{}, false
	}
	return r, true
}

// isEmpty reports whether omitempty omits v: as in encoding/json, but a struct is empty if it is zero.
func isEmpty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return v.Len() == 0
	}
	return v.IsZero()
}
