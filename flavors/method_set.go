package flavors

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Publisher is implemented by objects that choose which methods peers can call besides those with the prefix: under
// other names, with names and defaults for parameters, or as typed functions.
//
//	func (c *Calculator) PublishMethods(flavors.Prefix) flavors.MethodSet {
//		return flavors.Methods(
//			flavors.Publish("add", "RemoteAdd", "a", "b=10"),
//			flavors.Publish("model", "Model"), // promoted from an embedded Sensor
//			flavors.Hide("RemoteDebug"),
//		)
//	}
//
// A method with the prefix that is promoted from an embedded type without a flavor must be listed with [Publish] or
// [Hide], because its author may not have meant it for peers. Otherwise the object cannot be sent.
//
// PublishMethods is called once for each type and prefix, on a zero value of the type. Its result must not depend on
// anything else.
type Publisher interface {
	PublishMethods(p Prefix) MethodSet
}

// MethodSet is the result of a [Publisher], made by [Methods].
type MethodSet struct {
	entries []MethodEntry
	hidden  []string
}

// MethodEntry is an entry of a [MethodSet], made by [Publish], [Hide], [Func0], [Method0], [Proc0] and the like.
type MethodEntry interface {
	// publish adds the entry to the table of type t.
	publish(table *MethodTable, t reflect.Type) error
}

// Methods returns a MethodSet. Of several entries for a name, the last counts.
func Methods(entries ...MethodEntry) MethodSet {
	var s MethodSet
	for _, e := range entries {
		if e == nil {
			continue
		}
		if h, ok := e.(hidden); ok {
			s.hidden = append(s.hidden, h...)
			continue
		}
		s.entries = append(s.entries, e)
	}
	return s
}

func (s MethodSet) hides(goName string) bool { return slices.Contains(s.hidden, goName) }

// settles reports whether the set publishes the method under any name, or replaces it by a function.
func (s MethodSet) settles(goName string, p Prefix) bool {
	wire := goName[len(p):]
	return slices.ContainsFunc(s.entries, func(e MethodEntry) bool {
		switch e := e.(type) {
		case published:
			return e.goName == goName
		case interface{ wireName() string }:
			return e.wireName() == wire || e.wireName() == dispatch.LowerFirst(wire)
		}
		return false
	})
}

// publishedBy calls PublishMethods on a zero value of the type.
func publishedBy(t reflect.Type, p Prefix) (set MethodSet, err error) {
	if !t.Implements(reflect.TypeFor[Publisher]()) {
		return MethodSet{}, nil
	}
	v := reflect.Zero(t)
	if t.Kind() == reflect.Pointer {
		v = reflect.New(t.Elem())
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("PublishMethods panicked, called on a zero value: %s", usercode.PanicText(r))
		}
	}()
	return v.Interface().(Publisher).PublishMethods(p), nil
}

type published struct {
	wire, goName string
	params       []string
}

// Publish makes a Go method callable under a wire name. Any exported method can be published, including a promoted one.
// If the method also has a name by its prefix, that name remains; see [Hide].
//
// params name the positional parameters, beginning with the first, so that they can be given by keyword: "a", or "b=10"
// with a default. If all are named, a last parameter that would take keywords (a [Kw] or a struct with pb tags) is an
// ordinary argument.
func Publish(wire, goName string, params ...string) MethodEntry {
	return published{wire: wire, goName: goName, params: params}
}

func (e published) publish(table *MethodTable, t reflect.Type) error {
	m, ok := t.MethodByName(e.goName)
	if !ok {
		return fmt.Errorf(
			"method %s, to be published as %q: %s has no such method%s",
			e.goName, e.wire, t, nearestMethod(t, e.goName))
	}
	c, err := compileMethod(t, table.prefix, m, e.wire, e.params)
	if err != nil {
		return err
	}
	table.enter(e.wire, c)
	return nil
}

type hidden []string

// Hide keeps Go methods from being published by their prefix. The type must have each of them.
func Hide(goNames ...string) MethodEntry { return hidden(goNames) }

func (hidden) publish(*MethodTable, reflect.Type) error { return nil }

type tableKey struct {
	typ    reflect.Type
	prefix Prefix
}

type tableResult struct {
	table *MethodTable
	err   error
}

type tableCache struct{ m sync.Map }

// methodTables depends on types only, so all runtimes share it.
var methodTables tableCache

// TableOf returns the table of v's type for a prefix. Tests can use it to check what a type publishes. Calls do not
// need it.
func TableOf(v any, p Prefix) (*MethodTable, error) {
	if v == nil {
		return nil, errors.New("flavors: nil has no methods")
	}
	return methodsFor(reflect.TypeOf(v), p)
}

// methodsFor returns the table of a type for a prefix. The error names all methods whose signatures cannot be served.
func methodsFor(t reflect.Type, p Prefix) (*MethodTable, error) {
	key := tableKey{t, p}
	if r, ok := methodTables.m.Load(key); ok {
		return r.(tableResult).table, r.(tableResult).err
	}
	table, err := buildTable(t, p)
	r, _ := methodTables.m.LoadOrStore(key, tableResult{table, err})
	return r.(tableResult).table, r.(tableResult).err
}

