package tac

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type kind int

const (
	endKind kind = iota
	newlineKind
	indentKind
	dedentKind
	nameKind
	numberKind
	textKind
	opKind
)

// token is a piece of the program. The text of a string literal is its value.
type token struct {
	kind      kind
	text      string
	line      int
	isBytes   bool // b'…'
	formatted bool // f'…' with a replacement field
}

// coding is the declaration of the encoding, which Python looks for in the first two lines.
var coding = regexp.MustCompile(`^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)`)

// decode returns the program as UTF-8 with line feeds. It accepts UTF-8 and declared Latin-1.
func decode(text []byte) (string, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	for i, line := range bytes.SplitN(text, []byte("\n"), 3)[:min(2, bytes.Count(text, []byte("\n"))+1)] {
		if found := coding.FindSubmatch(line); found != nil {
			declared := strings.ReplaceAll(strings.ToLower(string(found[1])), "_", "-")
			switch declared {
			case "utf-8", "utf8", "ascii", "us-ascii":
			case "latin-1", "latin1", "iso-8859-1", "iso8859-1":
				return latin1(text), nil
			default:
				return "", problemf(i+1, "the encoding %.40q is not supported: save the file as UTF-8", declared)
			}
			break
		}
	}
	for i, line := range bytes.Split(text, []byte("\n")) {
		switch {
		case !utf8.Valid(line):
			return "", problemf(i+1, "not UTF-8, and no encoding is declared: save the file as UTF-8, or write "+
				"\"# -*- coding: latin-1 -*-\" as its first line")
		case bytes.IndexByte(line, 0) >= 0:
			return "", problemf(i+1, "there is a NUL byte: this is not a text file")
		}
	}
	return string(text), nil
}

func latin1(text []byte) string {
	var b strings.Builder
	for _, c := range text {
		b.WriteRune(rune(c))
	}
	return b.String()
}

// operators are those of two and three characters; all others have one.
var operators = []string{
	"**=", "//=", ">>=", "<<=", "...", "**", "//", ">>", "<<", "==", "!=", "<=", ">=", "->", ":=", "+=", "-=", "*=", "/=",
	"%=", "&=", "|=", "^=", "@=", "<>",
}

type lexer struct {
	rest    string
	line    int
	open    []token // brackets
	indents []int
	tokens  []token
}

// tokenize returns the tokens of a program. The last one has endKind.
func tokenize(program string) ([]token, error) {
	l := &lexer{rest: program, line: 1, indents: []int{0}}
	for fresh := true; l.rest != ""; {
		var err error
		if fresh {
			fresh, err = l.indentation()
		} else {
			fresh, err = l.next()
		}
		if err != nil {
			return nil, err
		}
	}
	if len(l.open) > 0 {
		at := l.open[len(l.open)-1]
		return nil, problemf(at.line, "the bracket %s is never closed", at.text)
	}
	if n := len(l.tokens); n > 0 && l.tokens[n-1].kind != newlineKind && l.tokens[n-1].kind != dedentKind {
		l.add(newlineKind, "")
	}
	for range len(l.indents) - 1 {
		l.add(dedentKind, "")
	}
	l.add(endKind, "")
	return l.tokens, nil
}

func (l *lexer) add(k kind, text string) {
	l.tokens = append(l.tokens, token{kind: k, text: text, line: l.line})
}

// indentation reads the blanks that begin a line. It skips a line that is blank or a comment.
func (l *lexer) indentation() (blank bool, err error) {
	width, i := 0, 0
	for ; i < len(l.rest); i++ {
		switch l.rest[i] {
		case ' ':
			width++
			continue
		case '\t':
			width += 8 - width%8
			continue
		case '\f':
			width = 0
			continue
		}
		break
	}
	l.rest = l.rest[i:]
	if l.rest == "" {
		return true, nil
	}
	if l.rest[0] == '#' || l.rest[0] == '\n' {
		l.skipComment()
		if l.rest != "" {
			l.rest = l.rest[1:]
			l.line++
		}
		return true, nil
	}
	top := len(l.indents) - 1
	switch {
	case width > l.indents[top]:
		if len(l.indents) > maxDepth {
			return false, problemf(l.line, "blocks are nested more than %d deep", maxDepth)
		}
		l.indents = append(l.indents, width)
		l.add(indentKind, "")
	case width < l.indents[top]:
		for width < l.indents[top] {
			top--
			l.add(dedentKind, "")
		}
		l.indents = l.indents[:top+1]
		if width != l.indents[top] {
			return false, problemf(l.line, "the indentation matches no line above")
		}
	}
	return false, nil
}

func (l *lexer) skipComment() {
	if strings.HasPrefix(l.rest, "#") {
		end := strings.IndexByte(l.rest, '\n')
		if end < 0 {
			end = len(l.rest)
		}
		l.rest = l.rest[end:]
	}
}

// next reads one token. It reports whether it was the end of a logical line.
func (l *lexer) next() (ended bool, err error) {
	c := l.rest[0]
	switch {
	case c == ' ' || c == '\t' || c == '\f':
		l.rest = l.rest[1:]
	case c == '#':
		l.skipComment()
	case c == '\n':
		inside := len(l.open) > 0
		if !inside {
			l.add(newlineKind, "")
		}
		l.rest = l.rest[1:]
		l.line++
		return !inside, nil
	case strings.HasPrefix(l.rest, "\\\n"):
		l.rest = l.rest[2:]
		l.line++
	case stringStart.MatchString(l.rest):
		return false, l.str()
	case c >= '0' && c <= '9' || c == '.' && len(l.rest) > 1 && l.rest[1] >= '0' && l.rest[1] <= '9':
		text := number.FindString(l.rest)
		l.add(numberKind, text)
		l.rest = l.rest[len(text):]
	default:
		return false, l.word()
	}
	return false, nil
}

