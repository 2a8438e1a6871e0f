package gen

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	modulePath  = "github.com/perspectivebroker/pb/"
	flavorsPath = modulePath + "flavors"
	jellyPath   = modulePath + "codec/jelly"
	actorPath   = modulePath + "actor"
	stubPath    = flavorsPath + "/stub"
)

// isType reports whether t is a named type of a package.
func isType(t types.Type, path, name string) bool {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Name() != name {
		return false
	}
	if n.Obj().Pkg() == nil {
		return path == ""
	}
	return n.Obj().Pkg().Path() == path
}

func isPointerTo(t types.Type, path, name string) bool {
	p, ok := types.Unalias(t).(*types.Pointer)
	return ok && isType(p.Elem(), path, name)
}

func isError(t types.Type) bool    { return isType(t, "", "error") }
func isDeferred(t types.Type) bool { return isPointerTo(t, actorPath, "Deferred") }

func (i *Interface) generatedNames() []string {
	return []string{i.client(), i.server(), i.newClient(), i.newServer(), i.register()}
}

func (i *Interface) client() string    { return i.Name + "Client" }
func (i *Interface) server() string    { return i.Name + "Server" }
func (i *Interface) newClient() string { return i.function("New", "Client") }
func (i *Interface) newServer() string { return i.function("New", "Server") }
func (i *Interface) register() string  { return i.function("Register", "Classes") }

// function returns the name of a function that is exported if the interface is.
func (i *Interface) function(verb, noun string) string {
	if !ast.IsExported(i.Name) {
		return strings.ToLower(verb) + raiseFirst(i.Name) + noun
	}
	return verb + i.Name + noun
}

func raiseFirst(s string) string {
	c, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(c)) + s[size:]
}

func lowerFirst(s string) string {
	c, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(c)) + s[size:]
}

// wireName returns the name of a method on the wire: without the prefix Remote, and with a lower-case first letter.
func wireName(name string) string {
	if rest, ok := strings.CutPrefix(name, "Remote"); ok && rest != "" {
		if c, _ := utf8.DecodeRuneInString(rest); !unicode.IsLower(c) {
			name = rest
		}
	}
	return lowerFirst(name)
}

// readInterface reads the methods of a marked interface, those of embedded ones included.
func (r *reader) readInterface(d decl) {
	docs := map[token.Pos]*ast.Field{}
	for _, file := range r.pkg.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			if t, ok := n.(*ast.InterfaceType); ok {
				for _, m := range t.Methods.List {
					for _, name := range m.Names {
						docs[name.Pos()] = m
					}
				}
			}
			return true
		})
	}
	t := d.typ.Underlying().(*types.Interface)
	if t.NumMethods() == 0 {
		r.fail(d.iface.pos, "%s has no methods", d.iface.Name)
	}
	for f := range t.Methods() {
		m := &Method{Go: f.Name(), Wire: wireName(f.Name()), pos: f.Pos()}
		if f.Pkg() != r.pkg.Types {
			m.pos = d.iface.pos // It comes from an interface of another package.
		}
		if field := docs[f.Pos()]; field != nil {
			m.Doc = text(field.Doc)
			if c := directive(field.Doc, markName); c != nil {
				m.Wire = argument(c, markName)
				if m.Wire == "" || strings.ContainsAny(m.Wire, " \t\"\\") || len(m.Wire) > 512 {
					r.fail(c.Pos(), "%q is no name of a method", m.Wire)
				}
			}
		}
		if !f.Exported() {
			r.fail(m.pos, "%s.%s is not exported, so peers cannot call it", d.iface.Name, m.Go)
			continue
		}
		r.readMethod(d.iface, m, f.Signature())
		d.iface.Methods = append(d.iface.Methods, m)
	}
	// The order is that of the source.
	sortByPosition(d.iface.Methods)
}

func sortByPosition(methods []*Method) {
	for i := 1; i < len(methods); i++ {
		for j := i; j > 0 && methods[j].pos < methods[j-1].pos; j-- {
			methods[j], methods[j-1] = methods[j-1], methods[j]
		}
	}
}

