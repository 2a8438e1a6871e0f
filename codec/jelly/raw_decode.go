package jelly

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
)

// DecodeRaw reads one expression as [Decoder.Decode] does, but keeps its bytes in dst, undecoded. It accepts what
// Decode would accept, except that any class passes as a copy, [class state], registered or not. These are refused,
// with an [*InsecureJellyError]: a Cacheable, [class luid state]; a copy whose state is no list, because the number of
// an object might be taken for one; and anything else of a class that is not registered.
//
// Each reference becomes a hole, and an Unbound of the Decoder, in wire order. Nothing is copied that was not
// understood: elements that Decode ignores are left out.
func (d *Decoder) DecodeRaw(r *banana.Reader, dst *Raw) error {
	if d == nil || r == nil || dst == nil {
		return errNothingToDecode
	}
	d.begin(r)
	if d.raw == nil {
		d.raw = new(rawDecoder)
	}
	s := d.raw
	s.begin(d, dst)
	h, err := s.value()
	if err == nil {
		s.flush(r.Offset())
		dst.hashable = h == hashable
		dst.depth, dst.nesting = s.depth-s.leastDepth, s.nesting-s.leastNesting
		if s.refs.waiting > 0 {
			err = d.fail(r.Offset(), "a reference is mentioned but not defined")
		} else {
			s.number()
		}
	}
	s.refs.end()
	s.dst, s.d = nil, nil
	d.r, d.whole = nil, nil
	return err
}

// rawDecoder is the state of a DecodeRaw.
type rawDecoder struct {
	d    *Decoder
	dst  *Raw
	base int // position of the expression
	from int // position of what has not been copied

	depth, leastDepth     int // how many more lists could be opened at the beginning, and at the deepest place
	nesting, leastNesting int // the same for containers

	refs    rawReferences
	isClass bool // the latest value is a Class
	wrapped bool // the value is behind references at the beginning of the expression
}

func (s *rawDecoder) begin(d *Decoder, dst *Raw) {
	dst.clear()
	dst.profile = d.r.Profile()
	s.d, s.dst = d, dst
	s.base, s.from = d.r.Offset(), d.r.Offset()
	s.depth, s.leastDepth, s.nesting, s.leastNesting = d.depth, d.depth, d.nesting, d.nesting
	s.wrapped = true
}

// flush copies what has been read up to a position.
func (s *rawDecoder) flush(upTo int) {
	s.dst.buf = append(s.dst.buf, s.d.whole[s.from-s.base:upTo-s.base]...)
	s.from = upTo
}

// place returns where a position of the frame will be in the copy.
func (s *rawDecoder) place(at int) int { return len(s.dst.buf) + at - s.from }

// value reads one expression.
func (s *rawDecoder) value() (hash, error) {
	d := s.d
	start := d.r.Offset()
	s.isClass = false
	outermost := s.wrapped
	s.wrapped = false
	var t banana.Token
	if err := d.r.Read(&t); err != nil {
		return 0, d.malformed(err)
	}
	switch t.Kind {
	case banana.String:
		s.dst.longest = max(s.dst.longest, len(t.Bytes))
		return hashable, nil
	case banana.List:
	default:
		return hashable, nil
	}
	n, word := int(t.Int)-1, d.r.Offset()
	if err := d.head(start, &t); err != nil {
		return 0, err
	}
	typ, err := d.typeOf(start, &t)
	if err != nil {
		return 0, err
	}
	form := &grammar[typ]
	switch {
	case form.nesting > d.nesting:
		return 0, d.nestedTooDeeply(start)
	case n < form.least:
		return 0, d.hasTooFew(typ, start)
	}
	d.nesting -= form.nesting
	d.depth--
	s.leastDepth, s.leastNesting = min(s.leastDepth, d.depth), min(s.leastNesting, d.nesting)
	if outermost {
		if s.wrapped = typ == tagReference; !s.wrapped {
			s.dst.outer = typ
		}
	}
	var h hash
	switch form.of {
	case classElements:
		h, err = s.object(start, word, t, n)
	case objectElements, addressElements:
		h, err = hashable, s.hole(typ, start, n)
	default:
		most, at := min(n, form.most), s.place(start)
		if n > most {
			s.shorten(start, word, most)
		}
		s.dst.longestList = max(s.dst.longestList, most+1)
		if h, err = s.elements(typ, start, at, most); err == nil && n > most {
			err = s.leaveOut(n - most)
		}
	}
	d.depth++
	d.nesting += form.nesting
	return h, err
}

