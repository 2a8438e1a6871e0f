package broker

import (
	"time"

	"github.com/perspectivebroker/pb/broker/internal/flow"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
	"github.com/perspectivebroker/pb/internal/command"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// commandReader decodes frames. It belongs to the decoder.
type commandReader struct {
	r        banana.Reader
	values   banana.Reader // r in front of the first value
	commands command.Reader
	d        *jelly.Decoder
	emptyKw  bool           // the taster allows empty dictionaries
	failures *jelly.Decoder // of failures that are passed on; nil until there is one
	kept     bool           // a value of the last frame is part of the frame

	conn *connection
	// cost is what the values of the next frame count for.
	cost int
	// short is what the next frame costs if the budget had no room for it: its values must not be decoded before it has.
	// Otherwise it is 0.
	short int
}

func (c *connection) newCommandReader() commandReader {
	d := c.newDecoder()
	return commandReader{
		conn:    c,
		d:       d,
		emptyKw: d.Taster == nil || d.Taster.TypeAllowed(banana.SymDictionary.String()),
	}
}

// read decodes a frame into cmd. An error means that the frame is malformed, and ends the connection. An error in the
// values of a call or an answer is put into cmd.err, and fails only that call.
func (c *commandReader) read(frame []byte, p banana.Profile, cmd *incoming) error {
	c.r.Reset(frame, p)
	c.kept = false
	if err := c.commands.Read(&c.r, &cmd.Command); err != nil {
		var form *command.FormError
		if usercode.AsInto(err, &form) {
			return &ProtocolError{Command: form.Command, What: form.Text()}
		}
		return err
	}
	switch cmd.Name {
	case command.Message, command.CacheMessage:
		return c.readCall(cmd)
	case command.Answer, command.Error:
		return c.readAnswer(cmd)
	case command.Unknown, command.DidNotUnderstand, command.Goaway:
		return c.readWord(cmd)
	}
	return nil
}

// mayAlias sets the length from which on a byte string in the next frame may stay part of the frame; 0 means never.
func (c *commandReader) mayAlias(from int) { c.d.AliasFrom = from }

// forget drops the last frame, and reports whether one of its values is part of it.
func (c *commandReader) forget() (kept bool) {
	if c.kept {
		c.r.Reset(nil, 0)
		c.values.Reset(nil, 0)
	}
	return c.kept
}

func (c *commandReader) readWord(cmd *incoming) (err error) {
	if !c.room(flow.MaxRoomWait) {
		return protocolErrorf("", "there is no room for the name of an unknown command").as(rejectMemoryTotal)
	}
	cmd.word, err = command.ReadWord(&c.r)
	return err
}

func (c *commandReader) readCall(cmd *incoming) error {
	cmd.call = internal.NewInvocation()
	if !c.room(c.conn.account.RoomWait(c.short)) {
		return c.refuse(cmd, Busy.Wrap(ErrNoRoom))
	}
	if c.conn.options.relaying && c.isUndecoded(cmd) {
		c.keepArguments(cmd)
	} else {
		c.decodeArguments(cmd)
	}
	return nil
}

func (c *commandReader) readAnswer(cmd *incoming) error {
	if !c.room(c.conn.limits.Stall) {
		return c.refuse(cmd, ErrNoRoom)
	}
	if c.conn.options.relaying && cmd.ID.Big == nil && cmd.ID.Int&1 == 1 {
		c.keepResult(cmd)
	} else {
		c.decodeResult(cmd)
	}
	return nil
}

// room waits until the budget has room for the frame, and reports whether it has.
func (c *commandReader) room(within time.Duration) bool {
	a, n := c.conn.account, c.short
	if n > 0 && a.TakeWait(c.conn.ctx, n, within) {
		c.short = 0
	}
	return c.short == 0
}

// refuse fails a command whose values are not decoded, because there is no room for them. What they mention is given
// back, which costs little if they mention no more than any message may.
func (c *commandReader) refuse(cmd *incoming, err error) error {
	if n := jelly.CountMentions(c.r, cmd.Values()); n > c.conn.limits.Imports {
		return protocolErrorf(
			cmd.Name.String(),
			"there is no room for the values of this message, nor for the %d objects that it mentions",
			n,
		).as(rejectImports)
	}
	cmd.err = err
	c.noteMentions(cmd, c.r)
	return nil
}

// Each value at the end of a frame is decoded by itself. An error in one fails only this command, because the frame is
// complete. The decoder is reset afterwards, so that it does not keep handles alive.

// decodeArguments decodes the two values of a call.
func (c *commandReader) decodeArguments(cmd *incoming) {
	c.values = c.r
	if cmd.Name == command.Message && c.decodeDirectly(cmd) {
		c.decoded(cmd)
	} else {
		c.decodeGenerally(cmd)
	}
	c.finishCall(cmd)
	c.d.Reset()
}

func (c *commandReader) decodeGenerally(cmd *incoming) {
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
	c.decoded(cmd)
}

// finishCall reads what stands behind the arguments of a call.
func (c *commandReader) finishCall(cmd *incoming) {
	if cmd.HasMetadata && cmd.err == nil {
		cmd.err = c.readMetadata(cmd)
	}
}

// readMetadata reads what stands behind the values of a call. What the values mention is bound even if this fails.
func (c *commandReader) readMetadata(cmd *incoming) error {
	for _, t := range metadataTypes {
		if c.d.Taster != nil && !c.d.Taster.TypeAllowed(t) {
			return flavors.InsecureJelly.Errorf("the metadata of the call: %s is not allowed here", t)
		}
	}
	return internal.ReadMetadata(cmd.call, &c.r)
}

// metadataTypes are the types that metadata has.
var metadataTypes = []string{banana.SymDictionary.String(), "unicode"}

// decodeResult decodes the value of an answer or error.
func (c *commandReader) decodeResult(cmd *incoming) {
	c.values = c.r
	if !c.decodeResultDirectly(cmd) {
		cmd.err = c.d.Decode(&c.r, &cmd.value)
	}
	c.decoded(cmd)
	c.d.Reset()
}

// decoded takes from the decoder what is left to bind.
func (c *commandReader) decoded(cmd *incoming) {
	c.kept = c.d.Aliased()
	if cmd.err == nil {
		cmd.unbound = c.d.Unbound()
		return
	}
	c.noteMentions(cmd, c.values)
}

// noteMentions notes what values mention that are not used: the peer counted it, so it must be given back.
func (c *commandReader) noteMentions(cmd *incoming, values banana.Reader) {
	n := 0
	again := values
	c.d.Mentions(&again, cmd.Values(), func(jelly.Mention) { n++ })
	if n == 0 {
		return
	}
	cmd.refused = make([]jelly.Mention, 0, n)
	c.d.Mentions(&values, cmd.Values(), func(m jelly.Mention) { cmd.refused = append(cmd.refused, m) })
}

// startsWith reports whether the next value is a list of less than 128 elements that begins with a word of the
// vocabulary.
func (c *commandReader) startsWith(word banana.Symbol) bool {
	r := c.r
	_, ok := r.TakeHead(word)
	return ok
}

// emptyKw is a dictionary without entries in the dialects with a vocabulary.
const emptyKw = "\x01\x80\x05\x87"

// skipEmptyKw reads the next value if it is a dictionary without entries, as the keywords of nearly all calls are.
func (c *commandReader) skipEmptyKw() bool {
	return c.emptyKw && c.r.Profile().HasVocabulary() && c.r.Take(emptyKw)
}
