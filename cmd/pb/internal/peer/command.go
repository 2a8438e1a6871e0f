package peer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/command"
)

// maxReferences is how many references one message of the peer may have.
const maxReferences = 1 << 17

// command carries out one command of the peer. An error ends the connection.
func (c *Conn) command(frame []byte) error {
	var r banana.Reader
	r.Reset(frame, c.frames.scanner.Profile())
	head, err := r.Next()
	if err != nil {
		return err
	}
	word, err := r.Next()
	if err != nil || head.Kind != banana.List || head.Int < 1 || !word.IsText() {
		return errors.New("the peer sent something that is no command")
	}
	symbol, _ := word.Symbol()
	switch {
	case symbol == banana.SymAnswer && head.Int == 3, symbol == banana.SymError && head.Int == 3:
		return c.answered(&r, symbol == banana.SymError)
	case symbol == banana.SymMessage && head.Int >= 7, symbol == banana.SymCacheMessage && head.Int >= 7:
		return c.called(&r, symbol == banana.SymCacheMessage)
	case symbol == banana.SymAnswer, symbol == banana.SymError,
		symbol == banana.SymMessage, symbol == banana.SymCacheMessage:
		return fmt.Errorf("the peer sent a malformed command %s", symbol)
	case symbol == banana.SymVersion, symbol == banana.SymDecref, symbol == banana.SymDecache, symbol == banana.SymUncache,
		word.TextIs("didNotUnderstand"):
		return nil // This side has no objects, and forgets caches by itself.
	}
	return c.send(command.AppendDidNotUnderstand(nil, r.Profile(), word.Text()))
}

func (c *Conn) answered(r *banana.Reader, failed bool) error {
	id, err := r.Next()
	if err != nil || id.Kind != banana.Int {
		return errors.New("the peer sent an answer without a number")
	}
	c.mu.Lock()
	k := c.pending[id.Int]
	delete(c.pending, id.Int)
	c.mu.Unlock()
	if k == nil {
		return fmt.Errorf("the peer answered call %d, which is not under way", id.Int)
	}
	k.answer.Mentions = mentionsOf(r.Rest(), r.Profile(), 1)
	v, err := c.decode(r)
	switch {
	case err != nil:
		k.complete(nil, &BadValueError{err})
	case failed:
		k.complete(nil, failureOf(v))
	default:
		k.complete(v, nil)
	}
	return nil
}

// BadValueError reports an answer that cannot be decoded.
type BadValueError struct{ Err error }

