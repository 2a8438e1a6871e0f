package jelly

import (
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Most arguments and results are a few numbers and short texts. They have no identity, run no code of the application,
// and cannot fail, so they are written without all that a jelly call prepares for.

const (
	// mostPlain is the most elements, and longestPlain the longest text, that are written in this way.
	mostPlain    = 8
	longestPlain = 100
	// plainSize is more than one value takes: a text with its list and its head.
	plainSize = longestPlain + 20
)

// plain writes a value if it is a scalar, or a short list or tuple of scalars. Otherwise it writes nothing. It writes
// what value writes.
func (e *Encoder) plain(v any) bool {
	switch x := v.(type) {
	case Tuple:
		return e.plainSequence(banana.SymTuple, x)
	case []any:
		return e.plainSequence(banana.SymList, x)
	}
	if !e.plainFits(1) {
		return false
	}
	buf, depth, ok := e.appendPlain(e.buf, v)
	if ok {
		e.buf, e.deepest = buf, max(e.deepest, depth)
	}
	return ok
}

// plainFits reports whether n values are far from all limits.
func (e *Encoder) plainFits(n int) bool {
	const depth = 3
	l := &e.lim
	return l.Depth > depth && l.List > mostPlain && l.String >= longestPlain &&
		len(e.buf)+e.longBytes+e.sharing.grown+(n+1)*plainSize <= l.Frame && e.ctx.Profile.HasVocabulary()
}

// plainSequence writes [word, …] with the elements.
func (e *Encoder) plainSequence(word banana.Symbol, elems []any) bool {
	if len(elems) > mostPlain || !e.plainFits(len(elems)) {
		return false
	}
	buf := append(e.buf, byte(len(elems)+1), byte(banana.List), byte(word), byte(banana.Vocab))
	deepest := 1
	for i := range elems {
		if n, ok := elems[i].(int); ok && uint(n) < 0x80 {
			buf = append(buf, byte(n), byte(banana.Int))
			continue
		}
		longer, depth, ok := e.appendPlain(buf, elems[i])
		if !ok {
			return false
		}
		buf, deepest = longer, max(deepest, 1+depth)
	}
	e.buf, e.deepest = buf, max(e.deepest, deepest)
	return true
}

// appendPlain appends a scalar, and returns how many lists that opens within each other.
func (e *Encoder) appendPlain(buf []byte, v any) (longer []byte, depth int, ok bool) {
	switch x := v.(type) {
	case nil:
		return append(buf, 1, byte(banana.List), byte(banana.SymNone), byte(banana.Vocab)), 1, true
	case int:
		return banana.AppendInt(buf, int64(x)), 0, true
	case int64:
		return banana.AppendInt(buf, x), 0, true
	case float64:
		return banana.AppendFloat(buf, x), 0, true
	case bool:
		if x {
			return append(buf, trueBytes...), 1, true
		}
		return append(buf, falseBytes...), 1, true
	case string:
		if len(x) <= longestPlain && utf8.ValidString(x) {
			buf = append(buf, "\x02\x80"+unicodeWord...)
			return banana.AppendString(buf, e.ctx.Profile, x), 1, true
		}
	}
	return buf, 0, false
}
