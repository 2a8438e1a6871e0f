package jelly

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// DefaultFormatLimit is the maximum length of Format's text in bytes.
const DefaultFormatLimit = 1024

const (
	maxDescription  = 120 // bytes of a text in angle brackets
	maxFormatDepth  = 64
	maxShownAgain   = 64 // bytes of a shared part that is repeated
	maxShownIntBits = 512
	maxFormatLimit  = math.MaxInt32 // so that sums do not overflow
	maxSortedKeys   = 1024
)

// Describer is implemented by values that Format shows by a short description, such as references to a peer's objects.
// DescribeJelly must be quick and must not look into other values. A panic in it is recovered, and a long text is cut.
type Describer interface {
	DescribeJelly() string
}

// Format returns v as one line of text for logs, errors and debugging. It is safe for any value from a peer, which
// may contain itself, one part many times, or terminal control characters. Do not use the verbs of package fmt or
// encoding/json on decoded values: on a value that contains itself they do not terminate, and a few hundred bytes can
// keep them busy for years.
//
// The text has at most DefaultFormatLimit bytes, in Python's notation:
//
//	["text", b"bytes\x00", 1, 1.5, None, True, (1,), {"key": {1, 2}}, <remote 5>, <*pond.Duck>]
//
// A part that contains itself is shown as <cycle>, a large part that was shown before as <list above>. Values of
// unknown types are shown as their type; no String, Error or Format method is called. [Formatted] has another limit.
func Format(v any) string { return string(appendFormat(nil, v, DefaultFormatLimit)) }

// appendFormat appends Format's text to b, at most limit bytes; 0 means DefaultFormatLimit. A longer text is cut and
// ends with "…". The work is bounded by the limit.
func appendFormat(b []byte, v any, limit int) []byte {
	if limit <= 0 {
		limit = DefaultFormatLimit
	}
	p := printer{b: b, end: len(b) + min(limit, maxFormatLimit)}
	p.value(v, 0)
	if !p.full {
		return p.b
	}
	const mark = "…"
	cut := min(len(p.b), max(p.end-len(mark), len(b)))
	for cut > len(b) && cut < len(p.b) && !utf8.RuneStart(p.b[cut]) {
		cut--
	}
	if len(mark) > limit {
		return p.b[:cut]
	}
	return append(p.b[:cut], mark...)
}

// Formatted formats a value like [Format] when it is printed, so that a log line that is not written costs nothing:
//
//	log.Debug().Stringer("args", jelly.Formatted{Value: inv.Args}).Msg("called")
//	slog.Debug("called", "args", jelly.Formatted{Value: inv.Args})
//	fmt.Printf("%v\n", jelly.Formatted{Value: inv.Args})
//
// In JSON it is a string.
type Formatted struct {
	Value any
	// Limit is the maximum length of the text in bytes; 0 means DefaultFormatLimit.
	Limit int
}

// String returns Format's text.
func (f Formatted) String() string { return string(appendFormat(nil, f.Value, f.Limit)) }

// Format implements fmt.Formatter. A precision, as in %.200v, is the limit.
func (f Formatted) Format(s fmt.State, _ rune) { writeFormat(s, f.Value, f.Limit) }

// MarshalText implements encoding.TextMarshaler.
func (f Formatted) MarshalText() ([]byte, error) { return appendFormat(nil, f.Value, f.Limit), nil }

// writeFormat implements fmt.Formatter for the types of this package.
func writeFormat(s fmt.State, v any, limit int) {
	if precision, ok := s.Precision(); ok {
		limit = max(precision, 1)
	}
	_, _ = s.Write(appendFormat(nil, v, limit))
}

// printer appends text to b until it is longer than end, and then sets full.
type printer struct {
	b    []byte
	end  int
	full bool
	// shown maps containers to their text.
	shown map[identity]span
}

// span is a part of the text. to is 0 until the part is complete.
type span struct{ from, to int }

func (p *printer) text(s string) {
	if p.full {
		return
	}
	p.b = append(p.b, s...)
	p.full = len(p.b) > p.end
}

// clipped returns the beginning of s, at least as much as can be shown.
func clipped[T string | []byte](p *printer, s T) T {
	if room := max(p.end-len(p.b), 0) + utf8.UTFMax; len(s) > room {
		return s[:room]
	}
	return s
}

