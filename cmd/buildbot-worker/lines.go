//go:build unix

package main

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// longLine is the length in characters at which a line is broken, as in the stock worker.
const longLine = 4095

// newlines matches the control sequences that move the cursor, which count as a line end in a log: carriage returns,
// cursor movements, a cleared screen, backspaces. A carriage return or an incomplete escape sequence at the end of a
// piece is kept with the line, because its rest may follow.
var newlines = regexp.MustCompile("\r\n|\r|\x1b\\[u|\x1b\\[[0-9]+;[0-9]+[Hf]|\x1b\\[2J|\x08+")

// lines splits one stream into whole lines.
type lines struct {
	partial string // the unfinished line
}

// whole returns the lines that this piece completes, and the parts of lines that are too long to wait for.
func (l *lines) whole(piece string) string {
	text := l.partial + piece
	// What follows a trailing carriage return decides its meaning.
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

// rest returns the unfinished line with a newline.
func (l *lines) rest() string {
	text := strings.TrimSuffix(l.partial, "\r")
	ended := l.partial
	l.partial = ""
	if ended == "" {
		return ""
	}
	return text + "\n"
}

// breakLong breaks the long lines of text, in which every line has a newline.
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

// breakOff writes the beginning of a long line in pieces with a newline each, and returns the rest.
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

// ahead returns the byte offset after the first n characters of s, or len(s).
func ahead(s string, n int) int {
	for at := range s {
		if n == 0 {
			return at
		}
		n--
	}
	return len(s)
}

// decoder decodes a stream of UTF-8 whose pieces may end within a character. Invalid bytes become U+FFFD.
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

// end returns what is left at the end of the stream.
func (d *decoder) end() string {
	text := replace(d.held)
	d.held = nil
	return text
}

// replace replaces invalid UTF-8 as Python does: one U+FFFD for each impossible byte, and one for each truncated
// character.
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
