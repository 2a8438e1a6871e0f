package jelly

import (
	"encoding/binary"
	"math"
	"math/big"
	"reflect"
	"time"
	"unsafe"
)

// hashKey is a key of a dictionary in a form that Go can compare, equal where
// Python's keys are.
type hashKey struct {
	kind byte
	bits uint64
	text string
	ptr  any
}

// The longest canonical form of a tuple that is looked up. Longer tuples are
// not found: with shared parts their form could grow without bound.
const maxTupleKey = 4 << 10

// hashKeyOf returns the key for v, or false if v cannot be looked up.
func hashKeyOf(v any) (hashKey, bool) {
	switch x := v.(type) {
	case string:
		return hashKey{kind: 's', text: x}, true
	case []byte:
		// Without a copy: many dictionaries may have one long key. Keys are not changed.
		return hashKey{kind: 'b', text: unsafe.String(unsafe.SliceData(x), len(x))}, true
	case int64:
		return hashKey{kind: 'i', bits: uint64(x)}, true
	case int:
		return hashKey{kind: 'i', bits: uint64(x)}, true
	case nil:
		return hashKey{kind: 'n'}, true
	case bool:
		if x {
			return hashKey{kind: 'i', bits: 1}, true
		}
		return hashKey{kind: 'i'}, true
	case float64:
		if n := int64(x); float64(n) == x && x >= -1<<63 && x < 1<<63 {
			return hashKey{kind: 'i', bits: uint64(n)}, true
		}
		return hashKey{kind: 'f', bits: math.Float64bits(x)}, true
	case *big.Int:
		if x == nil {
			return hashKey{kind: 'n'}, true
		}
		if x.IsInt64() {
			return hashKey{kind: 'i', bits: uint64(x.Int64())}, true
		}
		return hashKey{kind: 'I', bits: uint64(x.Sign()), text: string(x.Bytes())}, true
	case Tuple:
		form, ok := appendTupleKey(nil, x)
		return hashKey{kind: 't', text: string(form)}, ok
	case time.Time:
		return hashKey{kind: 'd', bits: uint64(x.UnixMicro())}, true
	case time.Duration, Date, TimeOfDay, Timedelta, Class, Module, Function:
		return hashKey{kind: 'v', ptr: x}, true
	}
	r := reflect.ValueOf(v)
	switch {
	case r.Kind() == reflect.Pointer:
		return hashKey{kind: 'p', ptr: v}, true
	case r.CanInt():
		return hashKey{kind: 'i', bits: uint64(r.Int())}, true
	case r.Kind() == reflect.String:
		return hashKey{kind: 's', text: r.String()}, true
	}
	return hashKey{}, false
}

// appendTupleKey writes a form of t that is equal for equal tuples of scalars.
func appendTupleKey(b []byte, t Tuple) ([]byte, bool) {
	b = binary.AppendUvarint(append(b, 't'), uint64(len(t)))
	for _, v := range t {
		if len(b) > maxTupleKey {
			return nil, false
		}
		if inner, ok := v.(Tuple); ok {
			if b, ok = appendTupleKey(b, inner); !ok {
				return nil, false
			}
			continue
		}
		k, ok := hashKeyOf(v)
		if !ok || k.ptr != nil || len(b)+len(k.text) > maxTupleKey {
			return nil, false
		}
		b = binary.AppendUvarint(append(b, k.kind), k.bits)
		b = binary.AppendUvarint(b, uint64(len(k.text)))
		b = append(b, k.text...)
	}
	return b, len(b) <= maxTupleKey
}
