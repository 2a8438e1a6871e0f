package jelly

import "github.com/perspectivebroker/pb/codec/banana"

// Mention is one of the peer's objects in an expression, which the peer counted when it wrote the expression.
type Mention struct {
	// Tag is "remote", "cached", "cache" for the first occurrence of a Cacheable, [class luid state], or "class" for what
	// may be a reference that carries a class, [class luid] or [class extra… luid], or something else that ends with an
	// integer, such as a copy whose state is one.
	Tag string
	ID  int64
}

// Mentions calls visit for each mention in the next n expressions of r, in wire order. It is for frames that are not
// decoded because they are refused or too late: the peer counted their references and waits for their release. Mentions
// follows the grammar of Jelly without a taster or a depth limit. It stops at malformed input, without an error.
func Mentions(r *banana.Reader, n int, visit func(Mention)) {
	newWalker(r, nil, visit).walk(n)
}

func newWalker(r *banana.Reader, registry *Registry, visit func(Mention)) *walker {
	return &walker{r: r, registry: registry, extended: r != nil && r.Profile().IsExtended(), visit: visit}
}

// walk visits the mentions in the next n expressions.
func (w *walker) walk(n int) {
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

// Mentions is the function [Mentions] for a frame from this decoder's peer. It knows from the registry what the classes
// are, and visits "class" for those that are not registered only.
func (d *Decoder) Mentions(r *banana.Reader, n int, visit func(Mention)) {
	newWalker(r, d.Registry, visit).walk(n)
}

// CountMentions returns the number of mentions in the next n expressions of r.
func CountMentions(r banana.Reader, n int) (count int) {
	Mentions(&r, n, func(Mention) { count++ })
	return count
}

// walker walks expressions with an explicit stack, so their depth does not matter.
type walker struct {
	r        *banana.Reader
	registry *Registry
	extended bool // [array …] and [promise …] are not objects of a class
	visit    func(Mention)
	open     []walkList
}

// walkList is a list with elements left.
type walkList struct {
	left int
	of   walkKind
}

// walkKind is the kind of the elements of a list.
type walkKind uint8

const (
	walkValues walkKind = iota // expressions
	walkPairs                  // the pairs of a dictionary
	walkRaw                    // raw Banana
	walkMaybe                  // the last element behind an unknown class: an expression, or the id of a reference
	walkID                     // the id of a reference that carries a class
)

func (w *walker) push(of walkKind, n int) {
	if n > 0 {
		w.open = append(w.open, walkList{n, of})
	}
}

// step reads one element.
func (w *walker) step(of walkKind) bool {
	if of == walkRaw {
		return w.r.Skip() == nil
	}
	t, err := w.r.Next()
	switch {
	case err != nil:
		return false
	case of == walkMaybe && t.Kind == banana.Int:
		w.visit(Mention{"class", t.Int})
		return true
	case of == walkID && t.Kind == banana.Int:
		w.visit(Mention{tagNames[tagRemote], t.Int})
		return true
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

// typed walks an expression with n elements after its type.
func (w *walker) typed(word banana.Token, n int) bool {
	switch t := tagOf(&word); t {
	case tagList, tagTuple, tagSet, tagFrozenset:
		w.push(walkValues, n)
	case tagDictionary:
		w.push(walkPairs, n)
	case tagRemote, tagCached:
		return w.mention(tagNames[t], n, 0)
	case tagReference, tagMethod, tagInstance:
		// The value follows an id, a name or a class.
		w.push(walkValues, n-1)
		w.push(walkRaw, min(n, 1))
	case tagNone:
		return w.class(word, n)
	default:
		w.push(walkRaw, n)
	}
	return true
}

// class walks an expression with n elements after the name of a class.
func (w *walker) class(word banana.Token, n int) bool {
	name := word.Bytes
	if word.Kind == banana.Vocab {
		name = []byte(word.Text())
	}
	if w.extended && extendedTag(name) != tagNone {
		w.push(walkRaw, n)
		return true
	}
	last := walkMaybe
	if class, ok := w.registry.lookup(name); ok {
		if last = walkValues; class.Kind == Reference {
			last = walkID
		}
	}
	number := w.r.Peek() == banana.Int || w.r.Peek() == banana.LongInt
	if n < 2 || !number || last == walkID {
		w.push(last, min(n, 1))
		w.push(walkValues, n-1)
		return true
	}
	return w.mention("cache", n, n-1)
}

// mention reads an id, the first of n elements. The next values elements are expressions.
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
