package inspect

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the most characters of a name that is shown.
const maxName = 120

// clean makes a name that a peer may have chosen fit to be shown: what is not printable, such as control characters and
// those that change the direction of text, is escaped as in Go, and a long name is clipped.
func clean(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	n := 0
	for len(s) > 0 {
		if n == maxName {
			b.WriteString("…")
			break
		}
		n++
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\\':
			b.WriteString(`\\`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 1<<16:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[size:]
	}
	return b.String()
}

// isPlain reports whether clean changes nothing: nearly all names are short ASCII.
func isPlain(s string) bool {
	if len(s) > maxName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}
