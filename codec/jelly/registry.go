package jelly

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// ClassKind is the way in which objects of a class are sent.
type ClassKind uint8

const (
	// RemoteCopy is a copy: [class state].
	RemoteCopy ClassKind = iota
	// RemoteCache is the first occurrence of a cache: [class luid state].
	RemoteCache
	// Reference is a reference that carries a class, and possibly more: [class luid], [class extra… luid].
	Reference
	// Elements is an object that is made from all its elements: [class a b c…].
	Elements
)

// ClassEntry describes a class to a Registry.
type ClassEntry struct {
	Kind ClassKind
	// New returns a pointer to a new, blank object. Unjelly calls it; a Decoder never does. A Reference needs none.
	New func() any
}

// Registry holds the classes whose objects are accepted. The zero Registry is empty. It is safe for concurrent use.
type Registry struct {
	base *Registry  // nil for most
	mu   sync.Mutex // serialises writers
	// Readers load the table; writers replace it.
	table atomic.Pointer[classTable]
}

type classTable struct {
	classes  map[string]classOf
	prefixes map[string]func(class string) (ClassEntry, bool)
}

// classOf keeps a class's name with its entry, so a decoder need not convert the bytes that it received.
type classOf struct {
	name string
	ClassEntry
}

// maxClassName is the maximum length of the name of a class or module in bytes.
const maxClassName = 1024

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{} }

// NewRegistryOver returns a registry that has the classes of another one too, also those that are registered there
// later. What is registered in the new one is not in base, so connections that use base do not accept it.
func NewRegistryOver(base *Registry) *Registry { return &Registry{base: base} }

// Register accepts objects of a class. class is the name that the peer sends, usually the dotted name of its Python
// class.
func (r *Registry) Register(class string, entry ClassEntry) error {
	return r.RegisterTree("", map[string]ClassEntry{class: entry})
}

// RegisterTree registers the classes of one module: prefix, a dot and each name, or the names alone if prefix is
// empty. If one of them cannot be registered, none is.
func (r *Registry) RegisterTree(prefix string, classes map[string]ClassEntry) error {
	return r.change(func(t *classTable) error {
		for name, entry := range classes {
			if prefix != "" {
				name = prefix + "." + name
			}
			if err := CheckClass(name); err != nil {
				return fmt.Errorf("jelly: %w", err)
			}
			if entry.New == nil && entry.Kind != Reference {
				return fmt.Errorf("jelly: class %q has no New function", name)
			}
			if _, ok := t.classes[name]; ok {
				return fmt.Errorf("jelly: class %q is registered already", name)
			}
			t.classes[name] = classOf{name, entry}
		}
		return nil
	})
}

// RegisterPrefix lets resolve decide about all classes whose names begin with prefix and a dot and that are not
// registered by name. resolve gets the whole name. Decoders call it, so it must be quick and safe for concurrent use.
// The longest prefix wins.
func (r *Registry) RegisterPrefix(prefix string, resolve func(class string) (ClassEntry, bool)) error {
	return r.change(func(t *classTable) error {
		if prefix == "" || resolve == nil {
			return fmt.Errorf("jelly: a class tree needs a prefix and a function")
		}
		if _, ok := t.prefixes[prefix]; ok {
			return fmt.Errorf("jelly: prefix %q is registered already", prefix)
		}
		t.prefixes[prefix] = resolve
		return nil
	})
}

// Lookup returns the entry of a class, and whether there is one.
func (r *Registry) Lookup(class string) (ClassEntry, bool) {
	found, ok := r.lookup([]byte(class))
	return found.ClassEntry, ok
}

// lookup does not allocate for a class that is registered by name.
func (r *Registry) lookup(class []byte) (classOf, bool) {
	for ; r != nil; r = r.base {
		if found, ok := r.lookupOwn(class); ok {
			return found, true
		}
	}
	return classOf{}, false
}

// lookupOwn is lookup without the base.
func (r *Registry) lookupOwn(class []byte) (classOf, bool) {
	t := r.table.Load()
	if t == nil {
		return classOf{}, false
	}
	if found, ok := t.classes[string(class)]; ok {
		return found, true
	}
	if len(t.prefixes) == 0 || len(class) > maxClassName {
		return classOf{}, false
	}
	name := string(class)
	for prefix := moduleOf(name); prefix != ""; prefix = moduleOf(prefix) {
		if resolve, ok := t.prefixes[prefix]; ok {
			var entry ClassEntry
			usercode.Do(func() { entry, ok = resolve(name) }) // If it panics, ok is false.
			if ok && (entry.New != nil || entry.Kind == Reference) {
				return classOf{name, entry}, true
			}
		}
	}
	return classOf{}, false
}

