package jelly

import (
	"iter"
	"runtime/debug"
	"sync"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Fragment is a piece of a message: one or more encoded expressions, with holes. The goroutine that has the values
// encodes them; the owner of the connection copies the fragment out with Append, which fills the holes.
//
// A Banana list has its count in front and no end mark. Wrapping an object as [reference n object] later is therefore
// an insertion before it, and a fragment is bytes and a list of insertions sorted by position.
//
// A Fragment must not be used by two goroutines at once.
type Fragment struct{ e Encoder }

// DefaultNesting is the default limit on nested values: lists, tuples, dictionaries, sets and objects within each
// other, including the outermost. Numbers and text do not count, nor do the lists that Jelly adds, such as pairs and
// references. An object and the dictionary of its state count as two. A stock peer's recursion ends at about 330.
const DefaultNesting = 512

// Limits on the memory that a pooled fragment keeps.
const (
	pooledBytes = 1 << 20 // Enough for one string of the longest kind that stock peers take.
	pooledItems = 16 << 10
)

var fragments = sync.Pool{New: func() any {
	f := new(Fragment)
	f.e.lim = banana.Limits{}.WithDefaults()
	return f
}}

// NewFragment returns an empty fragment from a pool. Free returns it.
func NewFragment(c Context) *Fragment {
	f := fragments.Get().(*Fragment)
	e := &f.e
	// Field by field: copying the whole struct stalls on the small writes that preceded it (store forwarding).
	e.ctx.Profile, e.ctx.Root = c.Profile, c.Root
	e.ctx.Invoker, e.ctx.Perspective, e.ctx.Viewer = c.Invoker, c.Perspective, c.Viewer
	e.ctx.PersistentStore = c.PersistentStore
	if e.mostNested = c.Nesting; e.mostNested <= 0 {
		e.mostNested = DefaultNesting
	}
	l, asked := &c.Limits, &e.asked
	e.bounds = nil
	if l.Prefix != asked.Prefix || l.String != asked.String || l.List != asked.List || l.Depth != asked.Depth ||
		l.Frame != asked.Frame {
		e.asked, e.lim = c.Limits, c.Limits.WithDefaults()
	}
	return f
}

// Prepared is a [Context] that serves for many fragments, so that its limits are computed once.
type Prepared struct {
	ctx    Context
	bounds *bounds
}

// bounds are the limits of a Prepared. Fragments in the pool remember them, but nothing that leads to a connection.
type bounds struct {
	lim        banana.Limits // with defaults
	mostNested int
}

// Prepare returns the Context for use with many fragments.
func (c Context) Prepare() *Prepared {
	b := &bounds{lim: c.Limits.WithDefaults(), mostNested: c.Nesting}
	if b.mostNested <= 0 {
		b.mostNested = DefaultNesting
	}
	return &Prepared{c, b}
}

// Context returns the Context with another perspective.
func (p *Prepared) Context(perspective any) Context {
	c := p.ctx
	c.Perspective = perspective
	return c
}

// NewFragment is [NewFragment] with a perspective and the beginning of error paths, which an empty root leaves as it
// is by default.
func (p *Prepared) NewFragment(perspective any, root string) *Fragment {
	f := fragments.Get().(*Fragment)
	e := &f.e
	e.ctx.Profile, e.ctx.Root = p.ctx.Profile, root
	e.ctx.Invoker, e.ctx.Perspective, e.ctx.PersistentStore = p.ctx.Invoker, perspective, p.ctx.PersistentStore
	if e.bounds != p.bounds {
		e.bounds, e.lim, e.mostNested = p.bounds, p.bounds.lim, p.bounds.mostNested
		e.asked = p.bounds.lim // With its defaults it is the same.
	}
	return f
}

// Free releases everything that the fragment keeps alive and returns it to the pool. The fragment must not be used
// afterwards. Free of nil does nothing.
func (f *Fragment) Free() {
	if f == nil {
		return
	}
	e := &f.e
	if len(e.holes) > 0 {
		e.dropHoles(0)
		e.longs, e.longBytes = 0, 0
	}
	if cap(e.buf) > pooledBytes || cap(e.sharing.met) > pooledItems || cap(e.names) > pooledItems ||
		cap(e.sharing.derefs) > pooledItems || cap(e.holes) > pooledItems || cap(e.keep) > pooledItems {
		return // It is too large to keep.
	}
	if len(e.keep) > 0 {
		clear(e.keep)
	}
	if e.mostNames > 0 {
		clear(e.names[:e.mostNames])
	}
	e.buf, e.keep, e.names = e.buf[:0], e.keep[:0], e.names[:0]
	s := &e.sharing
	s.wraps, s.derefs = s.wraps[:0], s.derefs[:0]
	s.next, s.most, s.first, s.grown = 0, 0, 0, 0
	e.ctx.Invoker, e.ctx.Perspective, e.ctx.Viewer, e.ctx.PersistentStore = nil, nil, nil, nil
	e.room = nil
	e.deepest, e.mostNames, e.personal = 0, 0, false
	fragments.Put(f)
}

// Jelly appends one value, encoded as the package documentation describes. References are numbered from 1 in each
// call, as in Twisted's jelly. After an error the fragment is unchanged. A panic in a JellyTo or MarshalText method
// is returned as an error that wraps a [*PanicError].
func (f *Fragment) Jelly(v any) (err error) {
	if f.e.plain(v) {
		return nil
	}
	root := f.e.ctx.Root
	if root == "" {
		root = "value"
	}
	f.begin()
	defer f.finish(root, &err)
	return f.e.value(v)
}

// JellyTuple appends a tuple of values, as for positional arguments. The values cannot refer to the tuple itself.
func (f *Fragment) JellyTuple(args []any) (err error) {
	if f.e.plainSequence(banana.SymTuple, args) {
		return nil
	}
	f.begin()
	defer f.finish("args", &err)
	return f.e.sequence(banana.SymTuple, args)
}

// JellyPlain is [Fragment.Jelly] for a scalar, or a short list or tuple of scalars, which runs no code of the
// application and cannot fail. For any other value it appends nothing and returns false.
func (f *Fragment) JellyPlain(v any) bool { return f.e.plain(v) }

// JellyPlainTuple is [Fragment.JellyTuple] for a few scalars. For anything else it appends nothing and returns false.
func (f *Fragment) JellyPlainTuple(args []any) bool { return f.e.plainSequence(banana.SymTuple, args) }

// JellyDict appends a dictionary; its values cannot refer to it. A nil d is an empty dictionary.
func (f *Fragment) JellyDict(d *Dict) (err error) {
	if e := &f.e; d.Len() == 0 && e.ctx.Profile.HasVocabulary() && f.Len() < e.lim.Frame-4 && e.lim.Depth > 1 {
		// The fast path for calls without keyword arguments.
		e.deepest = max(e.deepest, 1)
		e.buf = append(e.buf, 1, byte(banana.List), byte(banana.SymDictionary), byte(banana.Vocab))
		return nil
	}
	f.begin()
	defer f.finish("kw", &err)
	return f.e.pairs(d.Entries())
}

// JellyKw appends keyword arguments: a dictionary that maps each name to the value with the same index.
func (f *Fragment) JellyKw(names []string, values []any) (err error) {
	f.begin()
	defer f.finish("kw", &err)
	return f.e.kw(names, values)
}

// before is the state of a fragment before a jelly call.
type before struct{ buf, holes, keep, derefs, deepest, grown, most, longs, longBytes int }

func (f *Fragment) begin() {
	e, s, b := &f.e, &f.e.sharing, &f.e.before
	b.buf, b.holes, b.keep, b.derefs = len(e.buf), len(e.holes), len(e.keep), len(s.derefs)
	b.deepest, b.grown, b.most = e.deepest, s.grown, s.most
	b.longs, b.longBytes = e.longs, e.longBytes
	s.next, s.first = 0, len(s.wraps)
	e.depth, e.deepest, e.nest, e.nested, e.hashing, e.names = 0, 0, 0, 0, false, e.names[:0]
	e.failed = nil
}

// finish ends a jelly call; it must be deferred. If the call failed, finish undoes it.
func (f *Fragment) finish(root string, err *error) {
	if p := recover(); p != nil {
		*err = &PanicError{Value: p, Stack: debug.Stack()}
	}
	e, s, b := &f.e, &f.e.sharing, &f.e.before
	s.end(e.ctx.Profile)
	if *err == nil {
		*err = e.failed
	}
	if *err == nil {
		*err = e.checkWhole()
	}
	if *err == nil {
		e.deepest = max(e.deepest, b.deepest)
		return
	}
	e.dropHoles(b.holes)
	e.longs, e.longBytes = b.longs, b.longBytes
	clear(e.keep[b.keep:])
	clear(e.copies) // A panic leaves them.
	e.copies = e.copies[:0]
	e.buf, e.keep, e.deepest = e.buf[:b.buf], e.keep[:b.keep], b.deepest
	s.wraps, s.derefs, s.grown, s.most = s.wraps[:s.first], s.derefs[:b.derefs], b.grown, b.most
	*err = under(root, *err)
}

// Len returns the size of the fragment in bytes, without its holes.
func (f *Fragment) Len() int { return len(f.e.buf) + f.e.longBytes + f.e.sharing.grown }

// OwnLen is an upper bound of Len without the long strings that [Fragment.AppendAround] leaves out.
func (f *Fragment) OwnLen() int { return len(f.e.buf) + f.e.longs*longHead + f.e.sharing.grown }

// Holes returns the number of holes.
func (f *Fragment) Holes() int { return len(f.e.holes) - f.e.longs }

// MaxRef returns the largest reference id in the fragment, or 0.
func (f *Fragment) MaxRef() int { return f.e.sharing.most }

// Keep keeps x alive until the fragment is freed.
func (f *Fragment) Keep(x any) { f.e.Keep(x) }

// Append appends the fragment to dst, with all insertions. For each hole, in order, it calls fill, which appends
// exactly one expression. If fill returns an error, Append returns dst unchanged and that error. fill may be nil if
// there are no holes.
func (f *Fragment) Append(dst []byte, fill func(dst []byte, hole any) ([]byte, error)) ([]byte, error) {
	if e := &f.e; len(e.holes) == 0 && len(e.sharing.wraps) == 0 {
		return append(dst, e.buf...), nil
	}
	return f.AppendRebased(dst, 0, fill)
}

// AppendRebased is like Append but adds base to all reference ids, so that the fragment can fill a hole of a fragment
// whose own ids go up to base. The fragment must be the result of one jelly call.
func (f *Fragment) AppendRebased(
	dst []byte,
	base int,
	fill func(dst []byte, hole any) ([]byte, error),
) ([]byte, error) {
	return f.append(dst, base, fill, nil)
}

// append is AppendRebased. If long is not nil, it gets the long strings in place of dst.
func (f *Fragment) append(
	dst []byte,
	base int,
	fill func(dst []byte, hole any) ([]byte, error),
	long func(before []byte, l *Long),
) ([]byte, error) {
	e, s := &f.e, &f.e.sharing
	if len(e.holes) == 0 && len(s.wraps) == 0 && (base == 0 || len(s.derefs) == 0) {
		return append(dst, e.buf...), nil
	}
	start, done := len(dst), 0
	wraps, holes, derefs := s.wraps, e.holes, s.derefs
	if base == 0 {
		derefs = nil // They need no change.
	}
	for len(wraps)+len(holes)+len(derefs) > 0 {
		// At the same position the hole comes first: an object begins with bytes of its own, so one that is
		// wrapped here follows the hole.
		const none = int(^uint(0) >> 1)
		hole, wrap, deref := none, none, none
		if len(holes) > 0 {
			hole = holes[0].at
		}
		if len(wraps) > 0 {
			wrap = wraps[0].at
		}
		if len(derefs) > 0 {
			deref = derefs[0].at
		}
		at := min(hole, wrap, deref)
		dst = append(dst, e.buf[done:at]...)
		done = at
		switch at {
		case hole:
			longer, err := appendHole(dst, holes[0].payload, fill, long)
			if err != nil {
				return dst[:start], err
			}
			dst, holes = longer, holes[1:]
		case wrap:
			dst, wraps = appendWrap(dst, e.ctx.Profile, base+wraps[0].id), wraps[1:]
		default:
			dst = banana.AppendInt(dst, int64(base+derefs[0].id))
			done, derefs = derefs[0].end, derefs[1:]
		}
	}
	return append(dst, e.buf[done:]...), nil
}

func appendHole(
	dst []byte,
	payload any,
	fill func(dst []byte, hole any) ([]byte, error),
	long func(before []byte, l *Long),
) ([]byte, error) {
	l, ok := payload.(*Long)
	switch {
	case !ok:
		return fill(dst, payload)
	case long == nil:
		return l.appendTo(dst), nil
	}
	dst = banana.AppendBytesHead(dst, len(l.bytes))
	long(dst, l)
	return dst, nil
}

// Context holds the parameters of an encoding. The zero Context has ProfileNone, the default limits and no connection.
type Context struct {
	// Profile is the negotiated profile. Under an extended one slices of numbers are sent as arrays.
	Profile banana.Profile
	// Limits are the peer's limits; zero fields have Twisted's defaults.
	Limits banana.Limits
	// Nesting is the limit on nested values; 0 means DefaultNesting.
	Nesting int
	// Root is the beginning of error paths, by default "value". JellyTuple and JellyKw use "args" and "kw".
	Root string
	// Invoker is the connection, and Perspective the one that the value is sent to. Both are for JellyTo methods.
	Invoker     any
	Perspective any
	// Viewer is whose view of what is sent the receiver gets, if that is not Perspective's; otherwise nil. It is the
	// perspective of the method whose answer it is.
	Viewer any
	// PersistentStore may replace an object by an identifier that the peer knows. It is called for pointers to
	// structs that this package does not know, before they are refused or sent as dictionaries.
	PersistentStore func(v any) (id any, ok bool)
}

// Jellyable is implemented by values that encode themselves, usually by embedding a type that does. A promoted method
// does not know the outer value, so it gets it as self. Self is always a pointer, so it has all methods of its type:
// a struct by value is passed by its address if it has one, otherwise as a pointer to a copy (see [Encoder.Pointer]).
//
// JellyTo writes exactly one expression, or returns an error.
type Jellyable interface {
	JellyTo(e *Encoder, self any) error
}

// checkWhole checks the limits of the whole jelly call: its size and its depth, with all wrappers of references.
func (e *Encoder) checkWhole() error {
	b := &e.before
	if n := len(e.buf) + e.longBytes + e.sharing.grown; n > e.lim.Frame {
		return &EncodeError{What: "the message is too large", Err: e.lim.CheckFrame(n)}
	}
	wraps := e.sharing.wraps[e.sharing.first:]
	if e.deepest+min(len(wraps), e.deepest) < e.lim.Depth {
		return nil
	}
	e.deepest = wrappedDepth(e.buf[b.buf:], b.buf, e.ctx.Profile, wraps, e.holes[b.holes:])
	if e.deepest >= e.lim.Depth {
		return e.tooDeep(e.deepest + 1)
	}
	return nil
}

// wrappedDepth returns the depth of the expressions in buf, including wrappers. from is the position of buf[0] in
// terms of the positions in wraps and holes.
func wrappedDepth(buf []byte, from int, p banana.Profile, wraps []wrap, holes []hole) int {
	type open struct{ left, levels int }
	var (
		r              banana.Reader
		lists          []open
		depth, deepest int
	)
	// done counts an element of the innermost list and closes all lists that it completes.
	done := func() {
		for n := len(lists) - 1; n >= 0; n-- {
			if lists[n].left--; lists[n].left > 0 {
				return
			}
			depth -= lists[n].levels
			lists = lists[:n]
		}
	}
	for r.Reset(buf, p); ; {
		at := from + r.Offset()
		if len(holes) > 0 && holes[0].at == at {
			holes = holes[1:]
			done()
			continue
		}
		levels := 1
		if len(wraps) > 0 && wraps[0].at == at {
			wraps = wraps[1:]
			levels++
		}
		token, err := r.Next()
		if err != nil {
			return deepest
		}
		deepest = max(deepest, depth+levels-1)
		if token.Kind != banana.List {
			done()
			continue
		}
		deepest = max(deepest, depth+levels)
		if token.Int == 0 {
			done()
			continue
		}
		depth += levels
		lists = append(lists, open{int(token.Int), levels})
	}
}

// Reference returns the payload of the only hole of a fragment that is a reference: one list that ends with the hole.
// ok is false for any other fragment.
func (f *Fragment) Reference() (hole any, ok bool) {
	e := &f.e
	if len(e.holes) != 1 || e.longs > 0 || len(e.sharing.wraps) > 0 || e.holes[0].at != len(e.buf) {
		return nil, false
	}
	var r banana.Reader
	r.Reset(e.buf, e.ctx.Profile)
	head, err := r.Next()
	if err != nil || head.Kind != banana.List {
		return nil, false
	}
	for range head.Int - 1 { // The hole is the last element.
		if r.Skip() != nil {
			return nil, false
		}
	}
	return e.holes[0].payload, r.Offset() == len(e.buf)
}

// AllHoles returns an iterator over the payloads of the holes, in the order in which Append fills them.
func (f *Fragment) AllHoles() iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, h := range f.e.holes {
			if _, long := h.payload.(*Long); !long && !yield(h.payload) {
				return
			}
		}
	}
}

// HoleUser is implemented by payloads of holes that must be told when the fragment no longer needs them. HoleDone is
// called when the fragment is freed or the jelly call that made the hole fails.
type HoleUser interface{ HoleDone() }

// dropHoles removes the holes from index from on.
func (e *Encoder) dropHoles(from int) {
	for _, h := range e.holes[from:] {
		if u, ok := h.payload.(HoleUser); ok {
			u.HoleDone()
		}
	}
	clear(e.holes[from:])
	e.holes = e.holes[:from]
}

// Personal reports whether the fragment may differ for another connection or perspective: whether it has holes, or a
// JellyTo method called Invoker or Perspective.
func (f *Fragment) Personal() bool { return f.e.personal || f.Holes() > 0 }
