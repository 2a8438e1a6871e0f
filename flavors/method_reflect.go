package flavors

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// bind assigns arguments as Python does: by position, then by name, then defaults.
func (m *method) bind(f *frame, inv *Invocation) error {
	if m.keywords != nil && m.keywords.typ != nil {
		m.keywordStruct(f)
	}
	own := min(len(inv.Args), len(m.fixed))
	for i, arg := range inv.Args[:own] {
		if err := assign(f.dst[m.firstArg+i], arg); err != nil {
			return m.argumentError(i, err)
		}
	}
	f.seen = 1<<own - 1
	if extra := inv.Args[own:]; m.variadic != nil {
		if err := m.bindVariadic(f, extra); err != nil {
			return err
		}
	} else if len(extra) > 0 {
		whole, err := m.bindExtra(f, extra, len(inv.Args), inv.Kw == nil)
		if err != nil || whole {
			return err
		}
	}
	if inv.Kw != nil {
		if err := m.bindKeywords(f, inv.Kw, true); err != nil {
			return err
		}
	}
	return m.bindDefaults(f)
}

// keywordStruct returns the keyword struct of the frame, which is zero.
func (m *method) keywordStruct(f *frame) reflect.Value {
	f.kw = f.in[m.keywordsAt]
	if m.keywords.pointer {
		// The method may keep the struct.
		f.kw.Set(reflect.New(m.keywords.typ))
		f.kw = f.kw.Elem()
	}
	return f.kw
}

// bindVariadic converts the remaining arguments in one Assign, which converts what they share only once.
func (m *method) bindVariadic(f *frame, extra []any) error {
	if len(extra) == 0 {
		return nil
	}
	dst := f.in[m.variadicAt]
	if all, ok := f.dst[m.variadicAt].(*[]any); ok {
		*all = slices.Clone(extra)
		return nil
	}
	err := jelly.AssignerFor(dst.Type()).Assign(dst, extra)
	var bad *jelly.AssignError
	if !usercode.AsInto(err, &bad) {
		return err
	}
	// The path begins with the index among the extra arguments.
	index, path, found := strings.Cut(strings.TrimPrefix(bad.Path, "["), "]")
	i, notNumber := strconv.Atoi(index)
	if !found || notNumber != nil {
		return TypeError.Errorf("%s: %w", m.label, err)
	}
	inner := *bad
	inner.Path = path
	return m.argumentError(len(m.fixed)+i, &inner)
}

// bindExtra assigns further positional arguments to the fields of the keyword struct, in order. A single argument that
// is such a struct is the whole struct, and so is a dictionary if the first field cannot take one. It reports whether
// nothing is left to bind.
func (m *method) bindExtra(f *frame, extra []any, given int, noKeywords bool) (whole bool, err error) {
	k := m.keywords
	if k == nil || k.typ == nil {
		return false, m.tooMany(given, len(m.fixed))
	}
	if len(extra) == 1 && noKeywords {
		if done := m.bindWhole(f, extra[0]); done {
			return true, nil
		}
		if d, ok := extra[0].(*jelly.Dict); ok && !k.firstTakesDict {
			return false, m.bindKeywords(f, d, false)
		}
	}
	if len(extra) > len(k.fields) {
		return false, m.tooMany(given, len(m.fixed)+len(k.fields))
	}
	for i, arg := range extra {
		if err := m.setField(f, i, arg); err != nil {
			return false, m.argumentError(len(m.fixed)+i, err)
		}
	}
	return false, nil
}

// bindWhole takes an argument of the struct's own type, such as a copy of a registered class.
func (m *method) bindWhole(f *frame, arg any) bool {
	if arg == nil {
		return false
	}
	v := reflect.ValueOf(arg)
	dst := f.in[m.keywordsAt]
	switch {
	case v.Type() == dst.Type():
	case v.Type() == m.keywords.typ: // the parameter is a pointer to it
		f.kw.Set(v)
		return true
	case v.Kind() == reflect.Pointer && !v.IsNil() && v.Type().Elem() == dst.Type():
		v = v.Elem()
	default:
		return false
	}
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return false
	}
	dst.Set(v)
	return true
}