func (p *printer) str(s string) {
	p.b = strconv.AppendQuote(p.b, clipped(p, s))
	p.full = len(p.b) > p.end
}

// bytes writes bytes as Python does, with \xNN for bytes that are not printable ASCII.
func (p *printer) bytes(s []byte) {
	p.b = append(p.b, 'b', '"')
	for _, c := range clipped(p, s) {
		p.b = appendByte(p.b, c)
	}
	p.text(`"`)
}

func appendByte(b []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\r':
		return append(b, '\\', 'r')
	case c == '\t':
		return append(b, '\\', 't')
	case c < 0x20 || c >= 0x7f:
		return append(b, '\\', 'x', digits[c>>4], digits[c&15])
	}
	return append(b, c)
}

// plain writes text in angle brackets, escaped but without quotes.
func (p *printer) plain(text string) {
	if len(text) > maxDescription {
		text = text[:maxDescription] + "…"
	}
	quoted := strconv.Quote(text)
	p.text("<" + quoted[1:len(quoted)-1] + ">")
}

// value writes any value.
func (p *printer) value(v any, depth int) {
	if p.full {
		return
	}
	switch x := v.(type) {
	case nil:
		p.text("None")
	case string:
		p.str(x)
	case []byte:
		p.bytes(x)
	case int64:
		p.b = strconv.AppendInt(p.b, x, 10)
	case int:
		p.b = strconv.AppendInt(p.b, int64(x), 10)
	case bool:
		p.text(pythonBool(x))
	case float64:
		p.float(x, 64)
	case *big.Int:
		p.integer(x)
	case []any:
		p.container(sliceIdentity(listWord, x), "list", depth, func() { p.sequence("[", x, "]", depth) })
	case Tuple:
		p.container(sliceIdentity(tupleWord, x), "tuple", depth, func() { p.tuple(x, depth) })
	default:
		p.own(v, depth)
	}
	p.full = p.full || len(p.b) > p.end
}

// own writes the types of this package, and those that it decodes to.
func (p *printer) own(v any, depth int) {
	if isNil(v) {
		p.text("None")
		return
	}
	switch x := v.(type) {
	case *Dict:
		p.container(pointerIdentity(x), "dict", depth, func() { p.pairs(x.entries, depth) })
	case *Set:
		p.container(pointerIdentity(x), "set", depth, func() { p.sequence("{", x.list, "}", depth) })
	case *FrozenSet:
		p.container(pointerIdentity(x), "frozenset", depth, func() { p.sequence("frozenset({", x.list, "})", depth) })
	case *Instance:
		p.container(pointerIdentity(x), "instance", depth, func() { p.object(x.Class, x.State, depth) })
	case *Unbound:
		p.container(pointerIdentity(x), "object", depth, func() { p.unbound(x, depth) })
	case *Method:
		p.container(pointerIdentity(x), "method", depth, func() { p.method(x, depth) })
	case Instance:
		p.object(x.Class, x.State, depth)
	case Method:
		p.method(&x, depth)
	case Entry:
		p.pairs([]Entry{x}, depth)
	case Class:
		p.plain("class " + clipped(p, string(x)))
	case Module:
		p.plain("module " + clipped(p, string(x)))
	case Function:
		p.plain("function " + clipped(p, string(x)))
	case Persistent:
		p.text("<persistent ")
		p.value(x.ID, depth+1)
		p.text(">")
	case Unpersistable:
		p.plain("unpersistable: " + clipped(p, x.Reason))
	case *Decimal:
		p.decimal(x)
	case Decimal:
		p.decimal(&x)
	case time.Time:
		p.text("<datetime ")
		p.b = x.AppendFormat(p.b, "2006-01-02 15:04:05.999999")
		p.text(">")
	case time.Duration:
		p.plain("timedelta " + x.String())
	case Timedelta:
		p.plain("timedelta " + x.String())
	case Date:
		p.plain("date " + x.String())
	case TimeOfDay:
		p.plain("time " + x.String())
	case Formatted:
		p.value(x.Value, depth+1)
	case Describer:
		p.plain(describe(x))
	default:
		p.reflected(reflect.ValueOf(v), depth)
	}
}