// shorten writes the head of a list that keeps most elements behind its word.
func (s *rawDecoder) shorten(start, word, most int) {
	s.flush(start)
	s.dst.buf = banana.AppendList(s.dst.buf, most+1)
	s.from = word
}

// leaveOut skips elements, and does not copy them.
func (s *rawDecoder) leaveOut(n int) error {
	s.flush(s.d.r.Offset())
	err := s.d.skip(n)
	s.from = s.d.r.Offset()
	return err
}

// elements reads the n elements of an expression that count. The expression begins at the place at of the copy.
func (s *rawDecoder) elements(t tag, start, at, n int) (h hash, err error) {
	d := s.d
	switch grammar[t].of {
	case textElement:
		return hashable, s.text(t, start, n)
	case valueElements:
		s.begun(listHash(t))
		h, err = s.values(n, t == tagSet || t == tagFrozenset, t)
		if err != nil || t == tagTuple {
			return h, err
		}
		return listHash(t), nil
	case pairElements:
		s.begun(unhashable)
		return unhashable, s.pairs(n)
	case referenceElements:
		return s.reference(start)
	case dereferenceElements:
		return s.dereference()
	case arrayElements:
		_, b, err := d.readArray(n)
		if err == nil {
			s.dst.longest = max(s.dst.longest, len(b))
			s.dst.arrays = append(s.dst.arrays, rawSpan{at, s.place(d.r.Offset())})
			s.begun(unhashable)
		}
		return unhashable, err
	case decimalElements:
		_, err = d.readDecimal(start)
	case persistentElements:
		_, err = d.persistentID(start)
	case nameElements:
		err = s.name(t, start, n)
	}
	return hashable, err
}

// listHash is whether a container is hashable when it begins. Whether a tuple is, is known at its end.
func listHash(t tag) hash {
	if t == tagFrozenset {
		return hashable
	}
	return unhashable
}

func (s *rawDecoder) text(t tag, start, n int) (err error) {
	d := s.d
	switch t {
	case tagUnicode:
		var token banana.Token
		token, err = d.utf8(n)
		if token.Kind == banana.String {
			s.dst.longest = max(s.dst.longest, len(token.Bytes))
		}
	case tagBoolean:
		_, err = d.truth(n)
	default:
		_, err = d.moment(t, start, n)
	}
	return err
}

// values reads n values. Members of a set must be hashable.
func (s *rawDecoder) values(n int, members bool, t tag) (all hash, err error) {
	all = hashable
	for range n {
		at := s.d.r.Offset()
		h, err := s.value()
		switch {
		case err != nil:
			return 0, err
		case h == hashable:
		case members:
			return 0, s.d.unhashable(at, "a member of a "+t.String(), h)
		default:
			all = unhashable
		}
	}
	return all, nil
}

func (s *rawDecoder) pairs(n int) error {
	d := s.d
	if n > 0 && d.depth == 0 {
		return d.tooDeep(d.r.Offset())
	}
	d.depth--
	if n > 0 {
		s.leastDepth = min(s.leastDepth, d.depth)
	}
	for range n {
		at := d.r.Offset()
		pair, err := d.r.Next()
		if err != nil {
			return d.malformed(err)
		}
		if pair.Kind != banana.List || pair.Int != 2 {
			return d.fail(at, "the elements of a dictionary must be pairs")
		}
		at = d.r.Offset()
		h, err := s.value()
		if err != nil {
			return err
		}
		if h != hashable {
			return d.unhashable(at, "the key of a dictionary", h)
		}
		if _, err = s.value(); err != nil {
			return err
		}
	}
	d.depth++
	return nil
}

