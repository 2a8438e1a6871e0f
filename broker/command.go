package broker

import (
	"fmt"
	"math/big"
	"time"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// command is one frame from the peer, decoded as far as that needs no tables.
type command struct {
	sym banana.Symbol // 0: not one of the protocol's commands; word says what it was

	id          int64    // request id, luid, or version number
	longID      *big.Int // the request id of a call, if it has more than 64 bits
	target      int64    // luid of the object that is called …
	longTarget  *big.Int // … or its luid of more than 64 bits, which no object of ours has …
	name        string   // … unless it is called by a name
	method      string
	wantsAnswer bool
	word        string // the unknown command, or what the peer did not understand

	call    *flavors.Invocation // of a call: in the making. Its Args are there if tuple is set
	tuple   bool                // of a call: the arguments were a plain tuple, as they nearly always are
	args    any                 // of a call, if they were not: a jelly.Tuple once bound
	noKw    bool                // of a call: the keyword arguments were an empty dictionary, likewise
	kw      any                 // of a call, if they were not: a *jelly.Dict once bound
	value   any                 // of an answer or error
	size    int                 // of a call: its bytes
	weight  int                 // of a call: what it counts for until it has been answered
	unbound []*jelly.Unbound
	refused []jelly.Mention // what values that could not be decoded mention: the peer has counted it
	err     error           // what was wrong with the values; the rest of the command is good
}

// isCall reports whether the command counts until it has been answered.
func (cmd *command) isCall() bool {
	return cmd.sym == banana.SymMessage || cmd.sym == banana.SymCacheMessage
}

// keeps is how many bytes a command keeps whose values were not decoded.
func (cmd *command) keeps() int { return cap(cmd.refused) * int(unsafe.Sizeof(jelly.Mention{})) }

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
	r       banana.Reader
	d       *jelly.Decoder
	again   banana.Reader // r at the first value
	emptyKw bool          // empty dictionaries may come in
	names   map[string]string
	last    struct{ target, method string } // the names that came last, which are mostly the next, too
	kept    bool                            // a value of the last frame is a part of that

	conn *connection
	// short is what the next frame costs, if there was no room for it in the budget: its values must not be decoded until
	// there is. Otherwise 0.
	short int
}

// What a commandReader remembers of names. The peer chooses them, so there are not many, and none is long.
const (
	mostNames   = 256
	longestName = 64
)

func (c *connection) newCommandReader() commandReader {
	d := c.newDecoder()
	security := d.Taster
	return commandReader{
		conn:    c,
		d:       d,
		emptyKw: security == nil || security.TypeAllowed(banana.SymDictionary.String()),
		names:   map[string]string{},
	}
}

// name is the text of a token. Peers name the same objects and methods again and again.
func (c *commandReader) name(t *banana.Token, last *string) string {
	if t.Kind != banana.String || len(t.Bytes) > longestName {
		return t.Text()
	}
	if string(t.Bytes) == *last {
		return *last
	}
	name, ok := c.names[string(t.Bytes)]
	if !ok {
		name = t.Text()
		if len(c.names) < mostNames {
			c.names[name] = name
		}
	}
	*last = name
	return name
}

// The heads of the two commands that come most, as peers write them that speak the profile pb.
const (
	messageHead = "\x07\x80\x1a\x87"
	answerHead  = "\x03\x80\x1b\x87"
)

// read decodes one frame into cmd. An error means that the frame is no command that PB knows the form of, and ends the
// connection; what is wrong within the values of a call or an answer is noted in cmd.err and ends only that.
func (c *commandReader) read(frame []byte, p banana.Profile, cmd *command) error {
	c.r.Reset(frame, p)
	c.kept = false
	if p == banana.ProfilePB {
		switch {
		case c.r.Take(messageHead):
			return c.readCall(cmd, banana.SymMessage)
		case c.r.Take(answerHead):
			return c.readAnswer(cmd, banana.SymAnswer)
		}
	}
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
		return c.readOther(&word, n, cmd)
	}
	if n != want {
		return protocolErrorf(sym.String(), "it has %d operands, not %d", want, n)
	}
	switch sym {
	case banana.SymMessage, banana.SymCacheMessage:
		return c.readCall(cmd, sym)
	case banana.SymAnswer, banana.SymError:
		return c.readAnswer(cmd, sym)
	}
	return c.readNumber(cmd, sym)
}