// readMethod reads a signature, by the rules of package flavors for methods.
func (r *reader) readMethod(iface *Interface, m *Method, sig *types.Signature) {
	place := iface.Name + "." + m.Go
	if sig.TypeParams().Len() > 0 {
		r.fail(m.pos, "%s has type parameters", place)
		return
	}
	params := sig.Params()
	next := 0
	for ; next < params.Len(); next++ {
		t := params.At(next).Type()
		var l lead
		switch {
		case isType(t, "context", "Context"):
			l = leadContext
		case isPointerTo(t, flavorsPath, "Invocation"):
			l = leadInvocation
		}
		if l == "" || len(m.Lead) > 0 && m.Lead[0] == l || len(m.Lead) > 1 {
			break
		}
		m.Lead = append(m.Lead, l)
	}
	end := params.Len()
	if sig.Variadic() {
		end--
		elem := params.At(end).Type().(*types.Slice).Elem()
		m.Variadic = &Param{r.paramName(params.At(end), end), r.shapeOf(m.pos, place, params.At(end), elem, forElement)}
	}
	if end > next {
		switch t := params.At(end - 1).Type(); {
		case isType(t, flavorsPath, "Kw"):
			m.Rest = true
			end--
		default:
			if o := r.options(m.pos, place, params.At(end-1)); o != nil {
				m.Options = o
				end--
			}
		}
	}
	for i := next; i < end; i++ {
		p := params.At(i)
		m.Params = append(m.Params, &Param{r.paramName(p, i), r.shapeOf(m.pos, place, p, p.Type(), forParam)})
	}
	r.checkParams(place, m)
	r.readResults(place, m, sig.Results())
}

func (r *reader) paramName(p *types.Var, i int) string {
	if name := p.Name(); name != "" && name != "_" {
		return name
	}
	return "arg" + strconv.Itoa(i+1)
}

func (r *reader) checkParams(place string, m *Method) {
	seen := map[string]bool{}
	for _, p := range m.Params {
		seen[p.Name] = true
	}
	if m.Options != nil {
		for _, f := range m.Options.Fields {
			if seen[f.Name] {
				r.fail(m.pos, "%s: both a parameter and a keyword are called %s", place, f.Name)
			}
		}
	}
}

func (r *reader) readResults(place string, m *Method, results *types.Tuple) {
	n := results.Len()
	if n > 0 && isError(results.At(n-1).Type()) {
		m.Error = true
		n--
	}
	if n == 1 && isDeferred(results.At(0).Type()) {
		if m.Error {
			r.fail(m.pos, "%s returns a Deferred and an error: return the Deferred alone, which can fail", place)
		}
		m.Deferred = true
		return
	}
	for i := range n {
		v := results.At(i)
		m.Results = append(m.Results, r.shapeOf(m.pos, place+", result "+strconv.Itoa(i+1), v, v.Type(), forResult))
	}
}

// options returns the keywords of a last parameter that is a struct with pb tags; nil if it is none.
func (r *reader) options(pos token.Pos, place string, p *types.Var) *Options {
	t := types.Unalias(p.Type())
	o := &Options{Name: p.Name(), Type: t}
	if o.Name == "" || o.Name == "_" {
		o.Name = "options"
	}
	if ptr, ok := t.(*types.Pointer); ok {
		o.Type, o.Pointer = types.Unalias(ptr.Elem()), true
	}
	s, ok := o.Type.Underlying().(*types.Struct)
	if !ok || flavorOf(o.Type) != noFlavor || isKnown(o.Type) {
		return nil
	}
	fields, err := fieldsOf(s, "", nil)
	if err != "" {
		r.fail(pos, "%s: %s: %s", place, typeText(o.Type), err)
		return o
	}
	if len(fields) == 0 {
		return nil
	}
	for i, f := range fields {
		if f.behindPointer {
			r.fail(pos, "%s: field %s lies behind an embedded pointer, which is never set", place, f.name)
		}
		_, pointer := types.Unalias(f.typ).(*types.Pointer)
		field := &Field{
			Name: f.name, Selector: f.selector, shape: r.shape(pos, place+", field "+f.name, f.typ, forParam),
			Optional: pointer,
		}
		r.tagOptions(pos, place, field, f)
		o.Fields = append(o.Fields, field)
		if i == 0 {
			switch f.typ.Underlying().(type) {
			case *types.Interface, *types.Map, *types.Struct, *types.Pointer:
				o.TakesDict = true
			}
		}
	}
	return o
}

// tagOptions reads omitempty and default=text, which is the rest of the tag.
func (r *reader) tagOptions(pos token.Pos, place string, field *Field, f taggedField) {
	for i, option := range f.options {
		if option == "omitempty" {
			field.Optional, field.OmitEmpty = true, true
		}
		if text, ok := strings.CutPrefix(option, "default="); ok {
			text = strings.Join(append([]string{text}, f.options[i+1:]...), ",")
			def, ok := defaultOf(f.typ, text)
			if !ok {
				r.fail(pos, "%s, field %s: a %s cannot have the default %q", place, f.name, typeText(f.typ), text)
			}
			field.Optional, field.Default = true, def
			return
		}
	}
}

