package jelly

import (
	"iter"
	"runtime/debug"
	"sync"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Fragment is a piece of a message: one or more encoded expressions, and what
// is still to be inserted into them. Whoever produces values encodes
// them, in its own goroutine; whoever owns the connection copies the fragment
// out with Append and fills its holes there.
//
// Banana lists have a count in front and no end mark. So wrapping an object as
// [reference n object] after the fact is an insertion in front of it, and a
// fragment is the bytes plus a list of insertions, sorted by place.
//
// A Fragment belongs to one goroutine at a time.
type Fragment struct{ e Encoder }

// DefaultNesting is how deep values may be nested: lists, tuples, dictionaries, sets and objects in each other, the
// outermost one counted too. Numbers and text do not count, nor does what Jelly and Banana put around a value: pairs,
// references to shared parts. An object and the dictionary that is its state are two. A stock peer's recursion ends at
// about 330.
const DefaultNesting = 512

// What a pooled fragment may keep at most.
const (
	pooledBytes = 1 << 20 // Enough for one string of the longest kind.
	pooledItems = 16 << 10
)

var fragments = sync.Pool{New: func() any {
	f := new(Fragment)
	f.e.lim = banana.Limits{}.WithDefaults()
	return f
}}

// NewFragment returns an empty fragment, from a pool if it can. Free gives it back.
func NewFragment(c Context) *Fragment {
	f := fragments.Get().(*Fragment)
	e := &f.e
	// One by one: copying the whole costs more than the rest of this, because processors cannot read at
	// once in large pieces what has just been written in small ones.
	e.ctx.Profile, e.ctx.Root = c.Profile, c.Root
	e.ctx.Invoker, e.ctx.Perspective, e.ctx.PersistentStore = c.Invoker, c.Perspective, c.PersistentStore
	if e.mostNested = c.Nesting; e.mostNested <= 0 {
		e.mostNested = DefaultNesting
	}
	l, asked := &c.Limits, &e.asked
	if l.Prefix != asked.Prefix || l.String != asked.String || l.List != asked.List || l.Depth != asked.Depth ||
		l.Frame != asked.Frame {
		e.asked, e.lim = c.Limits, c.Limits.WithDefaults()
	}
	return f
}

// Free lets go of all that the fragment keeps alive and gives it back to the
// pool. It must not be used any more. Free of nil is nothing.
func (f *Fragment) Free() {
	if f == nil {
		return
	}
	e := &f.e
	e.dropHoles(0)
	if cap(e.buf) > pooledBytes || cap(e.sharing.met) > pooledItems || cap(e.names) > pooledItems ||
		cap(e.sharing.derefs) > pooledItems || cap(e.holes) > pooledItems || cap(e.keep) > pooledItems {
		return // A rare giant is left to the collector.
	}
	clear(e.keep)
	clear(e.names[:e.mostNames])
	e.buf, e.keep, e.names = e.buf[:0], e.keep[:0], e.names[:0]
	s := &e.sharing
	s.wraps, s.derefs = s.wraps[:0], s.derefs[:0]
	s.next, s.most, s.first, s.grown = 0, 0, 0, 0
	e.ctx.Invoker, e.ctx.Perspective, e.ctx.PersistentStore = nil, nil, nil
	e.deepest, e.mostNames, e.personal = 0, 0, false
	fragments.Put(f)
}

// Jelly appends one value. Its references are numbered by themselves, as for
// every call of Twisted's jelly. After an error the fragment is as it was before;
// a panic in a JellyTo or MarshalText method is an error that wraps a *PanicError.
//
// The package documentation says what becomes of which Go type.
func (f *Fragment) Jelly(v any) (err error) {
	root := f.e.ctx.Root
	if root == "" {
		root = "value"
	}
	f.begin()
	defer f.finish(root, &err)
	return f.e.value(v)
}

// JellyTuple appends a tuple of these values, as for positional arguments. The tuple
// itself cannot be mentioned by what is in it.
func (f *Fragment) JellyTuple(args []any) (err error) {
	f.begin()
	defer f.finish("args", &err)
	return f.e.sequence(banana.SymTuple, args)
}

// JellyDict appends a dictionary that cannot be mentioned by what is in it. nil is an empty one.
func (f *Fragment) JellyDict(d *Dict) (err error) {
	if e := &f.e; d.Len() == 0 && e.ctx.Profile == banana.ProfilePB && f.Len() < e.lim.Frame-4 && e.lim.Depth > 1 {
		// Most calls have no keyword arguments.
		e.deepest = max(e.deepest, 1)
		e.buf = append(e.buf, 1, byte(banana.List), byte(banana.SymDictionary), byte(banana.Vocab))
		return nil
	}
	f.begin()
	defer f.finish("kw", &err)
	return f.e.pairs(d.Entries())
}

// JellyKw appends keyword arguments: a dictionary with names for keys, in this order.
func (f *Fragment) JellyKw(names []string, values []any) (err error) {
	f.begin()
	defer f.finish("kw", &err)
	return f.e.kw(names, values)
}

// before is what a fragment was like before a jelly call.
type before struct{ buf, holes, keep, derefs, deepest, grown, most int }

func (f *Fragment) begin() {
	e, s, b := &f.e, &f.e.sharing, &f.e.before
	b.buf, b.holes, b.keep, b.derefs, b.deepest, b.grown, b.most = len(
		e.buf,
	), len(
		e.holes,
	), len(
		e.keep,
	), len(
		s.derefs,
	), e.deepest, s.grown, s.most
	s.next, s.first = 0, len(s.wraps)
	e.depth, e.deepest, e.nest, e.nested, e.hashing, e.names = 0, 0, 0, 0, false, e.names[:0]
	e.failed = nil // What failed before has been taken back, in this fragment or in its life before the pool.
}

// finish ends a jelly call; it must be deferred. If the call failed, all that it did is taken back.
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
	clear(e.keep[b.keep:])
	clear(e.copies) // A panic has left them.
	e.copies = e.copies[:0]
	e.buf, e.keep, e.deepest = e.buf[:b.buf], e.keep[:b.keep], b.deepest
	s.wraps, s.derefs, s.grown, s.most = s.wraps[:s.first], s.derefs[:b.derefs], b.grown, b.most
	*err = under(root, *err)
}

