package flavors

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"sync"

	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
)

// Prefix is the prefix of the Go methods that peers can call. It depends on how the object is reached: as a
// Referenceable, an avatar, a Viewable or, for updates, a cache.
type Prefix string

// The prefixes of the flavors.
const (
	PrefixRemote      Prefix = "Remote"      // RemoteX of a Referenceable
	PrefixPerspective Prefix = "Perspective" // PerspectiveX of an avatar
	PrefixView        Prefix = "View"        // ViewX of a Viewable: its first parameter is the caller's perspective
	PrefixObserve     Prefix = "Observe"     // ObserveX of a RemoteCache
)

// wire returns Twisted's spelling of the prefix, for errors.
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

// Handler is implemented by objects that handle all calls in one method. Peers then cannot call their methods by name,
// but the handler can, with [MethodTable.Invoke]. HandleRemote runs in the object's turn, and its result may be an
// *actor.Deferred.
type Handler interface {
	HandleRemote(inv *Invocation) (any, error)
}

// MethodTable has the methods of a Go type that peers can call. It is made once for each type and prefix and is
// immutable.
//
// The Go method for a wire name has the prefix and then the name with its first letter in upper case: takePond is
// RemoteTakePond. If there is none, single underscores between letters or digits are removed and the letters after them
// changed to upper case: get_two is RemoteGet_two, otherwise RemoteGetTwo. A name with a leading, trailing or double
// underscore does not match in this way. Names given by [Publish], [Func1] and the like match exactly, and take
// precedence.
type MethodTable struct {
	typ      reflect.Type
	typeName string
	prefix   Prefix
	handler  bool
	unfit    error             // why the methods of a handler cannot be called by Invoke
	methods  map[string]caller // by wire name, by Go name without the prefix, and by given name
}

// caller calls one method.
type caller interface {
	call(recv any, inv *Invocation) (any, error)
	// keeps reports whether the method gets the invocation, and so may keep it.
	keeps() bool
}

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
			errs = append(errs, fmt.Errorf("method %s, to be hidden: %s has no such method", name, typ))
		}
	}
	methods, asked := wireMethods(typ, p, set)
	if len(asked) > 0 {
		errs = append(errs, askAbout(asked, p))
	}
	for _, m := range methods {
		name := dispatch.LowerFirst(m.Name[len(p):])
		c, err := compileMethod(t, typ, m, name, nil)
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

// Names returns the sorted wire names: each method once, with a lower-case first letter, and the given names. It
// returns none for a [Handler], whose methods peers cannot call by name.
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

// Invoke calls the method of recv, a value of the table's type, that inv names. The result may be an *actor.Deferred.
// If the arguments do not fit, the error is a [TypeError] and the method does not run. If there is no such method, the
// error is [NoSuchMethod]. Panics of the method are not recovered.
//
// If recv is a [Handler], Invoke calls the named method rather than HandleRemote, so that HandleRemote can use it:
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
		return nil, fmt.Errorf("flavors: Invoke was given a %T; it needs a %s that is not nil", recv, t.typ)
	case t.unfit != nil:
		return nil, t.unfit
	}
	v, _, err := t.invokeMethod(recv, inv)
	return v, err
}

// invoke also reports whether the method may have kept the invocation.
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

// maxQuotedName is the most bytes of a peer's name that an error quotes.
const maxQuotedName = 128

func (t *MethodTable) lookup(wire string) (caller, bool) {
	if c, ok := t.methods[wire]; ok {
		return c, true
	}
	var buf [64]byte
	camel, ok := dispatch.AppendCamel(buf[:0], wire)
	if !ok {
		return nil, false
	}
	c, ok := t.methods[string(camel)]
	return c, ok
}