// readNumber reads the number that all commands begin with.
func (c *commandReader) readNumber(cmd *command, sym banana.Symbol) (err error) {
	cmd.sym = sym
	cmd.id, err = c.integer(sym, "number")
	return err
}

func (c *commandReader) readAnswer(cmd *command, sym banana.Symbol) error {
	if err := c.readNumber(cmd, sym); err != nil {
		return err
	}
	if !c.room(c.conn.limits.Stall) {
		return c.refuse(cmd, 1, ErrNoRoom)
	}
	c.answer(cmd)
	return nil
}

// mayKeep says from which length on a byte string of the next frame may remain where it is, and takes the frame along;
// 0 stands for never.
func (c *commandReader) mayKeep(from int) { c.d.AliasFrom = from }

// forget lets go of the last frame, and reports whether one of its values is a part of it.
func (c *commandReader) forget() (kept bool) {
	if c.kept {
		c.r.Reset(nil, 0)
		c.again.Reset(nil, 0)
	}
	return c.kept
}

func (c *commandReader) readOther(word *banana.Token, n int, cmd *command) error {
	if !c.room(roomPatience) {
		return protocolErrorf("", "there is no room for the name of an unknown command").because(RefusedTotal)
	}
	cmd.word = word.Text()
	if cmd.word != wordDidNotUnderstand {
		return nil
	}
	if n != 1 {
		return protocolErrorf(cmd.word, "it has 1 operand, not %d", n)
	}
	token, err := c.r.Next()
	if err != nil {
		return err
	}
	if !token.IsText() {
		return protocolErrorf(cmd.word, "its operand is a string, this is %s", describe(token))
	}
	cmd.method = token.Text()
	return nil
}

func (c *commandReader) readCall(cmd *command, sym banana.Symbol) error {
	if err := c.readRequestID(cmd, sym); err != nil {
		return err
	}
	var t banana.Token
	if err := c.r.Read(&t); err != nil {
		return err
	}
	switch {
	case t.Kind == banana.Int:
		cmd.target = t.Int
	case t.IsInt():
		cmd.longTarget = t.Big()
	case t.IsText():
		cmd.name = c.name(&t, &c.last.target)
	default:
		return protocolErrorf(cmd.sym.String(), "an object is named by an integer or a string, not by %s", describe(t))
	}
	if err := c.r.Read(&t); err != nil {
		return err
	}
	if !t.IsText() {
		return protocolErrorf(cmd.sym.String(), "a method is named by a string, not by %s", describe(t))
	}
	cmd.method = c.name(&t, &c.last.method)
	wants, long, err := c.longInteger(cmd.sym, "answerRequired")
	if err != nil {
		return err
	}
	cmd.wantsAnswer = wants != 0 || long != nil

	cmd.call = flavors.NewInvocation()
	if !c.room(c.conn.patience(c.short)) {
		return c.refuse(cmd, 2, Busy.Wrap(ErrNoRoom))
	}
	c.arguments(cmd)
	return nil
}

// room reports whether the frame may be decoded, if need be after a while.
func (c *commandReader) room(within time.Duration) bool {
	a, n := c.conn.account, c.short
	if n > 0 && a.takeSoon(c.conn.ctx, n, within, func() bool { return a.take(n) }) {
		c.short = 0
	}
	return c.short == 0
}

// refuse is for a frame whose values are not decoded, because there is no room for them. What it mentions is given
// back, which costs little as long as it does not mention more than any message may.
func (c *commandReader) refuse(cmd *command, values int, err error) error {
	if n := jelly.CountMentions(c.r, values); n > c.conn.limits.Imports {
		return protocolErrorf(
			cmd.sym.String(),
			"there is no room for the values of this message, nor for the %d objects that it mentions",
			n,
		).because(RefusedImports)
	}
	cmd.err = err
	c.mentions(cmd, c.r, values)
	return nil
}

