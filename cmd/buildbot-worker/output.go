package main

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/jelly"
)

const (
	// flushSize and flushAfter limit the size and the age of gathered output, as in the stock worker. Text counts in bytes
	// and other values a little, so no string comes near Banana's 640 KiB.
	flushSize  = 64 << 10
	flushAfter = 5 * time.Second
	// window is how many updates of one command may be unanswered.
	window = 8
	// room is how much unsent output a job may have before it waits, in bytes: two updates.
	room = 2 * flushSize
	// factSize is the size that a value without text counts.
	factSize = 20
)

// update is text for stdout, stderr, header or a log, or a value under another key.
type update struct {
	key   string
	log   string // the name of the log if key is "log"
	text  string
	value any // for other keys
}

func (u update) isText() bool {
	return u.key == "stdout" || u.key == "stderr" || u.key == "header" || u.key == "log"
}

func (u update) size() int {
	if u.isText() {
		return len(u.text)
	}
	return factSize
}

// wire returns the update as the master takes it. Masters expect a number and ignore it.
func (u update) wire() []any {
	var value any = u.text
	switch {
	case u.key == "log":
		value = jelly.Tuple{u.log, u.text}
	case !u.isText():
		value = u.value
	}
	return []any{map[string]any{u.key: value}, 0}
}

// outbox is a command's unsent output: whole lines, gathered until there are enough of them or they are old enough.
type outbox struct {
	lines    map[string]*lines // by stream
	gathered []update
	size     int     // of gathered
	sealed   [][]any // messages to send, each a list of updates
	waits    int     // total size of the sealed messages
	sizes    []int   // size of each sealed message
	unread   int     // messages that the master has not answered
	waiting  []chan struct{}
}

func (o *outbox) open() { o.lines = map[string]*lines{} }

// add adds an update. It holds text until its line ends.
func (o *outbox) add(u update) {
	if u.isText() {
		key := u.key + "\x00" + u.log
		if o.lines[key] == nil {
			o.lines[key] = &lines{}
		}
		if u.text = o.lines[key].whole(u.text); u.text == "" {
			return
		}
	}
	o.gather(u)
}

// breakLines ends unfinished lines, because the output is complete.
func (o *outbox) breakLines() {
	keys := make([]string, 0, len(o.lines))
	for key := range o.lines {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if text := o.lines[key].rest(); text != "" {
			stream, log, _ := strings.Cut(key, "\x00")
			o.gather(update{key: stream, log: log, text: text})
		}
	}
}

func (o *outbox) gather(u update) {
	if o.size+u.size() > flushSize {
		o.seal()
	}
	last := len(o.gathered) - 1
	if last >= 0 && u.isText() && o.gathered[last].key == u.key && o.gathered[last].log == u.log {
		o.gathered[last].text += u.text
	} else {
		o.gathered = append(o.gathered, u)
	}
	o.size += u.size()
}

// seal makes a message of the gathered updates.
func (o *outbox) seal() {
	if len(o.gathered) == 0 {
		return
	}
	message := make([]any, len(o.gathered))
	for i, u := range o.gathered {
		message[i] = u.wire()
	}
	o.sealed = append(o.sealed, message)
	o.sizes = append(o.sizes, o.size)
	o.waits += o.size
	o.gathered, o.size = nil, 0
}

// canSend reports whether there is a message and the window has room for it.
func (o *outbox) canSend() bool { return len(o.sealed) > 0 && o.unread < window }

func (o *outbox) first() []any { return o.sealed[0] }

// sent removes the first message, which has been sent.
func (o *outbox) sent() {
	o.waits -= o.sizes[0]
	o.sealed, o.sizes = o.sealed[1:], o.sizes[1:]
	o.unread++
}

func (o *outbox) answered() { o.unread-- }

func (o *outbox) empty() bool { return len(o.gathered) == 0 && len(o.sealed) == 0 }

// release releases waiting jobs if there is room.
func (o *outbox) release() {
	if o.size+o.waits > room {
		return
	}
	for _, taken := range o.waiting {
		close(taken)
	}
	o.waiting = nil
}

// drop discards everything.
func (o *outbox) drop() {
	o.gathered, o.size, o.sealed, o.sizes, o.waits = nil, 0, nil, nil, 0
	o.release()
}

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

// chunk is the buffer size of a job's streams, in bytes.
const chunk = 16 << 10

// report passes a job's output to its command. Its methods block until there is room, and are safe for concurrent use.
// They do nothing once gone is closed.
type report struct {
	post func(message any)
	gone chan struct{}
}

func (r *report) send(u update) {
	taken := make(chan struct{})
	r.post(reported{u, taken})
	select {
	case <-taken:
	case <-r.gone:
	}
}

// status reports a value, such as an exit code.
func (r *report) status(key string, value any) { r.send(update{key: key, value: value}) }

// rc reports the exit code, which decides the step's result.
func (r *report) rc(code int) { r.status("rc", code) }

// header reports the worker's own messages.
func (r *report) header(text string) { r.text("header", text) }

// text reports a piece of the stream stdout, stderr or header. It splits long pieces, because a string on the wire has
// at most 640 KiB.
func (r *report) text(stream, text string) {
	text = clean(text)
	for len(text) > flushSize {
		at := flushSize
		for !utf8.RuneStart(text[at]) {
			at--
		}
		r.send(update{key: stream, text: text[:at]})
		text = text[at:]
	}
	r.send(update{key: stream, text: text})
}

// logfile reports a piece of a log file.
func (r *report) logfile(name, text string) { r.send(update{key: "log", log: name, text: clean(text)}) }
