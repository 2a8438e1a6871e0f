package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// snapshot is what the table shows of an inspector's data. Package broker/inspect documents it.
type snapshot struct {
	Program     string    `json:"program"`
	Time        time.Time `json:"time"`
	Uptime      float64   `json:"uptime_seconds"`
	Closing     bool      `json:"closing"`
	Goroutines  int       `json:"goroutines"`
	Memory      uint64    `json:"memory_bytes"`
	Totals      totals
	Connections []connection `json:"connections"`
	MoreConns   int          `json:"connections_left_out"`
	Methods     []method     `json:"methods"`
	MoreMethods int          `json:"methods_left_out"`
	Objects     []object     `json:"objects"`
	MoreObjects int          `json:"objects_left_out"`
	Refusals    []reason     `json:"refusals"`
	Closed      []reason     `json:"closed"`
	Failures    []failure    `json:"failures"`
	Tree        actors       `json:"tree"`
}

type calls struct {
	Made    uint64 `json:"made"`
	Failed  uint64 `json:"failed"`
	Pending int    `json:"pending"`
}

type references struct {
	Exports     int `json:"exports"`
	Imports     int `json:"imports"`
	Caches      int `json:"caches"`
	LocalCaches int `json:"local_caches"`
	Unwritten   int `json:"bytes_unwritten"`
}

type totals struct {
	Open     int     `json:"connections_open"`
	Accepted uint64  `json:"connections_accepted"`
	Dialed   uint64  `json:"connections_dialed"`
	CallsIn  calls   `json:"calls_in"`
	CallsOut calls   `json:"calls_out"`
	RateIn   float64 `json:"calls_in_per_second"`
	RateOut  float64 `json:"calls_out_per_second"`
	BytesIn  float64 `json:"bytes_in_per_second"`
	BytesOut float64 `json:"bytes_out_per_second"`
	Held     int     `json:"bytes_held"`
	Refused  uint64  `json:"refused"`
	references
}

type connection struct {
	Number   uint64   `json:"number"`
	Peer     string   `json:"peer"`
	Dialed   bool     `json:"dialed"`
	State    string   `json:"state"`
	Dialect  string   `json:"dialect"`
	Users    []string `json:"users"`
	Age      float64  `json:"age_seconds"`
	Rate     float64  `json:"calls_per_second"`
	CallsIn  calls    `json:"calls_in"`
	CallsOut calls    `json:"calls_out"`
	BytesIn  uint64   `json:"bytes_in"`
	BytesOut uint64   `json:"bytes_out"`
	Refused  uint64   `json:"refused"`
	references
}

type method struct {
	Incoming bool    `json:"incoming"`
	Type     string  `json:"type"`
	Method   string  `json:"method"`
	Rate     float64 `json:"calls_per_second"`
	P50      float64 `json:"p50_seconds"`
	P99      float64 `json:"p99_seconds"`
	Mean     float64 `json:"mean_seconds"`
	calls
}

type object struct {
	Actor    string `json:"actor"`
	Type     string `json:"type"`
	Mailbox  int    `json:"mailbox"`
	Running  string `json:"running"`
	Restarts uint64 `json:"restarts"`
	Holders  int    `json:"holders"`
	Copies   int    `json:"copies"`
}

type reason struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

type failure struct {
	Time      time.Time `json:"time"`
	Incoming  bool      `json:"incoming"`
	Type      string    `json:"type"`
	Method    string    `json:"method"`
	Peer      string    `json:"peer"`
	Exception string    `json:"exception"`
}

type actors struct {
	Name      string   `json:"name"`
	Detail    string   `json:"detail"`
	Count     int      `json:"count"`
	Restarts  uint64   `json:"restarts"`
	Below     []actors `json:"below"`
	MoreBelow int      `json:"below_left_out"`
}

// layout is the place that there is for the table. Zero is no limit.
type layout struct {
	width, height int
	bold          bool
}

// tall is the height from which on a terminal has room for everything.
const tall = 50

