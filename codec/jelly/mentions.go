package jelly

import "github.com/perspectivebroker/pb/codec/banana"

// Mention is an object of the peer's that an expression mentions, and that the peer counted when it
// wrote it.
type Mention struct {
	// Tag is "remote" or "cached", or "cache" for a Cacheable that comes for the first time, as
	// [class luid state].
	Tag string
	ID  int64
}

// Mentions passes what the next n expressions of r mention to visit, in the order of the wire.
// It is for frames that are not decoded, because they come too late or are
// refused: the peer counted these references nevertheless and waits for them to be given
// back. It follows the grammar of Jelly as far as it goes, needs no permission of a taster, and knows no depth
// limit. A malformed frame ends it early, without an error.
func Mentions(r *banana.Reader, n int, visit func(Mention)) {
	w := walker{r: r, visit: visit}
	w.push(walkValues, n)
	for len(w.open) > 0 {
		top := &w.open[len(w.open)-1]
		if top.left == 0 {
			w.open = w.open[:len(w.open)-1]
			continue
		}
		top.left--
		if !w.step(top.of) {
			return
		}
	}
}

// CountMentions is how many times Mentions would call visit.
func CountMentions(r banana.Reader, n int) (count int) {
	Mentions(&r, n, func(Mention) { count++ })
	return count
}

// walker walks expressions with a stack of its own, so that their depth is no concern.
type walker struct {
	r     *banana.Reader
	visit func(Mention)
	open  []walkList
}

// walkList is a list of which some elements are still to come.
type walkList struct {
	left int
	of   walkKind
}

// walkKind says what the elements of a list are.
type walkKind uint8

const (
	walkValues walkKind = iota // expressions
	walkPairs                  // the pairs of a dictionary
	walkRaw                    // Banana that says nothing to us
)

func (w *walker) push(of walkKind, n int) {
	if n > 0 {
		w.open = append(w.open, walkList{n, of})
	}
}

// step takes one element.
func (w *walker) step(of walkKind) bool {
	if of == walkRaw {
		return w.r.Skip() == nil
	}
	t, err := w.r.Next()
	switch {
	case err != nil:
		return false
	case t.Kind != banana.List || t.Int == 0:
		return true
	case of == walkPairs:
		w.push(walkValues, int(t.Int))
		return true
	}
	if kind := w.r.Peek(); kind != banana.String && kind != banana.Vocab {
		w.push(walkRaw, int(t.Int))
		return true
	}
	word, err := w.r.Next()
	if err != nil {
		return false
	}
	return w.typed(word, int(t.Int)-1)
}

// typed takes an expression of which the type has been read and n elements are left.
func (w *walker) typed(word banana.Token, n int) bool {
	switch t := tagOf(&word); t {
	case tagList, tagTuple, tagSet, tagFrozenset:
		w.push(walkValues, n)
	case tagDictionary:
		w.push(walkPairs, n)
	case tagRemote, tagCached:
		return w.mention(tagNames[t], n, 0)
	case tagReference, tagMethod, tagInstance:
		// Behind an id, a name or a class.
		w.push(walkValues, n-1)
		w.push(walkRaw, min(n, 1))
	case tagNone:
		if n < 2 || w.r.Peek() != banana.Int && w.r.Peek() != banana.LongInt {
			w.push(walkValues, n)
			return true
		}
		return w.mention("cache", n, n-1)
	default:
		w.push(walkRaw, n)
	}
	return true
}

// mention reads an id, the first of n elements. Of those behind it, some are expressions.
func (w *walker) mention(tag string, n, values int) bool {
	if n < 1 {
		return true
	}
	w.push(walkRaw, n-1-values)
	w.push(walkValues, values)
	if kind := w.r.Peek(); kind == banana.List {
		return w.r.Skip() == nil
	}
	id, err := w.r.Next()
	if err != nil {
		return false
	}
	if id.Kind == banana.Int {
		w.visit(Mention{tag, id.Int})
	}
	return true
}
