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

// ClassKind says how objects of a class travel.
type ClassKind uint8

const (
	// RemoteCopy is a copy: [class state].
	RemoteCopy ClassKind = iota
	// RemoteCache is the first mention of a cache: [class luid state].
	RemoteCache
)

// ClassEntry is what a Registry knows of a class.
type ClassEntry struct {
	Kind ClassKind
	// New returns a new, blank object: a pointer. It is called by Unjelly, never by a Decoder.
	New func() any
}

// Registry says which classes may come in and what is made of them. The zero
// Registry is empty. It may be read and added to at the same time.
type Registry struct {
	mu sync.Mutex // serialises writers
	// Readers take the whole table; writers replace it.
	table atomic.Pointer[classTable]
}

type classTable struct {
	classes  map[string]classOf
	prefixes map[string]func(class string) (ClassEntry, bool)
}

// classOf keeps a class's name with it, so that a decoder need not make a
// string of the bytes that it received.
type classOf struct {
	name string
	ClassEntry
}

// maxClassName is the longest name of a class or module. Those of Python programs seldom reach a hundred.
const maxClassName = 1024

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{} }

// Register makes the objects of a class welcome. class is what the peer sends: usually the
// dotted name of its Python class.
func (r *Registry) Register(class string, entry ClassEntry) error {
	return r.RegisterTree("", map[string]ClassEntry{class: entry})
}

// RegisterTree registers several classes of one module: each name with prefix
// and a dot in front, or by itself if prefix is empty. If one of them cannot be
// registered, none is.
func (r *Registry) RegisterTree(prefix string, classes map[string]ClassEntry) error {
	return r.change(func(t *classTable) error {
		for name, entry := range classes {
			if prefix != "" {
				name = prefix + "." + name
			}
			if err := checkClassName(name); err != nil {
				return err
			}
			if entry.New == nil {
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

// RegisterPrefix lets resolve decide about all classes whose name begins with prefix and a
// dot and which are not registered by name. resolve gets the whole name; it is called by
// decoders, so it must be quick and safe for concurrent use. The longest prefix wins.
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

// Lookup returns what is known of a class.
func (r *Registry) Lookup(class string) (ClassEntry, bool) {
	found, ok := r.lookup([]byte(class))
	return found.ClassEntry, ok
}

// lookup does not allocate for a class that is registered by name.
func (r *Registry) lookup(class []byte) (classOf, bool) {
	if r == nil {
		return classOf{}, false
	}
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
			usercode.Do(func() { entry, ok = resolve(name) }) // A function that panics knows no class.
			if ok && entry.New != nil {
				return classOf{name, entry}, true
			}
		}
	}
	return classOf{}, false
}

// change replaces the table by a changed copy, unless f fails.
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

// checkClassName refuses names that mean something else on the wire.
func checkClassName(name string) error {
	if err := CheckClass(name); err != nil {
		return fmt.Errorf("jelly: %w", err)
	}
	return nil
}

// CheckClass says what is wrong with the name of a class: it is empty, longer than 1,024 bytes, or a word that means
// something else on the wire, such as "list". A Registry takes no such class, and an Encoder writes no object of it.
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

// SecurityOptions is a taster: it says which types, classes and modules may
// come in. It is asked before anything is built. A new one
// allows numbers, strings, None, booleans, the types of datetime, decimals and sets, as Twisted's
// SecurityOptions does, and nothing else. Change it before it is first used.
//
// Dotted type names, which are those of classes, always pass the question for the type: for
// them it is the registry, and AllowInstancesOf, that decide.
type SecurityOptions struct {
	types   map[string]bool
	classes map[string]bool
	modules map[string]bool
}

// NewSecurityOptions returns options that allow no containers yet.
func NewSecurityOptions() *SecurityOptions {
	s := &SecurityOptions{types: map[string]bool{}, classes: map[string]bool{}, modules: map[string]bool{}}
	return s.AllowTypes("None", "bool", "boolean", "string", "str", "int", "float", "datetime", "time", "date",
		"timedelta", "NoneType", "unicode", "decimal", "set", "frozenset")
}

// made is s itself, or options that allow nothing in the place of nil.
func (s *SecurityOptions) made() *SecurityOptions {
	if s == nil {
		return &SecurityOptions{}
	}
	return s
}

// DefaultSecurity returns what a Decoder without a Taster uses: the basic types
// and references. It corresponds to Twisted's globalSecurity.
func DefaultSecurity() *SecurityOptions {
	return NewSecurityOptions().AllowBasicTypes().AllowReferences()
}

// AllowBasicTypes allows dictionaries, lists and tuples, shared and circular
// structure, and persistent and unpersistable objects.
func (s *SecurityOptions) AllowBasicTypes() *SecurityOptions {
	return s.AllowTypes("dictionary", "list", "tuple", "reference", "dereference", "unpersistable",
		"persistent", "long_int", "long", "dict")
}

// AllowReferences allows what refers to an object of either end: remote, local, cached and
// lcache. Twisted allows these four in its global options only; options of
// one's own that lack them also refuse every login with a mind.
func (s *SecurityOptions) AllowReferences() *SecurityOptions {
	return s.AllowTypes("remote", "local", "cached", "lcache")
}

// AllowTypes allows types by the name that they have on the wire.
func (s *SecurityOptions) AllowTypes(names ...string) *SecurityOptions {
	if s = s.made(); s.types == nil {
		s.types = map[string]bool{}
	}
	for _, name := range names {
		s.types[name] = true
	}
	return s
}

// AllowInstancesOf allows objects of these classes, by their dotted names, even
// if nobody registered them: they come as *Instance. It also allows the basic types, classes,
// modules and the modules of these classes, as Twisted does.
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

// AllowModules allows modules, and what they contain of functions, by name. To
// get a Module itself in, its type "module" must be allowed too.
func (s *SecurityOptions) AllowModules(names ...string) *SecurityOptions {
	if s = s.made(); s.modules == nil {
		s.modules = map[string]bool{}
	}
	for _, name := range names {
		s.modules[name] = true
	}
	return s
}

// TypeAllowed reports whether a type of this name may come in.
func (s *SecurityOptions) TypeAllowed(name string) bool {
	return s != nil && s.types[name] || strings.Contains(name, ".")
}

// ClassAllowed reports whether objects of this class may come in unregistered.
func (s *SecurityOptions) ClassAllowed(class string) bool { return s != nil && s.classes[class] }

// ModuleAllowed reports whether this module, or a name from it, may come in.
func (s *SecurityOptions) ModuleAllowed(name string) bool { return s != nil && s.modules[name] }

// moduleOf returns the dotted name without its last part.
func moduleOf(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i]
	}
	return ""
}
