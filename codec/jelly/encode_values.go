package jelly

import (
	"fmt"
	"math/big"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/codec/banana"
)

// other writes the types that are met less often, and leaves the rest to
// reflection.
func (e *Encoder) other(v any) error {
	switch x := v.(type) {
	case *Set:
		if x == nil {
			break
		}
		if err := e.mustHash("set"); err != nil {
			return err
		}
		return e.set(x, "set", x.list)
	case *FrozenSet:
		if x == nil {
			break
		}
		return e.set(x, "frozenset", x.list)
	case int8:
		e.Int(int64(x))
		return nil
	case int16:
		e.Int(int64(x))
		return nil
	case int32:
		e.Int(int64(x))
		return nil
	case uint:
		e.Uint(uint64(x))
		return nil
	case uint8:
		e.Uint(uint64(x))
		return nil
	case uint16:
		e.Uint(uint64(x))
		return nil
	case uint32:
		e.Uint(uint64(x))
		return nil
	case uint64:
		e.Uint(x)
		return nil
	case float32:
		e.Float(float64(x))
		return nil
	case *big.Int:
		if x == nil {
			break
		}
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
			return invalid("%s is no date that Python knows", x)
		}
		return e.numbers("date", int64(x.Year), int64(x.Month), int64(x.Day))
	case TimeOfDay:
		if !x.Valid() {
			return invalid("%s is no time of day", x)
		}
		return e.numbers("time", int64(x.Hour), int64(x.Minute), int64(x.Second), int64(x.Microsecond))
	case *Decimal:
		if x == nil {
			break
		}
		return e.decimal(x)
	case Decimal:
		return e.decimal(&x)
	case *Instance:
		if x == nil {
			break
		}
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
		if x == nil {
			break
		}
		return e.Str(x.String())
	}
	if is, err := e.common(v); is {
		return err
	}
	if isNilPointer(v) {
		return e.nilValue(v)
	}
	return e.reflected(v)
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
			d.exponent, minDecimalExponent, maxDecimalExponent)
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

// pythonName writes [word name] for what Python finds by its name, and refuses names that no Python can look up:
// stock's unjelly takes ASCII alone, imports what is in front of the last dot, and fails for a class that has nothing
// there.
func (e *Encoder) pythonName(word banana.Symbol, name string) error {
	switch {
	case len(name) > maxClassName:
		return invalid("too long: the name of a %s has at most %d bytes, this one %d", word, maxClassName, len(name))
	case !isDotted(name), word == banana.SymClass && strings.IndexByte(name, '.') < 0:
		return invalid("%q is not the dotted name of a Python %s", clip(name), word)
	}
	return e.named(word, name)
}

// isDotted reports whether name consists of parts of printable ASCII with dots between them.
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
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.openNamed("method", 3); err != nil {
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
	e.leave()
	e.close()
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
		return under1(".State", e.classAndState(pointerIdentity(x), x.Class, x.State))
	}
	if met, err := e.meet(pointerIdentity(x)); met || err != nil {
		return err
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.open(banana.SymInstance, 2); err != nil {
		return err
	}
	if err := e.pythonName(banana.SymClass, x.Class); err != nil {
		return under(".Class", err)
	}
	if err := e.value(x.State); err != nil {
		return under(".State", err)
	}
	e.leave()
	e.close()
	return nil
}

// under1 is under for an error that may be nil.
func under1(step string, err error) error {
	if err == nil {
		return nil
	}
	return under(step, err)
}

// nilValue writes a nil that has a type: an empty dictionary for a map, None for a pointer.
func (e *Encoder) nilValue(v any) error {
	switch kindOf(v) {
	case kindPointer:
		e.None()
		return nil
	case kindMap:
		if isSetMap(reflect.TypeOf(v)) {
			return encodeSetMap(e, reflect.ValueOf(v))
		}
		if err := e.mustHash("dictionary"); err != nil {
			return err
		}
		if err := e.enter(); err != nil {
			return err
		}
		err := e.open(banana.SymDictionary, 0)
		e.close()
		e.leave()
		return err
	}
	return refuse("a nil %T is not transferable", v)
}

func stepNumber(i int) string { return fmt.Sprint(i) }
