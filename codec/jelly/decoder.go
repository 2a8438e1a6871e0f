package jelly

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Decoder makes Go values of Jelly. The zero Decoder accepts the basic types and
// references, with the default limits. It may be used again and again, by one
// goroutine at a time; what it yields does not refer to it.
type Decoder struct {
	// Registry has the classes whose objects may come in.
	Registry *Registry
	// Taster says what types may come in. nil stands for DefaultSecurity, and then all
	// that is registered may come in as well. Do not change the options that it points to.
	Taster *SecurityOptions
	// Limits has the depth of lists that is accepted in a frame, the message's own list
	// included. Its other fields are a Scanner's affair.
	Limits banana.Limits
	// Nesting is how deep values may be nested; 0 stands for DefaultNesting.
	Nesting int
	// References is how many references to objects of the peer's, [remote id], may come between two Resets; 0 stands for
	// any number. Each costs some hundred bytes, and on the wire no more than six.
	References int
	// AliasFrom is from which length on []byte values are parts of the frame in the place of copies; 0
	// stands for never. Such a value keeps the whole frame alive, which must not be written to again: see Aliased.
	AliasFrom int
	// PersistentLoad finds the object for [persistent id]. id is an int64, a
	// *big.Int, a float64 or []byte. Without it there will be a Persistent.
	PersistentLoad func(id any) (any, error)

	// What follows is about the frame at hand.

	r         *banana.Reader
	depth     int // how many more lists may be opened
	nesting   int // how many more containers may be
	unbound   []*Unbound
	remotes   int // of these [remote id]
	instances bool
	aliased   bool
	refs      references
	slab      slab // for the numbers of a long list or a dictionary

	// What follows is kept from frame to frame.

	tasted  bool
	taster  *SecurityOptions // who was asked about allowed
	allowed [tagCount]bool
	strings stringCache
}

// Reset forgets the Unbounds of the frame before.
func (d *Decoder) Reset() {
	d.unbound = nil // They have been handed out, so the slice is not used again.
	d.remotes, d.instances, d.aliased = 0, false, false
}

// Aliased reports whether anything that was decoded since Reset is a part of its frame.
func (d *Decoder) Aliased() bool { return d.aliased }

// Unbound returns what has to be bound in all that was decoded since Reset, also by a
// Decode that failed. References stand in the order of the wire; an instance comes
// after what is in its state.
func (d *Decoder) Unbound() []*Unbound { return d.unbound }

// HasInstances reports whether one of them is an instance, so that Unjelly has to run.
func (d *Decoder) HasInstances() bool { return d.instances }

// Decode reads one expression, which is one call of Twisted's unjelly, and stores its
// value in dst. dst may be one of the places that are bound later, so it must stay where it is until
// then. After an error r stands somewhere within the expression.
func (d *Decoder) Decode(r *banana.Reader, dst *any) error {
	if d == nil || r == nil || dst == nil {
		return errNothingToDecode
	}
	d.begin(r)
	_, err := d.value(dst)
	return d.end(err)
}

var errNothingToDecode = errors.New(
	"jelly: Decode needs a Decoder, a reader and a place for the value, none of them nil",
)

// DecodeTuple is Decode for what must be a tuple, such as positional arguments. It uses the room that dst has.
func (d *Decoder) DecodeTuple(r *banana.Reader, dst *Tuple) error {
	if d == nil || r == nil || dst == nil {
		return errNothingToDecode
	}
	d.begin(r)
	return d.end(d.wantTuple(dst))
}

func (d *Decoder) wantTuple(dst *Tuple) error {
	start := d.r.Offset()
	t, err := d.r.Next()
	if err != nil {
		return d.malformed(err)
	}
	if t.Kind != banana.List {
		return d.fail(start, "a tuple is wanted here, not "+t.Kind.String())
	}
	n := int(t.Int) - 1
	if err := d.head(start, &t); err != nil {
		return err
	}
	if tagOf(&t) == tagTuple && d.allowed[tagTuple] {
		if *dst == nil || n > cap(*dst) {
			*dst = make(Tuple, n)
		}
		*dst = (*dst)[:n]
		d.depth--
		d.nesting--
		_, err = d.elements(*dst)
		d.nesting++
		d.depth++
		return err
	}
	// It may still be a tuple which is mentioned again within itself.
	var v any
	if _, err = d.typed(start, &t, n, &v); err != nil {
		return err
	}
	tuple, ok := v.(Tuple)
	if !ok {
		return d.fail(start, fmt.Sprintf("a tuple is wanted here, not a %T", v))
	}
	*dst = tuple
	return nil
}

func (d *Decoder) begin(r *banana.Reader) {
	d.r = r
	if !d.tasted || d.taster != d.Taster {
		d.tasted, d.taster = true, d.Taster
		d.allowed = allowedTags(d.Taster)
	}
	depth := d.Limits.Depth
	if depth <= 0 {
		depth = banana.DefaultDepth
	}
	d.depth = depth - 1 // The message is a list itself.
	if d.nesting = d.Nesting; d.nesting <= 0 {
		d.nesting = DefaultNesting
	}
}

func (d *Decoder) end(err error) error {
	if err == nil && d.refs.waiting > 0 {
		err = d.fail(d.r.Offset(), fmt.Sprintf("reference %d is mentioned, but never comes", d.refs.missing()))
	}
	d.refs.end()
	d.r, d.slab = nil, slab{}
	return err
}

