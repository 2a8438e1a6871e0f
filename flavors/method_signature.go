package flavors

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/actor"
)

// method is a Go method that is called by reflection.
type method struct {
	wire  string
	label string // "Counter.incr()", how errors name it
	fn    reflect.Value
	in    []reflect.Type // of all parameters, the receiver first
	signature
	results results
	frames  sync.Pool // of *frame
}

// signature says what stands where among a method's parameters. Positions count the receiver as 0; 0 means that there
// is none.
type signature struct {
	ctxAt, invAt, perspectiveAt int

	firstArg int     // position of the first positional parameter
	fixed    []param // those that take one argument each
	named    bool    // at least one of fixed has a name

	keywordsAt int
	keywords   *keywordParam

	variadicAt int
	variadic   *param // of its elements
}

// param is one parameter, or one field that takes a keyword.
type param struct {
	name     string // "" where Go has not told and the object has not either
	typ      reflect.Type
	optional bool
	def      reflect.Value // set only if optional, and not the zero value
}

// maxParams is how many parameters and keyword fields a method may have; a mask of 64 bits notes which have been given.
const maxParams = 64

// compileMethod makes m, in the method set of t, callable under a wire name. specs name its positional parameters, with
// defaults: "a", "b=10".
func compileMethod(table *MethodTable, t reflect.Type, m reflect.Method, wire string, specs []string) (*method, error) {
	c := &method{wire: wire, label: table.typeName + "." + wire + "()", fn: m.Func}
	fail := func(format string, args ...any) (*method, error) {
		return nil, fmt.Errorf("method %s: %s", m.Name, fmt.Sprintf(format, args...))
	}
	ft := m.Func.Type()
	for i := range ft.NumIn() {
		c.in = append(c.in, ft.In(i))
	}
	next := c.leading(1)
	if table.prefix == PrefixView {
		if next >= len(c.in) || ft.IsVariadic() && next == len(c.in)-1 {
			return fail("a View method takes the caller's perspective as its first parameter")
		}
		c.perspectiveAt = next
		next++
	}
	end := len(c.in)
	if ft.IsVariadic() {
		end--
		c.variadicAt = end
		c.variadic = &param{typ: c.in[end].Elem()}
		if why := unfillable(c.variadic.typ); why != "" {
			return fail("its last parameter cannot be filled from the wire: %s", why)
		}
	}
	// As many names as there are parameters say that the last is an argument as well, whatever its type.
	if end > next && len(specs) < end-next {
		k, err := keywordParamFor(c.in[end-1])
		if err != nil {
			return fail("its keyword parameter %s: %v", c.in[end-1], err)
		}
		if k != nil {
			end--
			c.keywordsAt, c.keywords = end, k
		}
	}
	c.firstArg = next
	for i := next; i < end; i++ {
		if why := unfillable(c.in[i]); why != "" {
			return fail("parameter %d cannot be filled from the wire: %s", i, why)
		}
		c.fixed = append(c.fixed, param{typ: c.in[i]})
	}
	if err := c.nameParams(specs); err != nil {
		return fail("%v", err)
	}
	if n := len(c.fixed) + c.keywords.count(); n > maxParams {
		return fail("it takes %d parameters and keywords; %d is the most", n, maxParams)
	}
	var err error
	if c.results, err = resultsOf(ft); err != nil {
		return fail("%v", err)
	}
	c.frames.New = func() any { return c.newFrame() }
	return c, nil
}

// leading skips over the parameters that do not come from the wire.
func (m *method) leading(next int) int {
	for ; next < len(m.in); next++ {
		switch m.in[next] {
		case reflect.TypeFor[context.Context]():
			if m.ctxAt != 0 {
				return next
			}
			m.ctxAt = next
		case reflect.TypeFor[*Invocation]():
			if m.invAt != 0 {
				return next
			}
			m.invAt = next
		default:
			return next
		}
	}
	return next
}

// actorByValue returns the type of which a value of type t would have a copy although it is an actor, and nil if there
// is none.
func actorByValue(t reflect.Type) reflect.Type {
	for k := t.Kind(); k == reflect.Slice || k == reflect.Array || k == reflect.Map; k = t.Kind() {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(reflect.TypeFor[anchored]()) {
		return t
	}
	return nil
}

// unfillable says why no argument can have this type.
func unfillable(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[context.Context](), t == reflect.TypeFor[*Invocation]():
		return fmt.Sprintf("%s must come before the arguments, and once", t)
	case t == reflect.TypeFor[Kw]():
		return "flavors.Kw must be the last parameter, or the last before a variadic one"
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Sprintf("nothing on the wire is a %s", t)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		switch t.Elem().Kind() {
		case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
			return fmt.Sprintf("nothing on the wire is a %s", t)
		}
	}
	if by := actorByValue(t); by != nil {
		return fmt.Sprintf(
			"a %s is not copied: take a *%s, or the *flavors.RemoteReference or *flavors.Cached that is received",
			by,
			by,
		)
	}
	return ""
}

// nameParams gives the positional parameters their names and defaults.
func (s *signature) nameParams(specs []string) error {
	if len(specs) > len(s.fixed) {
		return fmt.Errorf("%d names for %d parameters", len(specs), len(s.fixed))
	}
	for i, spec := range specs {
		if err := s.fixed[i].describe(spec); err != nil {
			return err
		}
		if i > 0 && s.fixed[i-1].optional && !s.fixed[i].optional {
			return fmt.Errorf("parameter %s has no default, but the one before it has", s.fixed[i].name)
		}
		if s.fixed[i].name == "" {
			continue
		}
		s.named = true
		for _, other := range s.fixed[:i] {
			if other.name == s.fixed[i].name {
				return fmt.Errorf("two parameters are called %s", other.name)
			}
		}
		if s.keywords.find(s.fixed[i].name) >= 0 {
			return fmt.Errorf("both a parameter and a keyword field are called %s", s.fixed[i].name)
		}
	}
	if n := len(specs); n > 0 && n < len(s.fixed) && s.fixed[n-1].optional {
		return fmt.Errorf("parameter %s has a default, but the one behind it has no name", s.fixed[n-1].name)
	}
	return nil
}

// describe takes a name, or a name with a default: "b=10".
func (p *param) describe(spec string) error {
	name, text, hasDefault := strings.Cut(spec, "=")
	p.name = name
	if !hasDefault {
		return nil
	}
	def, err := parseDefault(p.typ, text)
	if err != nil {
		return fmt.Errorf("the default of %s: %w", name, err)
	}
	p.optional, p.def = true, def
	return nil
}

// results says what a method returns.
type results struct {
	values   int
	hasError bool
}

func resultsOf(ft reflect.Type) (results, error) {
	var r results
	r.values = ft.NumOut()
	if n := r.values; n > 0 && ft.Out(n-1) == reflect.TypeFor[error]() {
		r.hasError = true
		r.values--
	}
	for i := range r.values {
		t := ft.Out(i)
		switch t.Kind() {
		case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128:
			return r, fmt.Errorf("its result %d, a %s, cannot be sent", i+1, t)
		}
		if r.values > 1 && t == reflect.TypeFor[*actor.Deferred]() {
			return r, fmt.Errorf(
				"its result %d is a Deferred among other values; return one Deferred that completes with a jelly.Tuple",
				i+1,
			)
		}
		if t == reflect.TypeFor[error]() {
			return r, fmt.Errorf("its result %d is an error; an error is returned last", i+1)
		}
	}
	return r, nil
}
