package command

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/banana"
)

// FormError says what is wrong with the form of a command.
type FormError struct {
	Command string // the name of the command; "" if it has none
	Element string // the element that is wrong; "" if it is the list itself
	What    string
}

// Error returns the text of the error.
func (e *FormError) Error() string {
	if e.Command == "" {
		return "command: " + e.Text()
	}
	return fmt.Sprintf("command: [%s …]: %s", e.Command, e.Text())
}

// Text returns what is wrong, without the name of the command.
func (e *FormError) Text() string {
	if e.Element == "" {
		return e.What
	}
	return e.Element + ": " + e.What
}

// Reader reads commands. It keeps the names of objects and methods, because most calls repeat them, up to a limit. The
// zero Reader is ready to use.
type Reader struct {
	names                  map[string]string
	lastObject, lastMethod string // of the last call

	// last is the last Message, of a dialect, and tail its elements behind its id. If tail is empty there is none.
	last    Command
	dialect banana.Profile
	tail    []byte
}

// The limits of what a Reader keeps.
const (
	maxNames      = 256
	maxNameLength = 64
	maxTail       = 96
)

// The heads of the most frequent commands in the dialects with a vocabulary.
const (
	messageHead = "\x07\x80\x1a\x87"
	answerHead  = "\x03\x80\x1b\x87"
)

// Read reads a command from in, which must hold one complete expression, as a banana.Scanner finds it. It stops in
// front of the values. It reads neither the name of an unknown command nor the element of a DidNotUnderstand, which
// may be long: [ReadWord] does.
//
// The error is a *[FormError], or that of in. After an error, cmd is undefined.
func (r *Reader) Read(in *banana.Reader, cmd *Command) error {
	if in.Profile().HasVocabulary() {
		switch {
		case in.Take(messageHead):
			if r.likeLast(in, cmd) {
				return nil
			}
			before := *in
			*cmd = Command{Name: Message}
			err := r.elements(in, cmd)
			if err == nil {
				r.remember(cmd, before, in)
			}
			return err
		case in.Take(answerHead):
			*cmd = Command{Name: Answer}
			var ok bool
			if cmd.ID.Int, ok = in.TakeInt(); ok {
				return nil
			}
			return r.elements(in, cmd)
		}
	}
	*cmd = Command{}
	head, err := in.Next()
	switch {
	case err != nil:
		return err
	case head.Kind != banana.List:
		return &FormError{What: "a command is a list, not " + describe(&head)}
	case head.Int == 0:
		return &FormError{What: "an empty list is no command"}
	}
	atName := *in
	token, err := in.Next()
	switch {
	case err != nil:
		return err
	case !token.IsText():
		return &FormError{What: "the name of a command is a string, not " + describe(&token)}
	}
	cmd.Name = lookup(&token, in.Profile())
	if cmd.Name == Unknown {
		*in = atName
		return nil
	}
	least, most := forms[cmd.Name].sizes(in.Profile())
	if head.Int < int64(least)+1 || head.Int > int64(most)+1 {
		return &FormError{Command: cmd.Name.String(), What: wrongSize(head.Int, least+1, most+1)}
	}
	cmd.HasMetadata = cmd.IsCall() && head.Int > int64(least)+1
	return r.elements(in, cmd)
}

func wrongSize(n int64, least, most int) string {
	if least == most {
		return fmt.Sprintf("the list has %d elements, not %d", n, least)
	}
	return fmt.Sprintf("the list has %d elements, not %d or %d", n, least, most)
}

