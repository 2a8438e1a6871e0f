package tac

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of what a file may make this package do.
const (
	// MaxSize is the largest file that is read, in bytes. The stock template has less than 2 KiB.
	MaxSize = 256 << 10
	// maxDepth limits nested brackets, operators and blocks.
	maxDepth = 50
	// maxText limits a text that an expression makes, in bytes, so that repeated sums cannot fill the memory.
	maxText = 16 << 10
	// maxProblems limits the problems that are reported.
	maxProblems = 20
	// maxNotes limits the notes.
	maxNotes = 50
)

// Note is a remark about a line that the worker does not need.
type Note struct {
	Line int
	Text string
}

func (n Note) String() string { return fmt.Sprintf("line %d: %s", n.Line, n.Text) }

// Problem is a line that cannot be used.
type Problem struct {
	Line int // 0 if it concerns the whole file
	Text string
}

func (p Problem) Error() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Text)
}

func problemf(line int, format string, args ...any) Problem {
	return Problem{line, fmt.Sprintf(format, args...)}
}

// problems collects them, and drops what exceeds the limit.
type problems struct {
	found   []Problem
	dropped int
}

func (p *problems) add(line int, format string, args ...any) {
	if len(p.found) == maxProblems {
		p.dropped++
		return
	}
	p.found = append(p.found, problemf(line, format, args...))
}

func (p *problems) addError(err error) {
	var one Problem
	if errors.As(err, &one) {
		p.add(one.Line, "%s", one.Text)
	} else if err != nil {
		p.add(0, "%s", err.Error())
	}
}

// Errors are the problems of a file, in the order of its lines.
type Errors struct {
	Problems []Problem
	Dropped  int // number of further ones
}

func (e *Errors) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.Error())
	}
	if e.Dropped > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.Dropped))
	}
	return strings.Join(lines, "\n")
}

func (p *problems) err() error {
	if len(p.found) == 0 {
		return nil
	}
	return &Errors{p.found, p.dropped}
}
