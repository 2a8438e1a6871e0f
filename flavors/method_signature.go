package flavors

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/perspectivebroker/pb/actor"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
)

// method is a Go method that is called by reflection.
type method struct {
	wire  string
	label string // its name in errors, such as "Counter.incr()"
	fn    reflect.Value
	in    []reflect.Type // of all parameters, the receiver first
	signature
	results results
	frames  sync.Pool // of *frame

	directOnce sync.Once
	directly   *directMethod
}

// signature is the layout of a method's parameters. Positions count from the receiver, which is 0, so 0 means none.
type signature struct {
	ctxAt, invAt, perspectiveAt int

	firstArg int     // position of the first positional parameter
	fixed    []param // take one argument each
	named    bool    // at least one of fixed has a name

	keywordsAt int
	keywords   *keywordParam

	variadicAt int
	variadic   *param // of its elements

	// undecoded has a bit for each fixed parameter and, behind them, each keyword field that keeps its argument as it
	// came. keepsRest says that variadic does.
	undecoded uint64
	keepsRest bool
}

// param is one parameter, or one field that takes a keyword.
type param struct {
	name     string // "" if not given
	typ      reflect.Type
	optional bool
	def      reflect.Value // valid if optional with a default
}

// maxParams is the most parameters and keyword fields of a method. A mask of 64 bits records which were given.
const maxParams = 64

