package dispatch

import (
	"reflect"
	"unicode"
	"unicode/utf8"
)

// AppendCamel converts get_two to GetTwo. It reports false for names without underscores, with misplaced ones, or
// longer than 512 bytes.
func AppendCamel(b []byte, wire string) ([]byte, bool) {
	const longest = 512
	if len(wire) == 0 || len(wire) > longest {
		return nil, false
	}
	raise, found := true, false
	for _, r := range wire {
		if r == '_' {
			if raise {
				return nil, false
			}
			raise, found = true, true
			continue
		}
		if raise {
			r = unicode.ToUpper(r)
			raise = false
		}
		b = utf8.AppendRune(b, r)
	}
	return b, found && !raise
}

func LowerFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[size:]
}

func RaiseFirst(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[size:]
}

// TypeName returns the type's name without package and type arguments, for messages to peers.
func TypeName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := t.Name()
	for i := range len(name) {
		if name[i] == '[' {
			return name[:i]
		}
	}
	if name == "" {
		return "object"
	}
	return name
}