// describe calls DescribeJelly, which may be user code.
func describe(x Describer) (text string) {
	defer func() {
		if recover() != nil {
			text = reflect.TypeOf(x).String()
		}
	}()
	return x.DescribeJelly()
}

// float writes a number with a point or an exponent, unlike an integer.
func (p *printer) float(f float64, bits int) {
	from := len(p.b)
	p.b = strconv.AppendFloat(p.b, f, 'g', -1, bits)
	if !bytes.ContainsAny(p.b[from:], ".eIN") {
		p.text(".0")
	}
}

func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// container writes a value with an identity. It cuts cycles and repeats a part that was shown before only if it is
// short.
func (p *printer) container(id identity, what string, depth int, write func()) {
	if depth >= maxFormatDepth {
		p.text("<" + what + " …>")
		return
	}
	if id.at == nil {
		write()
		return
	}
	if at, met := p.shown[id]; met {
		switch {
		case at.to == 0:
			p.text("<cycle>")
		case at.to-at.from <= maxShownAgain:
			p.text(string(p.b[at.from:at.to]))
		default:
			p.text("<" + what + " above>")
		}
		return
	}
	if p.shown == nil {
		p.shown = map[identity]span{}
	}
	from := len(p.b)
	p.shown[id] = span{from: from}
	write()
	p.shown[id] = span{from, len(p.b)}
}

func (p *printer) sequence(open string, list []any, closing string, depth int) {
	p.text(open)
	for i, v := range list {
		if p.full {
			return
		}
		p.separate(i)
		p.value(v, depth+1)
	}
	p.text(closing)
}

func (p *printer) separate(i int) {
	if i > 0 {
		p.text(", ")
	}
}

func (p *printer) tuple(list Tuple, depth int) {
	closing := ")"
	if len(list) == 1 {
		closing = ",)"
	}
	p.sequence("(", list, closing, depth)
}

func (p *printer) pairs(entries []Entry, depth int) {
	p.text("{")
	for i := range entries {
		if p.full {
			return
		}
		p.separate(i)
		p.value(entries[i].Key, depth+1)
		p.text(": ")
		p.value(entries[i].Value, depth+1)
	}
	p.text("}")
}

func (p *printer) object(class string, state any, depth int) {
	p.plain(clipped(p, class))
	p.text("(")
	p.value(state, depth+1)
	p.text(")")
}

func (p *printer) method(m *Method, depth int) {
	p.plain("method " + clipped(p, m.Name))
	p.text("(")
	p.value(m.Self, depth+1)
	p.text(")")
}

// unbound writes the object to which u is bound, or a description of u.
func (p *printer) unbound(u *Unbound, depth int) {
	switch {
	case u.bound:
		p.value(u.value, depth+1)
	case u.instance:
		p.object(u.Tag, u.State, depth)
	case u.Name != nil:
		p.plain(u.Tag + " " + string(clipped(p, u.Name)))
	default:
		p.plain(clipped(p, u.Tag) + " " + strconv.FormatInt(u.ID, 10))
	}
}

func (p *printer) integer(n *big.Int) {
	switch {
	case n == nil:
		p.text("None")
	case n.BitLen() > maxShownIntBits:
		p.text("<int of " + strconv.Itoa(n.BitLen()) + " bits>")
	default:
		p.b = n.Append(p.b, 10)
	}
}

func (p *printer) decimal(d *Decimal) {
	p.text("Decimal(")
	p.integer(&d.coefficient)
	if d.exponent != 0 {
		p.text("e" + strconv.FormatInt(d.exponent, 10))
	}
	p.text(")")
}