// lines returns the table.
func (s *snapshot) lines(l layout) []string {
	t := &s.Totals
	head := []string{
		fmt.Sprintf("%s   up %s   %s   %s   %d goroutines", cell(s.Program), ages(s.Uptime),
			s.Time.Local().Format("15:04:05"), sizes(float64(s.Memory)), s.Goroutines),
		fmt.Sprintf("connections %d of %d   calls here %s/s of %d   to peers %s/s of %d   under way %d   failed %d   "+
			"refused %d",
			t.Open, t.Accepted+t.Dialed, rates(t.RateIn), t.CallsIn.Made, rates(t.RateOut), t.CallsOut.Made,
			t.CallsIn.Pending+t.CallsOut.Pending, t.CallsIn.Failed+t.CallsOut.Failed, t.Refused),
		fmt.Sprintf("in %s/s   out %s/s   waiting %s   memory held %s   exports %d   imports %d   copies %d",
			sizes(t.BytesIn), sizes(t.BytesOut), sizes(float64(t.Unwritten)), sizes(float64(t.Held)), t.Exports, t.Imports,
			t.Caches+t.LocalCaches),
	}
	if s.Closing {
		head[0] += "   closing"
	}
	parts := []part{s.connections(), s.methods(), s.objects(), reasons("REFUSED", s.Refusals), s.failures()}
	if l.height == 0 || l.height >= tall {
		parts = append(parts, reasons("ENDED", s.Closed), part{
			title: []string{"ACTORS"}, rows: rowsOf(s.Tree.lines("", nil)),
		})
	}
	return l.fit(head, parts)
}

// part is a table of its own. The first row has the titles.
type part struct {
	title []string
	right []bool // columns that are aligned to the right
	rows  [][]string
	more  int // rows that the inspector left out
}

func rowsOf(lines []string) (rows [][]string) {
	for _, line := range lines {
		rows = append(rows, []string{line})
	}
	return rows
}

// fit arranges the parts. Where the height is limited, each part gets a share of what is left.
func (l layout) fit(head []string, parts []part) (lines []string) {
	lines = append(lines, head...)
	shown := parts[:0:0]
	for _, p := range parts {
		if len(p.rows) > 0 {
			shown = append(shown, p)
		}
	}
	for i, p := range shown {
		rows := len(p.rows)
		if l.height > 0 {
			left := l.height - len(lines) - 1 - 2*(len(shown)-i) // An empty line and the titles of each, and how many more.
			share := max(1, left/(len(shown)-i))
			if i == 0 {
				share = max(share, left/3)
			}
			if rows > share {
				rows = max(1, share-1)
			}
			if l.height-len(lines) < 3 {
				break
			}
		}
		lines = append(lines, "")
		lines = append(lines, p.lines(rows, l.bold)...)
		if more := p.more + len(p.rows) - rows; more > 0 {
			lines = append(lines, fmt.Sprintf("and %d more", more))
		}
	}
	for i, line := range lines {
		lines[i] = l.clip(line)
	}
	if l.height > 0 && len(lines) > l.height {
		lines = lines[:l.height]
	}
	return lines
}

const (
	boldOn  = "\x1b[1m"
	boldOff = "\x1b[0m"
)

// clip cuts a line at the width of the terminal.
func (l layout) clip(line string) string {
	if l.width <= 0 {
		return line
	}
	text, bold := strings.CutPrefix(line, boldOn)
	text = strings.TrimSuffix(text, boldOff)
	if utf8.RuneCountInString(text) > l.width {
		text = string([]rune(text)[:l.width-1]) + "…"
	}
	if bold {
		return boldOn + text + boldOff
	}
	return text
}