// Error gives the cause.
func (e *BadValueError) Error() string { return "the peer's answer is malformed: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *BadValueError) Unwrap() error { return e.Err }

// mentionsOf returns what the peer has certainly counted. A "class" may be a copy whose state is an integer, as which
// this side decodes it.
func mentionsOf(b []byte, p banana.Profile, n int) (mentions []jelly.Mention) {
	var r banana.Reader
	r.Reset(b, p)
	jelly.Mentions(&r, n, func(m jelly.Mention) {
		if m.Tag != "class" {
			mentions = append(mentions, m)
		}
	})
	return mentions
}

// called handles a call of the peer: an update of a cache, or else a call of an object that does not exist.
func (c *Conn) called(r *banana.Reader, update bool) error {
	var tokens [4]banana.Token // id, object, method, whether it wants an answer
	for i := range tokens {
		t, err := r.Next()
		if err != nil || t.Kind == banana.List {
			return errors.New("the peer sent a malformed call")
		}
		tokens[i] = t
	}
	id, object, method, wanted := tokens[0], tokens[1], tokens[2].Text(), tokens[3]
	mentions := mentionsOf(r.Rest(), r.Profile(), 2)
	args, err := c.decode(r)
	var kw any
	if err == nil {
		kw, err = c.decode(r)
	}
	known := false
	if err == nil && update && object.Kind == banana.Int {
		known = c.update(object.Int, method, args, kw)
	}
	if !known {
		if err := c.Release(mentions); err != nil {
			return err
		}
	}
	if wanted.Kind == banana.Int && wanted.Int == 0 || !id.IsInt() {
		return nil
	}
	return c.reply(id, known)
}

// reply answers a call: with None, or that there is no such object.
func (c *Conn) reply(id banana.Token, known bool) error {
	p := c.frames.scanner.Profile()
	appendHead := command.AppendAnswer
	if !known {
		appendHead = command.AppendError
	}
	b := appendHead(nil, p, command.Number{Big: id.Big()})
	f := jelly.NewFragment(jelly.Context{Profile: p})
	defer f.Free()
	var v any
	if !known {
		text := "this program publishes no objects"
		v = &value.Copy{Class: failureClass, State: jelly.NewDict(
			jelly.Entry{Key: "type", Value: []byte("twisted.spread.pb.Error")},
			jelly.Entry{Key: "value", Value: text},
			jelly.Entry{Key: "parents", Value: []any{"twisted.spread.pb.Error", "builtins.Exception"}},
			jelly.Entry{Key: "traceback", Value: noTraceback + "\n"},
			jelly.Entry{Key: "tb", Value: nil},
			jelly.Entry{Key: "frames", Value: []any{}},
			jelly.Entry{Key: "stack", Value: []any{}},
			jelly.Entry{Key: "count", Value: 0},
			jelly.Entry{Key: "captureVars", Value: false},
		)}
	}
	if err := f.Jelly(v); err != nil {
		return err
	}
	b, err := f.Append(b, nil)
	if err != nil {
		return err
	}
	return c.send(b)
}

// decode decodes one value. Every class is accepted: its objects become a [value.Copy] or, if they have the form of a
// Cacheable, a [value.Cache].
func (c *Conn) decode(r *banana.Reader) (any, error) {
	classes, mixed, err := classesIn(r.Rest(), r.Profile())
	if err != nil {
		return nil, err
	}
	if mixed {
		if r, err = renameCaches(r); err != nil {
			return nil, err
		}
	}
	d := jelly.Decoder{Registry: classes, References: maxReferences}
	var v any
	if err := d.Decode(r, &v); err != nil {
		return nil, err
	}
	unbound := d.Unbound()
	states := make([]func(), 0, len(unbound))
	for _, u := range unbound {
		bound, state := c.bind(u)
		u.Bind(bound)
		if state != nil {
			states = append(states, state)
		}
	}
	for _, set := range states {
		set() // A state may be an object that had to be bound first.
	}
	return v, nil
}

// bind makes the value that stands for an Unbound, and a function that sets its state.
func (c *Conn) bind(u *jelly.Unbound) (bound any, setState func()) {
	var id any = u.ID
	if u.Name != nil {
		id = u.Name
	}
	switch {
	case u.IsInstance() && u.Entry().Kind == jelly.RemoteCache:
		x := &value.Cache{ID: u.ID, Class: strings.TrimSuffix(u.Tag, cacheSuffix)}
		c.received(u.ID)
		return x, func() { x.State = u.State }
	case u.IsInstance():
		x := &value.Copy{Class: u.Tag}
		return x, func() { x.State = u.State }
	case u.Tag == "remote":
		return &value.Ref{ID: u.ID}, nil
	}
	return value.Opaque{Kind: u.Tag, Text: id}, nil
}

// classesIn registers the classes of the next expression. An object of a class is [class state] or, if it is the first
// occurrence of a Cacheable, [class luid state]. If a class occurs in both forms, mixed is true, and the second form is
// registered as what renameCaches makes of it.
func classesIn(b []byte, p banana.Profile) (registry *jelly.Registry, mixed bool, err error) {
	var r banana.Reader
	r.Reset(b, p)
	var kinds map[string][2]bool // by class: whether it occurs as a copy and as a cache
	err = eachObject(&r, func(class []byte, cache bool) {
		if name := string(class); jelly.CheckClass(name) == nil {
			if kinds == nil {
				kinds = map[string][2]bool{}
			}
			k := kinds[name]
			kinds[name] = [2]bool{k[0] || !cache, k[1] || cache}
		}
	}, nil)
	if err != nil || len(kinds) == 0 {
		return nil, false, err
	}
	for _, k := range kinds {
		mixed = mixed || k[0] && k[1]
	}
	classes := map[string]jelly.ClassEntry{}
	blank := func() any { return nil }
	for name, k := range kinds {
		if k[0] || !mixed {
			classes[name] = jelly.ClassEntry{Kind: jelly.RemoteCopy, New: blank}
		}
		if k[1] && mixed {
			name += cacheSuffix
		}
		if k[1] {
			classes[name] = jelly.ClassEntry{Kind: jelly.RemoteCache, New: blank}
		}
	}
	registry = jelly.NewRegistry()
	return registry, mixed, registry.RegisterTree("", classes)
}

// cacheSuffix marks the class of a cache if some class of the message has copies too.
const cacheSuffix = "\x00cache"

// eachObject calls object for what may be an object in the next expression: a list that begins with a word. raw, if it
// is not nil, gets the bytes of each token but those words.
func eachObject(r *banana.Reader, object func(class []byte, cache bool), raw func(token []byte)) error {
	next := func() (banana.Token, []byte, error) {
		before := r.Rest()
		t, err := r.Next()
		return t, before[:len(before)-len(r.Rest())], err
	}
	for left := 1; left > 0; left-- {
		head, bytes, err := next()
		if err != nil {
			return err
		}
		if raw != nil {
			raw(bytes)
		}
		if head.Kind != banana.List {
			continue
		}
		left += int(head.Int)
		if head.Int < 2 || r.Peek() != banana.String {
			continue
		}
		name, _, err := next()
		if err != nil {
			return err
		}
		left--
		object(name.Bytes, head.Int == 3 && (r.Peek() == banana.Int || r.Peek() == banana.LongInt))
	}
	return nil
}

// renameCaches returns a reader of the next expression of r in which the classes of caches have the suffix. It advances
// r behind the expression.
func renameCaches(r *banana.Reader) (*banana.Reader, error) {
	p := r.Profile()
	var b []byte
	err := eachObject(r, func(class []byte, cache bool) {
		if cache && jelly.CheckClass(string(class)) == nil {
			class = append(class[:len(class):len(class)], cacheSuffix...)
		}
		b = banana.AppendBytes(b, p, class)
	}, func(token []byte) { b = append(b, token...) })
	renamed := &banana.Reader{}
	renamed.Reset(b, p)
	return renamed, err
}