// unicodeWord is the type of a str, as all but the oddest peers write it.
const unicodeWord = "\x07\x82unicode"

// hash says whether Python could use a value as a key.
type hash uint8

const (
	unhashable hash = iota
	hashable
	// unresolved is the mention of something that has not come yet.
	unresolved
)

// value reads one expression into slot, which does not move any more.
func (d *Decoder) value(slot *any) (hash, error) {
	start := d.r.Offset()
	if d.depth > 0 && d.allowed[tagUnicode] && d.r.Take("\x02\x80"+unicodeWord) {
		return d.unicode(1, slot)
	}
	var t banana.Token
	if err := d.r.Read(&t); err != nil {
		return 0, d.malformed(err)
	}
	switch t.Kind {
	case banana.Int:
		if uint64(t.Int) < 256 || !d.slab.on() {
			*slot = t.Int
		} else {
			*slot = d.slab.box(int64Word, uint64(t.Int))
		}
	case banana.String:
		*slot = d.boxBytes(t.Bytes)
	case banana.List:
		n := int(t.Int) - 1
		if err := d.head(start, &t); err != nil {
			return 0, err
		}
		return d.typed(start, &t, n, slot)
	case banana.Vocab:
		*slot = []byte(banana.Symbol(t.Int).String())
	case banana.Float:
		if !d.slab.on() {
			*slot = t.Float
		} else {
			*slot = d.slab.box(float64Word, math.Float64bits(t.Float))
		}
	default:
		*slot = t.Big()
	}
	return hashable, nil
}

// head reads the type of an expression, the first of the elements of a list, in the place of the
// list's own token.
func (d *Decoder) head(start int, t *banana.Token) error {
	if t.Int == 0 {
		return d.fail(start, "an empty list has no type")
	}
	if d.depth == 0 {
		return d.tooDeep(start)
	}
	if err := d.r.Read(t); err != nil {
		return d.malformed(err)
	}
	if !t.IsText() {
		return d.fail(start, "the type of an expression must be a string, not "+t.Kind.String())
	}
	return nil
}

// typed reads the n elements of an expression behind its type.
func (d *Decoder) typed(start int, word *banana.Token, n int, slot *any) (hash, error) {
	t := tagOf(word)
	if t != tagNone && !d.allowed[t] {
		return 0, d.insecure(start, "type %q is not allowed: SecurityOptions.AllowTypes would allow it", t)
	}
	levels := nestingOf[t]
	if levels > d.nesting {
		return 0, d.nestedTooDeeply(start)
	}
	d.nesting -= levels
	d.depth--
	var h hash
	var err error
	if t == tagNone {
		h, err = d.object(start, *word, n, slot)
	} else {
		h, err = d.tagged(t, start, n, slot)
	}
	d.depth++
	d.nesting += levels
	return h, err
}

// nestingOf says which types count as one level of nesting.
var nestingOf = [tagCount]int{
	tagNone: 1, tagList: 1, tagTuple: 1, tagDictionary: 1, tagSet: 1, tagFrozenset: 1, tagMethod: 1, tagInstance: 1,
}

// elements reads as many values as there is room for and says whether all are hashable.
func (d *Decoder) elements(elems []any) (hash, error) {
	if !d.slab.on() && len(elems) < slabFrom {
		return d.each(elems)
	}
	// The places in a slab are for the elements of one list, not for what is in these.
	outer := d.slab
	d.slab = slab{}
	if len(elems) >= slabFrom {
		d.slab.left = len(elems)
	}
	all, err := d.each(elems)
	d.slab = outer
	return all, err
}

func (d *Decoder) each(elems []any) (hash, error) {
	all := hashable
	for i := d.slab.ints(d.r, elems); i < len(elems); i++ {
		h, err := d.value(&elems[i])
		if err != nil {
			return 0, err
		}
		if h != hashable {
			// What is yet to come cannot be judged now, and no peer sends it in a key.
			all = unhashable
		}
	}
	return all, nil
}

// skip passes over elements that Twisted does not look at either.
func (d *Decoder) skip(n int) error {
	for ; n > 0; n-- {
		if err := d.r.Skip(); err != nil {
			return d.malformed(err)
		}
	}
	return nil
}

// text reads an element that must be a string.
func (d *Decoder) text(t tag, have int) (banana.Token, error) {
	at := d.r.Offset()
	if have < 1 {
		return banana.Token{}, d.fail(at, t.String()+" has too few elements")
	}
	token, err := d.r.Next()
	if err != nil {
		return token, d.malformed(err)
	}
	if !token.IsText() {
		return token, d.fail(at, t.String()+" wants a string, not "+token.Kind.String())
	}
	return token, nil
}

func (d *Decoder) malformed(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &DecodeError{Offset: d.r.Offset(), What: "malformed frame", Err: err}
}

func (d *Decoder) fail(at int, what string) error { return &DecodeError{Offset: at, What: what} }

func (d *Decoder) tooDeep(at int) error {
	return &DecodeError{Offset: at, What: "lists are nested too deeply", Limit: banana.LimitDepth}
}

func (d *Decoder) nestedTooDeeply(at int) error {
	most := d.Nesting
	if most <= 0 {
		most = DefaultNesting
	}
	return &DecodeError{Offset: at, What: fmt.Sprintf("nested too deeply, more than %d values", most), Limit: LimitNesting}
}

func (d *Decoder) insecure(at int, format string, args ...any) error {
	return &InsecureJellyError{Offset: at, What: fmt.Sprintf(format, args...), Incoming: true}
}