// hole reads a reference of n elements and leaves it out.
func (s *rawDecoder) hole(t tag, start, n int) error {
	u, err := s.d.readReference(t, start, n)
	if err == nil {
		s.cutOut(start, u)
	}
	return err
}

// cutOut leaves out a reference that has been read.
func (s *rawDecoder) cutOut(start int, u *Unbound) {
	s.flush(start)
	s.from = s.d.r.Offset()
	s.dst.holes = append(s.dst.holes, rawHole{len(s.dst.buf), u})
	s.d.unbound = append(s.d.unbound, u)
}

// name reads the elements of a type that begins with a name.
func (s *rawDecoder) name(t tag, start, n int) error {
	d := s.d
	if t == tagInstance {
		return s.oldInstance()
	}
	name, err := d.name(t, start, n)
	if err != nil {
		return err
	}
	s.dst.longest = max(s.dst.longest, len(name))
	switch t {
	case tagClass:
		s.isClass = true
	case tagMethod:
		return s.method(start, n)
	}
	return nil
}

func (s *rawDecoder) method(start, n int) error {
	d := s.d
	if n < 3 {
		return d.fail(start, "method needs a name, an object and a class")
	}
	s.begun(hashable)
	if _, err := s.value(); err != nil {
		return err
	}
	at := d.r.Offset()
	if _, err := s.value(); err != nil {
		return err
	}
	if !s.isClass {
		return d.insecure(at, "the class of a method is not a class")
	}
	s.isClass = false
	return nil
}

func (s *rawDecoder) oldInstance() error {
	d := s.d
	pending := s.refs.pending
	s.refs.pending = nil // The pending references are to the object, not its class.
	at := d.r.Offset()
	if _, err := s.value(); err != nil {
		return err
	}
	s.refs.pending = pending
	if !s.isClass {
		return d.insecure(at, "the class of an instance is not a class")
	}
	s.begun(hashable)
	_, err := s.value()
	s.isClass = false
	return err
}

// object reads what begins with the name of a class.
func (s *rawDecoder) object(start, wordAt int, word banana.Token, n int) (hash, error) {
	d := s.d
	name := word.Bytes
	if word.Kind == banana.Vocab {
		name = []byte(word.Text())
	}
	class, registered := d.Registry.lookup(name)
	kind, err := d.mayPass(start, name, class, registered, n)
	if err != nil {
		return 0, err
	}
	if kind == Reference {
		return hashable, s.classReference(class, start, n)
	}
	s.begun(hashable)
	s.dst.longest = max(s.dst.longest, len(name))
	if kind == Elements {
		s.dst.longestList = max(s.dst.longestList, n+1)
		_, err := s.values(n, false, tagNone)
		return hashable, err
	}
	if n > 1 {
		s.shorten(start, wordAt, 1)
	}
	if _, err := s.value(); err != nil || n == 1 {
		return hashable, err
	}
	return hashable, s.leaveOut(n - 1)
}

