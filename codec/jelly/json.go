package jelly

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
)

// Limits on the length in bytes and the depth of JSON.
const (
	maxJSON      = 1 << 20
	maxJSONDepth = 1000
)

// The types of this package that hold other values implement json.Marshaler, because encoding/json writes a shared
// part for each mention. For a []any, use Format or convert it to a Tuple.

// MarshalJSON returns an array. Values without a form in JSON become strings, as by [Format]. The error reports a
// value that contains itself or whose JSON, with all mentions of shared parts, is longer than 1 MiB.
func (t Tuple) MarshalJSON() ([]byte, error) { return marshalJSON(t) }

// MarshalJSON returns an object. Keys that are not text are formatted by [Format]. See also [Tuple.MarshalJSON].
func (d *Dict) MarshalJSON() ([]byte, error) { return marshalJSON(d) }

// MarshalJSON returns an array; see [Tuple.MarshalJSON].
func (m *Set) MarshalJSON() ([]byte, error) { return marshalJSON(m) }

// MarshalJSON returns an array; see [Tuple.MarshalJSON].
func (m *FrozenSet) MarshalJSON() ([]byte, error) { return marshalJSON(m) }

// MarshalJSON returns an object with the keys class and state; see [Tuple.MarshalJSON].
func (x Instance) MarshalJSON() ([]byte, error) { return marshalJSON(x) }

// MarshalJSON returns the text of [Format] as a string.
func (m Method) MarshalJSON() ([]byte, error) { return json.Marshal(Format(m)) }

// MarshalJSON returns the text of [Format] as a string.
func (p Persistent) MarshalJSON() ([]byte, error) { return json.Marshal(Format(p)) }

// MarshalJSON returns the text of [Format] as a string.
func (u *Unbound) MarshalJSON() ([]byte, error) { return json.Marshal(Format(u)) }

// MarshalJSON returns an object with one key; see [Dict.MarshalJSON].
func (e Entry) MarshalJSON() ([]byte, error) { return marshalJSON(&Dict{entries: []Entry{e}}) }

func marshalJSON(v any) ([]byte, error) {
	w := jsonWriter{open: map[identity]bool{}}
	if err := w.value(v, 0); err != nil {
		return nil, err
	}
	return w.b, nil
}

// jsonWriter fails once the text is too long, which also bounds its work.
type jsonWriter struct {
	b    []byte
	open map[identity]bool // containers being written
}

var errJSONCycle = errors.New("jelly: a value that contains itself has no JSON: use jelly.Format")

func (w *jsonWriter) value(v any, depth int) error {
	switch {
	case len(w.b) > maxJSON:
		return fmt.Errorf("jelly: the JSON of this value has more than %d bytes: use jelly.Format", maxJSON)
	case depth > maxJSONDepth:
		return fmt.Errorf("jelly: a value that is nested more than %d deep has no JSON: use jelly.Format", maxJSONDepth)
	}
	switch x := v.(type) {
	case nil:
		w.b = append(w.b, "null"...)
	case bool:
		w.b = strconv.AppendBool(w.b, x)
	case int64:
		w.b = strconv.AppendInt(w.b, x, 10)
	case int:
		w.b = strconv.AppendInt(w.b, int64(x), 10)
	case *big.Int:
		return w.number(x)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return jsonLeaf(w, Format(x))
		}
		return jsonLeaf(w, x)
	case string:
		return jsonLeaf(w, x)
	case []byte:
		return jsonLeaf(w, x)
	case []any:
		return w.sequence(sliceIdentity(listWord, x), x, depth)
	case Tuple:
		return w.sequence(sliceIdentity(tupleWord, x), x, depth)
	case *Set:
		if x != nil {
			return w.sequence(pointerIdentity(x), x.list, depth)
		}
		return w.value(nil, depth)
	case *FrozenSet:
		if x != nil {
			return w.sequence(pointerIdentity(x), x.list, depth)
		}
		return w.value(nil, depth)
	case *Dict:
		if x != nil {
			return w.pairs(pointerIdentity(x), x.entries, depth)
		}
		return w.value(nil, depth)
	case *Instance:
		if x != nil {
			return w.within(pointerIdentity(x), func() error { return w.value(*x, depth) })
		}
		return w.value(nil, depth)
	case Instance:
		return w.pairs(identity{}, []Entry{{"class", x.Class}, {"state", x.State}}, depth)
	default:
		if numbers, ok := numbersOf(v); ok {
			return w.numbers(numbers, depth)
		}
		return jsonLeaf(w, Format(v))
	}
	return nil
}

// numbers writes an array.
func (w *jsonWriter) numbers(v reflect.Value, depth int) error {
	w.b = append(w.b, '[')
	for i := range v.Len() {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		if err := w.value(boxNumber(v.Index(i)), depth+1); err != nil {
			return err
		}
	}
	w.b = append(w.b, ']')
	return nil
}

func (w *jsonWriter) number(n *big.Int) error {
	if n == nil || n.BitLen() > maxShownIntBits {
		return jsonLeaf(w, Format(n))
	}
	w.b = n.Append(w.b, 10)
	return nil
}

// jsonLeaf writes text or a number with encoding/json.
func jsonLeaf[T string | []byte | float64](w *jsonWriter, v T) error {
	b, err := json.Marshal(v)
	w.b = append(w.b, b...)
	return err
}

// within writes a container and fails if it is within itself.
func (w *jsonWriter) within(id identity, write func() error) error {
	if id.at == nil {
		return write()
	}
	if w.open[id] {
		return errJSONCycle
	}
	w.open[id] = true
	defer delete(w.open, id)
	return write()
}

func (w *jsonWriter) sequence(id identity, list []any, depth int) error {
	return w.within(id, func() error {
		w.b = append(w.b, '[')
		for i, v := range list {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			if err := w.value(v, depth+1); err != nil {
				return err
			}
		}
		w.b = append(w.b, ']')
		return nil
	})
}

func (w *jsonWriter) pairs(id identity, entries []Entry, depth int) error {
	return w.within(id, func() error {
		w.b = append(w.b, '{')
		for i := range entries {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			if err := jsonLeaf(w, jsonKey(entries[i].Key)); err != nil {
				return err
			}
			w.b = append(w.b, ':')
			if err := w.value(entries[i].Value, depth+1); err != nil {
				return err
			}
		}
		w.b = append(w.b, '}')
		return nil
	})
}

func jsonKey(key any) string {
	switch k := key.(type) {
	case string:
		return k
	case []byte:
		return string(k)
	}
	return Format(key)
}
