package jelly

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/codec/banana"
)

// tagged decodes the remaining n elements of an expression of one of Jelly's types.
func (d *Decoder) tagged(t tag, start, n int, slot *any) (hash, error) {
	switch t {
	case tagUnicode:
		return d.unicode(n, slot)
	case tagList:
		var elems []any
		if n > 0 && n <= shortList {
			elems, *slot = shortSlice(listType, n)
		} else {
			elems = d.room(n)
			*slot = elems
		}
		d.begun(*slot, unhashable)
		_, err := d.elements(elems)
		return unhashable, err
	case tagTuple:
		if n == 0 && len(d.refs.pending) == 0 {
			*slot = emptyTuple
			return hashable, nil
		}
		var elems []any
		if n > 0 && n <= shortList {
			elems, *slot = shortSlice(tupleType, n)
		} else {
			elems = d.room(n)
			*slot = Tuple(elems)
		}
		d.begun(*slot, unhashable) // Whether it is hashable is known at its end.
		return d.elements(elems)
	case tagDictionary:
		return unhashable, d.dictionary(n, slot)
	case tagPyNone:
		*slot = nil
		return hashable, d.skip(n)
	case tagBoolean:
		return d.boolean(n, slot)
	case tagReference:
		return d.reference(start, n, slot)
	case tagDereference:
		return d.dereference(n, slot)
	case tagRemote, tagLocal, tagCached, tagLCache, tagPromise, tagAddress:
		return d.objectReference(t, start, n, slot)
	case tagSet:
		set := NewSet(d.room(n)...)
		*slot = set
		d.begun(set, unhashable)
		return unhashable, d.members(t, set.list)
	case tagFrozenset:
		set := NewFrozenSet(d.room(n)...)
		*slot = set
		d.begun(set, unhashable)
		return hashable, d.members(t, set.list)
	case tagDatetime, tagDate, tagTime, tagTimedelta:
		return d.calendar(t, start, n, slot)
	case tagDecimal:
		return d.decimal(start, n, slot)
	case tagPersistent:
		return d.persistent(start, n, slot)
	case tagArray:
		return unhashable, d.array(n, slot)
	}
	return d.names(t, start, n, slot)
}

// begun settles the references that wait for a container that has begun.
func (d *Decoder) begun(v any, h hash) {
	if len(d.refs.pending) > 0 {
		d.refs.settle(v, h)
	}
}

// room returns slots for n elements; banana.Reader has ensured that at least n bytes are left. A shared empty
// container gets a capacity, because without one it would have no identity.
func (d *Decoder) room(n int) []any {
	if n == 0 && len(d.refs.pending) > 0 {
		return make([]any, 0, 1)
	}
	return make([]any, n)
}

func (d *Decoder) unicode(n int, slot *any) (hash, error) {
	t, err := d.utf8(n)
	if err != nil {
		return 0, err
	}
	if t.Kind == banana.Vocab {
		*slot = t.Text()
		return hashable, d.skip(n - 1)
	}
	*slot = d.boxString(t.Bytes)
	if n > 1 {
		return hashable, d.skip(n - 1)
	}
	return hashable, nil
}

// utf8 reads the text of a str.
func (d *Decoder) utf8(n int) (banana.Token, error) {
	at := d.r.Offset()
	t, err := d.text(tagUnicode, n)
	if err == nil && t.Kind == banana.String && !utf8.Valid(t.Bytes) {
		err = d.fail(at, "unicode is not valid UTF-8")
	}
	return t, err
}

func (d *Decoder) boolean(n int, slot *any) (hash, error) {
	b, err := d.truth(n)
	if err != nil {
		return 0, err
	}
	*slot = b
	return hashable, d.skip(n - 1)
}

// truth reads the text of a bool.
func (d *Decoder) truth(n int) (bool, error) {
	at := d.r.Offset()
	t, err := d.text(tagBoolean, n)
	switch {
	case err != nil:
		return false, err
	case t.TextIs("true"):
		return true, nil
	case t.TextIs("false"):
		return false, nil
	}
	return false, d.fail(at, fmt.Sprintf("boolean is %q, neither true nor false", clip(t.Text())))
}

// shortestPair is the minimum size of a pair: two bytes for the list and one for each element.
const shortestPair = 4

func (d *Decoder) dictionary(n int, slot *any) error {
	if n > len(d.r.Rest())/shortestPair {
		return d.fail(d.r.Offset(), "the elements of a dictionary must be pairs")
	}
	dict := &Dict{entries: make([]Entry, n)}
	*slot = dict
	d.begun(dict, unhashable)
	if n > 0 && d.depth == 0 {
		return d.tooDeep(d.r.Offset())
	}
	d.depth--
	outer := d.slab
	d.slab = slab{}
	if n >= slabPairs {
		d.slab.left = n
	}
	for i := range dict.entries {
		if err := d.pair(&dict.entries[i]); err != nil {
			return err
		}
	}
	d.slab = outer
	d.depth++
	return nil
}

