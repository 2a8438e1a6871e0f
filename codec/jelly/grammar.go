package jelly

import "github.com/perspectivebroker/pb/codec/banana"

// form is what stands behind the word of an expression. The Decoder's two ways to read a value, [Decoder.Decode] and
// [Decoder.DecodeRaw], share this table.
type form struct {
	// nesting is the number of levels of nesting for which the type counts.
	nesting int
	// least is how many elements there must be, and needs names them in an error. Without a name the error says that
	// there are too few.
	least int
	needs string
	// most is how many elements count. Like Twisted, the Decoder ignores what stands behind them.
	most int
	// of is the kind of the elements.
	of elementKind
}

// elementKind is the kind of the elements behind a word.
type elementKind uint8

const (
	noElements elementKind = iota
	textElement
	valueElements
	pairElements
	referenceElements   // an id and a value
	dereferenceElements // an id
	objectElements      // an id, which only a connection understands
	addressElements     // two strings, and no more
	arrayElements       // a code and numbers, both strings
	decimalElements     // an integer of any size and one of 64 bits
	persistentElements  // an atom
	nameElements        // a name, and for a method and an instance values
	classElements       // those of an object of a class
)

// anyNumber is the most of a type with any number of elements.
const anyNumber = int(^uint(0) >> 1)

var grammar = [tagCount]form{
	tagNone:          {nesting: 1, most: anyNumber, of: classElements},
	tagPyNone:        {of: noElements},
	tagBoolean:       {least: 1, most: 1, of: textElement},
	tagUnicode:       {least: 1, most: 1, of: textElement},
	tagList:          {nesting: 1, most: anyNumber, of: valueElements},
	tagTuple:         {nesting: 1, most: anyNumber, of: valueElements},
	tagDictionary:    {nesting: 1, most: anyNumber, of: pairElements},
	tagSet:           {nesting: 1, most: anyNumber, of: valueElements},
	tagFrozenset:     {nesting: 1, most: anyNumber, of: valueElements},
	tagReference:     {least: 2, needs: "an id and a value", most: 2, of: referenceElements},
	tagDereference:   {least: 1, needs: "an id", most: 1, of: dereferenceElements},
	tagRemote:        {least: 1, needs: "an id", most: 1, of: objectElements},
	tagLocal:         {least: 1, needs: "an id", most: 1, of: objectElements},
	tagCached:        {least: 1, needs: "an id", most: 1, of: objectElements},
	tagLCache:        {least: 1, needs: "an id", most: 1, of: objectElements},
	tagDatetime:      {least: 1, most: 1, of: textElement},
	tagDate:          {least: 1, most: 1, of: textElement},
	tagTime:          {least: 1, most: 1, of: textElement},
	tagTimedelta:     {least: 1, most: 1, of: textElement},
	tagDecimal:       {least: 2, needs: "a value and an exponent", most: 2, of: decimalElements},
	tagClass:         {least: 1, most: 1, of: nameElements},
	tagModule:        {least: 1, most: 1, of: nameElements},
	tagFunction:      {least: 1, most: 1, of: nameElements},
	tagMethod:        {nesting: 1, least: 1, most: 3, of: nameElements},
	tagInstance:      {nesting: 1, least: 2, needs: "a class and a state", most: 2, of: nameElements},
	tagPersistent:    {least: 1, needs: "an id", most: 1, of: persistentElements},
	tagUnpersistable: {least: 1, most: 1, of: nameElements},
	tagArray:         {nesting: 1, least: 1, most: 2, of: arrayElements},
	tagPromise:       {least: 1, needs: "an id", most: 1, of: objectElements},
	tagAddress:       {least: 2, needs: "a kind and an id", most: 2, of: addressElements},
}

// hasTooFew returns the error of an expression with too few elements.
func (d *Decoder) hasTooFew(t tag, start int) error {
	if needs := grammar[t].needs; needs != "" {
		return d.fail(start, t.String()+" needs "+needs)
	}
	return d.fail(d.r.Offset(), t.String()+" has too few elements")
}

// typeOf returns the type of an expression whose word has been read, and an error if it is not allowed.
func (d *Decoder) typeOf(start int, word *banana.Token) (tag, error) {
	t := tagOf(word)
	if t == tagNone && word.Kind == banana.String && d.r.Profile().IsExtended() {
		t = extendedTag(word.Bytes)
	}
	if t != tagNone && !d.allowed[t] {
		if t == tagAddress {
			return t, d.insecure(start, "type %q is not allowed: this peer may not name objects by addresses", t)
		}
		return t, d.insecure(start, "type %q is not allowed: SecurityOptions.AllowTypes would allow it", t)
	}
	return t, nil
}
