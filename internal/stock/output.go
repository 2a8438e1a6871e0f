package stock

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
)

// maxLines bounds the lines kept of one program. When it is reached, the oldest half is dropped.
const maxLines = 20000

// Line is one line that a program printed.
type Line struct {
	Stream string // "out" or "err"; "sys" for messages of this package
	Text   string
}

// output collects the lines of both streams in order of arrival and wakes waiting goroutines.
type output struct {
	mu      sync.Mutex
	lines   []Line
	changed chan struct{} // closed and replaced with each line
	closed  bool
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) add(stream, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.lines) >= maxLines {
		o.lines = append(o.lines[:0], o.lines[maxLines/2:]...)
	}
	o.lines = append(o.lines, Line{Stream: stream, Text: text})
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	close(o.changed)
	o.changed = make(chan struct{})
}

// snapshot returns the lines so far, a channel that closes at the next change, and whether the output has ended.
func (o *output) snapshot() (lines []Line, changed <-chan struct{}, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Line(nil), o.lines...), o.changed, o.closed
}

func (o *output) dump() string {
	lines, _, _ := o.snapshot()
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "    %s| %s\n", line.Stream, line.Text)
	}
	return b.String()
}

func (o *output) writer(stream string) *lineWriter { return &lineWriter{to: o, stream: stream} }

// lineWriter splits what os/exec copies to it into lines. It is not safe for concurrent use; os/exec writes to each
// from one goroutine.
type lineWriter struct {
	to      *output
	stream  string
	partial []byte
}

// Write implements io.Writer.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.partial = append(w.partial, p...)
	for {
		i := bytes.IndexByte(w.partial, '\n')
		if i < 0 {
			return len(p), nil
		}
		w.to.add(w.stream, string(bytes.TrimRight(w.partial[:i], "\r")))
		w.partial = w.partial[i+1:]
	}
}
