package trace

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/banana"
)

// Direction is the way that bytes go.
type Direction uint8

// The directions.
const (
	ToServer   Direction = iota // >
	FromServer                  // <
)

func (d Direction) String() string { return [...]string{">", "<"}[d&1] }

// Event is a piece of a conversation.
type Event struct {
	// At is when it was seen; zero if that is unknown.
	At   time.Time
	Conn int
	Dir  Direction
	// Data are the next bytes in the direction.
	Data []byte
	// Missing is how many bytes were not seen before Data.
	Missing int
	// End reports that no more bytes follow in the direction.
	End bool
}

// maxFrame is the longest message that is shown.
const maxFrame = 64 << 20

// maxPending is how many calls of a direction are remembered until they are answered.
const maxPending = 1 << 16

// Printer prints events as lines. The zero Printer must be given a Writer.
type Printer struct {
	W     io.Writer
	conns map[int]*conversation
}

type conversation struct {
	streams  [2]stream
	ended    int
	extended bool // the dialect is pb+1, or may be
}

// stream is one direction.
type stream struct {
	scanner banana.Scanner
	buf     []byte
	broken  bool
	begun   bool            // a message was seen
	calls   map[string]call // that the sender of this direction made, by id
}

type call struct {
	method string
	at     time.Time
}

// Event prints the messages that end in an event. The error is that of the Writer.
func (p *Printer) Event(e Event) error {
	c := p.conns[e.Conn]
	if c == nil {
		if p.conns == nil {
			p.conns = map[int]*conversation{}
		}
		c = &conversation{}
		c.setExtended(false)
		p.conns[e.Conn] = c
	}
	s := &c.streams[e.Dir&1]
	if err := p.data(c, s, e); err != nil {
		return err
	}
	if !e.End {
		return nil
	}
	var err error
	if len(s.buf) > 0 && !s.broken {
		err = p.line(e, fmt.Sprintf("<the stream ends after %d bytes of a message>", len(s.buf)))
	}
	if c.ended++; c.ended == len(c.streams) {
		delete(p.conns, e.Conn)
	}
	return err
}

func (p *Printer) data(c *conversation, s *stream, e Event) error {
	if s.broken {
		return nil
	}
	if e.Missing > 0 {
		s.broken, s.buf = true, nil
		return p.line(e, fmt.Sprintf("<%d bytes are missing; the rest is not shown>", e.Missing))
	}
	s.buf = append(s.buf, e.Data...)
	rest := s.buf
	for len(rest) > 0 {
		n, err := s.scanner.Next(rest)
		if err != nil {
			s.broken, s.buf = true, nil
			return p.line(e, fmt.Sprintf("<no Banana: %s; the rest is not shown>", value.Lines(reason(err))))
		}
		if n == 0 {
			break
		}
		if err := p.line(e, c.message(e, rest[:n])); err != nil {
			return err
		}
		rest = rest[n:]
	}
	s.buf = append(s.buf[:0], rest...)
	return nil
}

// reason shortens the errors of package banana.
func reason(err error) string {
	var limit *banana.LimitError
	if errors.As(err, &limit) && limit.Seen != "" {
		return fmt.Sprintf("it begins with %q", limit.Seen)
	}
	return err.Error()
}

func (p *Printer) line(e Event, text string) error {
	at := "-"
	if !e.At.IsZero() {
		at = e.At.UTC().Format("15:04:05.000000")
	}
	_, err := fmt.Fprintf(p.W, "%s %d %s %s\n", at, e.Conn, e.Dir, text)
	return err
}