// reflected writes Go types to which Assign converts. Of structs it writes the type: their fields may be secret.
func (p *printer) reflected(v reflect.Value, depth int) {
	switch t := v.Type(); t.Kind() {
	case reflect.Bool:
		p.text(pythonBool(v.Bool()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.b = strconv.AppendInt(p.b, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		p.b = strconv.AppendUint(p.b, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		p.float(v.Float(), t.Bits())
	case reflect.String:
		p.str(v.String())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			p.bytes(v.Bytes())
			return
		}
		id := identity{}
		if v.Cap() > 0 && t.Elem().Size() > 0 {
			id = reflectIdentity(v, v.Len())
		}
		p.container(id, "list", depth, func() { p.elements(v, depth) })
	case reflect.Array:
		p.container(identity{}, "list", depth, func() { p.elements(v, depth) })
	case reflect.Map:
		p.container(reflectIdentity(v, 0), "dict", depth, func() { p.mapPairs(v, depth) })
	default:
		p.plain(t.String())
	}
}

func (p *printer) elements(v reflect.Value, depth int) {
	p.text("[")
	for i := range v.Len() {
		if p.full {
			return
		}
		p.separate(i)
		p.element(v.Index(i), depth+1)
	}
	p.text("]")
}

// element writes a part of a Go value, by its type if it is behind an unexported field.
func (p *printer) element(v reflect.Value, depth int) {
	switch {
	case v.Kind() == reflect.Interface && v.IsNil():
		p.text("None")
	case v.CanInterface():
		p.value(v.Interface(), depth)
	default:
		p.plain(v.Type().String())
	}
}

// mapPairs writes a map, sorted if it is not large.
func (p *printer) mapPairs(v reflect.Value, depth int) {
	keys := v.MapRange()
	var pairs []mapPair
	for n := 0; keys.Next() && (v.Len() <= maxSortedKeys || n < p.end-len(p.b)); n++ {
		pairs = append(pairs, mapPair{keys.Key(), keys.Value()})
	}
	if len(pairs) <= maxSortedKeys {
		slices.SortStableFunc(pairs, func(a, b mapPair) int { return compareKeys(a.key, b.key) })
	}
	p.text("{")
	for i, pair := range pairs {
		if p.full {
			return
		}
		p.separate(i)
		p.element(pair.key, depth+1)
		p.text(": ")
		p.element(pair.value, depth+1)
	}
	p.text("}")
}

// The types of this package that hold decoded values implement fmt.Formatter, so that every verb of package fmt gives
// Format's text and terminates.

// Format implements fmt.Formatter with [Format]. A precision, as in %.200v, is the limit.
func (t Tuple) Format(s fmt.State, _ rune) { writeFormat(s, t, 0) }

// Format implements fmt.Formatter with [Format].
func (d *Dict) Format(s fmt.State, _ rune) { writeFormat(s, d, 0) }

// Format implements fmt.Formatter with [Format].
func (e Entry) Format(s fmt.State, _ rune) { writeFormat(s, e, 0) }

// Format implements fmt.Formatter with [Format].
func (m *Set) Format(s fmt.State, _ rune) { writeFormat(s, m, 0) }

// Format implements fmt.Formatter with [Format].
func (m *FrozenSet) Format(s fmt.State, _ rune) { writeFormat(s, m, 0) }

// Format implements fmt.Formatter with [Format].
func (x Instance) Format(s fmt.State, _ rune) { writeFormat(s, x, 0) }

// Format implements fmt.Formatter with [Format].
func (m Method) Format(s fmt.State, _ rune) { writeFormat(s, m, 0) }

// Format implements fmt.Formatter with [Format].
func (p Persistent) Format(s fmt.State, _ rune) { writeFormat(s, p, 0) }

// Format implements fmt.Formatter with [Format].
func (u Unpersistable) Format(s fmt.State, _ rune) { writeFormat(s, u, 0) }

// Format implements fmt.Formatter with [Format].
func (u *Unbound) Format(s fmt.State, _ rune) { writeFormat(s, u, 0) }

// Format implements fmt.Formatter: it writes the name, escaped.
func (c Class) Format(s fmt.State, verb rune) { writeName(s, string(c), verb) }

// Format implements fmt.Formatter: it writes the name, escaped.
func (m Module) Format(s fmt.State, verb rune) { writeName(s, string(m), verb) }

// Format implements fmt.Formatter: it writes the name, escaped.
func (f Function) Format(s fmt.State, verb rune) { writeName(s, string(f), verb) }

// writeName writes a name, quoted for %q and %#v.
func writeName(s fmt.State, name string, verb rune) {
	quoted := strconv.Quote(name[:min(len(name), DefaultFormatLimit)])
	if verb != 'q' && !s.Flag('#') {
		quoted = quoted[1 : len(quoted)-1]
	}
	_, _ = s.Write([]byte(quoted))
}
