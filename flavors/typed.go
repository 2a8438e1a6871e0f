package flavors

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors/internal/dispatch"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Func0 publishes a function as a method without arguments. Func0 to Func3 and Proc0 to Proc3 are for methods that are
// called very often: their calls use no reflection, which takes some hundred nanoseconds and two or three allocations.
// They are listed in a [Publisher]. As in [Publish], params name the arguments and give them defaults.
//
// T is the struct, not the pointer, or a struct that it embeds. A function of a Viewable gets the caller's perspective
// from the invocation and must check its type; it may be nil.
func Func0[T, R any](wire string, f func(self *T, inv *Invocation) (R, error)) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return &typed[T]{
		wire: wire, result: reflect.TypeFor[R](),
		run: func(self *T, inv *Invocation, _ []any) (any, error) { return answer(f(self, inv)) },
	}
}

// Func1 publishes a function as a method with one argument.
func Func1[T, A, R any](wire string, f func(self *T, inv *Invocation, a A) (R, error), params ...string) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return &typed[T]{
		wire: wire, result: reflect.TypeFor[R](), types: []reflect.Type{reflect.TypeFor[A]()}, names: params,
		run: func(self *T, inv *Invocation, args []any) (any, error) {
			a, err := convert[A](args, 0)
			if err != nil {
				return nil, err
			}
			return answer(f(self, inv, a))
		},
	}
}

// Func2 publishes a function as a method with two arguments.
func Func2[T, A, B, R any](
	wire string,
	f func(self *T, inv *Invocation, a A, b B) (R, error),
	params ...string,
) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return &typed[T]{
		wire: wire, result: reflect.TypeFor[R](),
		types: []reflect.Type{reflect.TypeFor[A](), reflect.TypeFor[B]()}, names: params,
		run: func(self *T, inv *Invocation, args []any) (any, error) {
			a, err := convert[A](args, 0)
			if err != nil {
				return nil, err
			}
			b, err := convert[B](args, 1)
			if err != nil {
				return nil, err
			}
			return answer(f(self, inv, a, b))
		},
	}
}

// Func3 publishes a function as a method with three arguments.
func Func3[T, A, B, C, R any](
	wire string,
	f func(self *T, inv *Invocation, a A, b B, c C) (R, error),
	params ...string,
) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return &typed[T]{
		wire: wire, result: reflect.TypeFor[R](),
		types: []reflect.Type{reflect.TypeFor[A](), reflect.TypeFor[B](), reflect.TypeFor[C]()}, names: params,
		run: func(self *T, inv *Invocation, args []any) (any, error) {
			a, err := convert[A](args, 0)
			if err != nil {
				return nil, err
			}
			b, err := convert[B](args, 1)
			if err != nil {
				return nil, err
			}
			c, err := convert[C](args, 2)
			if err != nil {
				return nil, err
			}
			return answer(f(self, inv, a, b, c))
		},
	}
}

// Method0 publishes a method expression, such as (*Counter).Value, as a method without arguments. Method0 to Method3
// are like Func0 to Func3 for methods that do not need the [Invocation], whose memory is then reused.
func Method0[T, R any](wire string, f func(self *T) (R, error)) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return unseen[T](Func0(wire, func(self *T, _ *Invocation) (R, error) { return f(self) }))
}

// Method1 publishes a method expression as a method with one argument.
func Method1[T, A, R any](wire string, f func(self *T, a A) (R, error), params ...string) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return unseen[T](Func1(wire, func(self *T, _ *Invocation, a A) (R, error) { return f(self, a) }, params...))
}

// Method2 publishes a method expression as a method with two arguments.
func Method2[T, A, B, R any](wire string, f func(self *T, a A, b B) (R, error), params ...string) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return unseen[T](Func2(wire, func(self *T, _ *Invocation, a A, b B) (R, error) { return f(self, a, b) }, params...))
}

// Method3 publishes a method expression as a method with three arguments.
func Method3[T, A, B, C, R any](wire string, f func(self *T, a A, b B, c C) (R, error), params ...string) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return unseen[T](
		Func3(wire, func(self *T, _ *Invocation, a A, b B, c C) (R, error) { return f(self, a, b, c) }, params...),
	)
}

func unseen[T any](e MethodEntry) MethodEntry {
	if t, ok := e.(*typed[T]); ok {
		t.unseen = true
	}
	return e
}

// noResult makes an entry for a function whose result is always nil.
func noResult[T any](e MethodEntry) MethodEntry {
	if t, ok := e.(*typed[T]); ok {
		t.result = nil
	}
	return e
}