func (d *Decoder) pair(entry *Entry) error {
	if !d.r.Take("\x02\x80") {
		at := d.r.Offset()
		pair, err := d.r.Next()
		if err != nil {
			return d.malformed(err)
		}
		if pair.Kind != banana.List || pair.Int != 2 {
			return d.fail(at, "the elements of a dictionary must be pairs")
		}
	}
	at := d.r.Offset()
	h, err := d.value(&entry.Key)
	if err != nil {
		return err
	}
	if h != hashable {
		return d.unhashable(at, "the key of a dictionary", h)
	}
	_, err = d.value(&entry.Value)
	return err
}

func (d *Decoder) members(t tag, list []any) error {
	for i := range list {
		at := d.r.Offset()
		h, err := d.value(&list[i])
		if err != nil {
			return err
		}
		if h != hashable {
			return d.unhashable(at, "a member of a "+t.String(), h)
		}
	}
	return nil
}

func (d *Decoder) unhashable(at int, what string, h hash) error {
	if h == unresolved {
		return d.fail(at, what+" is a reference that is not defined yet")
	}
	return d.fail(at, what+" is not hashable")
}

func (d *Decoder) calendar(t tag, start, n int, slot *any) (hash, error) {
	m, err := d.moment(t, start, n)
	if err != nil {
		return 0, err
	}
	switch t {
	case tagDatetime:
		*slot = time.Date(m.date.Year, m.date.Month, m.date.Day,
			m.clock.Hour, m.clock.Minute, m.clock.Second, m.clock.Microsecond*1000, time.UTC)
	case tagDate:
		*slot = m.date
	case tagTime:
		*slot = m.clock
	case tagTimedelta:
		if span, short := m.delta.Duration(); short {
			*slot = span
		} else {
			*slot = m.delta
		}
	}
	return hashable, d.skip(n - 1)
}

// moment is the contents of a datetime, date, time or timedelta.
type moment struct {
	date  Date
	clock TimeOfDay
	delta Timedelta
}

// moment reads and checks the text of a datetime, date, time or timedelta.
func (d *Decoder) moment(t tag, start, n int) (m moment, err error) {
	token, err := d.text(t, n)
	if err != nil {
		return m, err
	}
	var f [7]int64
	count, ok := parseInts(token.Bytes, &f)
	if ok {
		ok = false
		switch t {
		case tagDatetime:
			m.date = Date{int(f[0]), time.Month(f[1]), int(f[2])}
			m.clock = TimeOfDay{int(f[3]), int(f[4]), int(f[5]), int(f[6])}
			ok = count >= 3 && m.date.Valid() && m.clock.Valid()
		case tagDate:
			m.date = Date{int(f[0]), time.Month(f[1]), int(f[2])}
			ok = count == 3 && m.date.Valid()
		case tagTime:
			m.clock = TimeOfDay{int(f[0]), int(f[1]), int(f[2]), int(f[3])}
			ok = count <= 4 && m.clock.Valid()
		case tagTimedelta:
			m.delta, ok = normalTimedelta(f[0], f[1], f[2])
			ok = ok && count == 3
		}
	}
	if !ok {
		return m, d.fail(start, fmt.Sprintf("%q is no %s", clip(token.Text()), t))
	}
	return m, nil
}

// parseInts parses at most len(f) integers separated by white space, in the syntax of Python's int.
func parseInts(text []byte, f *[7]int64) (count int, ok bool) {
	for i := 0; i < len(text); {
		if isSpace(text[i]) {
			i++
			continue
		}
		if count == len(f) {
			return 0, false
		}
		negative := text[i] == '-'
		if negative || text[i] == '+' {
			i++
		}
		var n int64
		digits := 0
		for ; i < len(text) && !isSpace(text[i]); i++ {
			c := text[i]
			if c == '_' && digits > 0 && text[i-1] != '_' && i+1 < len(text) && !isSpace(text[i+1]) {
				continue
			}
			if c < '0' || c > '9' || n > 1<<59 {
				return 0, false
			}
			n = n*10 + int64(c-'0')
			digits++
		}
		if digits == 0 {
			return 0, false
		}
		if negative {
			n = -n
		}
		f[count] = n
		count++
	}
	return count, true
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func (d *Decoder) decimal(start, n int, slot *any) (hash, error) {
	x, err := d.readDecimal(start)
	if err != nil {
		return 0, err
	}
	*slot = x
	return hashable, d.skip(n - 2)
}

// readDecimal reads the elements of a decimal.
func (d *Decoder) readDecimal(start int) (*Decimal, error) {
	value, err := d.r.Next()
	if err != nil {
		return nil, d.malformed(err)
	}
	exponent, err := d.r.Next()
	if err != nil {
		return nil, d.malformed(err)
	}
	if !value.IsInt() || exponent.Kind != banana.Int {
		return nil, d.fail(start, "decimal needs an integer and an exponent of 64 bits")
	}
	x := &Decimal{exponent: exponent.Int}
	if value.Kind == banana.Int {
		x.coefficient.SetInt64(value.Int)
	} else {
		x.coefficient = *value.Big()
	}
	if !x.Valid() {
		return nil, d.fail(start, fmt.Sprintf("the exponent %d is beyond those of a decimal", x.exponent))
	}
	return x, nil
}
