package flavors

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/internal/usercode"
)

// noTraceback is what Twisted sends in place of a traceback, and so do we.
const noTraceback = "Traceback unavailable\n"

// maxFrames is how many frames of a Go stack a traceback shows, the innermost.
const maxFrames = 64

// FormatTraceback is what Twisted's printTraceback prints for a failure: for people, over several lines.
func (f *Failure) FormatTraceback() string {
	if f == nil {
		return "no failure\n"
	}
	var b strings.Builder
	if f.remote {
		b.WriteString("Traceback from remote host -- ")
	}
	b.WriteString(f.Type)
	if f.Value != "" {
		b.WriteString(": ")
		b.WriteString(f.Value)
	}
	b.WriteByte('\n')
	if f.Traceback != "" && f.Traceback != noTraceback {
		b.WriteString(f.Traceback)
		if !strings.HasSuffix(f.Traceback, "\n") {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// revealedTraceback is the text for a peer that may know everything: the stack of a panic in the shape of Python's
// tracebacks, the innermost frame last, and the chain of Go errors.
func revealedTraceback(err error, f *Failure) string {
	var b strings.Builder
	p, _ := usercode.As[*PanicError](err)
	switch {
	case p != nil:
		b.WriteString("Traceback (most recent call last):\n")
		writeStack(&b, p.Stack)
		b.WriteString("panic: " + usercode.PanicValue(p.Value) + "\n")
	case f.Traceback != "":
		return clipText(f.Traceback, MaxFailureText)
	default:
		b.WriteString("Traceback (chain of Go errors, outermost first):\n")
		for e, depth := err, 0; e != nil && depth < maxFrames; e, depth = usercode.Unwrap(e), depth+1 {
			fmt.Fprintf(&b, "  %T: %s\n", e, safely(e).Value)
			if b.Len() > MaxFailureText {
				break
			}
		}
	}
	return clipText(b.String(), MaxFailureText)
}

// writeStack rewrites what debug.Stack gives. The frames of the panic itself, and of whoever took the stack, are left
// out.
func writeStack(b *strings.Builder, stack []byte) {
	type frame struct{ function, file, line string }
	var frames []frame
	lines := strings.Split(string(bytes.TrimSpace(stack)), "\n")
	for i := 0; i+1 < len(lines); i++ {
		place, ok := strings.CutPrefix(lines[i+1], "\t")
		if !ok {
			continue
		}
		function := lines[i]
		i++
		if strings.HasPrefix(function, "panic(") {
			frames = frames[:0]
			continue
		}
		place, _, _ = strings.Cut(place, " +0x")
		colon := strings.LastIndexByte(place, ':')
		if colon < 0 {
			continue
		}
		if open := strings.LastIndexByte(function, '('); open > 0 {
			function = function[:open]
		}
		frames = append(frames, frame{strings.TrimPrefix(function, "created by "), place[:colon], place[colon+1:]})
	}
	for i := min(len(frames), maxFrames) - 1; i >= 0; i-- {
		fmt.Fprintf(b, "  File %q, line %s, in %s\n", frames[i].file, frames[i].line, frames[i].function)
	}
}
