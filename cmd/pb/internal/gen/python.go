package gen

import (
	"fmt"
	"sort"
	"strings"
	"unicode"
)

// Python returns the Python file: a class for each interface, for Twisted.
func (p *Package) Python() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n", p.header())
	fmt.Fprintf(&b, "\"\"\"Clients for the interfaces of the Go package %s.\n\n", docText(p.Name))
	b.WriteString("Each takes a twisted.spread.pb.RemoteReference. Its methods return a Deferred of the result.\n\"\"\"\n")
	for _, i := range p.Interfaces {
		p.pythonClass(&b, i)
	}
	return []byte(b.String())
}

func (p *Package) pythonClass(b *strings.Builder, i *Interface) {
	fmt.Fprintf(b, "\n\nclass %s:\n", i.client())
	doc := i.Doc
	if doc == "" {
		doc = "Calls a " + i.Name + " at the other end of a connection."
	}
	writeDoc(b, "    ", doc+p.typeNotes(i))
	b.WriteString("\n    def __init__(self, ref):\n        self._ref = ref\n")
	taken := map[string]bool{"_ref": true, "__init__": true}
	for _, m := range i.Methods {
		p.pythonMethod(b, m, taken)
	}
}

// typeNotes describes the named types that the methods of an interface mention.
func (p *Package) typeNotes(i *Interface) string {
	mentioned := map[string]bool{}
	var visit func(notation string)
	visit = func(notation string) {
		separates := func(c rune) bool { return strings.ContainsRune("[]?,() :*{}", c) }
		for _, word := range strings.FieldsFunc(notation, separates) {
			if n := p.Types[word]; n != nil && !mentioned[word] {
				mentioned[word] = true
				visit(n.String())
			}
		}
	}
	for _, m := range i.Methods {
		visit(m.Signature().String())
	}
	names := make([]string, 0, len(mentioned))
	for name := range mentioned {
		names = append(names, name)
	}
	sort.Strings(names)
	text := ""
	for _, name := range names {
		switch n := p.Types[name]; n.Kind {
		case "copy":
			text += "\n" + name + " is a copy with the attributes " + strings.TrimPrefix(n.String(), "copy ") + "."
		case "dict":
			text += "\n" + name + " is a dict " + strings.TrimPrefix(n.String(), "dict ") + "."
		default:
			text += "\n" + name + " is " + n.Is + "."
		}
	}
	if text != "" {
		text = "\n" + text
	}
	return text
}

func (p *Package) pythonMethod(b *strings.Builder, m *Method, taken map[string]bool) {
	used := map[string]bool{"self": true, "kw": true}
	params := []string{"self"}
	args := []string{pythonString(m.Wire)}
	for _, x := range m.Params {
		name := pythonName(x.Name, used)
		params = append(params, name)
		args = append(args, name)
	}
	var before []string
	if m.Variadic != nil {
		name := pythonName(m.Variadic.Name, used)
		params = append(params, "*"+name)
		args = append(args, "*"+name)
	}
	if o := m.Options; o != nil {
		if m.Variadic == nil {
			params = append(params, "*")
		}
		before, args = pythonKeywords(o, used, &params, args)
	}
	if m.Rest {
		params = append(params, "**kw")
		args = append(args, "**kw")
	}
	name := pythonName(m.Wire, taken)
	fmt.Fprintf(b, "\n    def %s(%s):\n", name, strings.Join(params, ", "))
	doc := m.Signature().String()
	if m.Doc != "" {
		doc = m.Doc + "\n\n" + doc
	}
	writeDoc(b, "        ", doc)
	for _, line := range before {
		b.WriteString("        " + line + "\n")
	}
	fmt.Fprintf(b, "        d = self._ref.callRemote(%s)\n", strings.Join(args, ", "))
	p.pythonResult(b, m)
	b.WriteString("        return d\n")
}

// pythonKeywords returns the statements that gather the keywords. An optional one is passed on only if it was given.
func pythonKeywords(o *Options, used map[string]bool, params *[]string, args []string) (before, _ []string) {
	var always []string
	for _, f := range o.Fields {
		name := pythonName(f.Name, used)
		if !f.Optional {
			*params = append(*params, name)
			always = append(always, pythonString(f.Name)+": "+name)
			continue
		}
		*params = append(*params, name+"=...")
		before = append(before, "if "+name+" is not ...:", "    kw["+pythonString(f.Name)+"] = "+name)
	}
	before = append([]string{"kw = {" + strings.Join(always, ", ") + "}"}, before...)
	return before, append(args, "**kw")
}

// pythonResult wraps references to marked interfaces of the package in their clients.
func (p *Package) pythonResult(b *strings.Builder, m *Method) {
	if len(m.Results) != 1 || m.Results[0].kind != object || m.Results[0].iface.made == nil {
		return
	}
	client := m.Results[0].iface.made.client()
	if m.Results[0].in == aSlice {
		fmt.Fprintf(b, "        d.addCallback(lambda refs: [ref and %s(ref) for ref in refs])\n", client)
		return
	}
	fmt.Fprintf(b, "        d.addCallback(lambda ref: ref and %s(ref))\n", client)
}

// pythonReserved are the words that cannot be names.
var pythonReserved = func() map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.Fields(`False None True and as assert async await break class continue def del elif else
except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield`) {
		words[w] = true
	}
	return words
}()

// pythonName returns a name that Python accepts and that is not used. A name in a class must not begin with two
// underscores, which Python would change.
func pythonName(name string, used map[string]bool) string {
	var b strings.Builder
	for i, c := range name {
		if c == '_' || unicode.IsLetter(c) || i > 0 && unicode.IsDigit(c) {
			b.WriteRune(c)
		} else {
			b.WriteByte('_')
		}
	}
	name = b.String()
	if strings.HasPrefix(name, "__") {
		name = "x" + name
	}
	for pythonReserved[name] || used[name] || name == "" {
		name += "_"
	}
	used[name] = true
	return name
}

// pythonString quotes text. What %q writes for printable text is a literal of Python too.
func pythonString(s string) string {
	return fmt.Sprintf("%+q", s)
}

// docText makes text fit for a docstring.
func docText(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return strings.ReplaceAll(s, `"`, `\"`)
}

func writeDoc(b *strings.Builder, indent, text string) {
	lines := strings.Split(docText(text), "\n")
	b.WriteString(indent + `"""` + lines[0])
	for _, line := range lines[1:] {
		b.WriteString("\n" + strings.TrimRight(indent+line, " "))
	}
	if len(lines) > 1 {
		b.WriteString("\n" + indent)
	}
	b.WriteString("\"\"\"\n")
}
