package value

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// MaxText is the most bytes of the text of one value. A message of a few hundred bytes can mention a part so often that
// no text could hold it.
const MaxText = 16 << 20

// ErrTooLong reports a value whose text is longer than [MaxText].
var ErrTooLong = fmt.Errorf("the value's text is longer than %d MiB: it mentions its parts very often", MaxText>>20)

// maxNesting bounds the recursion. No decoder accepts values that are nested deeper.
const maxNesting = 2 * jelly.DefaultNesting

// Print returns a value in the notation that [Parse] reads, on one line.
func Print(v any) (string, error) {
	var p printer
	p.value(v)
	return p.done()
}

// printer appends text until it is too long.
type printer struct {
	b       []byte
	open    map[place]bool // the containers around what is being printed
	depth   int
	tooLong bool
}

// place identifies a container.
type place struct {
	at unsafe.Pointer
	n  int
}

func (p *printer) done() (string, error) {
	if p.tooLong {
		return "", ErrTooLong
	}
	return string(p.b), nil
}

func (p *printer) text(s string) {
	if len(p.b)+len(s) > MaxText {
		p.tooLong = true
		return
	}
	p.b = append(p.b, s...)
}

// enter begins a container, unless it contains itself.
func (p *printer) enter(v any) (leave func(), ok bool) {
	at, shared := placeOf(v)
	if p.tooLong || p.depth > maxNesting || shared && p.open[at] {
		return nil, false
	}
	p.depth++
	if p.open == nil {
		p.open = map[place]bool{}
	}
	p.open[at] = true
	return func() { p.depth--; delete(p.open, at) }, true
}

func placeOf(v any) (at place, shared bool) {
	switch v := v.(type) {
	case []any:
		return place{unsafe.Pointer(unsafe.SliceData(v)), len(v)}, len(v) > 0
	case jelly.Tuple:
		return place{unsafe.Pointer(unsafe.SliceData(v)), len(v)}, len(v) > 0
	case *jelly.Dict:
		return place{unsafe.Pointer(v), -1}, true
	case *jelly.Set:
		return place{unsafe.Pointer(v), -1}, true
	case *jelly.FrozenSet:
		return place{unsafe.Pointer(v), -1}, true
	case *Copy:
		return place{unsafe.Pointer(v), -1}, true
	case *Cache:
		return place{unsafe.Pointer(v), -1}, true
	}
	return place{}, false
}

func (p *printer) value(v any) {
	if s, ok := scalar(v); ok {
		p.text(s)
		return
	}
	leave, ok := p.enter(v)
	if !ok {
		p.text("<cycle>")
		return
	}
	defer leave()
	open, end, items := parts(v)
	p.text(open)
	for i, item := range items {
		if p.tooLong {
			return
		}
		if i > 0 {
			p.text(", ")
		}
		if item.key != nil {
			p.value(*item.key)
			p.text(": ")
		}
		p.value(item.value)
	}
	p.text(end)
}

// part is an element of a container, with a key in a dictionary.
type part struct {
	key   *any
	value any
}

// parts takes a container apart: its brackets and elements.
func parts(v any) (open, end string, items []part) {
	switch v := v.(type) {
	case []any:
		return "[", "]", plain(v)
	case jelly.Tuple:
		if len(v) == 1 {
			return "(", ",)", plain(v)
		}
		return "(", ")", plain(v)
	case *jelly.Dict:
		for _, e := range v.Entries() {
			items = append(items, part{&e.Key, e.Value})
		}
		return "{", "}", items
	case *jelly.Set:
		if v.Len() == 0 {
			return "set(", ")", nil
		}
		return "{", "}", plain(v.Members())
	case *jelly.FrozenSet:
		if v.Len() == 0 {
			return "frozenset(", ")", nil
		}
		return "frozenset({", "})", plain(v.Members())
	case *Copy:
		return "<copy " + Name(v.Class) + " ", ">", []part{{nil, v.State}}
	case *Cache:
		return fmt.Sprintf("<cache %d %s ", v.ID, Name(v.Class)), ">", []part{{nil, v.State}}
	}
	o := opaque(v)
	return "<" + o.Kind + " ", ">", []part{{nil, o.Text}}
}

func plain(values []any) []part {
	items := make([]part, len(values))
	for i, v := range values {
		items[i].value = v
	}
	return items
}

