package tac

import (
	"fmt"
	"strings"
)

type valueKind int

const (
	unknownValue valueKind = iota
	noneValue
	boolValue
	intValue
	floatValue
	textValue
	listValue
	pathValue   // a module, or something in a module: its dotted name
	objectValue // something that Python would have made: its name
)

// value is the value of an expression.
type value struct {
	kind  valueKind
	line  int // where it comes from
	text  string
	n     int64
	f     float64
	list  []value
	self  *value // what a method belongs to
	cause string // why it is unknown

	weight  int  // its size and that of its elements, in bytes, roughly
	partial bool // an element is not known
}

func unknown(line int, format string, args ...any) value {
	return value{kind: unknownValue, line: line, cause: fmt.Sprintf(format, args...)}
}

func boolean(b bool) value {
	v := value{kind: boolValue}
	if b {
		v.n = 1
	}
	return v
}

func textOf(s string) value { return value{kind: textValue, text: s} }

// known reports whether the value can be compared and tested.
func (v value) known() bool { return v.kind != unknownValue && v.kind != pathValue }

// isNumber reports whether arithmetic with integers applies. In Python a bool is an int.
func (v value) isNumber() bool { return v.kind == intValue || v.kind == boolValue }

// truth is Python's truth value.
func (v value) truth() bool {
	switch v.kind {
	case noneValue:
		return false
	case boolValue, intValue:
		return v.n != 0
	case floatValue:
		return v.f != 0
	case textValue:
		return v.text != ""
	case listValue:
		return len(v.list) > 0
	}
	return true
}

// equal is Python's == for known values.
func (v value) equal(w value) bool {
	number := func(v value) (float64, bool) {
		if v.kind == floatValue {
			return v.f, true
		}
		return float64(v.n), v.isNumber()
	}
	a, isA := number(v)
	if b, isB := number(w); isA && isB {
		return a == b
	}
	if v.kind != w.kind || v.text != w.text || len(v.list) != len(w.list) {
		return false
	}
	for i := range v.list {
		if !v.list[i].equal(w.list[i]) {
			return false
		}
	}
	return true
}

// describe names the value's type. It does not repeat the value, which may be the password.
func (v value) describe() string {
	switch v.kind {
	case noneValue:
		return "None"
	case boolValue:
		return "a bool"
	case intValue:
		return "an integer"
	case floatValue:
		return "a float"
	case textValue:
		return "a string"
	case listValue:
		return "a list"
	case pathValue:
		return v.text
	case objectValue:
		return "an object of Python"
	}
	return "unknown, because " + v.cause
}

// last returns the last part of a dotted name.
func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
