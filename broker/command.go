package broker

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// command is one frame from the peer, decoded as far as that needs no tables.
type command struct {
	sym banana.Symbol // 0: not one of the protocol's commands; word says what it was

	id          int64  // request id, luid, or version number
	target      int64  // luid of the object that is called …
	name        string // … unless it is called by a name
	method      string
	wantsAnswer bool
	word        string // the unknown command, or what the peer did not understand

	args    any // of a call: a jelly.Tuple once bound
	kw      any // of a call: a *jelly.Dict once bound
	value   any // of an answer or error
	size    int // of a call: what it counts until it has been answered
	unbound []*jelly.Unbound
	refused []jelly.Mention // what values that could not be decoded mention: the peer has counted it
	err     error           // what was wrong with the values; the rest of the command is good
}

// commands maps a command to the number of its operands (protocol clauses P-4).
func operands(sym banana.Symbol) (n int, known bool) {
	switch sym {
	case banana.SymMessage, banana.SymCacheMessage:
		return 6, true
	case banana.SymAnswer, banana.SymError:
		return 2, true
	case banana.SymVersion, banana.SymDecref, banana.SymDecache, banana.SymUncache:
		return 1, true
	}
	return 0, false
}

// wordDidNotUnderstand is the one command that is not in the vocabulary.
const wordDidNotUnderstand = "didNotUnderstand"

// commandReader decodes frames. It belongs to the decoder.
type commandReader struct {
	r banana.Reader
	d *jelly.Decoder
}

// read decodes one frame into cmd. An error means that the frame is no command that PB knows the form of, and ends the
// connection; what is wrong within the values of a call or an answer is noted in cmd.err and ends only that.
func (c *commandReader) read(frame []byte, p banana.Profile, cmd *command) error {
	c.r.Reset(frame, p)
	head, err := c.r.Next()
	if err != nil {
		return err
	}
	if head.Kind != banana.List {
		return protocolErrorf("", "a command is a list, this is %s", describe(head))
	}
	if head.Int == 0 {
		return protocolErrorf("", "an empty list is no command")
	}
	word, err := c.r.Next()
	if err != nil {
		return err
	}
	if !word.IsText() {
		return protocolErrorf("", "a command starts with its name, this one with %s", describe(word))
	}
	n := int(head.Int) - 1
	sym, _ := word.Symbol()
	want, known := operands(sym)
	if !known {
		return c.readOther(word.Text(), n, cmd)
	}
	cmd.sym = sym
	if n != want {
		return protocolErrorf(sym.String(), "it has %d operands, not %d", want, n)
	}
	if cmd.id, err = c.integer(sym, "number"); err != nil {
		return err
	}
	switch sym {
	case banana.SymMessage, banana.SymCacheMessage:
		return c.readCall(cmd)
	case banana.SymAnswer, banana.SymError:
		c.values(cmd, &cmd.value)
	}
	return nil
}

func (c *commandReader) readOther(word string, n int, cmd *command) error {
	cmd.word = word
	if word != wordDidNotUnderstand {
		return nil
	}
	if n != 1 {
		return protocolErrorf(word, "it has 1 operand, not %d", n)
	}
	token, err := c.r.Next()
	if err != nil {
		return err
	}
	if !token.IsText() {
		return protocolErrorf(word, "its operand is a string, this is %s", describe(token))
	}
	cmd.method = token.Text()
	return nil
}

func (c *commandReader) readCall(cmd *command) error {
	target, err := c.r.Next()
	switch {
	case err != nil:
		return err
	case target.Kind == banana.Int:
		cmd.target = target.Int
	case target.IsText():
		cmd.name = target.Text()
	default:
		return protocolErrorf(cmd.sym.String(), "an object is named by an integer or a string, not by %s", describe(target))
	}
	method, err := c.r.Next()
	if err != nil {
		return err
	}
	if !method.IsText() {
		return protocolErrorf(cmd.sym.String(), "a method is named by a string, not by %s", describe(method))
	}
	cmd.method = method.Text()
	wants, err := c.integer(cmd.sym, "answerRequired")
	if err != nil {
		return err
	}
	cmd.wantsAnswer = wants != 0

	c.values(cmd, &cmd.args, &cmd.kw)
	return nil
}

// values unjellies the expressions at the end of a frame, each by itself. Whatever is wrong in them is the affair of this command alone:
// the frame is complete. The decoder must not go on holding what is to be bound: handles that nobody else holds are let go.
func (c *commandReader) values(cmd *command, dst ...*any) {
	defer c.d.Reset()
	again := c.r
	for _, d := range dst {
		if cmd.err = c.d.Decode(&c.r, d); cmd.err != nil {
			// Nothing of it is used, so all that the peer has counted in it must be given back.
			jelly.Mentions(&again, len(dst), func(m jelly.Mention) { cmd.refused = append(cmd.refused, m) })
			return
		}
	}
	cmd.unbound = c.d.Unbound()
}

func (c *commandReader) integer(sym banana.Symbol, what string) (int64, error) {
	token, err := c.r.Next()
	if err != nil {
		return 0, err
	}
	if token.Kind != banana.Int {
		return 0, protocolErrorf(sym.String(), "its %s is an integer below 2^63, not %s", what, describe(token))
	}
	return token.Int, nil
}

// describe names a token in errors, short and printable.
func describe(t banana.Token) string {
	switch {
	case t.Kind == banana.List:
		return fmt.Sprintf("a list of %d", t.Int)
	case t.IsText():
		text := t.Text()
		if len(text) > 40 {
			text = text[:40] + "…"
		}
		return fmt.Sprintf("the string %q", text)
	case t.Kind == banana.Int:
		return fmt.Sprintf("the integer %d", t.Int)
	case t.Kind == banana.Float:
		return "a float"
	}
	return "an integer of more than 64 bits"
}