// The values at the end of a frame are unjellied each by itself. Whatever is wrong in them is the affair of this
// command alone: the frame is complete. The decoder must not go on holding what is to be bound: handles that nobody
// else holds are let go.

// arguments unjellies the two values of a call.
func (c *commandReader) arguments(cmd *command) {
	defer c.d.Reset()
	c.again = c.r
	if cmd.tuple = c.startsWith(banana.SymTuple); cmd.tuple {
		cmd.err = c.d.DecodeTuple(&c.r, &cmd.call.Args)
	} else {
		cmd.err = c.d.Decode(&c.r, &cmd.args)
	}
	if cmd.err == nil {
		if cmd.noKw = c.skipEmptyKw(); !cmd.noKw {
			cmd.err = c.d.Decode(&c.r, &cmd.kw)
		}
	}
	c.decoded(cmd, 2)
}

// answer unjellies the value of an answer or error.
func (c *commandReader) answer(cmd *command) {
	defer c.d.Reset()
	c.again = c.r
	cmd.err = c.d.Decode(&c.r, &cmd.value)
	c.decoded(cmd, 1)
}

// decoded takes from the decoder what is left to be done about values.
func (c *commandReader) decoded(cmd *command, values int) {
	c.kept = c.d.Aliased()
	if cmd.err == nil {
		cmd.unbound = c.d.Unbound()
		return
	}
	c.mentions(cmd, c.again, values)
}

// mentions notes what values mention that are not used: the peer has counted all that, so it must be given back.
func (c *commandReader) mentions(cmd *command, r banana.Reader, values int) {
	n := jelly.CountMentions(r, values)
	if n == 0 {
		return
	}
	cmd.refused = make([]jelly.Mention, 0, n)
	jelly.Mentions(&r, values, func(m jelly.Mention) { cmd.refused = append(cmd.refused, m) })
}

// startsWith reports whether the next value is a list of at most 127 elements of which the first is that word of the
// vocabulary.
func (c *commandReader) startsWith(word banana.Symbol) bool {
	b := c.r.Rest()
	return c.r.Profile() == banana.ProfilePB && len(b) >= 4 && b[0] < 0x80 &&
		b[1] == byte(banana.List) && b[2] == byte(word) && b[3] == byte(banana.Vocab)
}

// skipEmptyKw reads the value if it is a dictionary without entries, the keyword arguments of nearly all calls.
func (c *commandReader) skipEmptyKw() bool {
	if !c.emptyKw || !c.startsWith(banana.SymDictionary) || c.r.Rest()[0] != 1 {
		return false
	}
	for range 2 {
		if _, err := c.r.Next(); err != nil {
			return false
		}
	}
	return true
}

// readRequestID reads the number of a call. It is the peer's own choice and only sent back, so it may be as long as an
// integer can be.
func (c *commandReader) readRequestID(cmd *command, sym banana.Symbol) (err error) {
	cmd.sym = sym
	cmd.id, cmd.longID, err = c.longInteger(sym, "number")
	if cmd.longID != nil && cmd.longID.BitLen() > banana.MaxIntBits {
		return protocolErrorf(sym.String(), "its number has more than %d bits and could not be sent back", banana.MaxIntBits)
	}
	return err
}

// longInteger reads an integer of any size. long is nil if it fits an int64.
func (c *commandReader) longInteger(sym banana.Symbol, what string) (n int64, long *big.Int, err error) {
	if n, ok := c.r.TakeInt(); ok {
		return n, nil, nil
	}
	token, err := c.r.Next()
	switch {
	case err != nil:
		return 0, nil, err
	case !token.IsInt():
		return 0, nil, protocolErrorf(sym.String(), "its %s is an integer, not %s", what, describe(token))
	case token.Kind != banana.Int:
		return 0, token.Big(), nil
	}
	return token.Int, nil, nil
}

func (c *commandReader) integer(sym banana.Symbol, what string) (int64, error) {
	if n, ok := c.r.TakeInt(); ok {
		return n, nil
	}
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
