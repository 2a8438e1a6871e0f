package main

import (
	"strings"
	"unicode"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// sender is the avatar of a user who sends changes. It has no mind.
type sender struct {
	flavors.Avatar
	out printer
}

// PerspectiveAddChange prints a change. It ignores keys that it does not know.
func (s *sender) PerspectiveAddChange(dict *jelly.Dict) error {
	var who, comments string
	var files []string
	for _, field := range []struct {
		name string
		dst  any
	}{{"who", &who}, {"comments", &comments}, {"files", &files}} {
		v, ok := dict.GetName(field.name)
		if !ok || v == nil {
			continue
		}
		if err := jelly.Assign(field.dst, v); err != nil {
			return flavors.TypeError.Errorf("addChange, %s: %w", field.name, err)
		}
	}
	s.out.line("change: %s: %s: %s", oneLine(who), oneLine(comments), oneLine(joined(files)))
	return nil
}

// maxShown limits the printed files of a change, in bytes.
const maxShown = 64 << 10

// oneLine replaces control characters and tabs by spaces, so that the text stays on one line.
func oneLine(s string) string { return strings.ReplaceAll(printable(s), "\t", " ") }

// printable replaces what controls a terminal by spaces, except for tabs.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
}

// joined joins the files up to maxShown bytes. A short change can refer to one long name many times.
func joined(files []string) string {
	var out strings.Builder
	for i, file := range files {
		if out.Len()+len(file) > maxShown {
			return out.String() + " …"
		}
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(file)
	}
	return out.String()
}
