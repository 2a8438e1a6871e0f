package jelly

import (
	"math/big"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
)

// other writes the less frequent types and leaves the rest to reflection.
func (e *Encoder) other(v any) error {
	if isNil(v) {
		return e.nilValue(v)
	}
	switch x := v.(type) {
	case *Set:
		if err := e.mustHash("set"); err != nil {
			return err
		}
		return e.set(x, "set", x.list)
	case *FrozenSet:
		return e.set(x, "frozenset", x.list)
	case int8:
		e.Int(int64(x))
	case int16:
		e.Int(int64(x))
	case int32:
		e.Int(int64(x))
	case uint:
		e.Uint(uint64(x))
	case uint8:
		e.Uint(uint64(x))
	case uint16:
		e.Uint(uint64(x))
	case uint32:
		e.Uint(uint64(x))
	case uint64:
		e.Uint(x)
	case float32:
		e.Float(float64(x))
	case *big.Int:
		return e.Big(x)
	case big.Int:
		return e.Big(&x)
	case time.Time:
		return e.datetime(x)
	case time.Duration:
		return e.timedelta(TimedeltaOf(x))
	case Timedelta:
		return e.timedelta(x)
	case Date:
		if !x.Valid() {
			return invalid("%s is not a valid Python date", x)
		}
		return e.numbers("date", int64(x.Year), int64(x.Month), int64(x.Day))
	case TimeOfDay:
		if !x.Valid() {
			return invalid("%s is not a valid time of day", x)
		}
		return e.numbers("time", int64(x.Hour), int64(x.Minute), int64(x.Second), int64(x.Microsecond))
	case *Decimal:
		return e.decimal(x)
	case Decimal:
		return e.decimal(&x)
	case *Instance:
		return e.instance(x)
	case Class:
		return e.pythonName(banana.SymClass, string(x))
	case Module:
		return e.pythonName(banana.SymModule, string(x))
	case Function:
		return e.pythonName(banana.SymFunction, string(x))
	case Method:
		return e.method(x)
	case Persistent:
		return e.persistent(x.ID)
	case Unpersistable:
		return e.named(banana.SymUnpersistable, x.Reason)
	case url.URL:
		return e.Str(x.String())
	case *url.URL:
		return e.Str(x.String())
	case map[string]string:
		return namedMap(e, v, x, (*Encoder).Str)
	case map[string]int:
		return namedMap(e, v, x, writeInt)
	case map[string]int64:
		return namedMap(e, v, x, writeInt64)
	case map[string]float64:
		return namedMap(e, v, x, writeFloat)
	case map[string]bool:
		return namedMap(e, v, x, writeBool)
	case []string:
		return plainList(e, stringsWord, x, (*Encoder).Str)
	case []int64:
		return numberList(e, int64sWord, x, writeInt64)
	case []float64:
		return numberList(e, floatsWord, x, writeFloat)
	default:
		return e.reflected(v)
	}
	return nil
}

func (e *Encoder) datetime(t time.Time) error {
	t = t.UTC()
	if year := t.Year(); year < 1 || year > 9999 {
		return invalid("the year %d is outside the years 1 to 9999 of Python", year)
	}
	return e.numbers("datetime", int64(t.Year()), int64(t.Month()), int64(t.Day()),
		int64(t.Hour()), int64(t.Minute()), int64(t.Second()), int64(t.Nanosecond()/1000))
}

func (e *Encoder) timedelta(t Timedelta) error {
	normal, ok := normalTimedelta(t.Days, int64(t.Seconds), int64(t.Microseconds))
	if !ok {
		return invalid("%s is more than the 999999999 days of Python", t)
	}
	return e.numbers("timedelta", normal.Days, int64(normal.Seconds), int64(normal.Microseconds))
}

// numbers writes [word "n n n"].
func (e *Encoder) numbers(word string, n ...int64) error {
	if err := e.openNamed(word, 1); err != nil {
		return err
	}
	e.close()
	var scratch [64]byte
	text := scratch[:0]
	for i, x := range n {
		if i > 0 {
			text = append(text, ' ')
		}
		text = strconv.AppendInt(text, x, 10)
	}
	return e.Bytes(text)
}

