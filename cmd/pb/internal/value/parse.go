package value

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// MaxDepth is how deep the literals of one value may nest. Jelly accepts a few levels more.
const MaxDepth = 500

// SyntaxError reports a value that cannot be read.
type SyntaxError struct {
	// Text is the whole text, Offset the position of the fault in bytes.
	Text   string
	Offset int
	What   string
}

// Error gives the place as a character number, counted from 1, with the text from there.
func (e *SyntaxError) Error() string {
	at := min(e.Offset, len(e.Text))
	place := fmt.Sprintf("at character %d", utf8.RuneCountInString(e.Text[:at])+1)
	if at == len(e.Text) {
		return fmt.Sprintf("%s, at the end of %s: %s", place, quoteText(clip(e.Text)), e.What)
	}
	return fmt.Sprintf("%s, before %s: %s", place, quoteText(clip(e.Text[at:])), e.What)
}

func clip(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// valueStarts are the beginnings of words that are values. What begins so and is malformed is an error, not text.
var valueStarts = []string{
	"[", "(", "{", "'", `"`, "b'", `b"`, "datetime(", "date(", "time(", "timedelta(", "Decimal(", "set(", "frozenset(",
}

// ParseWord reads a word of the command line: a value, or else text.
func ParseWord(word string) (any, error) {
	for _, start := range valueStarts {
		if strings.HasPrefix(word, start) {
			return Parse(word, nil)
		}
	}
	if v, ok := constants[word]; ok {
		return v, nil
	}
	if v, n, err := number(word); n == len(word) && n > 0 {
		if err != nil {
			return nil, &SyntaxError{word, 0, err.Error()}
		}
		return v, nil
	}
	if !utf8.ValidString(word) {
		return nil, &SyntaxError{strings.ToValidUTF8(word, "�"), 0, "text must be UTF-8; write bytes as b'…'"}
	}
	return word, nil
}

// Keyword splits name=value at the first equals sign, if an identifier stands before it.
func Keyword(word string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(word, "=")
	if !ok || !IsIdentifier(name) {
		return "", word, false
	}
	return name, value, true
}

// IsIdentifier reports whether s can be a name in Python.
func IsIdentifier(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) || r == utf8.RuneError {
			return false
		}
	}
	return s != ""
}

var constants = map[string]any{
	"None": nil, "null": nil, "True": true, "true": true, "False": false, "false": false,
	"nan": math.NaN(), "inf": math.Inf(1), "-inf": math.Inf(-1),
}

// Parse reads exactly one value. Names returns the values of variables; it may be nil. The error is a *SyntaxError.
func Parse(text string, names func(name string) (any, bool)) (any, error) {
	p := &Parser{Text: text, Names: names}
	v, err := p.Value()
	if err == nil {
		err = p.End()
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Parser reads values from the front of a text.
type Parser struct {
	Text string
	// At is the offset of what is read next.
	At int
	// Names returns the values of variables; it may be nil.
	Names func(name string) (any, bool)

	depth int
}

// Fail returns an error at an offset.
func (p *Parser) Fail(at int, format string, args ...any) error {
	return &SyntaxError{p.Text, at, fmt.Sprintf(format, args...)}
}

// Space skips white space.
func (p *Parser) Space() {
	for p.At < len(p.Text) && strings.IndexByte(" \t\r\n\f", p.Text[p.At]) >= 0 {
		p.At++
	}
}

// Accept skips white space, and then s if it comes next.
func (p *Parser) Accept(s string) bool {
	p.Space()
	if !strings.HasPrefix(p.Text[p.At:], s) {
		return false
	}
	p.At += len(s)
	return true
}

// End returns an error if anything but white space is left.
func (p *Parser) End() error {
	if p.Space(); p.At < len(p.Text) {
		return p.Fail(p.At, "nothing may follow the value")
	}
	return nil
}

// Name reads an identifier, if one comes next.
func (p *Parser) Name() string {
	p.Space()
	end := len(p.Text)
	for i, r := range p.Text[p.At:] {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			end = p.At + i
			break
		}
	}
	name := p.Text[p.At:end]
	p.At = end
	return name
}

// Value reads one value.
func (p *Parser) Value() (any, error) {
	p.Space()
	start := p.At
	if start == len(p.Text) {
		return nil, p.Fail(start, "a value is missing")
	}
	if p.depth++; p.depth > MaxDepth {
		return nil, p.Fail(start, "values are nested deeper than %d", MaxDepth)
	}
	defer func() { p.depth-- }()
	switch c := p.Text[start]; {
	case c == '[':
		p.At++
		items, _, err := p.items("]")
		return items, err
	case c == '(':
		return p.tuple()
	case c == '{':
		return p.braces()
	case c == '\'' || c == '"':
		return p.str()
	case c == 'b' && start+1 < len(p.Text) && (p.Text[start+1] == '\'' || p.Text[start+1] == '"'):
		return p.bytes()
	case c >= '0' && c <= '9' || c == '-' || c == '.':
		return p.number()
	}
	return p.word()
}

func (p *Parser) number() (any, error) {
	if p.Text[p.At] == '-' && strings.HasPrefix(p.Text[p.At+1:], "inf") {
		p.At += len("-inf")
		return math.Inf(-1), nil
	}
	v, n, err := number(p.Text[p.At:])
	if n == 0 {
		return nil, p.Fail(p.At, "a number is malformed")
	}
	if err != nil {
		return nil, p.Fail(p.At, "%v", err)
	}
	p.At += n
	if p.At < len(p.Text) {
		if r, _ := utf8.DecodeRuneInString(p.Text[p.At:]); r == '_' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return nil, p.Fail(p.At, "a number is malformed")
		}
	}
	return v, nil
}