// Proc0 publishes a function without a result as a method without arguments.
func Proc0[T any](wire string, f func(self *T, inv *Invocation) error) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return noResult[T](Func0(wire, func(self *T, inv *Invocation) (any, error) { return nil, f(self, inv) }))
}

// Proc1 publishes a function without a result as a method with one argument.
func Proc1[T, A any](wire string, f func(self *T, inv *Invocation, a A) error, params ...string) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return noResult[T](Func1(
		wire, func(self *T, inv *Invocation, a A) (any, error) { return nil, f(self, inv, a) }, params...,
	))
}

// Proc2 publishes a function without a result as a method with two arguments.
func Proc2[T, A, B any](wire string, f func(self *T, inv *Invocation, a A, b B) error, params ...string) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return noResult[T](Func2(
		wire, func(self *T, inv *Invocation, a A, b B) (any, error) { return nil, f(self, inv, a, b) }, params...,
	))
}

// Proc3 publishes a function without a result as a method with three arguments.
func Proc3[T, A, B, C any](
	wire string,
	f func(self *T, inv *Invocation, a A, b B, c C) error,
	params ...string,
) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return noResult[T](Func3(
		wire,
		func(self *T, inv *Invocation, a A, b B, c C) (any, error) { return nil, f(self, inv, a, b, c) },
		params...,
	))
}

// FuncCall publishes a function that takes its arguments from the invocation itself, and so checks them itself. Code
// made by pb gen uses it. The function must not answer the invocation. The arguments that kept names come undecoded, as
// a *[Relayed].
func FuncCall[T any](
	wire string,
	f func(self *T, inv *Invocation) (any, error),
	kept ...KeptArgument,
) MethodEntry {
	if f == nil {
		return noFunction(wire)
	}
	return &typed[T]{
		wire: wire, kept: kept, whole: func(self *T, inv *Invocation) (any, error) { return answer(f(self, inv)) },
	}
}

// KeptArgument names an argument of a function that [FuncCall] publishes.
type KeptArgument struct {
	Name     string // its keyword; "" if it has none
	Position int    // from 0; -1 if it comes by keyword only
	Rest     bool   // all behind it are meant too
}

// keptBy returns the layout of a function's arguments as far as it says which of them are kept as they came.
func keptBy(kept []KeptArgument) (signature, error) {
	s := signature{named: true, keywords: &keywordParam{byName: map[string]int{}}, variadic: &param{}}
	for _, k := range kept {
		if k.Position < -1 || k.Position >= maxParams-len(kept) {
			return s, fmt.Errorf("no argument has the position %d", k.Position)
		}
		for len(s.fixed) <= k.Position {
			s.fixed = append(s.fixed, param{})
		}
	}
	for _, k := range kept {
		at := k.Position
		if at < 0 {
			at = len(s.fixed) + len(s.keywords.byName)
			s.keywords.byName[k.Name] = at - len(s.fixed)
		} else {
			s.fixed[at].name = k.Name
		}
		s.undecoded |= 1 << at
		s.keepsRest = s.keepsRest || k.Rest
	}
	return s, nil
}

// noFunction is an entry for a nil function.
type noFunction string

func (name noFunction) publish(*MethodTable, reflect.Type) error {
	return fmt.Errorf("function %q is nil", string(name))
}

// typed is the entry for a function that is published as a method of T.
type typed[T any] struct {
	wire   string
	types  []reflect.Type
	names  []string
	run    func(self *T, inv *Invocation, args []any) (any, error)
	whole  func(self *T, inv *Invocation) (any, error) // in place of run: takes the arguments itself
	kept   []KeptArgument                              // of whole
	result reflect.Type                                // nil if there is none
	unseen bool                                        // the function does not get the invocation
}

// typedCaller is a typed function in the table of one type.
type typedCaller[T any] struct {
	label  string
	unseen bool
	result reflect.Type // nil if there is none, or it is not known
	bound  signature    // of whole: as far as keptBy tells
	run    func(self *T, inv *Invocation, args []any) (any, error)
	whole  func(self *T, inv *Invocation) (any, error)
	locate func(recv any) *T // nil if the receiver is a *T

	directOnce sync.Once
	directly   *directMethod
}

func (e *typed[T]) wireName() string { return e.wire }

