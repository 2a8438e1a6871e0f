package value

import "strings"

// width is the number of columns within which Pretty keeps a container on one line.
const width = 80

// Pretty returns a value in the notation that [Parse] reads, on as many lines as make it readable.
func Pretty(v any) (string, error) {
	var p printer
	p.pretty(v, 0)
	return p.done()
}

func (p *printer) pretty(v any, indent int) {
	if s, ok := scalar(v); ok {
		p.text(s)
		return
	}
	if s, ok := p.short(v, width-2*indent); ok {
		p.text(s)
		return
	}
	leave, ok := p.enter(v)
	if !ok {
		p.text("<cycle>")
		return
	}
	defer leave()
	open, end, items := parts(v)
	p.text(open)
	if end == ">" {
		p.pretty(items[0].value, indent)
		p.text(end)
		return
	}
	for _, item := range items {
		if p.tooLong {
			return
		}
		p.line(indent + 1)
		if item.key != nil {
			p.value(*item.key)
			p.text(": ")
		}
		p.pretty(item.value, indent+1)
		p.text(",")
	}
	p.line(indent)
	p.text(strings.TrimPrefix(end, ","))
}

func (p *printer) line(indent int) { p.text("\n" + strings.Repeat("  ", min(indent, width))) }

// short returns the text of a container if it is small.
func (p *printer) short(v any, most int) (string, bool) {
	q := printer{open: p.open, depth: p.depth}
	n := most
	if !small(v, &n, 0) {
		return "", false
	}
	q.value(v)
	return string(q.b), !q.tooLong && len(q.b) <= most
}

// small reports whether a value has so few parts that its text may fit in n bytes.
func small(v any, n *int, depth int) bool {
	if *n--; *n < 0 || depth > width {
		return false
	}
	switch v := v.(type) {
	case string:
		*n -= len(v)
		return *n >= 0
	case []byte:
		*n -= len(v)
		return *n >= 0
	}
	if _, ok := scalar(v); ok {
		return true
	}
	_, _, items := parts(v)
	for _, item := range items {
		if item.key != nil && !small(*item.key, n, depth+1) || !small(item.value, n, depth+1) {
			return false
		}
	}
	return true
}
