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

// Prefix is what the names of an object's wire methods begin with in Go. It belongs to the way in which the object is
// reached: as a Referenceable, as an avatar, as a Viewable or, for updates, as a cache.
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

// Handler is implemented by objects that want to see calls themselves. All calls go to it, and no method of the object
// can be called by name, except by the handler itself with [MethodTable.Invoke]. It runs in the object's turn; the
// result may be a *actor.Deferred, as that of any method.
type Handler interface {
	HandleRemote(inv *Invocation) (any, error)
}

// MethodTable says which methods of a Go type can be called from the wire, and how. It is built once for each type and
// prefix and is immutable.
//
// A wire name stands for the Go method that is called prefix + the name with its first letter raised: takePond is
// RemoteTakePond. If there is none, single underscores between letters or digits are dropped and what follows is
// raised: get_two is RemoteGet_two or else RemoteGetTwo. A leading, trailing or double underscore never matches that
// way. Names given by [Publish] or [Func1] and its like match exactly, and before all others.
type MethodTable struct {
	typ      reflect.Type
	typeName string
	prefix   Prefix
	handler  bool
	unfit    error             // why the methods of a handler cannot be called by name
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

// TableOf gives the table of a value's type for those who reach it by way of p. It is for tests that want to be sure
// what is published of a type, and that it can be; calls find their tables themselves.
func TableOf(v any, p Prefix) (*MethodTable, error) {
	if v == nil {
		return nil, errors.New("flavors: nil has no methods")
	}
	return methodsFor(reflect.TypeOf(v), p)
}

// methodsFor gives the table for values of type t that are reached by way of p. The error says which methods have a
// signature that cannot be served, and why; then there is no table.
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
	table := &MethodTable{typ: t, typeName: shortTypeName(t), prefix: p, methods: map[string]caller{}}
	if err := callHooks.check(t); err != nil {
		return nil, fmt.Errorf("flavors: %w", err)
	}
	err := table.fill(t)
	if t.Implements(reflect.TypeFor[Handler]()) {
		// Its calls go to the handler. The methods are there for Invoke, and need not all be fit for it.
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
			errs = append(errs, fmt.Errorf("method %s, to be hidden: %s has no such method", name, typ))
		}
	}
	methods, asked := wireMethods(typ, p, set)
	if len(asked) > 0 {
		errs = append(errs, askAbout(asked, p))
	}
	for _, m := range methods {
		name := lowerFirst(m.Name[len(p):])
		c, err := compileMethod(t, typ, m, name, nil)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.methods[m.Name[len(p):]] = c
		t.methods[name] = c
	}
	// Given names come last and replace: a typed function may take the place of the method it speaks for.
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

// Names lists the wire names, sorted: each method once, under the name that begins with a small letter, and given
// names. Peers can call no method of a [Handler] by name, so its table lists none.
func (t *MethodTable) Names() []string {
	if t == nil || t.handler {
		return nil
	}
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

// Invoke calls the method that inv names on recv, a value of the table's type, in the caller's goroutine. The result
// may be a *actor.Deferred. When the arguments do not fit, the error is a [TypeError] and the method has not run; when
// there is no such method it is [NoSuchMethod]. Panics of the method pass through.
//
// The method of a [Handler] is called, too, and not its HandleRemote, so that a HandleRemote can do something before
// and after each call:
//
//	func (s *Service) HandleRemote(inv *flavors.Invocation) (any, error) {
//		defer s.measure(inv.Method, time.Now())
//		return s.table.Invoke(s, inv)
//	}
func (t *MethodTable) Invoke(recv any, inv *Invocation) (any, error) {
	switch {
	case t == nil || t.typ == nil:
		return nil, errors.New("flavors: this MethodTable was not made by TableOf")
	case inv == nil:
		return nil, errors.New("flavors: Invoke was given no Invocation")
	case reflect.TypeOf(recv) != t.typ || isNilPointer(recv):
		return nil, fmt.Errorf("flavors: Invoke was given a %T; the table is for calls of a %s that is not nil", recv, t.typ)
	case t.unfit != nil:
		return nil, t.unfit
	}
	v, _, err := t.invokeMethod(recv, inv)
	return v, err
}

// invoke also says whether the invocation may have been kept.
func (t *MethodTable) invoke(recv any, inv *Invocation) (v any, kept bool, err error) {
	if t.handler {
		v, err = recv.(Handler).HandleRemote(inv)
		return v, true, err
	}
	return t.invokeMethod(recv, inv)
}

func (t *MethodTable) invokeMethod(recv any, inv *Invocation) (v any, kept bool, err error) {
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

// appendCamel turns get_two into GetTwo. It reports false for names without underscores or with any in an odd place,
// and for names that are longer than a Go identifier would be.
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
