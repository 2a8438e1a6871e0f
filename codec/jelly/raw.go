package jelly

import (
	"fmt"
	"iter"
	"sync"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Raw is an expression that was not decoded: its bytes, with a hole for each reference, because only a connection knows
// what a reference is. [Decoder.DecodeRaw] makes one. It is encoded as any value, for the same connection or another,
// with its holes filled by the values to which they were bound. Copies of classes that nobody here knows pass.
//
// Only what the Decoder would accept becomes a Raw, and elements that it ignores are left out. A Raw may be encoded any
// number of times, by one goroutine at a time. The zero Raw is no value, and cannot be encoded.
type Raw struct {
	buf     []byte
	profile banana.Profile
	holes   []rawHole
	ids     []rawID // of references, in order
	most    int     // the greatest of these ids
	arrays  []rawSpan

	outer       tag // the type of the whole expression, behind references; tagNone if it is an atom or of a class
	depth       int // number of nested lists
	nesting     int // number of nested containers
	longest     int // length of the longest string
	longestList int
	hashable    bool
	shared      bool // buf belongs to another Raw
}

// rawHole is the position of a reference that was cut out.
type rawHole struct {
	at      int
	unbound *Unbound
}

// rawID is the position of an id in [reference id value] or [dereference id].
type rawID struct {
	at, end int
	id      int
	defines bool // it is that of a reference
}

type rawSpan struct{ at, end int }

var raws = sync.Pool{New: func() any { return new(Raw) }}

// NewRaw returns an empty Raw from a pool. [Raw.Free] returns it.
func NewRaw() *Raw { return raws.Get().(*Raw) }

// Free returns r to the pool. Neither r nor a part of it may be used afterwards.
func (r *Raw) Free() {
	if r == nil || r.shared || cap(r.buf) > pooledBytes || cap(r.holes) > pooledItems || cap(r.ids) > pooledItems ||
		cap(r.arrays) > pooledItems {
		return
	}
	r.clear()
	raws.Put(r)
}

func (r *Raw) clear() {
	clear(r.holes)
	*r = Raw{buf: r.buf[:0], holes: r.holes[:0], ids: r.ids[:0], arrays: r.arrays[:0]}
}

// Len returns the length of the expression in bytes, without its holes.
func (r *Raw) Len() int { return len(r.buf) }

// Bound returns the values to which the holes were bound, in order.
func (r *Raw) Bound() iter.Seq[any] {
	return func(yield func(any) bool) {
		for i := range r.holes {
			if !yield(r.holes[i].unbound.Value()) {
				return
			}
		}
	}
}

// Holes returns the number of holes.
func (r *Raw) Holes() int { return len(r.holes) }

// IsTuple reports whether the expression is a tuple or a list, as the arguments of a call are.
func (r *Raw) IsTuple() bool { return r.outer == tagTuple || r.outer == tagList }

// IsDict reports whether the expression is a dictionary.
func (r *Raw) IsDict() bool { return r.outer == tagDictionary }

func (r *Raw) isMade() bool { return len(r.buf)+len(r.holes) > 0 }

// DescribeJelly implements [Describer].
func (r *Raw) DescribeJelly() string {
	return fmt.Sprintf("%d bytes that were not decoded", len(r.buf))
}

var errNoRaw = invalid("the Raw is empty: DecodeRaw has not filled it")

// JellyTo implements [Jellyable].
func (r *Raw) JellyTo(e *Encoder, _ any) error {
	if r == nil {
		return e.Value(nil)
	}
	return r.encode(e)
}

// Raw appends one expression that was not decoded. It is [Fragment.Jelly] otherwise.
func (f *Fragment) Raw(r *Raw) (err error) {
	f.begin()
	defer f.finish("value", &err)
	return r.encode(&f.e)
}

// encode writes the expression, with the ids of its references behind those that the encoder has given out.
func (r *Raw) encode(e *Encoder) error {
	if !r.isMade() {
		return errNoRaw
	}
	if err := r.fits(e); err != nil {
		return err
	}
	e.deepest = max(e.deepest, e.depth+r.depth)
	s := &e.sharing
	base := s.next
	s.next += r.most
	if base == 0 && len(r.holes) == 0 && r.speaks(e.ctx.Profile) {
		at := len(e.buf)
		e.buf = append(e.buf, r.buf...)
		for _, id := range r.ids {
			s.derefs = append(s.derefs, deref{at + id.at, at + id.end, id.id})
		}
		return nil
	}
	return r.encodeParts(e, base)
}

// speaks reports whether the bytes are those of a profile too.
func (r *Raw) speaks(p banana.Profile) bool {
	return r.profile == p || r.profile.HasVocabulary() && p.HasVocabulary() && (len(r.arrays) == 0 || p.IsExtended())
}

// fits checks the expression against the limits of the encoder.
func (r *Raw) fits(e *Encoder) error {
	switch {
	case e.hashing && !r.hashable:
		return e.mustHash("value that was not decoded")
	case r.longest > e.lim.String:
		return &EncodeError{What: "too long", Err: e.lim.CheckString(r.longest)}
	case r.longestList > e.lim.List:
		return &EncodeError{What: "too long", Err: e.lim.CheckList(r.longestList)}
	case e.nested+r.nesting > e.mostNested:
		return e.nestedTooDeeply()
	case e.depth+r.depth >= e.lim.Depth:
		return e.tooDeep(e.depth + r.depth + 1)
	case len(e.buf)+len(r.buf) > e.lim.Frame:
		return &EncodeError{What: "the message is too large", Err: e.lim.CheckFrame(len(e.buf) + len(r.buf))}
	}
	return nil
}

// encodeParts is encode for an expression whose bytes cannot be copied in one piece.
func (r *Raw) encodeParts(e *Encoder, base int) error {
	s, from := &e.sharing, 0
	holes, ids, arrays := r.holes, r.ids, r.arrays
	if r.speaks(e.ctx.Profile) {
		arrays = nil
	}
	for len(holes)+len(ids)+len(arrays) > 0 {
		hole, id, array := anyNumber, anyNumber, anyNumber
		if len(holes) > 0 {
			hole = holes[0].at
		}
		if len(ids) > 0 {
			id = ids[0].at
		}
		if len(arrays) > 0 {
			array = arrays[0].at
		}
		at := min(hole, id, array)
		if err := r.copyTo(e, r.buf[from:at]); err != nil {
			return err
		}
		from = at
		switch at {
		case hole:
			if err := e.value(holes[0].unbound.Value()); err != nil {
				return err
			}
			holes = holes[1:]
		case id:
			begin := len(e.buf)
			e.Int(int64(base + ids[0].id))
			s.derefs = append(s.derefs, deref{begin, len(e.buf), base + ids[0].id})
			from, ids = ids[0].end, ids[1:]
		default:
			if err := r.writeArray(e, arrays[0]); err != nil {
				return err
			}
			from, arrays = arrays[0].end, arrays[1:]
		}
	}
	return r.copyTo(e, r.buf[from:])
}

// copyTo writes whole tokens, with strings and words of the vocabulary as the profile has them.
func (r *Raw) copyTo(e *Encoder, tokens []byte) error {
	if r.profile.HasVocabulary() == e.ctx.Profile.HasVocabulary() {
		e.buf = append(e.buf, tokens...)
		return nil
	}
	var in banana.Reader
	in.Reset(tokens, r.profile)
	for at := 0; at < len(tokens); at = in.Offset() {
		// A list has its elements behind it, and perhaps holes among them.
		if n, end, ok := listHead(tokens[at:]); ok {
			e.buf = banana.AppendList(e.buf, n)
			in.Reset(tokens[at+end:], r.profile)
			tokens = tokens[at+end:]
			continue
		}
		t, err := in.Next()
		if err != nil {
			return &EncodeError{What: "a value that was not decoded is damaged", Err: err}
		}
		if t.IsText() {
			e.buf = banana.AppendString(e.buf, e.ctx.Profile, t.Text())
		} else {
			e.buf = append(e.buf, tokens[at:in.Offset()]...)
		}
	}
	return nil
}

// listHead reads the head of a list, if buf begins with one. banana.Reader would want all its elements.
func listHead(buf []byte) (n, end int, ok bool) {
	for shift := 0; end < len(buf) && shift < 63; shift += 7 {
		b := buf[end]
		end++
		if b >= 0x80 {
			return n, end, banana.Kind(b) == banana.List
		}
		n |= int(b) << shift
	}
	return 0, 0, false
}

// writeArray writes an array as the list that it stands for.
func (r *Raw) writeArray(e *Encoder, at rawSpan) error {
	var in banana.Reader
	in.Reset(r.buf[at.at:at.end], r.profile)
	d := Decoder{r: &in}
	for range 2 {
		if _, err := in.Next(); err != nil {
			return d.malformed(err)
		}
	}
	form, numbers, err := d.readArray(2)
	if err != nil {
		return err
	}
	n := len(numbers) / form.size
	if n+1 > e.lim.List {
		return &EncodeError{What: "too long", Err: e.lim.CheckList(n + 1)}
	}
	return e.value(form.made(numbers, 0))
}

// Decode decodes the expression after all. d has the limits and the registry; its Unbounds are those of instances,
// which are not made yet. The references are bound to what the holes were bound to.
func (r *Raw) Decode(d *Decoder, dst *any) error {
	if r == nil || !r.isMade() {
		return errNoRaw
	}
	buf := make([]byte, 0, len(r.buf)+8*len(r.holes))
	from := 0
	for i := range r.holes {
		h := &r.holes[i]
		buf = append(buf, r.buf[from:h.at]...)
		buf = banana.AppendSymbol(banana.AppendList(buf, 2), r.profile, banana.SymLocal)
		buf = banana.AppendInt(buf, int64(i))
		from = h.at
	}
	buf = append(buf, r.buf[from:]...)
	var in banana.Reader
	in.Reset(buf, r.profile)
	had := len(d.unbound)
	d.begin(&in)
	local := d.allowed[tagLocal]
	d.allowed[tagLocal] = true
	_, err := d.value(dst)
	d.allowed[tagLocal] = local
	if err = d.end(err); err != nil {
		return err
	}
	left := d.unbound[:had]
	for _, u := range d.unbound[had:] {
		if !u.instance && u.Tag == tagNames[tagLocal] {
			u.Bind(r.holes[u.ID].unbound.Value())
			continue
		}
		left = append(left, u)
	}
	d.unbound = left
	return nil
}

// Bind makes a value of Go part of an expression that was not decoded: the Raw is v, and encoded as v is.
func (r *Raw) Bind(v any) {
	r.clear()
	u := &Unbound{}
	u.Bind(v)
	r.holes = append(r.holes, rawHole{0, u})
	r.hashable = true
}

// part returns an expression within r: the bytes between two positions, and the holes and ids from the given indexes
// on.
func (r *Raw) part(at, end, hole, holes, id int) (*Raw, error) {
	p := &Raw{
		buf: r.buf[at:end:end], profile: r.profile, most: r.most, shared: true,
		depth: r.depth, nesting: r.nesting, longest: r.longest, longestList: r.longestList,
	}
	for _, h := range r.holes[hole : hole+holes] {
		p.holes = append(p.holes, rawHole{h.at - at, h.unbound})
	}
	defined := map[int]bool{}
	for ; id < len(r.ids) && r.ids[id].at < end; id++ {
		x := r.ids[id]
		p.ids = append(p.ids, rawID{x.at - at, x.end - at, x.id, x.defines})
		if x.defines {
			defined[x.id] = true
		}
	}
	for _, x := range p.ids {
		if !defined[x.id] {
			return nil, errSharedPart
		}
	}
	for _, a := range r.arrays {
		if a.at >= at && a.end <= end {
			p.arrays = append(p.arrays, rawSpan{a.at - at, a.end - at})
		}
	}
	p.outer = p.firstTag()
	return p, nil
}

// firstTag returns the type of an expression that is a list, tagNone if it is an atom or of a class.
func (r *Raw) firstTag() tag {
	_, at, ok := listHead(r.buf)
	if !ok {
		return tagNone
	}
	var in banana.Reader
	in.Reset(r.buf[at:], r.profile)
	word, err := in.Next()
	if err != nil {
		return tagNone
	}
	return tagOf(&word)
}

// errSharedPart is the error of a part that cannot stand alone.
var errSharedPart = invalid("a value that is kept as it came shares a part with another one of the same message")

// Elements returns the elements of a tuple or list as expressions of their own. They refer to r, which must not be
// freed.
func (r *Raw) Elements() ([]*Raw, error) {
	c, n, err := r.inside()
	if err != nil {
		return nil, err
	}
	parts := make([]*Raw, 0, n)
	for range n {
		p, err := c.next()
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// Entries returns the entries of a dictionary whose keys are text, as keyword arguments are.
func (r *Raw) Entries() (names []string, values []*Raw, err error) {
	c, n, err := r.inside()
	if err != nil {
		return nil, nil, err
	}
	for range n {
		if _, end, ok := listHead(r.buf[c.at:]); ok {
			c.at += end
		}
		key, err := c.next()
		if err != nil {
			return nil, nil, err
		}
		var d Decoder
		var name any
		if err := key.Decode(&d, &name); err != nil {
			return nil, nil, err
		}
		value, err := c.next()
		if err != nil {
			return nil, nil, err
		}
		switch name := name.(type) {
		case string:
			names = append(names, name)
		case []byte:
			names = append(names, string(name))
		default:
			return nil, nil, invalid("the name of a keyword must be a str, not a %T", name)
		}
		values = append(values, value)
	}
	return names, values, nil
}

// rawCursor walks over the elements of a Raw.
type rawCursor struct {
	raw      *Raw
	at       int
	hole, id int // the next ones
}

// inside returns a cursor in front of the elements of the expression, and their number.
func (r *Raw) inside() (*rawCursor, int, error) {
	n, at, ok := listHead(r.buf)
	if !ok || n == 0 || r.outer == tagNone || len(r.ids) > 0 && r.ids[0].at < r.afterWord(at)+1 {
		return nil, 0, errSharedPart
	}
	return &rawCursor{raw: r, at: r.afterWord(at)}, n - 1, nil
}

// afterWord returns the position behind the word of an expression, which stands at a position.
func (r *Raw) afterWord(at int) int {
	var in banana.Reader
	in.Reset(r.buf[at:], r.profile)
	if _, err := in.Next(); err != nil {
		return len(r.buf)
	}
	return at + in.Offset()
}

// next returns the next element.
func (c *rawCursor) next() (*Raw, error) {
	r, at, hole, id := c.raw, c.at, c.hole, c.id
	var in banana.Reader
	for owed := 1; owed > 0; owed-- {
		if c.hole < len(r.holes) && r.holes[c.hole].at == c.at {
			c.hole++
			continue
		}
		if n, end, ok := listHead(r.buf[c.at:]); ok {
			owed += n
			c.at += end
			continue
		}
		in.Reset(r.buf[c.at:], r.profile)
		if _, err := in.Next(); err != nil {
			return nil, &EncodeError{What: "a value that was not decoded is damaged", Err: err}
		}
		c.at += in.Offset()
	}
	for c.id < len(r.ids) && r.ids[c.id].at < c.at {
		c.id++
	}
	return r.part(at, c.at, hole, c.hole-hole, id)
}
