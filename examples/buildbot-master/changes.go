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
	s.out.line("change: %s: %s: %s", oneLine(who), oneLine(comments), oneLine(strings.Join(files, " ")))
	return nil
}

// oneLine keeps what others have written on one line: what a terminal would obey becomes a space.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}