func (p *Parser) word() (any, error) {
	start := p.At
	name := p.Name()
	if name == "" {
		return nil, p.Fail(start, "a value is expected: text stands in quotes")
	}
	if m, ok := makers[name]; ok {
		if p.Accept("(") {
			return p.construct(name, start, m)
		}
		p.At = start + len(name)
	}
	if v, ok := constants[name]; ok {
		return v, nil
	}
	if p.Names != nil {
		if v, ok := p.Names(name); ok {
			return v, nil
		}
		return nil, p.Fail(start, "%s has no value", name)
	}
	return nil, p.Fail(start, "%s is no value: text stands in quotes", name)
}

// items reads values up to the closing bracket. It reports whether a comma was behind the last.
func (p *Parser) items(end string) (items []any, comma bool, err error) {
	items = []any{}
	for {
		if p.Accept(end) {
			return items, comma, nil
		}
		if len(items) > 0 && !comma {
			return nil, false, p.missing(end)
		}
		v, err := p.Value()
		if err != nil {
			return nil, false, err
		}
		items = append(items, v)
		comma = p.Accept(",")
	}
}

func (p *Parser) missing(end string) error {
	p.Space()
	return p.Fail(p.At, "%s or a comma is expected", end)
}

func (p *Parser) tuple() (any, error) {
	p.At++
	items, comma, err := p.items(")")
	if err != nil {
		return nil, err
	}
	if len(items) == 1 && !comma {
		return items[0], nil // as in Python: (1) is 1
	}
	return jelly.Tuple(items), nil
}

// braces reads a dictionary or a set.
func (p *Parser) braces() (any, error) {
	p.At++
	if p.Accept("}") {
		return jelly.NewDict(), nil
	}
	key, err := p.key()
	if err != nil {
		return nil, err
	}
	if !p.Accept(":") {
		return p.setFrom(key)
	}
	var entries []jelly.Entry
	for {
		v, err := p.Value()
		if err != nil {
			return nil, err
		}
		entries = append(entries, jelly.Entry{Key: key, Value: v})
		comma := p.Accept(",")
		if p.Accept("}") {
			return jelly.NewDict(entries...), nil
		}
		if !comma {
			return nil, p.missing("}")
		}
		if key, err = p.key(); err != nil {
			return nil, err
		}
		if !p.Accept(":") {
			p.Space()
			return nil, p.Fail(p.At, "a colon is expected behind a key")
		}
	}
}

func (p *Parser) setFrom(first any) (any, error) {
	members := []any{first}
	for {
		comma := p.Accept(",")
		if p.Accept("}") {
			return jelly.NewSet(members...), nil
		}
		if !comma {
			return nil, p.missing("}")
		}
		m, err := p.key()
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
}

// key reads a value that must be hashable.
func (p *Parser) key() (any, error) {
	p.Space()
	at := p.At
	v, err := p.Value()
	if err == nil && !hashable(v) {
		err = p.Fail(at, "a %s can be no key and no member of a set", jelly.TypeName(v))
	}
	return v, err
}

func hashable(v any) bool {
	switch v := v.(type) {
	case []any, *jelly.Dict, *jelly.Set:
		return false
	case jelly.Tuple:
		for _, x := range v {
			if !hashable(x) {
				return false
			}
		}
	}
	return true
}

// checkInt returns an error for an integer that the wire cannot carry.
func checkInt(n *big.Int) error {
	if n.BitLen() > banana.MaxIntBits {
		return fmt.Errorf("an integer of %d bits is too large: the protocol carries %d", n.BitLen(), banana.MaxIntBits)
	}
	return nil
}