// message returns the text of a message, for an answer with what is known of its call.
func (c *conversation) message(e Event, frame []byte) string {
	if s := &c.streams[e.Dir&1]; !s.begun {
		s.begun = true
		c.negotiates(e.Dir, frame)
	}
	text := c.text(frame)
	var r banana.Reader
	r.Reset(frame, banana.ProfilePB)
	head, err := r.Next()
	if err != nil || head.Kind != banana.List {
		return text
	}
	word, err := r.Next()
	if err != nil {
		return text
	}
	if c.extended && word.TextIs("cancel") {
		if id, err := r.Next(); err == nil && id.IsInt() {
			if made, ok := c.streams[e.Dir&1].calls[id.Big().String()]; ok {
				text += " " + value.Name(made.method)
			}
		}
		return text
	}
	symbol, ok := word.Symbol()
	if !ok || head.Int < 3 {
		return text
	}
	switch symbol {
	case banana.SymMessage, banana.SymCacheMessage:
		c.streams[e.Dir&1].call(&r, e.At)
	case banana.SymAnswer, banana.SymError:
		id, err := r.Next()
		if err != nil || !id.IsInt() {
			return text
		}
		key := id.Big().String()
		if made, ok := c.streams[1-e.Dir&1].calls[key]; ok {
			delete(c.streams[1-e.Dir&1].calls, key)
			text += " " + value.Name(made.method)
			if !e.At.IsZero() {
				text += " " + e.At.Sub(made.at).Round(time.Microsecond).String()
			}
		}
	}
	return text
}

func (c *conversation) text(frame []byte) string {
	if c.extended {
		return extendedText(frame)
	}
	return banana.FormatFrame(frame, banana.ProfilePB, 0)
}

// negotiates notes the dialect. The server offers several in its first message, the client chooses one in its own.
// If the choice is not seen, it may be each that is offered.
func (c *conversation) negotiates(d Direction, frame []byte) {
	first, _, err := banana.DecodeExpr(frame, banana.ProfilePB, banana.Limits{})
	if err != nil {
		return
	}
	isExtended := func(e banana.Expr) bool {
		name, ok := e.([]byte)
		return ok && string(name) == banana.ProfilePB1.String()
	}
	switch offered, ok := first.([]banana.Expr); {
	case !ok:
		c.setExtended(d == ToServer && isExtended(first))
	case !c.streams[ToServer].begun:
		c.setExtended(d == FromServer && slices.ContainsFunc(offered, isExtended))
	}
}

// setExtended sets the dialect before anything in it was seen. Profile pb reads everything that profile none writes.
func (c *conversation) setExtended(extended bool) {
	limits := banana.Limits{Frame: maxFrame}
	if extended {
		limits = limits.WithLongStrings()
	}
	c.extended = extended
	for i := range c.streams {
		c.streams[i].scanner.Init(banana.ProfilePB, limits)
	}
}

// call remembers a call that wants an answer.
func (s *stream) call(r *banana.Reader, at time.Time) {
	var tokens [4]banana.Token // id, object, method, whether it wants an answer
	for i := range tokens {
		if i == 1 && r.Peek() == banana.List { // a promise
			if r.Skip() != nil {
				return
			}
			continue
		}
		t, err := r.Next()
		if err != nil || t.Kind == banana.List {
			return
		}
		tokens[i] = t
	}
	if !tokens[0].IsInt() || tokens[3].Kind == banana.Int && tokens[3].Int == 0 || len(s.calls) >= maxPending {
		return
	}
	if s.calls == nil {
		s.calls = map[string]call{}
	}
	s.calls[tokens[0].Big().String()] = call{tokens[2].Text(), at}
}

// Raw prints a stream of bytes in one direction, which its first message shows: a server begins with a list.
func (p *Printer) Raw(r io.Reader) error {
	e := Event{Conn: 1}
	var first []byte
	known := false
	buf := make([]byte, 1<<16)
	for {
		n, err := r.Read(buf)
		e.Data = buf[:n]
		if !known && n > 0 {
			first = append(first, buf[:n]...)
			e.Data = first
			e.Dir, known = directionOf(first)
			if !known && err == nil {
				continue
			}
		}
		if e.End = err != nil; e.End && !known {
			e.Data = first
		}
		if failed := p.Event(e); failed != nil {
			return failed
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// directionOf tells who sends a stream: the header of its first element ends with the kind.
func directionOf(b []byte) (d Direction, known bool) {
	for _, c := range b {
		if c >= 0x80 {
			if banana.Kind(c) == banana.List {
				return FromServer, true
			}
			return ToServer, true
		}
	}
	return ToServer, len(b) > banana.DefaultPrefix
}