// mayPass returns the kind of a class, and an error for an object that must not be passed on undecoded. The receiver
// may know the class as something else than this side does. So no number may stand where that of an object would.
func (d *Decoder) mayPass(start int, name []byte, class classOf, registered bool, n int) (ClassKind, error) {
	refuse := func(what string) (ClassKind, error) { return 0, d.insecure(start, what, clip(string(name))) }
	kind := RemoteCopy
	if registered {
		kind = class.Kind
	}
	atom := d.r.Peek() != banana.List
	switch {
	case d.Taster != nil && !d.Taster.TypeAllowed(string(name)),
		!registered && strings.IndexByte(string(name), '.') < 0:
		return refuse("type %q is not allowed: SecurityOptions.AllowTypes would allow it")
	case len(name) > maxClassName || !utf8.Valid(name):
		return refuse("%q is no name of a class")
	case kind == RemoteCache, n > 1 && atom && !registered:
		return refuse("the Cacheable of class %q cannot be passed on to another peer")
	case kind == Reference:
		if !d.carriesPlain(n) {
			return refuse("the reference of class %q cannot be passed on: it carries more than numbers and text")
		}
	case kind == Elements:
		if n > 0 && (atom || !d.endsWithList(n)) {
			return refuse("the object of class %q cannot be passed on: it begins or ends with a number or a string")
		}
	case n < 1:
		return 0, d.fail(start, fmt.Sprintf("the object %s needs a state", name))
	case n > 1 && !registered:
		return refuse("class %q is not registered, and its object is no plain copy: it cannot be passed on")
	case atom:
		return refuse("the copy of class %q cannot be passed on: its state is a number or a string")
	}
	return kind, nil
}

// carriesPlain reports whether all but the last of the next n elements are atoms, texts, None or bools.
func (d *Decoder) carriesPlain(n int) bool {
	ahead := *d.r
	for i := 1; i < n; i++ {
		t, err := ahead.Next()
		if err != nil || t.Kind == banana.List && !isPlain(t.Int, &ahead) {
			return false
		}
	}
	return true
}

// endsWithList reports whether the last of the next n elements is a list.
func (d *Decoder) endsWithList(n int) bool {
	at := *d.r
	for range n - 1 {
		if at.Skip() != nil {
			return false
		}
	}
	return at.Peek() == banana.List
}

// classReference reads a reference that carries a class. What else it carries is decoded, and must be plain.
func (s *rawDecoder) classReference(class classOf, start, n int) error {
	d := s.d
	s.begun(hashable)
	u := &Unbound{Tag: class.name, Offset: start, entry: class.ClassEntry}
	had := len(d.unbound)
	if err := d.classReference(u, n); err != nil {
		return err
	}
	d.unbound = d.unbound[:had]
	s.cutOut(start, u)
	return nil
}

// isPlain reads the rest of a list of n elements if it is a text, None or a bool, and reports whether it is.
func isPlain(n int64, r *banana.Reader) bool {
	word, err := r.Next()
	if err != nil || !word.IsText() {
		return false
	}
	switch tagOf(&word) {
	case tagPyNone:
		return n == 1
	case tagUnicode, tagBoolean:
		t, err := r.Next()
		return err == nil && n == 2 && t.IsText()
	}
	return false
}

// rawReferences are the references of one expression.
type rawReferences struct {
	list    []rawReference
	dense   []int32         // index in list plus 1, by id
	sparse  map[int64]int32 // the same for other ids
	pending []int32         // indexes of those whose value has not begun
	waiting int             // number of ids that are mentioned and not known
}

type rawReference struct {
	id      int64
	begun   bool
	known   bool
	waits   bool
	isClass bool
	hash    hash
}

func (r *rawReferences) end() {
	if len(r.list) == 0 {
		return
	}
	clear(r.dense)
	r.list, r.dense, r.pending, r.sparse, r.waiting = r.list[:0], r.dense[:0], r.pending[:0], nil, 0
	if cap(r.dense) > keptReferences {
		r.dense = nil
	}
	if cap(r.list) > keptReferences {
		r.list = nil
	}
}

// index returns the index of an id in the list.
func (r *rawReferences) index(id int64) int32 {
	if i := r.sparse[id]; i > 0 {
		return i - 1
	}
	if id < 1 || id > int64(2*len(r.list)+denseSlack) {
		if r.sparse == nil {
			r.sparse = map[int64]int32{}
		}
		r.list = append(r.list, rawReference{id: id})
		r.sparse[id] = int32(len(r.list))
		return int32(len(r.list)) - 1
	}
	for int64(len(r.dense)) < id {
		r.dense = append(r.dense, 0)
	}
	if r.dense[id-1] == 0 {
		r.list = append(r.list, rawReference{id: id})
		r.dense[id-1] = int32(len(r.list))
	}
	return r.dense[id-1] - 1
}

