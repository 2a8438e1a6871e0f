package flavors

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Publisher is implemented by objects that say themselves which of their methods peers may call, in addition to those
// that bear the prefix: under other names, with names and defaults for parameters, or as typed functions.
//
//	func (c *Calculator) PublishMethods(flavors.Prefix) flavors.MethodSet {
//		return flavors.Methods(
//			flavors.Publish("add", "RemoteAdd", "a", "b=10"),
//			flavors.Publish("model", "Model"), // promoted from an embedded Sensor
//			flavors.Hide("RemoteDebug"),
//		)
//	}
//
// A method that bears the prefix and is promoted from an embedded type that embeds no flavor must be listed, with
// [Publish] or [Hide]: nobody knows whether its author meant it for peers. Without that the object cannot be sent.
//
// PublishMethods is called once for each type and prefix, on a zero value of the type: what it returns must depend on
// nothing else.
type Publisher interface {
	PublishMethods(p Prefix) MethodSet
}

// MethodSet is what a Publisher returns.
type MethodSet struct {
	entries []MethodEntry
	hidden  []string
}

// MethodEntry is one line of a MethodSet: [Publish], [Hide], [Func0], [Proc0] and their like.
type MethodEntry interface {
	// publish enters it into the table of type t.
	publish(table *MethodTable, t reflect.Type) error
}

// Methods makes a MethodSet. Where two entries give one name, the later one counts.
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

// settles reports whether the set publishes the method, under any wire name, or has a function in its place.
func (s MethodSet) settles(goName string, p Prefix) bool {
	wire := goName[len(p):]
	return slices.ContainsFunc(s.entries, func(e MethodEntry) bool {
		switch e := e.(type) {
		case published:
			return e.goName == goName
		case interface{ wireName() string }:
			return e.wireName() == wire || e.wireName() == lowerFirst(wire)
		}
		return false
	})
}

// publishedBy asks a zero value of the type.
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

// Publish makes a Go method callable under a wire name. Any exported method will do, whatever its name and wherever it
// comes from: so methods are renamed, and promoted ones let through. If the method has a published name of its own
// already, that one stays (see [Hide]) and gets the same parameter names if the two are equal.
//
// params name the positional parameters from the first on, as far as they are given by keyword: "a", or "b=10" for one
// with a default. Naming all of them makes a last parameter that would take keywords (a [Kw], a struct with pb tags) an
// ordinary argument.
func Publish(wire, goName string, params ...string) MethodEntry {
	return published{wire: wire, goName: goName, params: params}
}

func (e published) publish(table *MethodTable, t reflect.Type) error {
	m, ok := t.MethodByName(e.goName)
	if !ok {
		return fmt.Errorf("method %s, to be published as %q: %s has no such method", e.goName, e.wire, t)
	}
	c, err := compileMethod(table, t, m, e.wire, e.params)
	if err != nil {
		return err
	}
	table.enter(e.wire, c)
	return nil
}

// enter adds a given name. It stands in for the Go method of that name, so that other spellings find it too.
func (t *MethodTable) enter(wire string, c caller) {
	if raised := raiseFirst(wire); t.methods[raised] != nil {
		t.methods[raised] = c
	}
	t.methods[wire] = c
}

type hidden []string

// Hide keeps Go methods from being published by their prefix. Each must be a method of the type: a misspelt name would
// hide nothing.
func Hide(goNames ...string) MethodEntry { return hidden(goNames) }

func (hidden) publish(*MethodTable, reflect.Type) error { return nil }

// exposure says what becomes of a method whose name carries the prefix.
type exposure uint8

const (
	exposed      exposure = iota // callable under its name
	hiddenMethod                 // kept back by the author of the type that has it
	unclear                      // nobody has said whether peers may call it
)

// wireMethods lists the methods of t whose authors have published them by naming them with the prefix, and apart from
// these the ones of which that is not known. A method is published if the type declares it, or if the type embeds it
// from a type that embeds a flavor and publishes it by the same rule. Whoever wrote any other embedded type, or an
// interface, may have known nothing of peers.
//
// A method that t declares over an embedded one of the same signature looks like the promoted one: reflection cannot
// tell them apart. So it is not known either, unless both would be published.
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

