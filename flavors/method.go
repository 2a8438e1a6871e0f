package flavors

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"sync"

	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/usercode"
)

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
	keeps    bool                // a method keeps arguments as they came
	unfit    error               // why the methods of a handler cannot be called by Invoke
	unknown  unknownNames        // that peers have called
	methods  map[string]caller   // by wire name, by Go name without the prefix, and by given name
	numbers  map[string]numbered // by the same names
	numbered []string            // the name of the method with each number

	directOnce sync.Once
	anyDirect  bool
}

// caller calls one method.
type caller interface {
	call(recv any, inv *Invocation) (any, error)
	// describe returns the parameters and results in the notation of Describe.
	describe() string
	// keeps reports whether the method gets the invocation, and so may keep it.
	keeps() bool
	// parameters returns what takes the arguments.
	parameters() *signature
	// direct returns how the arguments are decoded directly; nil if they are not.
	direct() *directMethod
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
	case reflect.TypeOf(recv) != t.typ || usercode.IsNilPointer(recv):
		return nil, fmt.Errorf("flavors: Invoke was given a %T; it needs a %s that is not nil", recv, t.typ)
	case t.unfit != nil:
		return nil, t.unfit
	}
	v, _, err := t.invokeMethod(recv, inv, t.lookup(inv.Method))
	return v, err
}

// invoke also reports whether the method may have kept the invocation.
func (t *MethodTable) invoke(recv any, inv *Invocation, m numbered) (v any, kept bool, err error) {
	if t.handler {
		if err := inv.bind(nil); err != nil {
			return nil, true, err
		}
		v, err = recv.(Handler).HandleRemote(inv)
		return v, true, err
	}
	return t.invokeMethod(recv, inv, m)
}

func (t *MethodTable) invokeMethod(recv any, inv *Invocation, m numbered) (v any, kept bool, err error) {
	if err := inv.bind(m.caller); err != nil {
		return nil, true, err
	}
	if m.caller == nil {
		t.logUnknown(inv)
		return nil, true, NoSuchMethod.New("No such method: " + t.prefix.wire() + clipText(inv.Method, maxQuotedName))
	}
	v, err = m.call(recv, inv)
	return v, m.keeps(), err
}

// lookup returns the method with a name; its caller is nil if there is none.
func (t *MethodTable) lookup(wire string) numbered {
	if m, ok := t.numbers[wire]; ok {
		return m
	}
	var buf [64]byte
	camel, ok := dispatch.AppendCamel(buf[:0], wire)
	if !ok {
		return numbered{}
	}
	return t.numbers[string(camel)]
}

// enter adds a method under a given name. It also replaces the Go method of that name, for other spellings of the name.
func (t *MethodTable) enter(wire string, c caller) {
	if raised := dispatch.RaiseFirst(wire); t.methods[raised] != nil {
		t.methods[raised] = c
	}
	t.methods[wire] = c
}
