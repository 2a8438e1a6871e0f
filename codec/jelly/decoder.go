package jelly

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Decoder decodes Jelly to Go values. The zero Decoder accepts the basic types and references, with the default
// limits. It may be reused, by one goroutine at a time; decoded values do not refer to the Decoder.
type Decoder struct {
	// Registry holds the classes whose objects are accepted.
	Registry *Registry
	// Taster holds the types that are accepted. nil means DefaultSecurity, and then every class in Registry is
	// accepted. Do not change the options while the Decoder is in use.
	Taster *SecurityOptions
	// Limits.Depth is the maximum number of nested lists in a frame, including the list of the message. The other
	// fields are not used: the Scanner enforces them.
	Limits banana.Limits
	// Nesting is the limit on nested values; 0 means DefaultNesting.
	Nesting int
	// References is the maximum number of references to the peer's objects, [remote id], between two Resets; 0 means
	// no limit. A reference takes some hundred bytes of memory, but at most six on the wire.
	References int
	// AliasFrom is the length from which []byte values refer to the frame instead of being copied; 0 means never.
	// Such a value keeps the whole frame alive, and the frame must not be written to again; see Aliased.
	AliasFrom int
	// AcceptInstances accepts the classes that DecodeRaw accepts: objects of a class that is not registered are
	// decoded to *Instance.
	AcceptInstances bool
	// Addresses accepts [address kind id], where references are accepted. Only the extended profile has it, and only
	// peers that are trusted may send it: it names an object that they were not given.
	Addresses bool
	// PersistentLoad returns the object for [persistent id]. id is an int64, a *big.Int, a float64 or []byte. Without
	// PersistentLoad the value is a Persistent.
	PersistentLoad func(id any) (any, error)

	// State of the current frame.

	r       *banana.Reader
	depth   int // how many more lists may be opened
	nesting int // how many more containers may be opened
	unbound []*Unbound
	remotes int // number of [remote id]
	// whole begins with the expression. It and wholeWeight, which is 0 if it is not known, are for the weights of
	// caches.
	whole        []byte
	wholeWeight  int
	weighs       bool // the state of a cache is being decoded
	dereferences int  // number of [dereference id] in the expression
	aliased      bool
	refs         references
	slab         slab // for the numbers of a long list or dictionary
	direct       directly

	// State that is kept between frames.

	tasted  bool
	taster  *SecurityOptions // the source of allowed
	allowed [tagCount]bool
	strings *stringCache // nil until a str has come
	raw     *rawDecoder  // nil until DecodeRaw is called
}

// Reset drops the Unbounds of the previous frame.
func (d *Decoder) Reset() {
	d.unbound = nil // Callers may still use the slice.
	d.remotes, d.aliased = 0, false
}

// Aliased reports whether a value decoded since Reset refers to its frame.
func (d *Decoder) Aliased() bool { return d.aliased }

// Unbound returns what must be bound in the values decoded since Reset, including those of a Decode that failed.
// References are in wire order; an instance comes after those in its state.
func (d *Decoder) Unbound() []*Unbound { return d.unbound }

// Decode decodes one expression, as one call of Twisted's unjelly does, and stores its value in dst. dst may be a
// place that is bound later, so it must not be moved before that. After an error the position of r is within the
// expression.
func (d *Decoder) Decode(r *banana.Reader, dst *any) error {
	if d == nil || r == nil || dst == nil {
		return errNothingToDecode
	}
	if n, ok := r.TakeInt(); ok {
		*dst = n // It needs no state.
		return nil
	}
	d.begin(r)
	_, err := d.value(dst)
	return d.end(err)
}

var errNothingToDecode = errors.New(
	"jelly: Decode needs a Decoder, a reader and a place for the value, none of them nil",
)

// DecodeTuple is like [Decoder.Decode] for an expression that must be a tuple, such as positional arguments. It
// reuses the capacity of dst.
func (d *Decoder) DecodeTuple(r *banana.Reader, dst *Tuple) error {
	if d == nil || r == nil || dst == nil {
		return errNothingToDecode
	}
	if d.tupleOfInts(r, dst) {
		return nil
	}
	d.begin(r)
	return d.end(d.wantTuple(dst))
}

// tupleOfInts decodes a short tuple of small integers, as arguments often are, which needs no state. It returns false
// for anything else, and if it does not know whether tuples are accepted.
func (d *Decoder) tupleOfInts(r *banana.Reader, dst *Tuple) bool {
	if !d.tasted || d.taster != d.Taster || !d.allowed[tagTuple] || d.Limits.Depth == 1 {
		return false
	}
	before := *r
	n, ok := r.TakeHead(banana.SymTuple)
	if !ok {
		return false
	}
	if n >= slabFrom || n > cap(*dst) || *dst == nil {
		*r = before
		return false
	}
	elems := (*dst)[:n]
	for i := range elems {
		v, ok := r.TakeInt()
		if !ok {
			clear(elems)
			*r = before
			return false
		}
		elems[i] = v
	}
	*dst = elems
	return true
}

