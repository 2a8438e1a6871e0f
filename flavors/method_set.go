package flavors

import (
	"fmt"
	"reflect"
	"slices"

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