// carries reports whether the name of a Go method begins with the prefix. Remotely is a word, not the method "ly".
func carries(name string, p Prefix) bool {
	rest, ok := strings.CutPrefix(name, string(p))
	if !ok || rest == "" {
		return false
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return !unicode.IsLower(r)
}

// exposureOf decides about the named method, which is in the method set of t. set is what t says itself. path has the
// types on the way to t, since types can embed one another in a circle.
func exposureOf(t reflect.Type, name string, p Prefix, set MethodSet, path []reflect.Type) exposure {
	if set.hides(name) {
		return hiddenMethod
	}
	decision := exposed // where nothing is embedded that has the method, t declares it
	path = append(path, t)
	for _, e := range sourcesOf(t, name) {
		if slices.Contains(path, e) {
			continue // What e has of the method is what is being asked about.
		}
		if decision = max(decision, embeddedExposure(e, name, p, path)); decision == unclear {
			return unclear
		}
	}
	if decision == hiddenMethod {
		return unclear // t may have declared a method of its own over the hidden one.
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

// sourcesOf lists the types embedded in t from which t may have the named method. One that has it with another
// signature, or for other receivers, is no source: then t declares the method, or has it from elsewhere.
func sourcesOf(t reflect.Type, name string) []reflect.Type {
	have, ok := methodType(t, name)
	if !ok {
		return nil
	}
	var sources []reflect.Type
	for _, e := range embedded(t) {
		if typ, ok := methodType(e, name); ok && typ == have && sameReceivers(t, e, name) {
			sources = append(sources, e)
		}
	}
	return sources
}

// methodType returns the type of a method as a function without its receiver.
func methodType(t reflect.Type, name string) (reflect.Type, bool) {
	m, ok := t.MethodByName(name)
	if !ok {
		return nil, false
	}
	if t.Kind() == reflect.Interface {
		return m.Type, true
	}
	return withoutReceiver(m.Type), true
}

// sameReceivers reports whether t, without its pointer, has the method exactly if e, without the pointer that t's makes
// of it, has it. So it is for a promoted method.
func sameReceivers(t, e reflect.Type, name string) bool {
	if t.Kind() != reflect.Pointer {
		return true
	}
	_, byValue := t.Elem().MethodByName(name)
	if !embedsByPointer(t.Elem(), e) && e.Kind() == reflect.Pointer {
		e = e.Elem()
	}
	_, embeddedByValue := e.MethodByName(name)
	return byValue == embeddedByValue
}

// embedsByPointer reports whether a struct has an embedded field of the very type e, rather than of what e points to.
func embedsByPointer(s, e reflect.Type) bool {
	for i := range s.NumField() {
		if f := s.Field(i); f.Anonymous && f.Type == e {
			return true
		}
	}
	return false
}

// embedded lists the types from which t may have promoted methods: as pointers where t can take the address, interfaces
// as they are.
func embedded(t reflect.Type) []reflect.Type {
	s := t
	addressable := false
	if s.Kind() == reflect.Pointer {
		s, addressable = s.Elem(), true
	}
	if s.Kind() != reflect.Struct {
		return nil
	}
	var types []reflect.Type
	for i := range s.NumField() {
		f := s.Field(i)
		if !f.Anonymous {
			continue
		}
		ft := f.Type
		if addressable && ft.Kind() != reflect.Pointer && ft.Kind() != reflect.Interface {
			ft = reflect.PointerTo(ft)
		}
		types = append(types, ft)
	}
	return types
}

// embedsFlavor reports whether a type is a flavor or embeds one, at any depth: then its author wrote it for peers. A
// JellyTo method alone does not say that.
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
	for _, e := range embedded(t) {
		if e.Kind() != reflect.Interface && embedsFlavor(e, append(path, t)) {
			return true
		}
	}
	return false
}

// theFlavors are those that embed no other.
var theFlavors = []reflect.Type{
	reflect.TypeFor[Copyable](), reflect.TypeFor[Referenceable](), reflect.TypeFor[Viewable](), reflect.TypeFor[Avatar](),
	reflect.TypeFor[Cacheable](), reflect.TypeFor[RemoteCache](),
}

// isFlavor reports whether a type says itself how it is sent: by reference, by copy or as a cache.
func isFlavor(t reflect.Type) bool {
	flavor := reflect.TypeFor[jelly.Jellyable]()
	if t.Kind() != reflect.Pointer {
		return t.Implements(flavor) || reflect.PointerTo(t).Implements(flavor)
	}
	return t.Implements(flavor)
}

// askAbout is the error for methods of which nobody has said whether peers may call them.
func askAbout(methods []reflect.Method, p Prefix) error {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = m.Name
	}
	wire := lowerFirst(strings.TrimPrefix(names[0], string(p)))
	return fmt.Errorf(
		"it is not known whether peers may call %s: promoted from an embedded type that embeds no flavor, "+
			"or declared over such a method; list each in PublishMethods, with flavors.Publish(%q, %q) or flavors.Hide(%q)",
		strings.Join(names, ", "),
		wire,
		names[0],
		names[0],
	)
}