// begun settles the references that wait for a container that has begun.
func (s *rawDecoder) begun(h hash) {
	if len(s.refs.pending) > 0 {
		s.settle(h)
	}
}

func (s *rawDecoder) settle(h hash) {
	for _, i := range s.refs.pending {
		e := &s.refs.list[i]
		e.known, e.hash, e.isClass = true, h, s.isClass
		if e.waits {
			e.waits = false
			s.refs.waiting--
		}
	}
	s.refs.pending = s.refs.pending[:0]
}

// id reads the id of a reference, and notes its place.
func (s *rawDecoder) id(t tag, defines bool) (int32, error) {
	at := s.d.r.Offset()
	id, err := s.d.refID(t)
	if err != nil {
		return 0, err
	}
	i := s.refs.index(id)
	s.dst.ids = append(s.dst.ids, rawID{s.place(at), s.place(s.d.r.Offset()), int(i), defines})
	return i, nil
}

func (s *rawDecoder) reference(start int) (hash, error) {
	i, err := s.id(tagReference, true)
	if err != nil {
		return 0, err
	}
	e := &s.refs.list[i]
	if e.begun {
		return 0, s.d.fail(start, fmt.Sprintf("two references have the id %d", e.id))
	}
	e.begun = true
	s.refs.pending = append(s.refs.pending, i)
	h, err := s.value()
	if err != nil {
		return 0, err
	}
	if h == unresolved {
		return 0, s.d.fail(start,
			fmt.Sprintf("reference %d is to a reference that has not been defined", s.refs.list[i].id))
	}
	if len(s.refs.pending) > 0 {
		s.settle(h) // The value is a number or a string.
	}
	s.refs.list[i].hash = h
	return h, nil
}

func (s *rawDecoder) dereference() (hash, error) {
	i, err := s.id(tagDereference, false)
	if err != nil {
		return 0, err
	}
	e := &s.refs.list[i]
	if e.known {
		s.isClass = e.isClass
		return e.hash, nil
	}
	if !e.waits {
		e.waits = true
		s.refs.waiting++
	}
	return unresolved, nil
}

// number sets the ids of the references. They are those that the peer chose if it counted from 1, as senders do.
func (s *rawDecoder) number() {
	list, dst := s.refs.list, s.dst
	if len(list) == 0 {
		return
	}
	counted := true
	for i := range list {
		counted = counted && list[i].id >= 1 && list[i].id <= int64(len(list))
	}
	dst.most = len(list)
	if counted {
		for i := range dst.ids {
			dst.ids[i].id = int(list[dst.ids[i].id].id)
		}
		return
	}
	for i := range dst.ids {
		dst.ids[i].id++
	}
	dst.renumber()
}

// renumber writes the ids into the bytes.
func (r *Raw) renumber() {
	old, holes, arrays := r.buf, r.holes, r.arrays
	r.buf = make([]byte, 0, len(old))
	from, moved := 0, 0
	move := func(upTo int) {
		for len(holes) > 0 && holes[0].at <= upTo {
			holes[0].at += moved
			holes = holes[1:]
		}
		for len(arrays) > 0 && arrays[0].end <= upTo {
			arrays[0].at, arrays[0].end = arrays[0].at+moved, arrays[0].end+moved
			arrays = arrays[1:]
		}
	}
	for i := range r.ids {
		x := &r.ids[i]
		move(x.at)
		r.buf = append(r.buf, old[from:x.at]...)
		from = x.end
		x.at = len(r.buf)
		r.buf = banana.AppendInt(r.buf, int64(x.id))
		x.end = len(r.buf)
		moved = x.end - from
	}
	move(anyNumber)
	r.buf = append(r.buf, old[from:]...)
}