func (m *method) setField(f *frame, i int, arg any) error {
	field := &m.keywords.fields[i]
	if err := assign(f.kw.FieldByIndex(field.index).Addr().Interface(), arg); err != nil {
		return err
	}
	f.seen |= 1 << (len(m.fixed) + i)
	return nil
}

// bindKeywords assigns by name, without params only to fields of the keyword struct. Of equal names the last counts, as
// in Python; the others are not converted.
func (m *method) bindKeywords(f *frame, kw *jelly.Dict, params bool) error {
	byPosition, byName := f.seen, f.seen
	entries := kw.Entries()
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		name, ok := kwName(e.Key)
		if !ok {
			return TypeError.Errorf("%s: the name of a keyword must be a str, not a %T", m.label, e.Key)
		}
		at, known := m.placeOf(name, params)
		switch {
		case known && byPosition&(1<<at) != 0:
			return TypeError.Errorf("%s argument %s was given twice, by position and by keyword", m.label, name)
		case known && byName&(1<<at) != 0:
		case known:
			if err := m.assignAt(f, at, e.Value); err != nil {
				return TypeError.Errorf("%s argument %s: %w", m.label, name, err)
			}
			f.seen |= 1 << at
			byName |= 1 << at
		case m.keywords != nil && m.keywords.typ == nil:
			m.bindRest(f, name, e.Value)
		default:
			return m.unknownKeyword(name)
		}
	}
	return nil
}

// placeOf returns the index of the parameter for a keyword. Fields of the keyword struct are counted after the fixed
// parameters.
func (s *signature) placeOf(name string, params bool) (at int, known bool) {
	if params {
		if i := s.paramNamed(name); i >= 0 {
			return i, true
		}
	}
	if i := s.keywords.find(name); i >= 0 {
		return len(s.fixed) + i, true
	}
	return 0, false
}

func (m *method) assignAt(f *frame, at int, v any) error {
	if at < len(m.fixed) {
		return assign(f.dst[m.firstArg+at], v)
	}
	return m.setField(f, at-len(m.fixed), v)
}

func (m *method) bindRest(f *frame, name string, v any) {
	p := f.dst[m.keywordsAt].(*Kw)
	if *p == nil {
		*p = Kw{}
	}
	if _, later := (*p)[name]; !later {
		(*p)[name] = v
	}
}

func (s *signature) paramNamed(name string) int {
	if !s.named || name == "" {
		return -1
	}
	return slices.IndexFunc(s.fixed, func(p param) bool { return p.name == name })
}

// bindDefaults sets the parameters that were not given to their defaults. A missing one without a default is an error.
func (m *method) bindDefaults(f *frame) error {
	for i := range m.fixed {
		p := &m.fixed[i]
		switch {
		case f.seen&(1<<i) != 0:
		case !p.optional:
			return TypeError.New(m.label + " misses argument " + strconv.Itoa(i+1) + p.inBrackets())
		case p.def.IsValid():
			f.in[m.firstArg+i].Set(p.def)
		}
	}
	for i := range m.keywords.count() {
		p := &m.keywords.fields[i]
		switch {
		case f.seen&(1<<(len(m.fixed)+i)) != 0:
		case !p.optional:
			return TypeError.New(m.label + " misses argument " + p.name)
		case p.def.IsValid():
			f.kw.FieldByIndex(p.index).Set(p.def)
		}
	}
	return nil
}

// argumentError adds the argument's position, from 1, and its name to an error.
func (m *method) argumentError(i int, err error) error {
	var p param
	switch {
	case i < len(m.fixed):
		p = m.fixed[i]
	case m.variadic == nil && i-len(m.fixed) < m.keywords.count():
		p = m.keywords.fields[i-len(m.fixed)].param
	}
	return TypeError.Errorf("%s argument %d%s: %w", m.label, i+1, p.inBrackets(), explainView(err))
}

func (p *param) inBrackets() string {
	if p.name == "" {
		return ""
	}
	return " (" + p.name + ")"
}

func (m *method) tooMany(given, most int) error {
	return TypeError.Errorf("%s takes %s, %d were given", m.label, countArguments(most), given)
}

func countArguments(n int) string {
	switch n {
	case 0:
		return "no positional arguments"
	case 1:
		return "at most 1 positional argument"
	}
	return "at most " + strconv.Itoa(n) + " positional arguments"
}