func (d *Decoder) wantTuple(dst *Tuple) error {
	start := d.r.Offset()
	t, err := d.r.Next()
	if err != nil {
		return d.malformed(err)
	}
	if t.Kind != banana.List {
		return d.fail(start, "expected a tuple, not "+t.Kind.String())
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
	// It may still be a tuple that is wrapped in a reference.
	var v any
	if _, err = d.typed(start, &t, n, &v); err != nil {
		return err
	}
	tuple, ok := v.(Tuple)
	if !ok {
		return d.fail(start, fmt.Sprintf("expected a tuple, not a %T", v))
	}
	*dst = tuple
	return nil
}

func (d *Decoder) begin(r *banana.Reader) {
	d.r, d.whole, d.wholeWeight, d.weighs, d.dereferences = r, r.Rest(), 0, false, 0
	if !d.tasted || d.taster != d.Taster {
		d.tasted, d.taster = true, d.Taster
		d.allowed = allowedTags(d.Taster)
	}
	d.allowed[tagAddress] = d.Addresses && d.allowed[tagRemote]
	depth := d.Limits.Depth
	if depth <= 0 {
		depth = banana.DefaultDepth
	}
	d.depth = depth - 1 // The message itself is a list.
	if d.nesting = d.Nesting; d.nesting <= 0 {
		d.nesting = DefaultNesting
	}
}

func (d *Decoder) end(err error) error {
	if err == nil && d.refs.waiting > 0 {
		err = d.fail(d.r.Offset(), fmt.Sprintf("reference %d is mentioned but not defined", d.refs.missing()))
	}
	d.refs.end()
	d.r, d.whole, d.slab = nil, nil, slab{}
	return err
}

// unicodeWord is the type of a str in its usual encoding.
const unicodeWord = "\x07\x82unicode"

// hash is whether a value can be a key in Python.
type hash uint8

const (
	unhashable hash = iota
	hashable
	// unresolved is a mention of an object that has not been decoded yet.
	unresolved
)

// value decodes one expression into slot, which must not move.
func (d *Decoder) value(slot *any) (hash, error) {
	start := d.r.Offset()
	if d.depth > 0 && d.allowed[tagUnicode] && d.r.Take("\x02\x80"+unicodeWord) {
		return d.unicode(1, slot)
	}
	if n, ok := d.r.TakeInt(); ok {
		*slot = d.boxInt(n)
		return hashable, nil
	}
	var t banana.Token
	if err := d.r.Read(&t); err != nil {
		return 0, d.malformed(err)
	}
	switch t.Kind {
	case banana.Int:
		*slot = d.boxInt(t.Int)
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

// head replaces the token of a list with its first element, the type of an expression.
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

// typed decodes the n elements of an expression after its type.
func (d *Decoder) typed(start int, word *banana.Token, n int, slot *any) (hash, error) {
	t, err := d.typeOf(start, word)
	if err != nil {
		return 0, err
	}
	form := &grammar[t]
	levels := form.nesting
	switch {
	case levels > d.nesting:
		return 0, d.nestedTooDeeply(start)
	case n < form.least:
		return 0, d.hasTooFew(t, start)
	}
	d.nesting -= levels
	d.depth--
	var h hash
	if t == tagNone {
		h, err = d.object(start, *word, n, slot)
	} else {
		h, err = d.tagged(t, start, n, slot)
	}
	d.depth++
	d.nesting += levels
	return h, err
}

// elements decodes len(elems) values and returns whether all are hashable.
func (d *Decoder) elements(elems []any) (hash, error) {
	if !d.slab.on() && len(elems) < slabFrom {
		return d.each(elems)
	}
	// A slab is for the elements of one list, not for lists within them.
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
			all = unhashable // This includes unresolved mentions, which no peer sends in a key.
		}
	}
	return all, nil
}

// skip skips n elements, which Twisted ignores too.
func (d *Decoder) skip(n int) error {
	for ; n > 0; n-- {
		if err := d.r.Skip(); err != nil {
			return d.malformed(err)
		}
	}
	return nil
}

// text reads an element that must be a string; have is the number of elements left.
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
		return token, d.fail(at, t.String()+" needs a string, not "+token.Kind.String())
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
	return &DecodeError{
		Offset: at, What: fmt.Sprintf("nested too deeply, more than %d values", most), Limit: LimitNesting,
	}
}

func (d *Decoder) insecure(at int, format string, args ...any) error {
	return &InsecureJellyError{Offset: at, What: fmt.Sprintf(format, args...), Incoming: true}
}