// scalar returns the text of a value without parts.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "None", true
	case bool:
		if v {
			return "True", true
		}
		return "False", true
	case int64:
		return strconv.FormatInt(v, 10), true
	case *big.Int:
		return v.String(), true
	case float64:
		return floatText(v), true
	case string:
		return quoteText(v), true
	case []byte:
		return quoteBytes(v), true
	case time.Time:
		return datetimeText(v.UTC()), true
	case jelly.Date:
		return fmt.Sprintf("date(%d, %d, %d)", v.Year, v.Month, v.Day), true
	case jelly.TimeOfDay:
		return "time(" + clockText(v.Hour, v.Minute, v.Second, v.Microsecond) + ")", true
	case time.Duration:
		return timedeltaText(jelly.TimedeltaOf(v)), true
	case jelly.Timedelta:
		return timedeltaText(v), true
	case *jelly.Decimal:
		return "Decimal('" + decimalText(v) + "')", true
	case *Ref:
		return fmt.Sprintf("<ref %d>", v.ID), true
	}
	return "", false
}

// floatText writes a float as Python's repr does.
func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if size := math.Abs(f); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func datetimeText(t time.Time) string {
	year, month, day := t.Date()
	return fmt.Sprintf("datetime(%d, %d, %d, %s)", year, month, day,
		clockText(t.Hour(), t.Minute(), t.Second(), t.Nanosecond()/1000))
}

// clockText leaves zero seconds out, as Python does.
func clockText(hour, minute, second, microsecond int) string {
	s := fmt.Sprintf("%d, %d", hour, minute)
	if second != 0 || microsecond != 0 {
		s += fmt.Sprintf(", %d", second)
	}
	if microsecond != 0 {
		s += fmt.Sprintf(", %d", microsecond)
	}
	return s
}

func timedeltaText(d jelly.Timedelta) string {
	var args []string
	if d.Days != 0 {
		args = append(args, fmt.Sprintf("days=%d", d.Days))
	}
	if d.Seconds != 0 {
		args = append(args, fmt.Sprintf("seconds=%d", d.Seconds))
	}
	if d.Microseconds != 0 {
		args = append(args, fmt.Sprintf("microseconds=%d", d.Microseconds))
	}
	if args == nil {
		return "timedelta(0)"
	}
	return "timedelta(" + strings.Join(args, ", ") + ")"
}

// decimalText is str() of Python's Decimal, the to-scientific-string of the General Decimal Arithmetic.
func decimalText(d *jelly.Decimal) string {
	digits, exponent := d.Coefficient().String(), d.Exponent()
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	n := int64(len(digits))
	if exponent <= 0 && exponent > -(n+6) {
		switch {
		case exponent == 0:
			return sign + digits
		case -exponent < n:
			return sign + digits[:n+exponent] + "." + digits[n+exponent:]
		}
		return sign + "0." + strings.Repeat("0", int(-exponent-n)) + digits
	}
	adjusted := exponent + n - 1
	if n > 1 {
		digits = digits[:1] + "." + digits[1:]
	}
	return fmt.Sprintf("%s%sE%+d", sign, digits, adjusted)
}

func quoteText(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b := append(make([]byte, 0, len(s)+2), quote)
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b = fmt.Appendf(b, `\x%02x`, s[0])
		case r < utf8.RuneSelf:
			b = appendASCII(b, byte(r), quote)
		case unicode.IsPrint(r):
			b = append(b, s[:n]...)
		case r <= 0xff:
			b = fmt.Appendf(b, `\x%02x`, r)
		case r <= 0xffff:
			b = fmt.Appendf(b, `\u%04x`, r)
		default:
			b = fmt.Appendf(b, `\U%08x`, r)
		}
		s = s[n:]
	}
	return string(append(b, quote))
}

func quoteBytes(s []byte) string {
	quote := byte('\'')
	if strings.Contains(string(s), "'") && !strings.Contains(string(s), `"`) {
		quote = '"'
	}
	b := append(make([]byte, 0, len(s)+3), 'b', quote)
	for _, c := range s {
		b = appendASCII(b, c, quote)
	}
	return string(append(b, quote))
}

func appendASCII(b []byte, c, quote byte) []byte {
	switch {
	case c == quote || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, `\n`...)
	case c == '\r':
		return append(b, `\r`...)
	case c == '\t':
		return append(b, `\t`...)
	case c < ' ' || c >= 0x7f:
		return fmt.Appendf(b, `\x%02x`, c)
	}
	return append(b, c)
}

// Name returns a name that a peer chose, such as a method's: as it is if it has only letters, digits, underscores and
// dots, else quoted.
func Name(name string) string {
	for i, r := range name {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || r != '.' && !unicode.IsDigit(r)) || r == utf8.RuneError {
			return quoteText(name)
		}
	}
	if name == "" {
		return "''"
	}
	return name
}

// Lines returns text of a peer for a terminal: it keeps line ends and tabs, and escapes everything else that does not
// print.
func Lines(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == '\n' || r == '\t' || unicode.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			b.WriteString(s[:n])
		} else {
			quoted := quoteText(s[:n])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}