func (e *Encoder) decimal(d *Decimal) error {
	if !d.Valid() {
		return invalid("the exponent %d is beyond those of Python's Decimal, which has room for 1e%d to 1e%d",
			d.exponent, int64(minDecimalExponent), int64(maxDecimalExponent))
	}
	if err := e.openNamed("decimal", 2); err != nil {
		return err
	}
	if err := e.Big(&d.coefficient); err != nil {
		return err
	}
	e.Int(d.exponent)
	e.close()
	return nil
}

// named writes [word name].
func (e *Encoder) named(word banana.Symbol, name string) error {
	if err := e.open(word, 1); err != nil {
		return err
	}
	e.close()
	return e.String(name)
}

// pythonName writes [word name] and refuses names that Python cannot look up: stock's unjelly accepts only ASCII,
// imports the part before the last dot, and fails for a class without one.
func (e *Encoder) pythonName(word banana.Symbol, name string) error {
	switch {
	case len(name) > maxClassName:
		return invalid("too long: the name of a %s has at most %d bytes, this one %d", word, maxClassName, len(name))
	case !isDotted(name), word == banana.SymClass && strings.IndexByte(name, '.') < 0:
		return invalid("%q is not the dotted name of a Python %s", clip(name), word)
	}
	return e.named(word, name)
}

// isDotted reports whether name consists of non-empty parts of printable ASCII, separated by dots.
func isDotted(name string) bool {
	part := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.' && part == 0, c <= ' ', c >= 0x7f:
			return false
		case c == '.':
			part = 0
		default:
			part++
		}
	}
	return part > 0
}

func (e *Encoder) method(m Method) error {
	if err := e.beginNamed("method", 3); err != nil {
		return err
	}
	if err := e.String(m.Name); err != nil {
		return under(".Name", err)
	}
	if err := e.value(m.Self); err != nil {
		return under(".Self", err)
	}
	if err := e.value(m.Class); err != nil {
		return under(".Class", err)
	}
	e.end()
	return nil
}

// persistent writes [persistent id]; the id is raw Banana.
func (e *Encoder) persistent(id any) error {
	if err := e.open(banana.SymPersistent, 1); err != nil {
		return err
	}
	e.close()
	switch x := id.(type) {
	case string:
		return e.String(x)
	case []byte:
		return e.Bytes(x)
	case int:
		e.Int(int64(x))
	case int64:
		e.Int(x)
	case uint64:
		e.Uint(x)
	case float64:
		e.Float(x)
	case *big.Int:
		return e.Big(x)
	default:
		return invalid("%T cannot be the id of a persistent object: use an integer, a string or []byte", id)
	}
	return nil
}

func (e *Encoder) instance(x *Instance) error {
	was := e.hashing
	e.hashing = false
	defer func() { e.hashing = was }()
	if !x.Old {
		if err := CheckClass(x.Class); err != nil {
			return &EncodeError{Path: ".Class", Err: err}
		}
		if err := e.classAndState(pointerIdentity(x), x.Class, x.State); err != nil {
			return under(".State", err)
		}
		return nil
	}
	if met, err := e.meet(pointerIdentity(x)); met || err != nil {
		return err
	}
	if err := e.begin(banana.SymInstance, 2); err != nil {
		return err
	}
	if err := e.pythonName(banana.SymClass, x.Class); err != nil {
		return under(".Class", err)
	}
	if err := e.value(x.State); err != nil {
		return under(".State", err)
	}
	e.end()
	return nil
}

// nilValue writes a nil that has a type: None for a pointer, an empty dictionary or set for a map.
func (e *Encoder) nilValue(v any) error {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer:
		e.None()
		return nil
	case reflect.Map:
		if isSetMap(r.Type()) {
			return encodeSetMap(e, r)
		}
		return encodeMap(e, r)
	}
	return refuse("a nil %T is not transferable", v)
}
