package value

import (
	"errors"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// numbers are Python's literals of numbers, with an optional minus. Integers other than zero begin with no zero.
var numbers = regexp.MustCompile(`^-?(?:` +
	`(0[xX](?:_?[0-9a-fA-F])+|0[oO](?:_?[0-7])+|0[bB](?:_?[01])+)|` +
	`((?:\d(?:_?\d)*)?\.\d(?:_?\d)*(?:[eE][-+]?\d(?:_?\d)*)?|\d(?:_?\d)*\.?[eE][-+]?\d(?:_?\d)*|\d(?:_?\d)*\.)|` +
	`([1-9](?:_?\d)*|0(?:_?0)*))`)

// maxDigits bounds the work of converting an integer. It allows more than the protocol carries.
const maxDigits = 1000

// number reads a number at the beginning of a text and returns its length, 0 if there is none.
func number(text string) (v any, n int, err error) {
	m := numbers.FindStringSubmatchIndex(text)
	if m == nil {
		return nil, 0, nil
	}
	n = m[1]
	digits := strings.ReplaceAll(text[:n], "_", "")
	if m[4] >= 0 {
		f, err := strconv.ParseFloat(digits, 64)
		if errors.Is(err, strconv.ErrRange) {
			err = nil // an infinity, as in Python
		}
		return f, n, err
	}
	if len(digits) > maxDigits {
		return nil, n, errors.New("an integer has too many digits for the protocol")
	}
	if m[2] < 0 && strings.TrimLeft(digits, "-0") == "" {
		digits = "0"
	}
	if i, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return i, n, nil
	}
	big, ok := new(big.Int).SetString(digits, 0)
	if !ok {
		return nil, n, errors.New("a number is malformed")
	}
	return big, n, checkInt(big)
}

func (p *Parser) str() (any, error) {
	b, err := p.quoted(true)
	return string(b), err
}

func (p *Parser) bytes() (any, error) {
	p.At++
	b, err := p.quoted(false)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// simpleEscapes are Python's, and JSON's \/.
var simpleEscapes = map[byte]byte{
	'\\': '\\', '\'': '\'', '"': '"', 'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
	'/': '/',
}

// quoted reads a literal in quotes: of text, or of bytes.
func (p *Parser) quoted(text bool) ([]byte, error) {
	start := p.At
	quote := p.Text[p.At]
	p.At++
	out := []byte{}
	for p.At < len(p.Text) {
		c := p.Text[p.At]
		switch {
		case c == quote:
			p.At++
			return out, nil
		case c == '\\':
			var err error
			if out, err = p.escape(out, text); err != nil {
				return nil, err
			}
		case c < utf8.RuneSelf:
			out = append(out, c)
			p.At++
		default:
			r, n := utf8.DecodeRuneInString(p.Text[p.At:])
			if !text {
				return nil, p.Fail(p.At, `bytes contain only ASCII; write others as \x80 to \xff`)
			}
			if r == utf8.RuneError && n == 1 {
				return nil, p.Fail(p.At, "text must be UTF-8; write bytes as b'…'")
			}
			out = append(out, p.Text[p.At:p.At+n]...)
			p.At += n
		}
	}
	return nil, p.Fail(len(p.Text), "the quotes that begin at character %d are not closed",
		utf8.RuneCountInString(p.Text[:start])+1)
}

func (p *Parser) escape(out []byte, text bool) ([]byte, error) {
	at := p.At
	if at+1 == len(p.Text) {
		return nil, p.Fail(at, "a backslash ends the text")
	}
	c := p.Text[at+1]
	p.At += 2
	if b, ok := simpleEscapes[c]; ok {
		return append(out, b), nil
	}
	switch {
	case c >= '0' && c <= '7':
		end := at + 2
		for end < len(p.Text) && end < at+4 && p.Text[end] >= '0' && p.Text[end] <= '7' {
			end++
		}
		n, _ := strconv.ParseUint(p.Text[at+1:end], 8, 16)
		p.At = end
		if text {
			return utf8.AppendRune(out, rune(n)), nil
		}
		if n > 0xff {
			return nil, p.Fail(at, "a byte is at most \\377")
		}
		return append(out, byte(n)), nil
	case c == 'x':
		n, err := p.hex(at, 2)
		if err != nil || !text {
			return append(out, byte(n)), err
		}
		return utf8.AppendRune(out, rune(n)), nil
	case text && (c == 'u' || c == 'U'):
		return p.unicode(out, at, c)
	}
	return nil, p.Fail(at, `an unknown escape: write \\ for a backslash`)
}

func (p *Parser) unicode(out []byte, at int, c byte) ([]byte, error) {
	digits := 4
	if c == 'U' {
		digits = 8
	}
	n, err := p.hex(at, digits)
	if err != nil {
		return nil, err
	}
	r := rune(min(n, 1<<21))
	if utf16.IsSurrogate(r) && strings.HasPrefix(p.Text[p.At:], `\u`) { // JSON's pairs
		p.At += 2
		low, err := p.hex(at, 4)
		if err != nil {
			return nil, err
		}
		r = utf16.DecodeRune(r, rune(low))
		if r == utf8.RuneError {
			return nil, p.Fail(at, "half a pair of surrogates is no text")
		}
	}
	if !utf8.ValidRune(r) {
		return nil, p.Fail(at, "no character has this number")
	}
	return utf8.AppendRune(out, r), nil
}

// hex reads hexadecimal digits. The escape began at an offset.
func (p *Parser) hex(at, digits int) (uint64, error) {
	end := p.At + digits
	if end > len(p.Text) {
		return 0, p.Fail(at, "an escape needs %d hexadecimal digits", digits)
	}
	n, err := strconv.ParseUint(p.Text[p.At:end], 16, 64)
	if err != nil || strings.ContainsAny(p.Text[p.At:end], "+-_") {
		return 0, p.Fail(at, "an escape needs %d hexadecimal digits", digits)
	}
	p.At = end
	return n, nil
}
