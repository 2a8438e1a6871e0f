package gen

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Signature is a method in the notation, which is what -check compares:
//
//	order(article: Article, n: int, *, unit: str = ..., **) -> Receipt
type Signature struct {
	Name     string
	Params   []Member // by position
	Keywords []Keyword
	Variadic string // the type of further arguments; "" if there are none
	Rest     bool
	Results  []string
}

// Keyword is a parameter by name.
type Keyword struct {
	Member
	Optional bool
}

// Signature returns the method in the notation.
func (m *Method) Signature() *Signature {
	s := &Signature{Name: m.Wire, Rest: m.Rest}
	for _, p := range m.Params {
		s.Params = append(s.Params, Member{p.Name, p.Notation})
	}
	if m.Options != nil {
		for _, f := range m.Options.Fields {
			s.Keywords = append(s.Keywords, Keyword{Member{f.Name, f.Notation}, f.Optional})
		}
	}
	if m.Variadic != nil {
		s.Variadic = m.Variadic.Notation
	}
	if m.Deferred {
		s.Results = []string{"any"}
	}
	for _, r := range m.Results {
		s.Results = append(s.Results, r.Notation)
	}
	return s
}

func (s *Signature) String() string {
	var parts []string
	for _, p := range s.Params {
		parts = append(parts, p.Name+": "+p.Type)
	}
	switch {
	case s.Variadic != "":
		parts = append(parts, "*: "+s.Variadic)
	case len(s.Keywords) > 0:
		parts = append(parts, "*")
	}
	for _, k := range s.Keywords {
		text := k.Name + ": " + k.Type
		if k.Optional {
			text += " = ..."
		}
		parts = append(parts, text)
	}
	if s.Rest {
		parts = append(parts, "**")
	}
	text := s.Name + "(" + strings.Join(parts, ", ") + ")"
	switch len(s.Results) {
	case 0:
	case 1:
		text += " -> " + s.Results[0]
	default:
		text += " -> (" + strings.Join(s.Results, ", ") + ")"
	}
	return text
}

// parseSignature is the reverse of String.
func parseSignature(text string) (*Signature, error) {
	bad := fmt.Errorf("%q is no signature", text)
	name, rest, ok := strings.Cut(text, "(")
	end := strings.LastIndex(rest, ")")
	if arrow := strings.Index(rest, ") -> "); arrow >= 0 {
		end = arrow
	}
	if !ok || name == "" || end < 0 {
		return nil, bad
	}
	s := &Signature{Name: name}
	result := strings.TrimPrefix(rest[end+1:], " -> ")
	if inner, ok := strings.CutPrefix(result, "("); ok {
		s.Results = splitTop(strings.TrimSuffix(inner, ")"))
	} else if result != "" {
		s.Results = []string{result}
	}
	byName := false
	for _, part := range splitTop(rest[:end]) {
		switch typ, isVariadic := strings.CutPrefix(part, "*: "); {
		case part == "*":
			byName = true
		case part == "**":
			s.Rest = true
		case isVariadic:
			byName, s.Variadic = true, typ
		default:
			name, typ, ok := strings.Cut(part, ": ")
			if !ok {
				return nil, bad
			}
			if typ, optional := strings.CutSuffix(typ, " = ..."); byName {
				s.Keywords = append(s.Keywords, Keyword{Member{name, typ}, optional})
				continue
			}
			s.Params = append(s.Params, Member{name, typ})
		}
	}
	return s, nil
}

// splitTop splits at commas outside of brackets.
func splitTop(text string) []string {
	var parts []string
	depth, from := 0, 0
	for i, c := range text {
		switch c {
		case '[', '(', '{':
			depth++
		case ']', ')', '}':
			depth--
		case ',':
			if depth == 0 {
				parts = append(parts, strings.TrimSpace(text[from:i]))
				from = i + 1
			}
		}
	}
	if last := strings.TrimSpace(text[from:]); last != "" {
		parts = append(parts, last)
	}
	return parts
}

// The directives by which a generated file describes what it was made from.
const (
	markInterface = "//pb:interface "
	markMethod    = "//pb:method "
	markType      = "//pb:type "
)

// description returns the directives for a package.
func (p *Package) description() []string {
	var lines []string
	for _, i := range p.Interfaces {
		line := markInterface + i.Name
		if i.Class != "" {
			line += " " + i.Class
		}
		lines = append(lines, line)
		for _, m := range i.Methods {
			lines = append(lines, markMethod+m.Signature().String())
		}
	}
	names := make([]string, 0, len(p.Types))
	for name := range p.Types {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		lines = append(lines, markType+name+" "+p.Types[name].String())
	}
	return lines
}

func (n *Named) String() string {
	if n.Kind == "is" {
		return "is " + n.Is
	}
	parts := make([]string, len(n.Fields))
	for i, f := range n.Fields {
		parts[i] = f.Name + ": " + f.Type
	}
	return n.Kind + " {" + strings.Join(parts, ", ") + "}"
}

// Contract is what clients depend on.
type Contract struct {
	Interfaces map[string]*ContractInterface
	Types      map[string]*Named
}

// ContractInterface is one interface.
type ContractInterface struct {
	Name, Class string
	Methods     []*Signature
}

// Contract returns what clients of the package depend on.
func (p *Package) Contract() *Contract {
	c := &Contract{map[string]*ContractInterface{}, p.Types}
	for _, i := range p.Interfaces {
		ci := &ContractInterface{Name: i.Name, Class: i.Class}
		for _, m := range i.Methods {
			ci.Methods = append(ci.Methods, m.Signature())
		}
		c.Interfaces[i.Name] = ci
	}
	return c
}

// ParseContract reads the directives of a generated file.
func ParseContract(source string) (*Contract, error) {
	c := &Contract{map[string]*ContractInterface{}, map[string]*Named{}}
	var last *ContractInterface
	for number, line := range strings.Split(source, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if rest, ok := strings.CutPrefix(line, markInterface); ok {
			name, class, _ := strings.Cut(rest, " ")
			last = &ContractInterface{Name: name, Class: class}
			c.Interfaces[name] = last
		}
		if rest, ok := strings.CutPrefix(line, markMethod); ok {
			s, err := parseSignature(rest)
			if err != nil || last == nil {
				return nil, fmt.Errorf("line %d: %s is no method of an interface", number+1, line)
			}
			last.Methods = append(last.Methods, s)
		}
		if rest, ok := strings.CutPrefix(line, markType); ok {
			name, n, ok := parseNamed(rest)
			if !ok {
				return nil, fmt.Errorf("line %d: %s describes no type", number+1, line)
			}
			c.Types[name] = n
		}
	}
	if len(c.Interfaces) == 0 {
		return nil, fmt.Errorf("it has no line %q: it was not made by pb gen", strings.TrimSpace(markInterface))
	}
	return c, nil
}

func parseNamed(text string) (name string, n *Named, ok bool) {
	for _, kind := range []string{" copy {", " dict {"} {
		name, fields, found := strings.Cut(text, kind)
		if !found {
			continue
		}
		n := &Named{Kind: strings.Trim(kind, " {")}
		for _, part := range splitTop(strings.TrimSuffix(fields, "}")) {
			field, typ, ok := strings.Cut(part, ": ")
			if !ok {
				return "", nil, false
			}
			n.Fields = append(n.Fields, Member{field, typ})
		}
		return name, n, true
	}
	name, is, found := strings.Cut(text, " is ")
	return name, &Named{Kind: "is", Is: is}, found
}

func (c *ContractInterface) method(name string) *Signature {
	i := slices.IndexFunc(c.Methods, func(s *Signature) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return c.Methods[i]
}
