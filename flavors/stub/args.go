package stub

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// Param is a parameter or a keyword of a method.
type Param struct {
	Name     string
	Optional bool // only keywords can be
	Kept     bool // it is a *flavors.Relayed
}

// Signature describes the parameters of a method.
type Signature struct {
	Method   string  // for errors: "Shop.order()"
	Params   []Param // by position or by name
	Keywords []Param // the fields of the options
	// TakesDict means that the first keyword can be a dictionary. Otherwise a dictionary in its place has all keywords.
	TakesDict bool
	Variadic  bool // further positional arguments are accepted
	KeepsMore bool // they are *flavors.Relayed
	Rest      bool // further keywords are accepted
}

// Args are the arguments of one call, in the order of the parameters and then of the keywords.
type Args struct {
	sig    *Signature
	inv    *flavors.Invocation
	values []any
	given  []bool
	more   []any
	kw     flavors.Kw
	err    error
}

// Func publishes a function as a method of T. The function gets its arguments by [Arg] and the like, checks
// [Args.Err], and then calls the method.
func Func[T any](wire string, sig Signature, f func(self *T, a *Args) (any, error)) flavors.MethodEntry {
	return flavors.FuncCall(wire, func(self *T, inv *flavors.Invocation) (any, error) {
		a := &Args{sig: &sig, inv: inv}
		if err := a.bind(); err != nil {
			return nil, err
		}
		return f(self, a)
	}, sig.kept()...)
}

// kept returns the arguments that are not decoded.
func (sig *Signature) kept() (kept []flavors.KeptArgument) {
	n := len(sig.Params)
	for i, p := range slices.Concat(sig.Params, sig.Keywords) {
		if !p.Kept {
			continue
		}
		if i >= n && sig.Variadic {
			i = -1
		}
		kept = append(kept, flavors.KeptArgument{Name: p.Name, Position: i})
	}
	if sig.KeepsMore {
		kept = append(kept, flavors.KeptArgument{Position: n, Rest: true})
	}
	return kept
}

// Context returns the context of the call.
func (a *Args) Context() context.Context { return a.inv.Context() }

// Invocation returns the call.
func (a *Args) Invocation() *flavors.Invocation { return a.inv }

// Err returns the first error of a conversion.
func (a *Args) Err() error { return a.err }

// Kw returns the keywords that belong to no parameter.
func (a *Args) Kw() flavors.Kw { return a.kw }

// Arg converts an argument. It returns the zero value after an error, and for a keyword that was not given.
func Arg[T any](a *Args, i int, convert func(any) (T, error)) T {
	var zero T
	if a.err != nil || !a.given[i] {
		return zero
	}
	v, err := convert(a.values[i])
	if err != nil {
		a.fail(i, err)
		return zero
	}
	return v
}

// Option converts a keyword, and returns def if it was not given.
func Option[T any](a *Args, i int, convert func(any) (T, error), def T) T {
	if !a.given[i] {
		return def
	}
	return Arg(a, i, convert)
}

// More converts the arguments of a variadic parameter.
func More[T any](a *Args, convert func(any) (T, error)) []T {
	if a.err != nil || len(a.more) == 0 {
		return nil
	}
	list := make([]T, len(a.more))
	for i, from := range a.more {
		v, err := convert(from)
		if err != nil {
			a.err = flavors.TypeError.Errorf("%s argument %d: %w", a.sig.Method, len(a.sig.Params)+i+1, err)
			return nil
		}
		list[i] = v
	}
	return list
}

func (a *Args) param(i int) *Param {
	if n := len(a.sig.Params); i >= n {
		return &a.sig.Keywords[i-n]
	}
	return &a.sig.Params[i]
}

func (a *Args) fail(i int, err error) {
	a.err = flavors.TypeError.Errorf("%s argument %d (%s): %w", a.sig.Method, i+1, a.param(i).Name, err)
}

// bind assigns values to parameters as Python does: by position, then by name.
func (a *Args) bind() error {
	sig := a.sig
	n := len(sig.Params) + len(sig.Keywords)
	a.values, a.given = make([]any, n), make([]bool, n)
	positional, kw := []any(a.inv.Args), a.inv.Kw
	if !sig.Variadic {
		positional, kw = a.whole(positional, kw)
	}
	places := n
	if sig.Variadic {
		places = len(sig.Params)
	}
	for i, v := range positional {
		if i < places {
			a.values[i], a.given[i] = v, true
		}
	}
	if extra := len(positional) - places; extra > 0 {
		if !sig.Variadic {
			return flavors.TypeError.Errorf("%s takes %s, %d were given", sig.Method, count(places), len(positional))
		}
		a.more = positional[places:]
	}
	if err := a.bindKeywords(kw, min(len(positional), places)); err != nil {
		return err
	}
	for i := range n {
		if p := a.param(i); !a.given[i] && !p.Optional {
			return flavors.TypeError.Errorf("%s misses argument %d (%s)", sig.Method, i+1, p.Name)
		}
	}
	return nil
}

// whole takes a dictionary behind the parameters for the keywords.
func (a *Args) whole(positional []any, kw *jelly.Dict) ([]any, *jelly.Dict) {
	n := len(a.sig.Params)
	if kw != nil || len(positional) != n+1 || len(a.sig.Keywords) == 0 || a.sig.TakesDict {
		return positional, kw
	}
	if d, ok := positional[n].(*jelly.Dict); ok {
		return positional[:n], d
	}
	return positional, kw
}

// bindKeywords assigns by name. Of equal names the last counts, as in Python.
func (a *Args) bindKeywords(kw *jelly.Dict, byPosition int) error {
	if kw == nil {
		return nil
	}
	for _, e := range kw.Entries() {
		name, ok := nameOf(e.Key)
		if !ok {
			return flavors.TypeError.Errorf("%s: the name of a keyword must be a str, not a %s", a.sig.Method,
				jelly.TypeName(e.Key))
		}
		switch i := a.find(name); {
		case i >= 0 && i < byPosition:
			return flavors.TypeError.Errorf("%s argument %s was given twice, by position and by keyword", a.sig.Method, name)
		case i >= 0:
			a.values[i], a.given[i] = e.Value, true
		case a.sig.Rest:
			if a.kw == nil {
				a.kw = flavors.Kw{}
			}
			a.kw[name] = e.Value
		default:
			return flavors.TypeError.Errorf("%s: unknown keyword %s; %s", a.sig.Method, jelly.Format(name), a.known())
		}
	}
	return nil
}

func (a *Args) find(name string) int {
	for i := range a.values {
		if a.param(i).Name == name {
			return i
		}
	}
	return -1
}

func (a *Args) known() string {
	names := make([]string, len(a.values))
	for i := range names {
		names[i] = a.param(i).Name
	}
	if len(names) == 0 {
		return "it takes no keywords"
	}
	return "it knows " + strings.Join(names, ", ")
}

func count(n int) string {
	if n == 1 {
		return "at most 1 positional argument"
	}
	return fmt.Sprintf("at most %d positional arguments", n)
}

// nameOf returns a keyword's name: a str, or bytes from Python 2.
func nameOf(key any) (string, bool) {
	switch k := key.(type) {
	case string:
		return k, true
	case []byte:
		return string(k), true
	}
	return "", false
}
