package wire

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/codec/banana"
)

// The elements of a pattern that are not values: _, ... and $name.
type (
	wildcard struct{}
	rest     struct{}
	variable string
)

// Parse parses one expression in the notation of this package.
func Parse(text string) (banana.Expr, error) {
	p := parser{text: text}
	e, err := p.expr()
	if err != nil {
		return nil, fmt.Errorf("wire: in %q: %w", text, err)
	}
	if p.skip(); p.at < len(p.text) {
		return nil, fmt.Errorf("wire: in %q: unexpected %q after the expression", text, p.text[p.at:])
	}
	return e, nil
}

type parser struct {
	text string
	at   int
}

func (p *parser) skip() {
	for p.at < len(p.text) && strings.IndexByte(" \t\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) expr() (banana.Expr, error) {
	p.skip()
	switch {
	case p.at == len(p.text):
		return nil, errors.New("unexpected end of text, want a value")
	case p.text[p.at] == '[':
		return p.list()
	case p.text[p.at] == '"':
		quoted, err := strconv.QuotedPrefix(p.text[p.at:])
		if err != nil {
			return nil, fmt.Errorf("offset %d: unterminated string", p.at)
		}
		p.at += len(quoted)
		s, err := strconv.Unquote(quoted)
		return []byte(s), err
	}
	end := p.at
	for end < len(p.text) && strings.IndexByte(" \t\n[]", p.text[end]) < 0 {
		end++
	}
	if end == p.at {
		return nil, fmt.Errorf("offset %d: unexpected ]", p.at)
	}
	word := p.text[p.at:end]
	p.at = end
	return value(word), nil
}

func (p *parser) list() (banana.Expr, error) {
	p.at++
	elements := []banana.Expr{}
	for {
		p.skip()
		if p.at < len(p.text) && p.text[p.at] == ']' {
			p.at++
			return elements, nil
		}
		e, err := p.expr()
		if err != nil {
			return nil, err
		}
		elements = append(elements, e)
	}
}

func value(word string) banana.Expr {
	switch {
	case word == "_":
		return wildcard{}
	case word == "...":
		return rest{}
	case word[0] == '$':
		return variable(word[1:])
	}
	if n, ok := new(big.Int).SetString(word, 10); ok {
		return decodedInt(n)
	}
	if strings.IndexByte("-0123456789", word[0]) >= 0 {
		if f, err := strconv.ParseFloat(word, 64); err == nil {
			return f
		}
	}
	return []byte(word)
}

// decodedInt returns n as the Go type that the decoder would return.
func decodedInt(n *big.Int) banana.Expr {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}