// Len returns the size of the fragment in bytes, without what its holes will add.
func (f *Fragment) Len() int { return len(f.e.buf) + f.e.sharing.grown }

// Holes returns how many holes there are to fill.
func (f *Fragment) Holes() int { return len(f.e.holes) }

// MaxRef returns the largest reference id in the fragment, 0 if there is none.
func (f *Fragment) MaxRef() int { return f.e.sharing.most }

// Keep makes the fragment hold on to x until it is freed.
func (f *Fragment) Keep(x any) { f.e.Keep(x) }

// Append copies the fragment out behind dst, with everything inserted. For each hole, in
// order, it calls fill, which appends exactly one expression. If fill returns an
// error, Append returns it, and dst as it was. fill may be nil if there are no holes.
func (f *Fragment) Append(dst []byte, fill func(dst []byte, hole any) ([]byte, error)) ([]byte, error) {
	return f.AppendRebased(dst, 0, fill)
}

// AppendRebased is Append with base added to all reference ids, so that the fragment can
// stand in a hole of another one, which has ids up to base of its own. The
// fragment must be the work of one jelly call.
func (f *Fragment) AppendRebased(
	dst []byte,
	base int,
	fill func(dst []byte, hole any) ([]byte, error),
) ([]byte, error) {
	e, s := &f.e, &f.e.sharing
	if len(e.holes) == 0 && len(s.wraps) == 0 {
		return append(dst, e.buf...), nil
	}
	start, done := len(dst), 0
	wraps, holes, derefs := s.wraps, e.holes, s.derefs
	if base == 0 {
		derefs = nil // They are written as they are.
	}
	for len(wraps)+len(holes)+len(derefs) > 0 {
		// At one place, holes come first: an object begins with bytes of its own, so what
		// is wrapped there stands behind the hole.
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
			longer, err := fill(dst, holes[0].payload)
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

// Context is what values are encoded for. The zero Context encodes for no
// connection, under profile none and the default limits.
type Context struct {
	// Profile is what was agreed on with the peer.
	Profile banana.Profile
	// Limits are what the peer accepts; fields that are zero have Twisted's defaults.
	Limits banana.Limits
	// Nesting is how deep values may be nested; 0 stands for DefaultNesting.
	Nesting int
	// Root is how error paths begin. The default is "value"; JellyTuple and
	// JellyKw have "args" and "kw" of their own.
	Root string
	// Invoker is the connection, and Perspective whom the value is shown to.
	// Both are for JellyTo methods; this package only hands them on.
	Invoker     any
	Perspective any
	// PersistentStore may replace an object by an identifier that the peer
	// knows it by. It is asked for pointers that have no meaning of their own here,
	// before they are refused or sent as dictionaries.
	PersistentStore func(v any) (id any, ok bool)
}

// Jellyable is implemented by values that encode themselves, mostly by embedding a type that does. Such a method is
// promoted and does not know what it has been promoted to, so it is given self: the value that was met. A struct that
// was met by value is given as a pointer, to the struct itself where it is an element or a field that has an address,
// and to a copy elsewhere (see Encoder.Pointer): so self has all methods of its type, whatever their receivers are.
//
// JellyTo writes exactly one expression, or returns an error.
type Jellyable interface {
	JellyTo(e *Encoder, self any) error
}

// checkWhole holds what a jelly call wrote against the limits that concern the whole: its
// size and its depth with all wrappers of references in place.
func (e *Encoder) checkWhole() error {
	b := &e.before
	if n := len(e.buf) + e.sharing.grown; n > e.lim.Frame {
		return &EncodeError{What: "the message is too large", Err: e.lim.CheckFrame(n)}
	}
	wraps := e.sharing.wraps[e.sharing.first:]
	if e.deepest+min(len(wraps), e.deepest) < e.lim.Depth {
		return nil
	}
	if e.deepest = wrappedDepth(e.buf[b.buf:], b.buf, e.ctx.Profile, wraps, e.holes[b.holes:]); e.deepest >= e.lim.Depth {
		return e.tooDeep(e.deepest + 1)
	}
	return nil
}

// wrappedDepth returns how many lists are open at the deepest place of some
// expressions, wrappers included. buf starts at offset from of the places in wraps and holes.
func wrappedDepth(buf []byte, from int, p banana.Profile, wraps []wrap, holes []hole) int {
	type open struct{ left, levels int }
	var (
		r              banana.Reader
		lists          []open
		depth, deepest int
	)
	// done counts an element of the innermost list, and closes all lists that this completes.
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

// AllHoles ranges over the payloads of the fragment's holes, in the order in which Append will fill them.
func (f *Fragment) AllHoles() iter.Seq[any] {
	return func(yield func(any) bool) {
		for _, h := range f.e.holes {
			if !yield(h.payload) {
				return
			}
		}
	}
}

// HoleUser is implemented by the payload of a hole that needs to know when the fragment has done with it: when the
// fragment is freed, or when the jelly call that made the hole fails.
type HoleUser interface{ HoleDone() }

// dropHoles forgets the holes from the one with this index on.
func (e *Encoder) dropHoles(from int) {
	for _, h := range e.holes[from:] {
		if u, ok := h.payload.(HoleUser); ok {
			u.HoleDone()
		}
	}
	clear(e.holes[from:])
	e.holes = e.holes[:from]
}

// Personal reports whether the fragment may be different for another connection or perspective: whether it
// has holes, or something in it asked whom it is encoded for.
func (f *Fragment) Personal() bool { return f.e.personal || len(f.e.holes) > 0 }