// defaultOf returns the Go expression of a default.
func defaultOf(t types.Type, text string) (string, bool) {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return basicDefault(u, text)
	case *types.Interface:
		if u.NumMethods() > 0 {
			return "", false
		}
		def := guessDefault(text)
		if def != "nil" {
			def = "any(" + def + ")"
		}
		return def, true
	case *types.Pointer, *types.Slice, *types.Map:
		return "nil", text == "None"
	}
	return "", false
}

func basicDefault(b *types.Basic, text string) (string, bool) {
	switch info := b.Info(); {
	case info&types.IsString != 0:
		return strconv.Quote(text), true
	case info&types.IsBoolean != 0:
		v, err := strconv.ParseBool(strings.ToLower(text))
		return strconv.FormatBool(v), err == nil
	case info&types.IsUnsigned != 0:
		v, err := strconv.ParseUint(text, 0, bitsOf(b))
		return strconv.FormatUint(v, 10), err == nil
	case info&types.IsInteger != 0:
		v, err := strconv.ParseInt(text, 0, bitsOf(b))
		return strconv.FormatInt(v, 10), err == nil
	case info&types.IsFloat != 0:
		v, err := strconv.ParseFloat(text, bitsOf(b))
		s := strconv.FormatFloat(v, 'g', -1, 64)
		return s, err == nil && !strings.ContainsAny(s, "IN")
	}
	return "", false
}

func bitsOf(b *types.Basic) int { return int(types.SizesFor("gc", "amd64").Sizeof(b)) * 8 }

func guessDefault(text string) string {
	switch text {
	case "None":
		return "nil"
	case "True", "true":
		return "true"
	case "False", "false":
		return "false"
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return "int64(" + strconv.FormatInt(n, 10) + ")"
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, "0123456789") {
		return "float64(" + text + ")"
	}
	return strconv.Quote(text)
}

// taggedField is a field of a struct with a pb tag.
type taggedField struct {
	name, selector string
	typ            types.Type
	options        []string
	depth          int
	behindPointer  bool
}

// fieldsOf returns the fields with pb tags, those of embedded structs included, as jelly.Fields does.
func fieldsOf(s *types.Struct, selector string, outer []*types.Struct) (fields []taggedField, problem string) {
	for _, o := range outer {
		if o == s {
			return nil, "" // It embeds a pointer to itself.
		}
	}
	outer = append(outer, s)
	for i := range s.NumFields() {
		f := s.Field(i)
		tag, tagged := reflect.StructTag(s.Tag(i)).Lookup("pb")
		if !tagged && f.Embedded() {
			t, isPointer := types.Unalias(f.Type()), false
			if p, ok := t.(*types.Pointer); ok {
				t, isPointer = p.Elem(), true
			}
			inner, ok := t.Underlying().(*types.Struct)
			if !ok || !f.Exported() && isPointer {
				continue
			}
			more, problem := fieldsOf(inner, selector+f.Name()+".", outer)
			if problem != "" {
				return nil, problem
			}
			for _, m := range more {
				m.behindPointer = m.behindPointer || isPointer
				if fields, problem = addField(fields, m); problem != "" {
					return nil, problem
				}
			}
			continue
		}
		name, rest, hasOptions := strings.Cut(tag, ",")
		if !tagged || name == "-" {
			continue
		}
		if !f.Exported() {
			return nil, "field " + f.Name() + " has a pb tag but is not exported"
		}
		if name == "" {
			name = f.Name()
		}
		t := taggedField{name: name, selector: selector + f.Name(), typ: f.Type(), depth: len(outer)}
		if hasOptions {
			t.options = strings.Split(rest, ",")
		}
		for _, option := range t.options {
			if strings.HasPrefix(option, "default=") {
				break // The rest belongs to it.
			}
			if option != "omitempty" {
				return nil, fmt.Sprintf("field %s has the option %q in its pb tag; the options are omitempty and, at the end, "+
					"default=VALUE", f.Name(), option)
			}
		}
		if fields, problem = addField(fields, t); problem != "" {
			return nil, problem
		}
	}
	return fields, ""
}

// addField adds a field. As in Go, a less deeply nested field hides others with its name.
func addField(fields []taggedField, f taggedField) ([]taggedField, string) {
	for i, other := range fields {
		switch {
		case other.name != f.name:
		case f.depth < other.depth:
			fields[i] = f
			return fields, ""
		case f.depth == other.depth:
			return nil, "two fields have the name " + strconv.Quote(f.name) + " in their pb tags"
		default:
			return fields, ""
		}
	}
	return append(fields, f), ""
}