func (m *method) unknownKeyword(name string) error {
	var known []string
	for _, p := range m.fixed {
		if p.name != "" {
			known = append(known, p.name)
		}
	}
	for i := range m.keywords.count() {
		known = append(known, m.keywords.fields[i].name)
	}
	knows := "it takes no keywords"
	if len(known) > 0 {
		knows = "it knows " + strings.Join(known, ", ")
	}
	return TypeError.Errorf("%s: unknown keyword %q; %s", m.label, clipText(name, maxQuotedName), knows)
}

// release clears the frame and returns it to the pool. It is not called after a panic.
func (m *method) release(f *frame) {
	f.in[0] = reflect.Value{}
	for _, v := range f.in[1:] {
		v.SetZero()
	}
	f.kw, f.seen = reflect.Value{}, 0
	m.frames.Put(f)
}

// keeps implements caller.
func (m *method) keeps() bool { return m.invAt != 0 }

// parameters implements caller.
func (m *method) parameters() *signature { return &m.signature }

// call implements caller.
func (m *method) call(recv any, inv *Invocation) (any, error) {
	f, filled := inv.direct.takeFrame()
	if !filled {
		f = m.frames.Get().(*frame)
	}
	f.in[0] = reflect.ValueOf(recv)
	if err := m.prepare(f, inv, filled); err != nil {
		m.release(f)
		return nil, err
	}
	var out []reflect.Value
	if m.variadic != nil {
		out = m.fn.CallSlice(f.in)
	} else {
		out = m.fn.Call(f.in)
	}
	m.release(f)
	return m.results.collect(out)
}

// prepare fills the frame from the invocation. If it is filled, it has the arguments already.
func (m *method) prepare(f *frame, inv *Invocation, filled bool) error {
	if m.keepsSome() {
		m.keepValues(inv)
	}
	if m.ctxAt != 0 {
		*f.dst[m.ctxAt].(*context.Context) = inv.Context()
	}
	if m.invAt != 0 {
		*f.dst[m.invAt].(**Invocation) = inv
	}
	if m.perspectiveAt != 0 {
		if err := m.setPerspective(f.in[m.perspectiveAt], inv.Perspective()); err != nil {
			return err
		}
	}
	if filled {
		return m.bindDefaults(f)
	}
	simple := m.keywords == nil && m.variadic == nil && inv.Kw == nil
	if !simple || len(inv.Args) != len(m.fixed) {
		return m.bind(f, inv)
	}
	for i, arg := range inv.Args {
		if err := assign(f.dst[m.firstArg+i], arg); err != nil {
			return m.argumentError(i, err)
		}
	}
	return nil
}

// setPerspective sets the perspective parameter. A missing perspective, or one of another type, is an error, so that
// the method does not run.
func (m *method) setPerspective(dst reflect.Value, perspective any) error {
	t := dst.Type()
	if isMissing(perspective) {
		if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
			dst.SetZero()
			return nil
		}
		return TypeError.Errorf("%s wants the caller's perspective, a %s, but the call came without one", m.label, t)
	}
	v := reflect.ValueOf(perspective)
	if !v.Type().AssignableTo(t) {
		return TypeError.Errorf("%s is for callers with the perspective %s, not %s", m.label, t, v.Type())
	}
	dst.Set(v)
	return nil
}

// isMissing reports whether there is no perspective, or a nil one.
func isMissing(perspective any) bool {
	if perspective == nil {
		return true
	}
	v := reflect.ValueOf(perspective)
	return dispatch.Nillable(v.Type()) && v.IsNil()
}

// collect returns the results as one value, a tuple if there are several.
func (r results) collect(out []reflect.Value) (any, error) {
	if r.hasError {
		if err, _ := out[r.values].Interface().(error); err != nil {
			return nil, err
		}
	}
	switch r.values {
	case 0:
		return nil, nil
	case 1:
		return result(out[0].Interface()), nil
	}
	tuple := make(jelly.Tuple, r.values)
	for i := range tuple {
		tuple[i] = out[i].Interface()
	}
	return tuple, nil
}

// result returns v, and nil for a nil *Deferred.
func result(v any) any {
	if d, ok := v.(*actor.Deferred); ok && d == nil {
		return nil
	}
	return v
}
