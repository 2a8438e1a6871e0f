package jelly

import "strings"

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