// change replaces the table with a copy that f has changed, unless f fails.
func (r *Registry) change(f func(*classTable) error) error {
	if r == nil {
		return fmt.Errorf("jelly: the registry is nil: make one with NewRegistry")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	next := &classTable{classes: map[string]classOf{}, prefixes: map[string]func(string) (ClassEntry, bool){}}
	if now := r.table.Load(); now != nil {
		maps.Copy(next.classes, now.classes)
		maps.Copy(next.prefixes, now.prefixes)
	}
	if err := f(next); err != nil {
		return err
	}
	r.table.Store(next)
	return nil
}

// CheckClass returns an error if name cannot be the name of a class: it is empty, longer than 1,024 bytes, or the
// name of a type of Jelly, such as "list". A Registry does not accept such a class, and an Encoder does not write its
// objects.
func CheckClass(name string) error {
	switch {
	case name == "":
		return errors.New("a class needs a name")
	case len(name) > maxClassName:
		return fmt.Errorf("the class name %q is longer than %d bytes", clip(name), maxClassName)
	case strings.IndexByte(name, '.') < 0 && isJellyWord(name):
		return fmt.Errorf("%q is the name of a type of Jelly, not of a class", name)
	}
	return nil
}

func isJellyWord(name string) bool {
	return tagOf(&banana.Token{Kind: banana.String, Bytes: []byte(name)}) != tagNone
}

// SecurityOptions is a taster: the set of types, classes and modules that are accepted. It is consulted before
// anything is built. Like Twisted's SecurityOptions, new options allow numbers, strings, None, booleans, the types of
// datetime, decimals and sets, and nothing else. Do not change the options once they are in use.
//
// Dotted type names, those of classes, are always allowed as types: the Registry and AllowInstancesOf decide about
// them.
type SecurityOptions struct {
	types   map[string]bool
	classes map[string]bool
	modules map[string]bool
}

// NewSecurityOptions returns options that allow no containers but sets.
func NewSecurityOptions() *SecurityOptions {
	s := &SecurityOptions{types: map[string]bool{}, classes: map[string]bool{}, modules: map[string]bool{}}
	return s.AllowTypes("None", "bool", "boolean", "string", "str", "int", "float", "datetime", "time", "date",
		"timedelta", "NoneType", "unicode", "decimal", "set", "frozenset")
}

// made returns s, or options that allow nothing if s is nil.
func (s *SecurityOptions) made() *SecurityOptions {
	if s == nil {
		return &SecurityOptions{}
	}
	return s
}

// DefaultSecurity returns the options of a Decoder without a Taster: basic types and references. It corresponds to
// Twisted's globalSecurity.
func DefaultSecurity() *SecurityOptions {
	return NewSecurityOptions().AllowBasicTypes().AllowReferences()
}

// AllowBasicTypes allows dictionaries, lists and tuples, sharing and cycles, and persistent and unpersistable objects.
func (s *SecurityOptions) AllowBasicTypes() *SecurityOptions {
	return s.AllowTypes("dictionary", "list", "tuple", "reference", "dereference", "unpersistable",
		"persistent", "long_int", "long", "dict")
}

// AllowReferences allows references to objects of either end: remote, local, cached and lcache. Twisted allows them
// in its global options only. Options without them also refuse every login with a mind.
func (s *SecurityOptions) AllowReferences() *SecurityOptions {
	return s.AllowTypes("remote", "local", "cached", "lcache")
}

// AllowTypes allows types by their names on the wire.
func (s *SecurityOptions) AllowTypes(names ...string) *SecurityOptions {
	if s = s.made(); s.types == nil {
		s.types = map[string]bool{}
	}
	for _, name := range names {
		s.types[name] = true
	}
	return s
}

// AllowInstancesOf allows objects of the classes with these dotted names even if they are not registered: they are
// decoded to *Instance. Like Twisted it also allows the basic types, classes, modules, and the modules of these
// classes.
func (s *SecurityOptions) AllowInstancesOf(classes ...string) *SecurityOptions {
	s = s.made()
	if s.classes == nil {
		s.classes = map[string]bool{}
	}
	s.AllowBasicTypes().AllowTypes("instance", "class", "classobj", "module")
	for _, class := range classes {
		s.AllowTypes(class).AllowModules(moduleOf(class))
		s.classes[class] = true
	}
	return s
}

// AllowModules allows modules, and functions in them, by name. To accept a Module itself, also allow the type "module".
func (s *SecurityOptions) AllowModules(names ...string) *SecurityOptions {
	if s = s.made(); s.modules == nil {
		s.modules = map[string]bool{}
	}
	for _, name := range names {
		s.modules[name] = true
	}
	return s
}

// TypeAllowed reports whether the type is accepted.
func (s *SecurityOptions) TypeAllowed(name string) bool {
	return s != nil && s.types[name] || strings.Contains(name, ".")
}

// ClassAllowed reports whether unregistered objects of the class are accepted.
func (s *SecurityOptions) ClassAllowed(class string) bool { return s != nil && s.classes[class] }

// ModuleAllowed reports whether the module, or a name from it, is accepted.
func (s *SecurityOptions) ModuleAllowed(name string) bool { return s != nil && s.modules[name] }

// moduleOf returns the dotted name without its last part.
func moduleOf(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i]
	}
	return ""
}
