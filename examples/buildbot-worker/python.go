//go:build unix

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// python writes a value as Python programmers are used to see it in the logs of the stock worker.
func python(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return pythonFloat(v)
	case string:
		return quote(v)
	case []byte:
		return "b" + quoteBytes(v)
	case []any:
		return "[" + pythonAll(v) + "]"
	case jelly.Tuple:
		if len(v) == 1 {
			return "(" + python(v[0]) + ",)"
		}
		return "(" + pythonAll(v) + ")"
	case *jelly.Dict:
		var parts []string
		for key, value := range v.All() {
			parts = append(parts, python(key)+": "+python(value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// pythonFloat writes a number with an exponent where Python does.
func pythonFloat(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'g', -1, 64)), "+")
	case size != 0 && (size < 1e-4 || size >= 1e16):
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

func pythonAll(vs []any) string {
	parts := make([]string, len(vs))
	for i, v := range vs {
		parts[i] = python(v)
	}
	return strings.Join(parts, ", ")
}

// delimiter is Python's choice of the quotation mark.
func delimiter(s string) byte {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return '"'
	}
	return '\''
}

func quote(s string) string {
	mark := delimiter(s)
	out := []byte{mark}
	for _, r := range s {
		switch {
		case r < 0x80:
			out = appendQuoted(out, byte(r), mark)
		case strconv.IsPrint(r):
			out = append(out, string(r)...)
		case r > 0xffff:
			out = fmt.Appendf(out, `\U%08x`, r)
		case r > 0xff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = fmt.Appendf(out, `\x%02x`, r)
		}
	}
	return string(append(out, mark))
}

func quoteBytes(b []byte) string {
	mark := delimiter(string(b))
	out := []byte{mark}
	for _, c := range b {
		out = appendQuoted(out, c, mark)
	}
	return string(append(out, mark))
}

func appendQuoted(out []byte, c, mark byte) []byte {
	switch {
	case c == mark || c == '\\':
		return append(out, '\\', c)
	case c == '\n':
		return append(out, `\n`...)
	case c == '\r':
		return append(out, `\r`...)
	case c == '\t':
		return append(out, `\t`...)
	case c < 0x20 || c >= 0x7f:
		return fmt.Appendf(out, `\x%02x`, c)
	}
	return append(out, c)
}
