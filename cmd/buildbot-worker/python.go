package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// Limits of what python writes: a value from a master may contain itself.
const (
	pythonLimit = 256 << 10
	pythonDepth = 20
)

// python returns a value as Python's repr shows it, for logs like the stock worker's. It cuts long texts.
func python(v any) string {
	w := pythonWriter{}
	w.value(v, 0)
	return w.text()
}

// pythonShown is python with secrets replaced.
func pythonShown(v any) string {
	w := pythonWriter{hide: true}
	w.value(v, 0)
	return w.text()
}

// pythonWhole is python and reports whether the text is complete.
func pythonWhole(v any) (text string, whole bool) {
	w := pythonWriter{}
	w.value(v, 0)
	return w.out.String(), !w.cut && !w.full()
}

// pythonWriter stops at pythonLimit. Every step writes something, so its work is bounded too.
type pythonWriter struct {
	out  strings.Builder
	hide bool // replace secrets by what may be shown
	cut  bool // something is missing
}

func (w *pythonWriter) full() bool { return w.out.Len() > pythonLimit }

func (w *pythonWriter) text() string {
	if !w.full() {
		return w.out.String()
	}
	return strings.ToValidUTF8(w.out.String()[:pythonLimit], "") + "…"
}

func (w *pythonWriter) value(v any, depth int) {
	if w.full() {
		return
	}
	if depth > pythonDepth {
		w.cut = true
		w.out.WriteString("...")
		return
	}
	if _, shown, secret := obfuscated(v); secret && w.hide {
		w.value(shown, depth+1)
		return
	}
	switch v := v.(type) {
	case nil:
		w.out.WriteString("None")
	case bool:
		if v {
			w.out.WriteString("True")
		} else {
			w.out.WriteString("False")
		}
	case int64:
		w.out.WriteString(strconv.FormatInt(v, 10))
	case float64:
		w.out.WriteString(pythonFloat(v))
	case string:
		w.cut = w.cut || len(v) > pythonLimit
		w.out.WriteString(quote(v[:min(len(v), pythonLimit)]))
	case []byte:
		w.cut = w.cut || len(v) > pythonLimit
		w.out.WriteString("b" + quoteBytes(v[:min(len(v), pythonLimit)]))
	case []any:
		w.sequence("[", v, "]", depth)
	case jelly.Tuple:
		if len(v) == 1 {
			w.sequence("(", v, ",)", depth)
			return
		}
		w.sequence("(", v, ")", depth)
	case *jelly.Dict:
		w.pairs(v, depth)
	default:
		w.out.WriteString(jelly.Format(v))
	}
}

func (w *pythonWriter) sequence(open string, list []any, closing string, depth int) {
	w.out.WriteString(open)
	for i, v := range list {
		if w.full() {
			return
		}
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.value(v, depth+1)
	}
	w.out.WriteString(closing)
}

func (w *pythonWriter) pairs(dict *jelly.Dict, depth int) {
	w.out.WriteByte('{')
	for i, e := range dict.Entries() {
		if w.full() {
			return
		}
		if i > 0 {
			w.out.WriteString(", ")
		}
		w.value(e.Key, depth+1)
		w.out.WriteString(": ")
		w.value(e.Value, depth+1)
	}
	w.out.WriteByte('}')
}

// pythonFloat uses an exponent where Python does.
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

// delimiter returns the quotation mark that Python would choose.
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