// elements reads the elements behind the name, up to the values.
func (r *Reader) elements(in *banana.Reader, cmd *Command) (err error) {
	elements := forms[cmd.Name].elements
	for i := range elements {
		e := &elements[i]
		switch e.kind {
		case count, number:
			err = readNumber(in, cmd, e, &cmd.ID)
		case flag:
			var n Number
			err = readNumber(in, cmd, e, &n)
			cmd.setFlag(&n, in.Profile())
		case object:
			err = r.readObject(in, cmd, e)
		case method:
			err = r.readMethod(in, cmd, e)
		case word:
			return checkWord(*in, cmd, e)
		case value, metadata:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// likeLast reads the elements of a Message if they are those of the last one, but for its id. It returns false for
// others.
func (r *Reader) likeLast(in *banana.Reader, cmd *Command) bool {
	if len(r.tail) == 0 || r.dialect != in.Profile() {
		return false
	}
	before := *in
	id, ok := in.TakeInt()
	if !ok || !in.TakeBytes(r.tail) {
		*in = before
		return false
	}
	*cmd = r.last
	cmd.ID.Int = id
	return true
}

// remember makes a Message the last one. Its elements are those between before and after.
func (r *Reader) remember(cmd *Command, before banana.Reader, after *banana.Reader) {
	r.tail = r.tail[:0]
	if _, ok := before.TakeInt(); !ok {
		return // Its id is not in the usual form.
	}
	tail := before.Rest()[:after.Offset()-before.Offset()]
	if len(tail) > maxTail {
		return
	}
	r.last, r.dialect, r.tail = *cmd, after.Profile(), append(r.tail, tail...)
}

// setFlag sets what answerRequired says.
func (c *Command) setFlag(n *Number, p banana.Profile) {
	c.WantsAnswer = n.Int != 0 || n.Big != nil
	c.Keep = n.Int == 2 && n.Big == nil && c.Name == Message && p.IsExtended()
}

// readNumber reads an integer that Banana can also write.
func readNumber(in *banana.Reader, cmd *Command, e *element, n *Number) error {
	var ok bool
	if n.Int, ok = in.TakeInt(); ok {
		return nil
	}
	var t banana.Token
	if err := in.Read(&t); err != nil {
		return err
	}
	if !t.IsInt() {
		return e.wrong(cmd, "an integer, not "+describe(&t))
	}
	return setNumber(n, &t, cmd, e)
}

func setNumber(n *Number, t *banana.Token, cmd *Command, e *element) error {
	if t.Kind == banana.Int {
		n.Int = t.Int
		return nil
	}
	n.Big = t.Big()
	switch {
	case e.kind == count:
		return e.wrong(cmd, "an integer below 2^63, not one of more than 64 bits")
	case n.Big.BitLen() > banana.MaxIntBits:
		return e.wrong(cmd, fmt.Sprintf("an integer of at most %d bits", banana.MaxIntBits))
	}
	return nil
}

func (r *Reader) readObject(in *banana.Reader, cmd *Command, e *element) error {
	var t banana.Token
	if err := in.Read(&t); err != nil {
		return err
	}
	switch {
	case t.IsInt():
		return setNumber(&cmd.Object.ID, &t, cmd, e)
	case t.IsText():
		cmd.Object.Name = r.name(&t, &r.lastObject)
		return nil
	case t.Kind == banana.List && t.Int == 2 && in.Profile().IsExtended():
		return readPromise(in, cmd, e)
	}
	return e.wrong(cmd, "an integer or a string, not "+describe(&t))
}

// readPromise reads the elements of [promise id].
func readPromise(in *banana.Reader, cmd *Command, e *element) error {
	var t banana.Token
	if err := in.Read(&t); err != nil {
		return err
	}
	if !t.TextIs(promiseWord) {
		return e.wrong(cmd, "[promise id], not a list that begins with "+describe(&t))
	}
	cmd.Object.Promise = true
	return readNumber(in, cmd, e, &cmd.Object.ID)
}

func (r *Reader) readMethod(in *banana.Reader, cmd *Command, e *element) error {
	var t banana.Token
	if err := in.Read(&t); err != nil {
		return err
	}
	if !t.IsText() {
		return e.wrong(cmd, "a string, not "+describe(&t))
	}
	cmd.Method = r.name(&t, &r.lastMethod)
	return nil
}

// checkWord reports an error if the next element is no string.
func checkWord(in banana.Reader, cmd *Command, e *element) error {
	t, err := in.Next()
	if err == nil && !t.IsText() {
		err = e.wrong(cmd, "a string, not "+describe(&t))
	}
	return err
}

// name returns the text of a token. last is the name that the last call had in its place.
func (r *Reader) name(t *banana.Token, last *string) string {
	if t.Kind != banana.String || len(t.Bytes) > maxNameLength {
		return t.Text()
	}
	if string(t.Bytes) == *last {
		return *last
	}
	name, ok := r.names[string(t.Bytes)]
	if !ok {
		name = t.Text()
		if r.names == nil {
			r.names = map[string]string{}
		}
		if len(r.names) < maxNames {
			r.names[name] = name
		}
	}
	*last = name
	return name
}

// ReadWord returns the name of an unknown command, or the element of a DidNotUnderstand, after Read. It copies the
// string.
func ReadWord(in *banana.Reader) (string, error) {
	t, err := in.Next()
	return t.Text(), err
}

// wrong returns the error of an element that is not what it should be.
func (e *element) wrong(cmd *Command, want string) error {
	return &FormError{Command: cmd.Name.String(), Element: e.name, What: "want " + want}
}

// describe names a token in an error, short and printable.
func describe(t *banana.Token) string {
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