// lines returns the first rows, aligned.
func (p part) lines(n int, bold bool) (lines []string) {
	table := append([][]string{p.title}, p.rows[:n]...)
	widths := make([]int, len(p.title))
	for _, row := range table {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for r, row := range table {
		var b strings.Builder
		for i, text := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i < len(p.right) && p.right[i] {
				b.WriteString(space + text)
			} else {
				b.WriteString(text + space)
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if r == 0 && bold {
			line = boldOn + line + boldOff
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *snapshot) connections() part {
	p := part{
		title: []string{
			"#", "PEER", "USER", "DIALECT", "AGE", "CALLS/S", "CALLS", "IN", "OUT", "EXPORTS", "IMPORTS", "WAITS", "REFUSED",
		},
		right: []bool{true, false, false, false, true, true, true, true, true, true, true, true, true},
		more:  s.MoreConns,
	}
	for _, c := range s.Connections {
		from, dialect := "from ", c.Dialect
		if c.Dialed {
			from = "to "
		}
		if c.State != "open" {
			dialect = c.State
		}
		waits := strconv.Itoa(c.CallsIn.Pending + c.CallsOut.Pending)
		if c.Unwritten > 0 {
			waits += " + " + sizes(float64(c.Unwritten))
		}
		p.rows = append(p.rows, []string{
			fmt.Sprint(c.Number), from + cell(c.Peer), cell(strings.Join(c.Users, ", ")), cell(dialect), ages(c.Age),
			rates(c.Rate), fmt.Sprint(c.CallsIn.Made + c.CallsOut.Made), sizes(float64(c.BytesIn)), sizes(float64(c.BytesOut)),
			fmt.Sprint(c.Exports + c.Caches), fmt.Sprint(c.Imports + c.LocalCaches), waits, fmt.Sprint(c.Refused),
		})
	}
	return p
}

// methodName names a method, and whether peers call it or this program calls it at peers.
func methodName(kind, name string, incoming bool) string {
	if kind != "" {
		name = kind + "." + name
	}
	if !incoming {
		name = "to peer: " + name
	}
	return cell(name)
}

func (s *snapshot) methods() part {
	p := part{
		title: []string{"METHOD", "CALLS", "CALLS/S", "UNDER WAY", "FAILED", "MEAN", "P50", "P99"},
		right: []bool{false, true, true, true, true, true, true, true},
		more:  s.MoreMethods,
	}
	for _, m := range s.Methods {
		p.rows = append(p.rows, []string{
			methodName(m.Type, m.Method, m.Incoming), fmt.Sprint(m.Made), rates(m.Rate), strconv.Itoa(m.Pending),
			fmt.Sprint(m.Failed), spans(m.Mean), spans(m.P50), spans(m.P99),
		})
	}
	return p
}

func (s *snapshot) objects() part {
	p := part{
		title: []string{"OBJECT", "MAILBOX", "RUNS", "RESTARTS", "HELD BY", "COPIES"},
		right: []bool{false, true, false, true, true, true},
		more:  s.MoreObjects,
	}
	for _, o := range s.Objects {
		p.rows = append(p.rows, []string{
			cell(o.Actor), strconv.Itoa(o.Mailbox), cell(o.Running), fmt.Sprint(o.Restarts), strconv.Itoa(o.Holders),
			strconv.Itoa(o.Copies),
		})
	}
	return p
}

func reasons(title string, list []reason) part {
	p := part{title: []string{title, "COUNT"}, right: []bool{false, true}}
	for _, r := range list {
		p.rows = append(p.rows, []string{cell(r.Reason), fmt.Sprint(r.Count)})
	}
	return p
}

func (s *snapshot) failures() part {
	p := part{title: []string{"FAILED", "EXCEPTION", "METHOD", "PEER"}}
	for _, f := range s.Failures {
		p.rows = append(p.rows, []string{
			f.Time.Local().Format("15:04:05"), cell(f.Exception), methodName(f.Type, f.Method, f.Incoming), cell(f.Peer),
		})
	}
	return p
}

// maxDepth is how deep a tree of actors may be. Those of package supervision have four levels.
const maxDepth = 16

// lines appends the actors of a tree, each level indented more.
func (a actors) lines(indent string, lines []string) []string {
	line := indent + cell(a.Name)
	if a.Detail != "" {
		line += " " + cell(a.Detail)
	}
	if a.Count != 1 {
		line += fmt.Sprintf(" × %d", a.Count)
	}
	if a.Restarts > 0 {
		line += fmt.Sprintf(", restarted %d times", a.Restarts)
	}
	lines = append(lines, line)
	if len(indent) > 2*maxDepth {
		return lines
	}
	for _, below := range a.Below {
		lines = below.lines(indent+"  ", lines)
	}
	if a.MoreBelow > 0 {
		lines = append(lines, fmt.Sprintf("%s  and %d more", indent, a.MoreBelow))
	}
	return lines
}

func rates(n float64) string {
	if n > 0 && n < 0.05 {
		return "<0.1"
	}
	return strconv.FormatFloat(n, 'f', 1, 64)
}

func sizes(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for n >= 1000 && i < len(units)-1 {
		n /= 1000
		i++
	}
	if i == 0 || n >= 100 {
		return fmt.Sprintf("%.0f %s", n, units[i])
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

func spans(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Millisecond:
		d = d.Round(100 * time.Nanosecond)
	case d < time.Second:
		d = d.Round(100 * time.Microsecond)
	default:
		d = d.Round(10 * time.Millisecond)
	}
	return d.String()
}

func ages(seconds float64) string {
	const day = 24 * time.Hour
	d := time.Duration(min(seconds, 1e9)) * time.Second
	if d >= 2*day {
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	}
	return d.String()
}
