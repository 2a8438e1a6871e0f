package flavors

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Prefix is what the names of an object's wire methods begin with in Go. It belongs to the way in which the object is reached: as a
// Referenceable, as an avatar, as a Viewable or, for updates, as a cache.
type Prefix string

// The prefixes of the flavors.
const (
	PrefixRemote      Prefix = "Remote"      // RemoteX of a Referenceable
	PrefixPerspective Prefix = "Perspective" // PerspectiveX of an avatar
	PrefixView        Prefix = "View"        // ViewX of a Viewable: its first parameter is the caller's perspective
	PrefixObserve     Prefix = "Observe"     // ObserveX of a RemoteCache
)

// wire is Twisted's spelling, for the errors that quote a method as a Python program knows it.
func (p Prefix) wire() string {
	switch p {
	case PrefixRemote:
		return "remote_"
	case PrefixPerspective:
		return "perspective_"
	case PrefixView:
		return "view_"
	case PrefixObserve:
		return "observe_"
	}
	return string(p) + "_"
}

// Handler is implemented by objects that want to see calls themselves. All calls go to it, and no method of the object can be called
// by name. It runs in the object's turn; the result may be a *actor.Deferred, as that of any method.
type Handler interface {
	HandleRemote(inv *Invocation) (any, error)
}

// MethodTable says which methods of a Go type can be called from the wire, and how. It is built once for each type and
// prefix and is immutable.
//
// A wire name stands for the Go method that is called prefix + the name with its first letter raised: takePond is RemoteTakePond. If
// there is none, single underscores between letters or digits are dropped and what follows is raised: get_two is
// RemoteGet_two or else RemoteGetTwo. A leading, trailing or double underscore never matches that way. Names given by [Publish] or
// [Func1] and its like match exactly, and before all others.
type MethodTable struct {
	typeName string
	prefix   Prefix
	handler  bool
	methods  map[string]caller // by wire name with its first letter as the type has it, and by exact given name
}

// caller is one method, ready to be called.
type caller interface {
	call(recv any, inv *Invocation) (any, error)
	// keeps says whether the method gets to see the invocation, and so may keep it.
	keeps() bool
}

// tableKey and tables: the cache is a function of the types in the program, so it is the same for all runtimes.
type tableKey struct {
	typ    reflect.Type
	prefix Prefix
}

type tableResult struct {
	table *MethodTable
	err   error
}

type tableCache struct{ m sync.Map }

var methodTables tableCache

// TableOf gives the table of a value's type for those who reach it by way of p. It is for tests that want to be sure what is published
// of a type, and that it can be; calls find their tables themselves.
func TableOf(v any, p Prefix) (*MethodTable, error) {
	if v == nil {
		return nil, errors.New("flavors: nil has no methods")
	}
	return methodsFor(reflect.TypeOf(v), p)
}

// methodsFor gives the table for values of type t that are reached by way of p. The error says which methods have a signature
// that cannot be served, and why; then there is no table.
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
	table := &MethodTable{typeName: shortTypeName(t), prefix: p, methods: map[string]caller{}}
	if t.Implements(reflect.TypeFor[Handler]()) {
		table.handler = true
		return table, nil
	}
	var errs []error
	set, err := publishedBy(t, p)
	if err != nil {
		errs = append(errs, err)
	}
	for _, m := range wireMethods(t, p) {
		if set.hides(m.Name) {
			continue
		}
		name := lowerFirst(m.Name[len(p):])
		c, err := compileMethod(table, t, m, name, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		table.methods[m.Name[len(p):]] = c
		table.methods[name] = c
	}
	// Given names come last and replace: a typed function may take the place of the method it speaks for.
	for _, entry := range set.entries {
		if err := entry.publish(table, t); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("flavors: %s cannot be published: %w", t, errors.Join(errs...))
	}
	return table, nil
}

// Names lists the wire names, sorted: each method once, under the name that begins with a small letter, and given names.
func (t *MethodTable) Names() []string {
	var names []string
	for name, c := range t.methods {
		if m, ok := c.(*method); ok && name != m.wire {
			continue
		}
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Invoke calls the method that inv names on recv, a value of the table's type, in the caller's goroutine. The result may be
// a *actor.Deferred. When the arguments do not fit, the error is a [TypeError] and the method has not run; when there is no such
// method it is [NoSuchMethod]. Panics of the method pass through. A recv of any other type than the table's is a panic, too.
func (t *MethodTable) Invoke(recv any, inv *Invocation) (any, error) {
	v, _, err := t.invoke(recv, inv)
	return v, err
}

// invoke also says whether the invocation may have been kept.
func (t *MethodTable) invoke(recv any, inv *Invocation) (v any, kept bool, err error) {
	if t.handler {
		v, err = recv.(Handler).HandleRemote(inv)
		return v, true, err
	}
	c, ok := t.lookup(inv.Method)
	if !ok {
		return nil, true, NoSuchMethod.New("No such method: " + t.prefix.wire() + clipText(inv.Method, maxQuotedName))
	}
	v, err = c.call(recv, inv)
	return v, c.keeps(), err
}

// maxQuotedName is how much of a name that a peer made up is repeated to it in an error.
const maxQuotedName = 128

func (t *MethodTable) lookup(wire string) (caller, bool) {
	if c, ok := t.methods[wire]; ok {
		return c, true
	}
	var buf [64]byte
	camel, ok := appendCamel(buf[:0], wire)
	if !ok {
		return nil, false
	}
	c, ok := t.methods[string(camel)]
	return c, ok
}

// appendCamel turns get_two into GetTwo. It reports false for names without underscores or with any in an odd place, and for names
// that are longer than a Go identifier would be.
func appendCamel(b []byte, wire string) ([]byte, bool) {
	const longest = 512
	if len(wire) == 0 || len(wire) > longest {
		return nil, false
	}
	raise, found := true, false
	for _, r := range wire {
		if r == '_' {
			if raise {
				return nil, false
			}
			raise, found = true, true
			continue
		}
		if raise {
			r = unicode.ToUpper(r)
			raise = false
		}
		b = utf8.AppendRune(b, r)
	}
	return b, found && !raise
}

func lowerFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[size:]
}

func raiseFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// shortTypeName is the type's name without packages and type arguments, for messages to peers.
func shortTypeName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	for i := range len(name) {
		if name[i] == '[' {
			return name[:i]
		}
	}
	if name == "" {
		return "object"
	}
	return name
}
