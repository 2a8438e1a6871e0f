package main

import (
	"strings"
	"unicode"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// sender is the avatar of who sends changes. It has no mind.
type sender struct {
	flavors.Avatar
	out printer
}

// PerspectiveAddChange takes a change: a dictionary with more in it than is looked at here.
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

// maxShown is how many bytes of a change's files are printed.
const maxShown = 64 << 10

// oneLine keeps what others have written on one line: what a terminal would obey becomes a space.
func oneLine(s string) string { return strings.ReplaceAll(printable(s), "\t", " ") }

// printable puts a space for what a terminal would obey, but for tabs.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
}

// joined puts files behind each other, as many as are shown. A change can mention one long name many times.
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
