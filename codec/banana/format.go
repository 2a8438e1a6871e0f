package banana

import (
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Format returns e as text. Words of the vocabulary are bare, other strings are quoted as in Go, lists are in brackets:
//
//	[message 1 "root" "add" 1 [tuple 1 2] [dictionary]]
//
// Lists nested deeper than DefaultDepth are shown as […].
func Format(e Expr) string { return string(appendFormat(nil, e, 0)) }

func appendFormat(b []byte, e Expr, depth int) []byte {
	switch v := e.(type) {
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case *big.Int:
		return v.Append(b, 10)
	case float64:
		return appendFloatText(b, v)
	case []byte:
		return appendStringText(b, string(v))
	case string:
		return appendStringText(b, v)
	case Symbol:
		return append(b, v.String()...)
	case []Expr:
		if depth == DefaultDepth {
			return append(b, "[…]"...)
		}
		b = append(b, '[')
		for i, element := range v {
			if i > 0 {
				b = append(b, ' ')
			}
			b = appendFormat(b, element, depth+1)
		}
		return append(b, ']')
	}
	return fmt.Appendf(b, "<%T>", e)
}

// appendFloatText appends a float with a point or an exponent, unlike an integer.
func appendFloatText(b []byte, f float64) []byte {
	start := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	if strings.ContainsAny(string(b[start:]), ".eIN") {
		return b
	}
	return append(b, ".0"...)
}

func appendStringText(b []byte, s string) []byte {
	if _, ok := LookupSymbol(s); ok {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

// FormatFrame returns the expressions in frame as [Format] does, separated by spaces, for logs. It accepts any bytes:
// where they are malformed, the text ends with the error in angle brackets. The text is cut to about limit bytes; 0
// or less means no limit.
func FormatFrame(frame []byte, p Profile, limit int) string {
	if limit <= 0 {
		limit = math.MaxInt - 1
	}
	var (
		r    Reader
		b    []byte
		open []int64 // elements still missing in each open list
	)
	r.Reset(frame, p)
	for {
		for len(open) > 0 && open[len(open)-1] == 0 {
			b = append(b, ']')
			open = open[:len(open)-1]
		}
		if len(b) > limit {
			return cut(b, limit)
		}
		token, err := r.Next()
		if err == io.EOF && len(open) == 0 {
			return string(b)
		}
		if len(b) > 0 && b[len(b)-1] != '[' {
			b = append(b, ' ')
		}
		if err != nil {
			return string(fmt.Appendf(b, "<%v>", withinExpression(err, r.Offset())))
		}
		if len(open) > 0 {
			open[len(open)-1]--
		}
		if token.Kind == List {
			b = append(b, '[')
			open = append(open, token.Int)
			continue
		}
		b = appendTokenText(b, token, limit)
	}
}

// appendTokenText appends an atom. Of a long string it appends one byte more than is shown, so that the text is cut
// there, and more than the length of any word, so that the piece is not taken for a word.
func appendTokenText(b []byte, t Token, limit int) []byte {
	switch {
	case t.Kind == String:
		t.Bytes = t.Bytes[:min(len(t.Bytes), max(limit, longestWord)+1)]
	case t.Kind != Int && t.IsInt() && len(t.Bytes) > DefaultPrefix:
		// Default Limits exclude it, and conversion to decimal takes more than linear time.
		return fmt.Appendf(b, "<%s of %d digits in base 128>", t.Kind, len(t.Bytes))
	}
	return appendFormat(b, atomOf(t), 0)
}

// cut shortens b to limit bytes without splitting a character and marks the cut.
func cut(b []byte, limit int) string {
	for limit > 0 && !utf8.RuneStart(b[limit]) {
		limit--
	}
	return string(b[:limit]) + "…"
}
