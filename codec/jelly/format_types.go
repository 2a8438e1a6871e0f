package jelly

import (
	"fmt"
	"strconv"
)

// The verbs of package fmt would walk what a peer sent without an end. All types of this package that may hold it
// implement fmt.Formatter, so that every verb gives what Format gives. A []any cannot: it is for Format alone.

// Format implements fmt.Formatter by the function Format. A precision, as in %.200v, is the limit.
func (t Tuple) Format(s fmt.State, _ rune) { writeFormat(s, t, 0) }

// Format implements fmt.Formatter by the function Format.
func (d *Dict) Format(s fmt.State, _ rune) { writeFormat(s, d, 0) }

// Format implements fmt.Formatter by the function Format.
func (e Entry) Format(s fmt.State, _ rune) { writeFormat(s, e, 0) }

// Format implements fmt.Formatter by the function Format.
func (m *Set) Format(s fmt.State, _ rune) { writeFormat(s, m, 0) }

// Format implements fmt.Formatter by the function Format.
func (m *FrozenSet) Format(s fmt.State, _ rune) { writeFormat(s, m, 0) }

// Format implements fmt.Formatter by the function Format.
func (x Instance) Format(s fmt.State, _ rune) { writeFormat(s, x, 0) }

// Format implements fmt.Formatter by the function Format.
func (m Method) Format(s fmt.State, _ rune) { writeFormat(s, m, 0) }

// Format implements fmt.Formatter by the function Format.
func (p Persistent) Format(s fmt.State, _ rune) { writeFormat(s, p, 0) }

// Format implements fmt.Formatter by the function Format.
func (u Unpersistable) Format(s fmt.State, _ rune) { writeFormat(s, u, 0) }

// Format implements fmt.Formatter by the function Format.
func (u *Unbound) Format(s fmt.State, _ rune) { writeFormat(s, u, 0) }

// Format implements fmt.Formatter: the name, with everything escaped that is not printable.
func (c Class) Format(s fmt.State, verb rune) { writeName(s, string(c), verb) }

// Format implements fmt.Formatter: the name, with everything escaped that is not printable.
func (m Module) Format(s fmt.State, verb rune) { writeName(s, string(m), verb) }

// Format implements fmt.Formatter: the name, with everything escaped that is not printable.
func (f Function) Format(s fmt.State, verb rune) { writeName(s, string(f), verb) }

// writeName writes a name bare, or quoted where the verb asks for that.
func writeName(s fmt.State, name string, verb rune) {
	quoted := strconv.Quote(name[:min(len(name), DefaultFormatLimit)])
	if verb != 'q' && !s.Flag('#') {
		quoted = quoted[1 : len(quoted)-1]
	}
	_, _ = s.Write([]byte(quoted))
}
