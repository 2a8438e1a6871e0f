package stock

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Lines returns the lines that the program has printed so far, both streams in order of arrival.
func (p *Process) Lines() []string {
	lines, _, _ := p.output.snapshot()
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = line.Text
	}
	return texts
}

// WaitLine waits for a line that contains text, printed at any time since the program started, and returns the line. It
// fails the test if the program ends without printing one.
func (p *Process) WaitLine(text string) string {
	p.t.Helper()
	return p.WaitLines(text, 1)[0]
}

// WaitLines waits for n such lines and returns the first n.
func (p *Process) WaitLines(text string, n int) []string {
	p.t.Helper()
	return p.wait(text, n, func(line string) bool { return strings.Contains(line, text) })
}

// WaitMatch waits for a line that the regular expression matches and returns the match and its groups.
func (p *Process) WaitMatch(expr string) []string {
	p.t.Helper()
	re := regexp.MustCompile(expr)
	return re.FindStringSubmatch(p.wait(expr, 1, re.MatchString)[0])
}

// Port waits for the line "port N" and returns N: the port that the program listens on.
func (p *Process) Port() int {
	p.t.Helper()
	port, err := strconv.Atoi(p.WaitMatch(`^port (\d+)$`)[1])
	if err != nil {
		p.t.Fatalf("stock: %s printed an invalid port: %v", p.name, err)
	}
	return port
}

// Addr is the loopback address that the program listens on, "127.0.0.1:N".
func (p *Process) Addr() string {
	p.t.Helper()
	return "127.0.0.1:" + strconv.Itoa(p.Port())
}

func (p *Process) wait(what string, n int, match func(string) bool) []string {
	p.t.Helper()
	timer := time.NewTimer(Timeout)
	defer timer.Stop()
	for {
		lines, changed, closed := p.output.snapshot()
		var found []string
		for _, line := range lines {
			if match(line.Text) {
				if found = append(found, line.Text); len(found) == n {
					return found
				}
			}
		}
		if closed {
			p.t.Fatalf("stock: %s ended (exit code %d) and printed %d of %d lines with %q",
				p.name, p.code, len(found), n, what)
		}
		select {
		case <-changed:
		case <-timer.C:
			p.t.Fatalf("stock: %s printed %d of %d lines with %q within %v", p.name, len(found), n, what, Timeout)
		case <-p.t.Context().Done():
			p.t.Fatalf("stock: the test ended while waiting for %q from %s", what, p.name)
		}
	}
}
