package gen

import (
	"fmt"
	"sort"
	"strings"
)

// Check returns the changes from old to now that break clients of old, one line each. A client may go on to call what
// it called, with the arguments it passed, and gets what it expected.
func Check(old, now *Contract) []string {
	c := &comparison{old: old, now: now}
	names := make([]string, 0, len(old.Interfaces))
	for name := range old.Interfaces {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		c.compareInterface(old.Interfaces[name], now.Interfaces[name])
	}
	return c.broken
}

type comparison struct {
	old, now *Contract
	result   bool // a result is compared: no field may be missing
	broken   []string
}

func (c *comparison) report(format string, args ...any) {
	c.broken = append(c.broken, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func (c *comparison) compareInterface(old, now *ContractInterface) {
	if now == nil {
		c.report("interface %s was removed", old.Name)
		return
	}
	if old.Class != now.Class {
		c.report("%s: references carry the class %q instead of %q", old.Name, now.Class, old.Class)
	}
	for _, m := range old.Methods {
		if n := now.method(m.Name); n != nil {
			c.compareMethod(old.Name+"."+m.Name, m, n)
		} else {
			c.report("%s.%s was removed", old.Name, m.Name)
		}
	}
}

func (c *comparison) compareMethod(place string, old, now *Signature) {
	// Positional arguments fill the keywords too, in their order, unless further arguments are variadic.
	for i, p := range old.Params {
		switch {
		case i < len(now.Params):
			if why := c.accepts(now.Params[i].Type, p.Type); why != "" {
				c.report("%s: parameter %s was %s and is %s%s", place, p.Name, p.Type, now.Params[i].Type, why)
			}
			c.compareName(place, old, now, i)
		case now.Variadic != "":
			if why := c.accepts(now.Variadic, p.Type); why != "" {
				c.report("%s: parameter %s was %s and is %s%s", place, p.Name, p.Type, now.Variadic, why)
			}
		default:
			c.report("%s: parameter %s was removed", place, p.Name)
		}
	}
	for _, p := range now.Params[min(len(old.Params), len(now.Params)):] {
		c.report("%s: parameter %s: %s was added, and is required", place, p.Name, p.Type)
	}
	if old.Variadic != "" {
		if now.Variadic == "" {
			c.report("%s: the variadic parameter was removed", place)
		} else if why := c.accepts(now.Variadic, old.Variadic); why != "" {
			c.report("%s: the variadic parameter was %s and is %s%s", place, old.Variadic, now.Variadic, why)
		}
	}
	c.compareKeywords(place, old, now)
	if old.Rest && !now.Rest {
		c.report("%s: other keywords are not accepted any more", place)
	}
	c.compareResults(place, old.Results, now.Results)
}

// compareName finds parameters that changed places, which have the same types perhaps.
func (c *comparison) compareName(place string, old, now *Signature, i int) {
	name := old.Params[i].Name
	for j, p := range now.Params {
		if p.Name == name && j != i {
			c.report("%s: parameter %s was number %d and is number %d", place, name, i+1, j+1)
		}
	}
	if now.Params[i].Name == name {
		return
	}
	for _, p := range now.Params {
		if p.Name == name {
			return
		}
	}
	c.report("%s: parameter %s is called %s, and clients may pass it by name", place, name, now.Params[i].Name)
}

func (c *comparison) compareKeywords(place string, old, now *Signature) {
	had := map[string]Keyword{}
	for _, k := range old.Keywords {
		had[k.Name] = k
	}
	has := map[string]bool{}
	for _, k := range now.Keywords {
		has[k.Name] = true
		before, known := had[k.Name]
		switch {
		case !known && !k.Optional:
			c.report("%s: keyword %s: %s was added, and is required", place, k.Name, k.Type)
		case known && before.Optional && !k.Optional:
			c.report("%s: keyword %s is required now", place, k.Name)
		}
		if known {
			if why := c.accepts(k.Type, before.Type); why != "" {
				c.report("%s: keyword %s was %s and is %s%s", place, k.Name, before.Type, k.Type, why)
			}
		}
	}
	for _, k := range old.Keywords {
		if !has[k.Name] && !now.Rest {
			c.report("%s: keyword %s was removed", place, k.Name)
		}
	}
}

func (c *comparison) compareResults(place string, old, now []string) {
	if len(old) != len(now) {
		if len(old) == 0 && len(now) > 0 {
			return // A client that expected nothing ignores it.
		}
		c.report("%s: the result was %s and is %s", place, results(old), results(now))
		return
	}
	for i := range old {
		if why := c.yields(now[i], old[i]); why != "" {
			c.report("%s: the result was %s and is %s%s", place, results(old), results(now), why)
			return
		}
	}
}

func results(types []string) string {
	switch len(types) {
	case 0:
		return "nothing"
	case 1:
		return types[0]
	}
	return "(" + strings.Join(types, ", ") + ")"
}

// accepts returns "" if a parameter that is now takes what was passed to old.
func (c *comparison) accepts(now, old string) string {
	c.result = false
	return c.fits(old, c.old.Types, now, c.now.Types, nil)
}

// yields returns "" if a client that expected old can take a result that is now.
func (c *comparison) yields(now, old string) string {
	c.result = true
	return c.fits(now, c.now.Types, old, c.old.Types, nil)
}

// pair is a comparison under way.
type pair struct{ from, to string }

// fits reports whether a value of one type is accepted where another is expected: "" if so, else the reason, which may
// be only a blank.
func (c *comparison) fits(from string, fromTypes map[string]*Named, to string, toTypes map[string]*Named,
	under []pair) string {
	const no = " "
	for _, p := range under {
		if p == (pair{from, to}) {
			return ""
		}
	}
	under = append(under, pair{from, to})
	fromNamed, toNamed := fromTypes[from], toTypes[to]
	if fromNamed != nil && fromNamed.Kind == "is" {
		return c.fits(fromNamed.Is, fromTypes, to, toTypes, under)
	}
	if toNamed != nil && toNamed.Kind == "is" {
		return c.fits(from, fromTypes, toNamed.Is, toTypes, under)
	}
	switch {
	case to == "any":
		return ""
	case fromNamed != nil && toNamed != nil:
		return c.fitsNamed(from, fromNamed, fromTypes, to, toNamed, toTypes, under)
	case fromNamed != nil || toNamed != nil:
		return no
	case strings.HasSuffix(to, "?"):
		return c.fits(strings.TrimSuffix(from, "?"), fromTypes, strings.TrimSuffix(to, "?"), toTypes, under)
	case integerFits(from, to), from == "int" && to == "float":
		return ""
	}
	fromHead, fromParts := splitType(from)
	toHead, toParts := splitType(to)
	if fromHead != toHead || len(fromParts) != len(toParts) {
		return no
	}
	if len(fromParts) == 0 || fromHead == "ref" || fromHead == "cache" || fromHead == "bytes" {
		if from != to {
			return no
		}
		return ""
	}
	for i := range fromParts {
		if why := c.fits(fromParts[i], fromTypes, toParts[i], toTypes, under); why != "" {
			return why
		}
	}
	return ""
}

func (c *comparison) fitsNamed(from string, a *Named, aTypes map[string]*Named, to string, b *Named,
	bTypes map[string]*Named, under []pair) string {
	if a.Kind != b.Kind || a.Kind == "copy" && from != to {
		return " "
	}
	has := map[string]string{}
	for _, f := range a.Fields {
		has[f.Name] = f.Type
	}
	for _, f := range b.Fields {
		typ, ok := has[f.Name]
		if !ok && !c.result {
			continue // It keeps its zero value.
		}
		if !ok {
			return fmt.Sprintf(", but field %s of %s is missing", f.Name, to)
		}
		if why := c.fits(typ, aTypes, f.Type, bTypes, under); why != "" {
			return fmt.Sprintf(", but field %s of %s is %s in one and %s in the other", f.Name, to, typ, f.Type)
		}
	}
	return ""
}

// splitType splits list[int] into list and its parts.
func splitType(s string) (head string, parts []string) {
	head, rest, ok := strings.Cut(s, "[")
	if !ok || !strings.HasSuffix(rest, "]") {
		return s, nil
	}
	return head, splitTop(strings.TrimSuffix(rest, "]"))
}

// integers are the ranges of the integer types, in bits.
var integers = map[string]struct {
	bits   int
	signed bool
}{
	"int": {64, true}, "int8": {8, true}, "int16": {16, true}, "int32": {32, true},
	"uint": {64, false}, "uint8": {8, false}, "uint16": {16, false}, "uint32": {32, false},
}

func integerFits(from, to string) bool {
	a, okA := integers[from]
	b, okB := integers[to]
	switch {
	case !okA || !okB:
		return false
	case a.signed == b.signed:
		return a.bits <= b.bits
	}
	return !a.signed && a.bits < b.bits
}