// compileMethod prepares m, a method of t with a prefix, for calls under a wire name. specs are the names and defaults
// of its positional parameters, such as "a" and "b=10".
func compileMethod(t reflect.Type, p Prefix, m reflect.Method, wire string, specs []string) (*method, error) {
	c := &method{wire: wire, label: dispatch.TypeName(t) + "." + wire + "()", fn: m.Func}
	fail := func(format string, args ...any) (*method, error) {
		return nil, fmt.Errorf("method %s: %s", m.Name, fmt.Sprintf(format, args...))
	}
	ft := m.Func.Type()
	for i := range ft.NumIn() {
		c.in = append(c.in, ft.In(i))
	}
	next := c.leading(1)
	if p == PrefixView {
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
		c.keepsRest = c.variadic.typ == relayedType
		if c.variadic.typ == lentType {
			return fail("its last parameter cannot be filled from the wire: %s", notAlone)
		}
		if why := unfillable(c.variadic.typ); why != "" {
			return fail("its last parameter cannot be filled from the wire: %s", why)
		}
	}
	// If all parameters are named, the last takes no keywords.
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
		c.keepIfRelayed(len(c.fixed), c.in[i])
		c.fixed = append(c.fixed, param{typ: c.in[i]})
	}
	for i := range c.keywords.count() {
		c.keepIfRelayed(len(c.fixed)+i, c.keywords.fields[i].typ)
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

// leading skips the parameters that do not come from the wire.
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

// maxContainers is how many containers within one another are looked through. A type such as []T named T has no end.
const maxContainers = 64

// actorByValue returns the actor type that a value of type t would contain by value; nil if there is none.
func actorByValue(t reflect.Type) reflect.Type {
	for range maxContainers {
		if k := t.Kind(); k != reflect.Slice && k != reflect.Array && k != reflect.Map {
			break
		}
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(reflect.TypeFor[anchored]()) {
		return t
	}
	return nil
}

// unfillable returns why no argument can have this type; "" if one can.
func unfillable(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[context.Context](), t == reflect.TypeFor[*Invocation]():
		return fmt.Sprintf("%s must come before the arguments, and once", t)
	case t == reflect.TypeFor[Kw]():
		return "flavors.Kw must be the last parameter, or the last before a variadic one"
	}
	if isHandle(t) {
		return fmt.Sprintf("the type %s is not copied: take a pointer", t)
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
		return fmt.Sprintf("nothing on the wire is a %s", t)
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		switch t.Elem() {
		case lentType:
			return notAlone
		case relayedType:
			return relayedNotAlone
		}
		switch t.Elem().Kind() {
		case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Uintptr, reflect.Complex64, reflect.Complex128:
			return fmt.Sprintf("nothing on the wire is a %s", t)
		}
	}
	if err := badTags(t); err != nil {
		return err.Error()
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

// notAlone is why a *Lent within a type cannot be filled.
const notAlone = "a *flavors.Lent is a parameter of its own"

// relayedNotAlone is why a *Relayed within a type cannot be filled.
const relayedNotAlone = "a *flavors.Relayed is a parameter of its own, or a keyword's field"

// isHandle reports whether t is a struct of which only pointers can be passed.
func isHandle(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[Invocation](), reflect.TypeFor[ViewPoint](), reflect.TypeFor[actor.Deferred](),
		reflect.TypeFor[Relayed](), reflect.TypeFor[Lent]():
		return true
	}
	return t.Kind() == reflect.Struct && reflect.PointerTo(t).Implements(reflect.TypeFor[Linkable]())
}

// nameParams sets the names and defaults of the positional parameters.
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

// describe sets a name, or a name with a default: "b=10".
func (p *param) describe(spec string) error {
	name, text, hasDefault := strings.Cut(spec, "=")
	p.name = name
	if !hasDefault {
		return nil
	}
	def, err := dispatch.ParseDefault(p.typ, text)
	if err != nil {
		return fmt.Errorf("the default of %s: %w", name, err)
	}
	p.optional, p.def = true, def
	return nil
}

// results is the layout of a method's results.
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
		if isHandle(t) {
			return r, fmt.Errorf("its result %d has the type %s, which is not copied: return a pointer", i+1, t)
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

// keywordParam is a last parameter that takes keywords: a Kw, a struct with pb tags, or a pointer to one.
type keywordParam struct {
	typ     reflect.Type // of the struct; nil for a Kw
	pointer bool
	fields  []keywordField
	byName  map[string]int
	// firstTakesDict means that the first field can be a dictionary. Then a dictionary in its place is the value of
	// that field, and not of the whole struct.
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

// find returns the index of the field with a name, or -1.
func (k *keywordParam) find(name string) int {
	if k == nil {
		return -1
	}
	if i, ok := k.byName[name]; ok {
		return i
	}
	return -1
}

// keywordParamFor returns how a parameter of type t takes keywords; nil if it does not.
//
// A field's keyword is its pb tag; fields without a tag are ignored. A field is required unless its tag has the option
// omitempty, which leaves it zero, or default=text, which must come last. Pointer fields are optional.
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
		if dispatch.BehindPointer(k.typ, f.Index) {
			return nil, fmt.Errorf("field %s lies behind an embedded pointer, which is never set", f.Name)
		}
		field := keywordField{param: param{name: f.Name, typ: f.Type}, index: f.Index}
		if f.Type == lentType {
			return nil, fmt.Errorf("field %s: %s", f.Name, notAlone)
		}
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

// describeByTag reads the options of a pb tag. A default is the rest of the tag, because its text may contain commas.
func (p *param) describeByTag(options []string) error {
	p.optional = p.typ.Kind() == reflect.Pointer
	for i, option := range options {
		if option == "omitempty" {
			p.optional = true
		}
		if text, ok := strings.CutPrefix(option, "default="); ok {
			text = strings.Join(append([]string{text}, options[i+1:]...), ",")
			def, err := dispatch.ParseDefault(p.typ, text)
			if err != nil {
				return err
			}
			p.optional, p.def = true, def
			break
		}
	}
	return nil
}

// frame is the memory for the parameters of one call. It is reused, because Call copies the parameters.
type frame struct {
	in   []reflect.Value // addressable except the receiver
	dst  []any           // pointers to in
	kw   reflect.Value   // the keyword struct
	seen uint64          // a bit for each fixed parameter, then for each keyword field, that was given
}

func (m *method) newFrame() *frame {
	f := &frame{in: make([]reflect.Value, len(m.in)), dst: make([]any, len(m.in))}
	for i, t := range m.in {
		if i == 0 {
			continue
		}
		p := reflect.New(t)
		f.in[i], f.dst[i] = p.Elem(), p.Interface()
	}
	return f
}

// isFlavor reports whether a type has its own encoding.
func isFlavor(t reflect.Type) bool {
	flavor := reflect.TypeFor[jelly.Jellyable]()
	if t.Kind() != reflect.Pointer {
		return t.Implements(flavor) || reflect.PointerTo(t).Implements(flavor)
	}
	return t.Implements(flavor)
}