func (e *typed[T]) publish(table *MethodTable, t reflect.Type) error {
	c := &typedCaller[T]{
		label: table.typeName + "." + e.wire + "()", unseen: e.unseen, run: e.run, whole: e.whole, result: e.result,
	}
	if c.whole != nil {
		var err error
		if c.bound, err = keptBy(e.kept); err != nil {
			return fmt.Errorf("function %q: %w", e.wire, err)
		}
	}
	for _, typ := range e.types {
		if why := unfillable(typ); why != "" {
			return fmt.Errorf("function %q: %s", e.wire, why)
		}
		c.bound.keepIfRelayed(len(c.bound.fixed), typ)
		c.bound.fixed = append(c.bound.fixed, param{typ: typ})
	}
	if err := c.bound.nameParams(e.names); err != nil {
		return fmt.Errorf("function %q: %w", e.wire, err)
	}
	if t != reflect.TypeFor[*T]() {
		index, ok := dispatch.EmbeddedField(t, reflect.TypeFor[T]())
		if !ok {
			return fmt.Errorf(
				"function %q is for %s, which %s neither is nor embeds under an exported name",
				e.wire,
				reflect.TypeFor[*T](),
				t,
			)
		}
		c.locate = func(recv any) *T {
			v := reflect.ValueOf(recv).Elem().FieldByIndex(index)
			if v.Kind() != reflect.Pointer {
				v = v.Addr()
			}
			self, _ := v.Interface().(*T)
			return self
		}
	}
	table.enter(e.wire, c)
	return nil
}

// parameters implements caller.
func (c *typedCaller[T]) parameters() *signature { return &c.bound }

// keeps implements caller.
func (c *typedCaller[T]) keeps() bool { return !c.unseen }

// call implements caller.
func (c *typedCaller[T]) call(recv any, inv *Invocation) (any, error) {
	self, ok := recv.(*T)
	if !ok {
		self = c.locate(recv)
	}
	if c.bound.keepsSome() {
		c.bound.keepValues(inv)
	}
	if c.whole != nil {
		return c.whole(self, inv)
	}
	args := []any(inv.Args)
	if len(args) != len(c.bound.fixed) || inv.Kw != nil {
		var err error
		if args, err = c.arrange(args, inv.Kw); err != nil {
			return nil, err
		}
	}
	v, err := c.run(self, inv, args)
	if err != nil {
		var bad *conversionError
		if usercode.AsInto(err, &bad) {
			err = c.argumentError(bad)
		}
		return nil, err
	}
	return v, nil
}

// conversionError is an error of convert.
type conversionError struct {
	arg int
	err error
}

func (e *conversionError) Error() string { return e.err.Error() }

func (c *typedCaller[T]) argumentError(bad *conversionError) error {
	return TypeError.Errorf(
		"%s argument %d%s: %w",
		c.label,
		bad.arg+1,
		c.bound.fixed[bad.arg].inBrackets(),
		explainView(bad.err),
	)
}

// arrange returns the arguments in the order of the parameters, with defaults.
func (c *typedCaller[T]) arrange(args []any, kw *jelly.Dict) ([]any, error) {
	// It uses the binding of reflected methods, with parameters of type any.
	m := &method{label: c.label, signature: c.bound}
	m.firstArg = 0
	f := &frame{}
	values := make([]any, len(c.bound.fixed))
	for i := range values {
		f.dst = append(f.dst, &values[i])
		f.in = append(f.in, reflect.ValueOf(&values[i]).Elem())
	}
	if err := m.bind(f, &Invocation{Args: args, Kw: kw}); err != nil {
		return nil, err
	}
	return values, nil
}

// answer returns the result of a function as a value.
func answer[R any](v R, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return result(v), nil
}

// convert converts an argument to its type.
func convert[A any](args []any, i int) (A, error) {
	v, ok := convertQuickly[A](args[i])
	if ok {
		return v, nil
	}
	v, err := convertSlowly[A](args[i])
	if err != nil {
		err = &conversionError{arg: i, err: err}
	}
	return v, err
}

// convertQuickly converts values that have the type already, and integers to int and float64.
func convertQuickly[A any](from any) (A, bool) {
	if v, ok := from.(A); ok {
		return v, true
	}
	var small A
	switch p := any(&small).(type) {
	case *int:
		if n, ok := from.(int64); ok && int64(int(n)) == n {
			*p = int(n)
			return small, true
		}
	case *float64:
		if n, ok := from.(int64); ok && n > -1<<53 && n < 1<<53 {
			*p = float64(n)
			return small, true
		}
	}
	return small, false
}

func convertSlowly[A any](from any) (A, error) {
	var v A
	err := assign(&v, from)
	return v, err
}
