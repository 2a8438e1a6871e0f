package value

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// maxExact is the largest integer that every JSON parser reads exactly.
const maxExact = 1 << 53

// JSON returns a value as JSON, on one line. What JSON lacks is an object with one key that begins with a dollar sign,
// such as {"$tuple": […]}.
func JSON(v any) (string, error) {
	var p printer
	p.json(v)
	return p.done()
}

func (p *printer) json(v any) {
	if s, ok := jsonScalar(v); ok {
		p.text(s)
		return
	}
	leave, ok := p.enter(v)
	if !ok {
		p.text(`{"$cycle": true}`)
		return
	}
	defer leave()
	switch v := v.(type) {
	case []any:
		p.array(v)
	case jelly.Tuple:
		p.tagged("$tuple", v)
	case *jelly.Set:
		p.tagged("$set", v.Members())
	case *jelly.FrozenSet:
		p.tagged("$frozenset", v.Members())
	case *jelly.Dict:
		p.object(v)
	case *Copy:
		p.text(`{"$copy": ` + jsonText(v.Class) + `, "state": `)
		p.json(v.State)
		p.text("}")
	case *Cache:
		p.text(`{"$cache": ` + jsonText(v.Class) + `, "id": ` + strconv.FormatInt(v.ID, 10) + `, "state": `)
		p.json(v.State)
		p.text("}")
	default:
		o := opaque(v)
		p.text(`{"$` + o.Kind + `": `)
		p.json(o.Text)
		p.text("}")
	}
}

func (p *printer) tagged(tag string, items []any) {
	p.text(`{"` + tag + `": `)
	p.array(items)
	p.text("}")
}

func (p *printer) array(items []any) {
	p.text("[")
	for i, item := range items {
		if i > 0 {
			p.text(", ")
		}
		if p.json(item); p.tooLong {
			return
		}
	}
	p.text("]")
}

// object writes a dictionary. Keys that are not text, occur twice or could be taken for a tag need the form with pairs.
func (p *printer) object(d *jelly.Dict) {
	seen := map[string]bool{}
	for _, e := range d.Entries() {
		name, ok := e.Key.(string)
		if !ok || seen[name] || strings.HasPrefix(name, "$") {
			p.pairs(d)
			return
		}
		seen[name] = true
	}
	p.text("{")
	for i, e := range d.Entries() {
		if i > 0 {
			p.text(", ")
		}
		p.text(jsonText(e.Key.(string)) + ": ")
		if p.json(e.Value); p.tooLong {
			return
		}
	}
	p.text("}")
}

func (p *printer) pairs(d *jelly.Dict) {
	p.text(`{"$dict": [`)
	for i, e := range d.Entries() {
		if i > 0 {
			p.text(", ")
		}
		if p.array([]any{e.Key, e.Value}); p.tooLong {
			return
		}
	}
	p.text("]}")
}

func jsonScalar(v any) (string, bool) {
	tagged := func(tag, text string) (string, bool) { return `{"$` + tag + `": ` + text + `}`, true }
	switch v := v.(type) {
	case nil:
		return "null", true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		text := strconv.FormatInt(v, 10)
		if v > maxExact || v < -maxExact {
			return tagged("int", `"`+text+`"`)
		}
		return text, true
	case *big.Int:
		return tagged("int", `"`+v.String()+`"`)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return tagged("float", `"`+floatText(v)+`"`)
		}
		return floatText(v), true
	case string:
		return jsonText(v), true
	case []byte:
		return tagged("bytes", `"`+base64.StdEncoding.EncodeToString(v)+`"`)
	case time.Time:
		return tagged("datetime", `"`+v.UTC().Format("2006-01-02T15:04:05.999999")+`"`)
	case jelly.Date:
		return tagged("date", `"`+v.String()+`"`)
	case jelly.TimeOfDay:
		return tagged("time", `"`+strings.TrimSuffix(v.String(), ".000000")+`"`)
	case time.Duration:
		return tagged("timedelta", secondsText(jelly.TimedeltaOf(v)))
	case jelly.Timedelta:
		return tagged("timedelta", secondsText(v))
	case *jelly.Decimal:
		return tagged("decimal", `"`+decimalText(v)+`"`)
	case *Ref:
		return tagged("ref", strconv.FormatInt(v.ID, 10))
	}
	return "", false
}

// secondsText writes a timedelta as a number of seconds, without rounding.
func secondsText(d jelly.Timedelta) string {
	us := new(big.Int).Mul(big.NewInt(d.Days), big.NewInt(86_400_000_000))
	us.Add(us, big.NewInt(int64(d.Seconds)*1_000_000+int64(d.Microseconds)))
	sign := ""
	if us.Sign() < 0 {
		sign = "-"
		us.Neg(us)
	}
	digits := us.String()
	if len(digits) < 7 {
		digits = strings.Repeat("0", 7-len(digits)) + digits
	}
	point := len(digits) - 6
	return sign + strings.TrimSuffix(strings.TrimRight(digits[:point]+"."+digits[point:], "0"), ".")
}

func jsonText(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(strings.ToValidUTF8(s, "�")) // A string can always be encoded.
	return escapeUnprintable(strings.TrimSuffix(b.String(), "\n"))
}

// escapeUnprintable escapes what JSON allows in text but a terminal obeys, such as the C1 control characters.
func escapeUnprintable(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return b.String()
}
