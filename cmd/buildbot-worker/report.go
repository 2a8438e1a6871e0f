//go:build unix

package main

import "unicode/utf8"

// chunk is how much of a stream a job hands on at a time, in bytes.
const chunk = 16 << 10

// report is how a job tells what it does. Its methods wait until there is room, and may be called from several
// goroutines. When nobody listens any more they do nothing.
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

// status reports a fact, such as an exit code.
func (r *report) status(key string, value any) { r.send(update{key: key, value: value}) }

// rc reports the exit code, by which the master judges a command.
func (r *report) rc(code int) { r.status("rc", code) }

// header tells what the worker itself has to say.
func (r *report) header(text string) { r.text("header", text) }

// text reports a piece of one of the streams stdout, stderr and header. It need not end with a line. A long one, such
// as a command's argument in its header, goes in several updates, because no string may have more than 640 KiB.
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

// logfile reports a piece of a file that is followed.
func (r *report) logfile(name, text string) { r.send(update{key: "log", log: name, text: clean(text)}) }
