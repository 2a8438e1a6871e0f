package jelly

import (
	"fmt"
	"math/big"
	"reflect"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// Encoder writes the expressions of one [Fragment]. It is passed to JellyTo methods, which must not keep it.
type Encoder struct {
	buf []byte
	ctx Context
	// lim is asked, the limits of the Context, with defaults. Both are kept in the pool because they rarely change.
	lim, asked banana.Limits
	// bounds are those of the Prepared that lim and mostNested are from, or nil.
	bounds *bounds

	// nested is the number of open containers, mostNested its limit.
	nested, mostNested int
	// depth is the number of open Banana lists without wrappers of references, and deepest its maximum in the
	// current jelly call.
	depth, deepest int
	// nest is the number of values being encoded. It ends recursion that opens no list.
	nest int
	// hashing is set while the value must be hashable in Python.
	hashing bool
	// personal is set once a JellyTo method has asked for the invoker or the perspective.
	personal bool
	// failed is the first error that a JellyTo method got from Value or Instance.
	failed error
	// copies are the values by value for which a JellyTo method is running. See Pointer.
	copies []valueCopy

	before  before // state before the current jelly call
	sharing sharing
	holes   []hole
	// longs is how many of holes are long strings, longBytes how many bytes these have with their heads.
	longs, longBytes int
	room             Room // is asked before the first long string is copied; nil if nobody is, or has been
	keep             []any
	names            []string // stack of sorted keys of maps
	// mostNames is the maximum length of names, for clearing.
	mostNames int
}

// hole is the position of a missing expression.
type hole struct {
	at      int
	payload any
}

// Profile returns the profile in use.
func (e *Encoder) Profile() banana.Profile { return e.ctx.Profile }

// Limits returns the peer's limits.
func (e *Encoder) Limits() banana.Limits { return e.lim }

// Invoker returns Context.Invoker: the connection that the value is for, or nil.
func (e *Encoder) Invoker() any {
	e.personal = true
	return e.ctx.Invoker
}

// Viewer returns Context.Viewer, or else Context.Perspective.
func (e *Encoder) Viewer() any {
	if e.ctx.Viewer != nil {
		e.personal = true
		return e.ctx.Viewer
	}
	return e.Perspective()
}

// Perspective returns Context.Perspective, or nil.
func (e *Encoder) Perspective() any {
	e.personal = true
	return e.ctx.Perspective
}

// Keep keeps x alive until the fragment is freed.
func (e *Encoder) Keep(x any) { e.keep = append(e.keep, x) }

// Hole marks the position of one expression that only the owner of the connection can write. Fragment.Append passes
// payload to its fill function there. See also [HoleUser].
func (e *Encoder) Hole(payload any) {
	e.holes = append(e.holes, hole{len(e.buf), payload})
}

// List writes the head of a raw list; the n elements must follow. The list counts as open until JellyTo returns.
func (e *Encoder) List(n int) error {
	if n > e.lim.List {
		return &EncodeError{What: "too long", Err: e.lim.CheckList(n)}
	}
	if size := len(e.buf) + e.longBytes; size > e.lim.Frame {
		return &EncodeError{What: "the message is too large", Err: e.lim.CheckFrame(size)}
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

// close ends a list.
func (e *Encoder) close() { e.depth-- }

// enter begins a container.
func (e *Encoder) enter() error {
	if e.nested++; e.nested <= e.mostNested {
		return nil
	}
	return e.nestedTooDeeply()
}

// nestedTooDeeply is separate so that enter is inlined.
//
//go:noinline
func (e *Encoder) nestedTooDeeply() error {
	return invalid("nested too deeply: more than %d values; flatten the value", e.mostNested)
}

// begin begins a container that is written as [word, …] with n elements behind the word.
func (e *Encoder) begin(word banana.Symbol, n int) error {
	if err := e.enter(); err != nil {
		return err
	}
	return e.open(word, n)
}

// beginNamed is begin for a word that is not in the vocabulary.
func (e *Encoder) beginNamed(word string, n int) error {
	if err := e.enter(); err != nil {
		return err
	}
	return e.openNamed(word, n)
}

// end ends a container.
func (e *Encoder) end() {
	e.nested--
	e.depth--
}

// tooDeep returns the error for a frame with this depth, including the list of the message.
func (e *Encoder) tooDeep(depth int) error {
	return &EncodeError{What: "nested too deeply", Err: e.lim.CheckDepth(depth)}
}

// open begins [word, …] with n elements behind the word. Short lists well within the limits are written in one step.
func (e *Encoder) open(word banana.Symbol, n int) error {
	depth := e.depth + 1
	if n < 0x7f && depth < e.lim.Depth && e.ctx.Profile.HasVocabulary() && len(e.buf) <= e.lim.Frame &&
		n < e.lim.List {
		e.depth, e.deepest = depth, max(depth, e.deepest)
		e.buf = append(e.buf, byte(n+1), byte(banana.List), byte(word), byte(banana.Vocab))
		return nil
	}
	if err := e.List(n + 1); err != nil {
		return err
	}
	e.buf = banana.AppendSymbol(e.buf, e.ctx.Profile, word)
	return nil
}

// openNamed is open for a word that is not in the vocabulary.
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

// String writes a raw string, which is bytes in Python. Use Str for text.
func (e *Encoder) String(s string) error {
	if err := e.fits(len(s)); err != nil {
		return err
	}
	if len(s) >= longFrom {
		e.longString(s)
		return nil
	}
	e.buf = banana.AppendString(e.buf, e.ctx.Profile, s)
	return nil
}

// Bytes writes a raw string, which is bytes in Python.
func (e *Encoder) Bytes(b []byte) error {
	if err := e.fits(len(b)); err != nil {
		return err
	}
	if len(b) >= longFrom {
		return e.longCopy(b)
	}
	e.buf = banana.AppendBytes(e.buf, e.ctx.Profile, b)
	return nil
}

// fits checks a string of n bytes against the limits.
func (e *Encoder) fits(n int) error {
	if n > e.lim.String {
		return &EncodeError{What: "too long", Err: e.lim.CheckString(n)}
	}
	if size := len(e.buf) + e.longBytes + n; n > 64 && size > e.lim.Frame {
		return &EncodeError{What: "the message is too large", Err: e.lim.CheckFrame(size)}
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

// leaf checks the depth of a list without nested lists that is written in one step.
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

// Str writes [unicode s], a Python str. The error is an [*EncodeError] if s is not valid UTF-8.
func (e *Encoder) Str(s string) error {
	if !utf8.ValidString(s) {
		return invalid("the string %q is not valid UTF-8: send text, or use []byte", clip(s))
	}
	e.leaf()
	e.buf = append(e.buf, "\x02\x80\x07\x82unicode"...)
	return e.String(s)
}

// Value writes any value that Fragment.Jelly accepts. After an error the whole jelly call fails, even if JellyTo
// returns nil.
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

// jellyable calls x.JellyTo and checks that it wrote something.
func (e *Encoder) jellyable(x Jellyable, self any) error {
	if isNil(self) {
		e.None()
		return nil
	}
	hashing, depth, nested, copies := e.hashing, e.depth, e.nested, len(e.copies)
	e.hashing = false // Objects are hashable whatever their state is.
	if e.nest++; e.nest > 2*e.lim.Depth {
		return invalid("the JellyTo method of %T does not terminate", self)
	}
	if reflect.TypeOf(self).Kind() == reflect.Struct {
		self = e.Pointer(self)
		x = self.(Jellyable) //nolint:forcetypeassert // A pointer has its value's methods.
	}
	before := len(e.buf) + len(e.holes)
	err := e.callJellyTo(x, self)
	if err == nil && before == len(e.buf)+len(e.holes) {
		err = fmt.Errorf("the JellyTo method of %T wrote nothing", self)
	}
	e.nest--
	e.hashing, e.depth, e.nested = hashing, depth, nested
	clear(e.copies[copies:])
	e.copies = e.copies[:copies]
	return err
}

// callJellyTo calls x.JellyTo. If it panics because it is promoted from a nil pointer, the error says so; other panics
// are not recovered here.
func (e *Encoder) callJellyTo(x Jellyable, self any) (err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if embedded := usercode.NilEmbedded(self, "JellyTo"); embedded != nil && recover() != nil {
			err = refuse("%s", usercode.EmbedsNil(reflect.TypeOf(self), embedded))
		}
	}()
	err = x.JellyTo(e, self)
	returned = true
	return err
}

// Instance writes [class state]. The object takes part in sharing: identity is a pointer, and if it was met before in
// this call Instance writes a reference to it instead. state is a value, or a func() error that writes one, called if
// needed.
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
	if e.ctx.Profile.IsExtended() && extendedTag([]byte(class)) != tagNone {
		return invalid("%q is the name of a type of Jelly, not of a class, in the dialect %s", class, e.ctx.Profile)
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
	e.end()
	return err
}
