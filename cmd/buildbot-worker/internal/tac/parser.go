package tac

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// expr is an expression. Its op says which fields are used.
type expr struct {
	line  int
	op    string   // "value", "name", ".", "call", "[]", "list", "tuple", "?", "opaque", or a Python operator
	name  string   // of a name or attribute; what an opaque expression is
	value value    // of a literal
	args  []*expr  // operands; the called function and its arguments
	names []string // of keyword arguments; "" for positional ones
}

// stmt is a statement. A statement that is not understood has the op "opaque".
type stmt struct {
	line    int
	op      string // "=", "expr", "import", "if", "try", "def", "decorator", "pass", "del", "opaque"
	what    string // the first word of an opaque statement; the name of a definition
	targets []*expr
	value   *expr
	imports []imported
	body    []stmt
	other   []stmt  // of if: else
	tokens  []token // of an opaque statement
}

// imported is a name that an import binds to a module or to something in one.
type imported struct{ name, path string }

type parser struct {
	tokens []token
	depth  int
}

// errNotUnderstood makes a statement opaque.
var errNotUnderstood = problemf(0, "not understood")

func parse(tokens []token) ([]stmt, error) {
	p := &parser{tokens: tokens}
	var all []stmt
	for p.peek().kind != endKind {
		some, err := p.statement()
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != endKind {
		p.tokens = p.tokens[1:]
	}
	return t
}

// is reports whether the next token is a given operator or word.
func (p *parser) is(text string) bool {
	t := p.peek()
	return (t.kind == opKind || t.kind == nameKind) && t.text == text
}

func (p *parser) accept(text string) bool {
	if p.is(text) {
		p.take()
		return true
	}
	return false
}

// statement parses a compound statement, or a line of simple ones.
func (p *parser) statement() ([]stmt, error) {
	t := p.peek()
	switch {
	case t.kind == indentKind:
		return nil, problemf(t.line, "the indentation is not expected")
	case p.is("if"):
		one, err := p.ifStatement()
		return []stmt{one}, err
	case p.is("try"):
		one, err := p.tryStatement()
		return []stmt{one}, err
	case t.kind == nameKind && slices.Contains(compound, t.text), p.is("@"):
		return p.skipBlock(), nil
	}
	var line []stmt
	for {
		line = append(line, p.simple())
		if !p.accept(";") || p.peek().kind == newlineKind {
			break
		}
	}
	if t := p.take(); t.kind != newlineKind {
		return nil, problemf(t.line, "not understood")
	}
	return line, nil
}

// compound are the words that begin statements with blocks, other than if and try.
var compound = []string{"for", "while", "with", "def", "class", "async"}

// skipBlock takes a statement with a block and a loop's else. A decorator is a statement of its own.
func (p *parser) skipBlock() []stmt {
	first := p.peek()
	s := stmt{line: first.line, op: "opaque", what: first.text}
	if p.is("@") {
		s.op, s.tokens = "decorator", p.line()
		return []stmt{s}
	}
	if (p.is("def") || p.is("class")) && p.tokens[1].kind == nameKind {
		s.op, s.what = "def", p.tokens[1].text
	}
	for again := true; again; again = p.is("else") {
		s.tokens = append(s.tokens, p.line()...)
		for depth := 0; p.peek().kind == indentKind || depth > 0 && p.peek().kind != endKind; {
			t := p.take()
			switch t.kind {
			case indentKind:
				depth++
			case dedentKind:
				depth--
			}
			s.tokens = append(s.tokens, t)
		}
	}
	return []stmt{s}
}

// line takes the rest of a logical line with its end.
func (p *parser) line() (all []token) {
	for p.peek().kind != endKind {
		t := p.take()
		all = append(all, t)
		if t.kind == newlineKind {
			break
		}
	}
	return all
}

// block parses the statements below a colon.
func (p *parser) block() ([]stmt, error) {
	if !p.accept(":") {
		return nil, problemf(p.peek().line, "a colon is missing")
	}
	if p.peek().kind != newlineKind {
		return p.statement() // on the same line
	}
	p.take()
	if t := p.take(); t.kind != indentKind {
		return nil, problemf(t.line, "an indented block is missing")
	}
	var body []stmt
	for p.peek().kind != dedentKind && p.peek().kind != endKind {
		some, err := p.statement()
		if err != nil {
			return nil, err
		}
		body = append(body, some...)
	}
	p.take()
	return body, nil
}

func (p *parser) ifStatement() (s stmt, err error) {
	s = stmt{line: p.take().line, op: "if"}
	if p.depth++; p.depth > maxDepth {
		return s, problemf(s.line, "conditions are nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	before := p.tokens
	if s.value, err = p.expression(); err != nil || !p.is(":") {
		p.tokens = before
		s.value = &expr{line: s.line, op: "opaque", name: "the condition"}
		p.skipHeader()
	}
	if s.body, err = p.block(); err != nil {
		return s, err
	}
	switch {
	case p.is("elif"):
		one, err := p.ifStatement()
		s.other = []stmt{one}
		return s, err
	case p.accept("else"):
		s.other, err = p.block()
	}
	return s, err
}

// skipHeader takes everything up to the colon that begins a block.
func (p *parser) skipHeader() {
	for depth := 0; depth > 0 || !p.is(":"); p.take() {
		switch t := p.peek(); {
		case t.kind == newlineKind || t.kind == endKind:
			return
		case t.kind == opKind && strings.Contains("([{", t.text):
			depth++
		case t.kind == opKind && strings.Contains(")]}", t.text):
			depth--
		}
	}
}

// tryStatement parses try. Handlers are dropped: what this package interprets raises no exception.
func (p *parser) tryStatement() (s stmt, err error) {
	s = stmt{line: p.take().line, op: "try"}
	if p.depth++; p.depth > maxDepth {
		return s, problemf(s.line, "blocks are nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	if s.body, err = p.block(); err != nil {
		return s, err
	}
	for p.is("except") {
		p.skipHeader()
		if _, err = p.block(); err != nil {
			return s, err
		}
	}
	for _, word := range []string{"else", "finally"} {
		if p.accept(word) {
			more, err := p.block()
			if err != nil {
				return s, err
			}
			s.body = append(s.body, more...)
		}
	}
	return s, nil
}

// simple parses one statement of a line. If it is not understood, it takes everything up to the line's end.
func (p *parser) simple() stmt {
	before := p.tokens
	first := p.peek()
	s := stmt{line: first.line}
	var err error
	switch {
	case p.accept("pass"):
		s.op = "pass"
	case p.accept("import"):
		s.op = "import"
		s.imports, err = p.imports()
	case p.accept("from"):
		s.op = "import"
		s.imports, err = p.fromImport()
	case p.accept("del"):
		s.op = "del"
		s.value, err = p.expression()
	default:
		err = p.assignment(&s)
	}
	if err == nil && (p.peek().kind == newlineKind || p.is(";")) {
		return s
	}
	p.tokens = before
	if first.kind == nameKind && p.tokens[1].kind == opKind && p.tokens[1].text == "=" {
		// Its value matters only if it is used.
		s = stmt{line: first.line, op: "=", targets: []*expr{{line: first.line, op: "name", name: first.text}}}
		s.value = &expr{line: first.line, op: "opaque", name: "the value"}
		p.skipLine()
		return s
	}
	s = stmt{line: first.line, op: "opaque", what: first.text}
	if first.kind != nameKind {
		s.what = "expression"
	}
	s.tokens = p.skipLine()
	return s
}

// skipLine takes the rest of a logical line without its end.
func (p *parser) skipLine() (all []token) {
	for p.peek().kind != newlineKind && p.peek().kind != endKind {
		all = append(all, p.take())
	}
	return all
}

func (p *parser) dotted() (string, error) {
	var parts []string
	for {
		t := p.take()
		if t.kind != nameKind {
			return "", errNotUnderstood
		}
		parts = append(parts, t.text)
		if !p.accept(".") {
			return strings.Join(parts, "."), nil
		}
	}
}

func (p *parser) imports() (all []imported, err error) {
	for {
		path, err := p.dotted()
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(path, ".")
		one := imported{name, name}
		if p.accept("as") {
			one = imported{p.take().text, path}
		}
		all = append(all, one)
		if !p.accept(",") {
			return all, nil
		}
	}
}

func (p *parser) fromImport() (all []imported, err error) {
	module, err := p.dotted()
	if err != nil || !p.accept("import") {
		return nil, errNotUnderstood
	}
	brackets := p.accept("(")
	for !brackets || !p.is(")") {
		t := p.take()
		if t.kind != nameKind {
			return nil, errNotUnderstood // includes *
		}
		one := imported{t.text, module + "." + t.text}
		if p.accept("as") {
			one.name = p.take().text
		}
		all = append(all, one)
		if !p.accept(",") {
			break
		}
	}
	if brackets && !p.accept(")") {
		return nil, errNotUnderstood
	}
	return all, nil
}

// assignment parses an expression, or an assignment to one or several targets.
func (p *parser) assignment(s *stmt) error {
	e, err := p.expressions()
	if err != nil {
		return err
	}
	if e.op == "name" && p.accept(":") { // an annotation
		if _, err := p.expression(); err != nil {
			return err
		}
	}
	for p.accept("=") {
		s.targets = append(s.targets, e)
		if e, err = p.expressions(); err != nil {
			return err
		}
	}
	if t := p.peek(); s.targets == nil && t.kind == opKind && slices.Contains(augmented, t.text) {
		op := strings.TrimSuffix(p.take().text, "=")
		more, err := p.expressions()
		s.targets = []*expr{e}
		e = &expr{line: t.line, op: op, args: []*expr{e, more}}
		if err != nil {
			return err
		}
	}
	s.op, s.value = "expr", e
	if s.targets != nil {
		s.op = "="
	}
	return nil
}

// augmented are the operators of augmented assignments.
var augmented = []string{"+=", "-=", "*=", "/=", "//=", "%=", "&=", "|=", "^="}

// expressions parses an expression, or several with commas, which are a tuple.
func (p *parser) expressions() (*expr, error) {
	e, err := p.expression()
	if err != nil || !p.is(",") {
		return e, err
	}
	tuple := &expr{line: e.line, op: "tuple", args: []*expr{e}}
	for p.accept(",") {
		if k := p.peek().kind; k == newlineKind || p.is("=") || p.is(")") {
			break
		}
		if e, err = p.expression(); err != nil {
			return nil, err
		}
		tuple.args = append(tuple.args, e)
	}
	return tuple, nil
}

// levels are Python's binary operators, from the loosest to the tightest. "not" stands between "and" and "in".
var levels = [][]string{
	{"or"}, {"and"}, {"not"}, {"==", "!=", "<>", "<", ">", "<=", ">=", "in", "is", "not"}, {"|"}, {"^"}, {"&"},
	{"<<", ">>"}, {"+", "-"}, {"*", "/", "//", "%", "@"},
}

func (p *parser) expression() (*expr, error) {
	if p.depth++; p.depth > 4*maxDepth {
		return nil, errNotUnderstood
	}
	defer func() { p.depth-- }()
	e, err := p.binary(0)
	if err != nil || !p.is("if") {
		return e, err
	}
	line := p.take().line
	condition, err := p.binary(0)
	if err != nil || !p.accept("else") {
		return nil, errNotUnderstood
	}
	other, err := p.expression()
	return &expr{line: line, op: "?", args: []*expr{condition, e, other}}, err
}

func (p *parser) binary(level int) (*expr, error) {
	switch {
	case level == len(levels):
		return p.unary()
	case levels[level][0] == "not":
		if p.is("not") {
			return p.prefix(level)
		}
		return p.binary(level + 1)
	}
	left, err := p.binary(level + 1)
	for err == nil {
		t := p.peek()
		if t.kind != opKind && t.kind != nameKind || !slices.Contains(levels[level], t.text) {
			return left, nil
		}
		op := p.take().text
		if op == "not" || op == "is" && p.is("not") {
			op += " " + p.take().text // not in, is not
		}
		var right *expr
		right, err = p.binary(level + 1)
		left = &expr{line: t.line, op: op, args: []*expr{left, right}}
	}
	return nil, err
}

// prefix parses an operator in front of one operand of the given level.
func (p *parser) prefix(level int) (*expr, error) {
	if p.depth++; p.depth > 4*maxDepth {
		return nil, errNotUnderstood
	}
	defer func() { p.depth-- }()
	t := p.take()
	e, err := p.binary(level)
	return &expr{line: t.line, op: "unary " + t.text, args: []*expr{e}}, err
}

func (p *parser) unary() (*expr, error) {
	if p.is("-") || p.is("+") || p.is("~") {
		return p.prefix(len(levels))
	}
	e, err := p.atom()
	for err == nil {
		switch {
		case p.is("."):
			line := p.take().line
			t := p.take()
			if t.kind != nameKind {
				return nil, errNotUnderstood
			}
			e = &expr{line: line, op: ".", name: t.text, args: []*expr{e}}
		case p.is("("):
			e, err = p.call(e)
		case p.is("["):
			line := p.take().line
			var key *expr
			key, err = p.expression()
			if err == nil && !p.accept("]") {
				err = errNotUnderstood
			}
			e = &expr{line: line, op: "[]", args: []*expr{e, key}}
		case p.is("**"):
			return nil, errNotUnderstood
		default:
			return e, nil
		}
	}
	return nil, err
}

func (p *parser) call(function *expr) (*expr, error) {
	e := &expr{line: function.line, op: "call", args: []*expr{function}}
	p.take()
	for !p.accept(")") {
		name := ""
		if p.peek().kind == nameKind && p.tokens[1].kind == opKind && p.tokens[1].text == "=" {
			name = p.take().text
			p.take()
		}
		arg, err := p.expression()
		if err != nil {
			return nil, err
		}
		e.args, e.names = append(e.args, arg), append(e.names, name)
		if !p.accept(",") && !p.is(")") {
			return nil, errNotUnderstood // includes *args and generators
		}
	}
	return e, nil
}

// reserved are words that begin no expression that this package knows.
var reserved = []string{
	"and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
	"finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "or", "pass", "raise", "return",
	"try", "while", "with", "yield", "exec", "print",
}

func (p *parser) atom() (*expr, error) {
	t := p.take()
	switch {
	case t.kind == textKind:
		return p.text(t), nil
	case t.kind == numberKind:
		return &expr{line: t.line, op: "value", value: numberOf(t)}, nil
	case t.kind == nameKind:
		return p.name(t)
	case t.kind == opKind && (t.text == "(" || t.text == "["):
		return p.sequence(t)
	case t.kind == opKind && t.text == "{":
		for depth := 1; depth > 0; {
			switch p.take().text {
			case "{":
				depth++
			case "}":
				depth--
			}
		}
		return &expr{line: t.line, op: "opaque", name: "a dictionary"}, nil
	}
	return nil, errNotUnderstood
}

// text parses string literals, which are joined if they stand side by side.
func (p *parser) text(t token) *expr {
	e := &expr{line: t.line, op: "value", value: value{kind: textValue, text: t.text, line: t.line}}
	opaque := t.formatted
	for p.peek().kind == textKind {
		more := p.take()
		e.value.text += more.text
		opaque = opaque || more.formatted
	}
	if opaque {
		return &expr{line: t.line, op: "opaque", name: "a formatted string"}
	}
	return e
}

func (p *parser) name(t token) (*expr, error) {
	literal := func(v value) (*expr, error) {
		v.line = t.line
		return &expr{line: t.line, op: "value", value: v}, nil
	}
	switch t.text {
	case "None":
		return literal(value{kind: noneValue})
	case "True":
		return literal(boolean(true))
	case "False":
		return literal(boolean(false))
	case "print":
		if p.is("(") {
			break
		}
		return nil, errNotUnderstood
	}
	if t.text != "print" && slices.Contains(reserved, t.text) {
		return nil, errNotUnderstood
	}
	return &expr{line: t.line, op: "name", name: t.text}, nil
}

// sequence parses brackets: a tuple, a list, or an expression in parentheses.
func (p *parser) sequence(t token) (*expr, error) {
	closing, op := ")", "tuple"
	if t.text == "[" {
		closing, op = "]", "list"
	}
	e := &expr{line: t.line, op: op}
	comma := false
	for !p.accept(closing) {
		one, err := p.expression()
		if err != nil {
			return nil, err
		}
		e.args = append(e.args, one)
		if p.accept(",") {
			comma = true
		} else if !p.is(closing) {
			return nil, errNotUnderstood
		}
	}
	if op == "tuple" && len(e.args) == 1 && !comma {
		return e.args[0], nil
	}
	return e, nil
}

// numberOf reads a number of Python 2 or 3: 0o22 and 022 are octal.
func numberOf(t token) value {
	text := strings.ReplaceAll(strings.TrimRight(t.text, "lL"), "_", "")
	octal := len(text) > 1 && text[0] == '0' && strings.Trim(text, "01234567") == ""
	if octal {
		text = "0o" + strings.TrimLeft(text, "0")
		if text == "0o" {
			text = "0"
		}
	}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return value{kind: intValue, n: n, line: t.line}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) {
		return value{kind: floatValue, f: f, line: t.line}
	}
	return unknown(t.line, "the number is too large or not supported")
}
