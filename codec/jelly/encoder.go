package jelly

import (
	"fmt"
	"math/big"
	"reflect"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Encoder writes the expressions of one Fragment. It is given to JellyTo methods and
// must not be kept by them.
type Encoder struct {
	buf []byte
	ctx Context
	// lim are the limits that were asked for, with defaults in place. Both stay in the pool: they are
	// mostly the same again.
	lim, asked banana.Limits

	// nested is the number of containers that are open here, mostNested its limit.
	nested, mostNested int
	// depth is the number of Banana lists that are open here, wrappers of
	// references not counted, and deepest its maximum in this jelly call.
	depth, deepest int
	// nest is the number of values that are being encoded here. It ends
	// recursion that opens no list, such as a JellyTo that returns itself.
	nest int
	// hashing is set while what is written must be hashable in Python.
	hashing bool
	// personal says that a JellyTo method asked for the invoker or the perspective.
	personal bool
	// failed is the first error that a JellyTo method was given.
	failed error
	// copies are the values that were met by value, for the JellyTo methods at work. See Pointer.
	copies []valueCopy

	before  before // the jelly call at work
	sharing sharing
	holes   []hole
	keep    []any
	names   []string // scratch for the sorted keys of maps, used as a stack
	// mostNames is how long names has been, so how much of it has to be let go.
	mostNames int
}

// hole is an expression that is not there yet.
type hole struct {
	at      int
	payload any
}

// Profile returns the profile that is written.
func (e *Encoder) Profile() banana.Profile { return e.ctx.Profile }

// Limits returns what the peer accepts.
func (e *Encoder) Limits() banana.Limits { return e.lim }

// Invoker returns Context.Invoker: the connection that the value will go to, or nil.
func (e *Encoder) Invoker() any {
	e.personal = true
	return e.ctx.Invoker
}

// Perspective returns Context.Perspective: whom the value is shown to, or nil.
func (e *Encoder) Perspective() any {
	e.personal = true
	return e.ctx.Perspective
}

// Keep makes the fragment hold on to x until it is freed.
func (e *Encoder) Keep(x any) { e.keep = append(e.keep, x) }

// Hole leaves room for one expression that only the owner of the connection
// can write. Fragment.Append passes payload to its fill function there.
func (e *Encoder) Hole(payload any) {
	e.holes = append(e.holes, hole{len(e.buf), payload})
}

// List writes the head of a raw list; its n elements must follow. Within JellyTo
// the list counts as open until JellyTo returns.
func (e *Encoder) List(n int) error {
	if n > e.lim.List {
		return &EncodeError{What: "too long", Err: e.lim.CheckList(n)}
	}
	if len(e.buf) > e.lim.Frame {
		return &EncodeError{What: "the message is too large", Err: e.lim.CheckFrame(len(e.buf))}
	}
	e.depth++
	if e.depth > e.deepest {
		e.deepest = e.depth
		if e.depth >= e.lim.Depth {
			return e.tooDeep(e.depth + 1)
		}
	}
	e.buf = banana.AppendList(e.buf, n)
	return nil
}

// close ends what List opened.
func (e *Encoder) close() { e.depth-- }

// enter notes that a container begins, and leave that it ends.
func (e *Encoder) enter() error {
	if e.nested++; e.nested <= e.mostNested {
		return nil
	}
	return e.nestedTooDeeply()
}

// nestedTooDeeply is kept out of enter, which is small enough to be inlined then.
//
//go:noinline
func (e *Encoder) nestedTooDeeply() error {
	return invalid("nested too deeply: more than %d values; flatten the value", e.mostNested)
}

func (e *Encoder) leave() { e.nested-- }

// tooDeep is about a frame of that depth, the list of the message around it included.
func (e *Encoder) tooDeep(depth int) error {
	return &EncodeError{What: "nested too deeply", Err: e.lim.CheckDepth(depth)}
}

// open begins [word, …] with n elements behind the word. What is short and lies well within the limits takes one step.
func (e *Encoder) open(word banana.Symbol, n int) error {
	depth := e.depth + 1
	if n < 0x7f && depth < e.lim.Depth && e.ctx.Profile == banana.ProfilePB && len(e.buf) <= e.lim.Frame &&
		n < e.lim.List {
		e.depth, e.deepest = depth, max(depth, e.deepest)
		e.buf = append(e.buf, byte(n+1), byte(banana.List), byte(word), byte(banana.Vocab))
		return nil
	}
	return e.openSlowly(word, n)
}

func (e *Encoder) openSlowly(word banana.Symbol, n int) error {
	if err := e.List(n + 1); err != nil {
		return err
	}
	e.buf = banana.AppendSymbol(e.buf, e.ctx.Profile, word)
	return nil
}

// openNamed is open for a word that the vocabulary lacks.
func (e *Encoder) openNamed(word string, n int) error {
	if err := e.List(n + 1); err != nil {
		return err
	}
	e.buf = append(append(e.buf, byte(len(word)), byte(banana.String)), word...)
	return nil
}

// Symbol writes a word of the vocabulary as a raw string.
func (e *Encoder) Symbol(s banana.Symbol) {
	e.buf = banana.AppendSymbol(e.buf, e.ctx.Profile, s)
}

// String writes a raw string, which is what Python calls bytes. Str writes text.
func (e *Encoder) String(s string) error {
	if err := e.fits(len(s)); err != nil {
		return err
	}
	e.buf = banana.AppendString(e.buf, e.ctx.Profile, s)
	return nil
}

// Bytes writes b as String does.
func (e *Encoder) Bytes(b []byte) error {
	if err := e.fits(len(b)); err != nil {
		return err
	}
	e.buf = banana.AppendBytes(e.buf, e.ctx.Profile, b)
	return nil
}

// fits checks the length of a string and what it makes of the whole.
func (e *Encoder) fits(n int) error {
	if n > e.lim.String {
		return &EncodeError{What: "too long", Err: e.lim.CheckString(n)}
	}
	if n > 64 && len(e.buf)+n > e.lim.Frame {
		return &EncodeError{What: "the message is too large", Err: e.lim.CheckFrame(len(e.buf) + n)}
	}
	return nil
}

// Int writes an integer.
func (e *Encoder) Int(n int64) { e.buf = banana.AppendInt(e.buf, n) }

// Uint writes an integer.
func (e *Encoder) Uint(n uint64) { e.buf = banana.AppendUint(e.buf, n) }

// Big writes an integer of up to 448 bits.
func (e *Encoder) Big(n *big.Int) error {
	b, err := banana.AppendBig(e.buf, n)
	if err != nil {
		return &EncodeError{What: "too large", Err: err}
	}
	e.buf = b
	return nil
}

// Float writes a float.
func (e *Encoder) Float(f float64) { e.buf = banana.AppendFloat(e.buf, f) }

// leaf notes that a list of scalars is written, which is open only for as long as that takes.
func (e *Encoder) leaf() {
	if e.depth < e.deepest {
		return
	}
	if e.deepest = e.depth + 1; e.deepest >= e.lim.Depth && e.failed == nil {
		e.failed = e.tooDeep(e.deepest + 1)
	}
}

// None writes [None].
func (e *Encoder) None() {
	e.leaf()
	e.buf = banana.AppendSymbol(banana.AppendList(e.buf, 1), e.ctx.Profile, banana.SymNone)
}

// Bool writes [boolean "true"] or [boolean "false"].
func (e *Encoder) Bool(b bool) {
	e.leaf()
	if b {
		e.buf = append(e.buf, "\x02\x80\x07\x82boolean\x04\x82true"...)
	} else {
		e.buf = append(e.buf, "\x02\x80\x07\x82boolean\x05\x82false"...)
	}
}

// Str writes [unicode s], a Python str. s must be valid UTF-8.
func (e *Encoder) Str(s string) error {
	if !utf8.ValidString(s) {
		return invalid("the string %q is not valid UTF-8: send text, or use []byte", clip(s))
	}
	e.leaf()
	e.buf = append(e.buf, "\x02\x80\x07\x82unicode"...)
	return e.String(s)
}

// Value writes any value, as Fragment.Jelly describes. After an error the whole
// jelly call fails, even if JellyTo does not pass it on.
func (e *Encoder) Value(v any) error {
	err := e.value(v)
	if err != nil && e.failed == nil {
		e.failed = err
	}
	return err
}

func (e *Encoder) value(v any) error {
	switch x := v.(type) {
	case nil:
		e.None()
	case string:
		return e.Str(x)
	case int:
		e.Int(int64(x))
	case int64:
		e.Int(x)
	case bool:
		e.Bool(x)
	case float64:
		e.Float(x)
	case []byte:
		return e.Bytes(x)
	case []any:
		return e.list(x)
	case []int:
		return e.intList(x)
	case Tuple:
		return e.tuple(x)
	case *Dict:
		return e.dict(x)
	case map[string]any:
		return namedMap(e, v, x, (*Encoder).value)
	case Jellyable:
		return e.jellyable(x, v)
	default:
		return e.other(v)
	}
	return nil
}

// jellyable lets x write itself, and holds it to what it promised.
func (e *Encoder) jellyable(x Jellyable, self any) error {
	if isNilPointer(self) {
		e.None()
		return nil
	}
	hashing, depth, nested, copies := e.hashing, e.depth, e.nested, len(e.copies)
	e.hashing = false // Objects are hashable, whatever their state is.
	if e.nest++; e.nest > 2*e.lim.Depth {
		return invalid("the JellyTo method of %T goes on without end", self)
	}
	if reflect.TypeOf(self).Kind() == reflect.Struct {
		self = e.Pointer(self)
		x = self.(Jellyable) //nolint:forcetypeassert // A pointer has the methods of the value.
	}
	before := len(e.buf) + len(e.holes)
	err := x.JellyTo(e, self)
	if err == nil && before == len(e.buf)+len(e.holes) {
		err = fmt.Errorf("the JellyTo method of %T wrote nothing", self)
	}
	e.nest--
	e.hashing, e.depth, e.nested = hashing, depth, nested
	clear(e.copies[copies:])
	e.copies = e.copies[:copies]
	return err
}

// Instance writes [class state] and takes part in sharing: if the object with this
// identity, a pointer, was met before in this call it writes a reference to it
// instead. state is a value, or a function that writes one and is called only if it is needed.
func (e *Encoder) Instance(identity any, class string, state any) error {
	err := e.classAndState(identityOf(identity), class, state)
	if err != nil && e.failed == nil {
		e.failed = err
	}
	return err
}

func (e *Encoder) classAndState(id identity, class string, state any) error {
	if met, err := e.meet(id); met || err != nil {
		return err
	}
	if err := CheckClass(class); err != nil {
		return &EncodeError{Err: err}
	}
	if err := e.enter(); err != nil {
		return err
	}
	if err := e.List(2); err != nil {
		return err
	}
	if err := e.String(class); err != nil {
		return err
	}
	var err error
	if write, ok := state.(func() error); ok {
		err = write()
	} else {
		err = e.value(state)
	}
	e.close()
	e.leave()
	return err
}