var (
	stringStart = regexp.MustCompile(`^(?i:[rbuf]{0,2})['"]`)
	number      = regexp.MustCompile(
		`^(?:0[xXoObB][0-9a-fA-F_]+|(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)(?:[eE][-+]?[0-9]+)?)[jJlL]?`,
	)
)

// word reads a name or an operator.
func (l *lexer) word() error {
	size := 0
	for _, r := range l.rest {
		if r != '_' && !unicode.IsLetter(r) && (size == 0 || !unicode.IsDigit(r)) {
			break
		}
		size += utf8.RuneLen(r)
	}
	if size > 0 {
		l.add(nameKind, l.rest[:size])
		l.rest = l.rest[size:]
		return nil
	}
	op := ""
	for _, long := range operators {
		if strings.HasPrefix(l.rest, long) {
			op = long
			break
		}
	}
	if op == "" {
		if r, _ := utf8.DecodeRuneInString(l.rest); !strings.ContainsRune("()[]{},:.;=+-*/%&|^~<>@`", r) {
			return problemf(l.line, "the character %q has no meaning here", r)
		}
		op = l.rest[:1]
	}
	switch op {
	case "(", "[", "{":
		if len(l.open) == maxDepth {
			return problemf(l.line, "brackets are nested more than %d deep", maxDepth)
		}
		l.open = append(l.open, token{text: op, line: l.line})
	case ")", "]", "}":
		top := len(l.open) - 1
		if top < 0 || strings.Index("([{", l.open[top].text) != strings.Index(")]}", op) {
			return problemf(l.line, "the bracket %s was not opened", op)
		}
		l.open = l.open[:top]
	}
	l.add(opKind, op)
	l.rest = l.rest[len(op):]
	return nil
}

// str reads a string literal.
func (l *lexer) str() error {
	prefix := strings.ToLower(l.rest[:strings.IndexAny(l.rest, `'"`)])
	l.rest = l.rest[len(prefix):]
	quote := l.rest[:1]
	if strings.HasPrefix(l.rest, strings.Repeat(quote, 3)) {
		quote = l.rest[:3]
	}
	t := token{kind: textKind, line: l.line, isBytes: strings.Contains(prefix, "b")}
	l.rest = l.rest[len(quote):]
	var b strings.Builder
	for !strings.HasPrefix(l.rest, quote) {
		if l.rest == "" || l.rest[0] == '\n' && len(quote) == 1 {
			return problemf(t.line, "a string that begins here has no end")
		}
		if l.rest[0] == '\\' {
			if err := l.escape(&b, strings.Contains(prefix, "r"), t.isBytes); err != nil {
				return err
			}
			continue
		}
		if l.rest[0] == '\n' {
			l.line++
		}
		b.WriteByte(l.rest[0])
		l.rest = l.rest[1:]
	}
	l.rest = l.rest[len(quote):]
	t.text = b.String()
	t.formatted = strings.Contains(prefix, "f") && strings.ContainsAny(t.text, "{}")
	l.tokens = append(l.tokens, t)
	return nil
}

// simpleEscapes are the escapes of one character.
var simpleEscapes = map[byte]string{
	'\\': "\\", '\'': "'", '"': "\"", 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
	'\n': "",
}

// digitsOf are the lengths of hexadecimal escapes.
var digitsOf = map[byte]int{'x': 2, 'u': 4, 'U': 8}

// escape reads a backslash and what belongs to it.
func (l *lexer) escape(b *strings.Builder, raw, isBytes bool) error {
	if len(l.rest) < 2 {
		return problemf(l.line, "a string ends with a backslash")
	}
	c := l.rest[1]
	if c == '\n' {
		l.line++
	}
	simple, isSimple := simpleEscapes[c]
	digits, isHex := digitsOf[c]
	switch {
	case raw:
		b.WriteString(l.rest[:2])
		l.rest = l.rest[2:]
	case isSimple:
		b.WriteString(simple)
		l.rest = l.rest[2:]
	case c >= '0' && c <= '7':
		size := 2
		for size < 4 && size < len(l.rest) && l.rest[size] >= '0' && l.rest[size] <= '7' {
			size++
		}
		code, _ := strconv.ParseUint(l.rest[1:size], 8, 16)
		l.rest = l.rest[size:]
		return l.character(b, code, isBytes)
	case isHex && (!isBytes || c == 'x'):
		if len(l.rest) < 2+digits {
			return problemf(l.line, "the escape \\%c needs %d hexadecimal digits", c, digits)
		}
		code, err := strconv.ParseUint(l.rest[2:2+digits], 16, 32)
		if err != nil {
			return problemf(l.line, "the escape \\%c needs %d hexadecimal digits", c, digits)
		}
		l.rest = l.rest[2+digits:]
		return l.character(b, code, isBytes)
	case c == 'N' && !isBytes:
		return problemf(l.line, "the escape \\N{…} is not supported: write the character itself")
	default: // Python keeps the backslash.
		b.WriteByte('\\')
		l.rest = l.rest[1:]
	}
	return nil
}

func (l *lexer) character(b *strings.Builder, code uint64, isBytes bool) error {
	switch {
	case isBytes:
		b.WriteByte(byte(code))
	case code > unicode.MaxRune || !utf8.ValidRune(rune(code)):
		return problemf(l.line, "the escape is no character")
	default:
		b.WriteRune(rune(code))
	}
	return nil
}
