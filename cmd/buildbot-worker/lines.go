//go:build unix

package main

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// longLine is how many characters a line may have before it is broken, as the stock worker has it. What shows a line
// must hold it.
const longLine = 4095

// newlines are what terminals are told in order to write somewhere else, which in a log is a new line: carriage returns
// with or without a line feed, cursor movements, a cleared screen, backspaces. A carriage return at the very end may
// have its line feed still to come, and so has an escape sequence its rest; these are held with the line.
var newlines = regexp.MustCompile("\r\n|\r|\x1b\\[u|\x1b\\[[0-9]+;[0-9]+[Hf]|\x1b\\[2J|\x08+")

// lines makes whole lines of the pieces of one stream.
type lines struct {
	partial string // without an end
}

// whole returns the lines that have ended with this piece, and those that are too long to be waited for.
func (l *lines) whole(piece string) string {
	text := l.partial + piece
	// A trailing carriage return is left as it is until what follows is known.
	held := ""
	if strings.HasSuffix(text, "\r") {
		text, held = text[:len(text)-1], "\r"
	}
	if strings.ContainsAny(text, "\r\x1b\x08") {
		text = newlines.ReplaceAllString(text, "\n")
	}
	end := strings.LastIndexByte(text, '\n') + 1
	done, rest := text[:end], text[end:]
	var out strings.Builder
	out.WriteString(breakLong(done))
	rest = breakOff(&out, rest)
	l.partial = strings.Clone(rest) + held
	return out.String()
}

// rest ends the line that has not ended.
func (l *lines) rest() string {
	text := strings.TrimSuffix(l.partial, "\r")
	ended := l.partial
	l.partial = ""
	if ended == "" {
		return ""
	}
	return text + "\n"
}

// breakLong breaks the lines of text, all of which have an end, where they are too long.
func breakLong(text string) string {
	if len(text) <= longLine {
		return text
	}
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(breakOff(&out, line[:len(line)-1]))
		out.WriteByte('\n')
	}
	return out.String()
}

// breakOff writes the beginning of a line that is too long, in pieces with an end each, and returns the rest that is
// not.
func breakOff(out *strings.Builder, line string) string {
	for len(line) > longLine {
		at := ahead(line, longLine)
		if at == len(line) {
			break
		}
		out.WriteString(line[:at])
		out.WriteByte('\n')
		line = line[at:]
	}
	return line
}

// ahead is where the first n characters of s end, or its length if it has no more.
func ahead(s string, n int) int {
	for at := range s {
		if n == 0 {
			return at
		}
		n--
	}
	return len(s)
}

// decoder makes text of a stream of bytes whose pieces may end within a character. What is no UTF-8 becomes U+FFFD.
type decoder struct {
	held []byte // the beginning of a character
}

func (d *decoder) text(piece []byte) string {
	all := append(d.held, piece...)
	end := len(all)
	for back := 1; back < utf8.UTFMax && back <= len(all); back++ {
		if b := all[len(all)-back]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(all[len(all)-back:]) {
				end = len(all) - back
			}
			break
		}
	}
	text := replace(all[:end])
	d.held = append([]byte(nil), all[end:]...)
	return text
}

// end is what is left when nothing follows.
func (d *decoder) end() string {
	text := replace(d.held)
	d.held = nil
	return text
}

// replace puts U+FFFD for what is no UTF-8: one for each byte that no character can have there, and one for the
// beginning of a character that does not go on, as Python does.
func replace(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			for size < len(b) && !utf8.FullRune(b[:size+1]) {
				size++
			}
		}
		out.WriteRune(r)
		b = b[size:]
	}
	return out.String()
}
