package banana

import (
	"math/big"
	"math/bits"
)

// Token is one element of an expression: an atom, or the head of a list whose
// elements follow as tokens of their own.
//
// Integers are normalised. One that fits an int64 has Kind Int, whichever of
// the four kinds it travelled in; any other has LongInt or LongNeg. There is no
// token of Kind Neg.
type Token struct {
	// Kind says which of the other fields count.
	Kind Kind

	// Int is the value of an Int, the number of elements of a List, and the
	// Symbol of a Vocab.
	Int int64

	// Float is the value of a Float.
	Float float64

	// Bytes is the body of a String, and the digits in base 128 of the
	// magnitude of a LongInt or LongNeg, least significant first. It is part
	// of the frame that is being read: copy what outlives that.
	Bytes []byte
}

// IsInt reports whether t is an integer of any size.
func (t Token) IsInt() bool { return t.Kind == Int || t.Kind == LongInt || t.Kind == LongNeg }

// IsText reports whether t is a string, spelled out or as a word.
func (t Token) IsText() bool { return t.Kind == String || t.Kind == Vocab }

// Symbol returns the word that t is, spelled out or not, and whether it is one.
// Use it where the protocol expects a keyword.
func (t Token) Symbol() (Symbol, bool) {
	switch t.Kind {
	case Vocab:
		return Symbol(t.Int), true
	case String:
		return LookupSymbol(t.Bytes)
	}
	return 0, false
}

// Text returns the string that t is, spelled out or as a word, and "" if t is
// none. It allocates for a String only.
func (t Token) Text() string {
	switch t.Kind {
	case Vocab:
		return Symbol(t.Int).String()
	case String:
		return string(t.Bytes)
	}
	return ""
}

// AppendText appends what Text returns, without allocating it first.
func (t Token) AppendText(b []byte) []byte {
	switch t.Kind {
	case Vocab:
		return append(b, Symbol(t.Int).String()...)
	case String:
		return append(b, t.Bytes...)
	}
	return b
}

// TextIs reports whether t is the string s, without allocating.
func (t Token) TextIs(s string) bool {
	switch t.Kind {
	case Vocab:
		return Symbol(t.Int).String() == s
	case String:
		return string(t.Bytes) == s
	}
	return false
}

// Big returns the value of an integer of any size, and nil if t is none.
func (t Token) Big() *big.Int {
	switch t.Kind {
	case Int:
		return big.NewInt(t.Int)
	case LongInt:
		return bigOf(t.Bytes)
	case LongNeg:
		n := bigOf(t.Bytes)
		return n.Neg(n)
	}
	return nil
}

// bigOf returns the number with these digits in base 128, in linear time.
func bigOf(digits []byte) *big.Int {
	number := make([]big.Word, 0, len(digits)*7/bits.UintSize+1)
	var (
		word uint // the word that is being filled
		have uint // how many of its bits are set already
	)
	for _, digit := range digits {
		word |= uint(digit) << have
		if have += 7; have >= bits.UintSize {
			have -= bits.UintSize
			number = append(number, big.Word(word))
			word = uint(digit) >> (7 - have)
		}
	}
	return new(big.Int).SetBits(append(number, big.Word(word)))
}