func buildTable(t reflect.Type, p Prefix) (*MethodTable, error) {
	table := &MethodTable{typ: t, typeName: dispatch.TypeName(t), prefix: p, methods: map[string]caller{}}
	if err := callHooks.check(t); err != nil {
		return nil, fmt.Errorf("flavors: %w", err)
	}
	err := table.fill(t)
	table.number()
	for _, c := range table.methods {
		if c.parameters().keepsSome() {
			table.keeps = true
		}
	}
	if t.Implements(reflect.TypeFor[Handler]()) {
		// The methods of a handler are for Invoke only, so the error is returned there.
		table.handler, table.unfit = true, err
		return table, nil
	}
	if err != nil {
		return nil, err
	}
	return table, nil
}

// fill enters the methods of t.
func (t *MethodTable) fill(typ reflect.Type) error {
	p := t.prefix
	var errs []error
	set, err := publishedBy(typ, p)
	if err != nil {
		errs = append(errs, err)
	}
	for _, name := range set.hidden {
		if _, ok := typ.MethodByName(name); !ok {
			errs = append(errs, fmt.Errorf(
				"method %s, to be hidden: %s has no such method%s", name, typ, nearestMethod(typ, name)))
		}
	}
	methods, asked := wireMethods(typ, p, set)
	if len(asked) > 0 {
		errs = append(errs, askAbout(asked, p))
	}
	for _, m := range methods {
		name := dispatch.LowerFirst(m.Name[len(p):])
		c, err := compileMethod(typ, p, m, name, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.methods[m.Name[len(p):]] = c
		t.methods[name] = c
	}
	// Given names come last, so that a typed function can replace a method.
	for _, entry := range set.entries {
		if err := entry.publish(t, typ); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("flavors: %s cannot be published: %w", typ, errors.Join(errs...))
	}
	return nil
}

// exposure is what happens to a method whose name has the prefix.
type exposure uint8

const (
	exposed      exposure = iota // published under its name
	hiddenMethod                 // hidden by the type that has it
	unclear                      // must be listed
)

// wireMethods returns the methods of t that are published by their prefix, and those that must be listed. A method is
// published if t declares it, or if it is promoted from a type that embeds a flavor and publishes it by the same rule.
// The author of any other embedded type, or of an interface, may not have meant it for peers.
//
// Reflection cannot tell a method that t declares from an embedded one with the same name and signature. Such a method
// must be listed too, unless both would be published.
func wireMethods(t reflect.Type, p Prefix, set MethodSet) (methods, asked []reflect.Method) {
	for i := range t.NumMethod() {
		m := t.Method(i)
		if !carries(m.Name, p) {
			continue
		}
		switch exposureOf(t, m.Name, p, set, nil) {
		case exposed:
			methods = append(methods, m)
		case unclear:
			if !set.settles(m.Name, p) {
				asked = append(asked, m)
			}
		}
	}
	return methods, asked
}

// carries reports whether the name of a Go method begins with the prefix and then no lower-case letter: Remotely does
// not.
func carries(name string, p Prefix) bool {
	rest, ok := strings.CutPrefix(name, string(p))
	if !ok || rest == "" {
		return false
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return !unicode.IsLower(r)
}

// exposureOf decides about a method in the method set of t, whose own MethodSet is set. path has the types on the way
// to t, because types can embed each other in a cycle.
func exposureOf(t reflect.Type, name string, p Prefix, set MethodSet, path []reflect.Type) exposure {
	if set.hides(name) {
		return hiddenMethod
	}
	decision := exposed // t declares it, unless an embedded type has it
	path = append(path, t)
	for _, e := range dispatch.SourcesOf(t, name) {
		if slices.Contains(path, e) {
			continue // already being decided
		}
		if decision = max(decision, embeddedExposure(e, name, p, path)); decision == unclear {
			return unclear
		}
	}
	if decision == hiddenMethod {
		return unclear // t may declare a method of its own with that name
	}
	return exposed
}

// embeddedExposure is exposureOf for a type that is embedded.
func embeddedExposure(e reflect.Type, name string, p Prefix, path []reflect.Type) exposure {
	if e.Kind() == reflect.Interface || !embedsFlavor(e, nil) {
		return unclear
	}
	set, err := publishedBy(e, p)
	if err != nil {
		return unclear
	}
	return exposureOf(e, name, p, set, path)
}

// embedsFlavor reports whether a type is a flavor or embeds one, at any depth, so that its author meant it for peers. A
// JellyTo method alone does not show that.
func embedsFlavor(t reflect.Type, path []reflect.Type) bool {
	if slices.Contains(path, t) {
		return false
	}
	s := t
	if s.Kind() == reflect.Pointer {
		s = s.Elem()
	}
	if slices.Contains(theFlavors, s) {
		return true
	}
	for _, e := range dispatch.Embedded(t) {
		if e.Kind() != reflect.Interface && embedsFlavor(e, append(path, t)) {
			return true
		}
	}
	return false
}

// theFlavors are the flavors that embed no other.
var theFlavors = []reflect.Type{
	reflect.TypeFor[Copyable](), reflect.TypeFor[Referenceable](), reflect.TypeFor[Viewable](),
	reflect.TypeFor[Avatar](),
	reflect.TypeFor[Cacheable](), reflect.TypeFor[RemoteCache](),
}

// askAbout returns the error for methods that must be listed.
func askAbout(methods []reflect.Method, p Prefix) error {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = m.Name
	}
	wire := dispatch.LowerFirst(strings.TrimPrefix(names[0], string(p)))
	return fmt.Errorf(
		"it is not known whether peers may call %s: promoted from an embedded type that embeds no flavor, "+
			"or declared over such a method; list each in PublishMethods, "+
			"with flavors.Publish(%q, %q) or flavors.Hide(%q)",
		strings.Join(names, ", "),
		wire,
		names[0],
		names[0],
	)
}
