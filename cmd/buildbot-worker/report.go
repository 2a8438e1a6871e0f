//go:build unix

package main

import "unicode/utf8"

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
