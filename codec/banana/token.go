package banana

import (
	"math/big"
	"math/bits"
	"strconv"
)

// Kind is the type byte of an element. Below, header is a number in base 128, least significant digit first, each digit
// in a byte below 0x80.
type Kind byte

const (
	// List is a sequence of elements.
	//
	//	header = count | 0x80 | count elements
	List Kind = 0x80

	// Int is a non-negative integer. Senders use it up to 2^31-1.
	//
	//	header = value | 0x81
	Int Kind = 0x81

	// String is a string of bytes.
	//
	//	header = length | 0x82 | length bytes
	String Kind = 0x82

	// Neg is a negative integer. Senders use it down to -2^31.
	//
	//	header = -value | 0x83
	Neg Kind = 0x83

	// Float is an IEEE 754 binary64. Senders leave the header empty; receivers ignore it.
	//
	//	header | 0x84 | 8 bytes, big-endian
	Float Kind = 0x84

	// LongInt is an integer of 2^31 or more.
	//
	//	header = value | 0x85
	LongInt Kind = 0x85

	// LongNeg is an integer below -2^31.
	//
	//	header = -value | 0x86
	LongNeg Kind = 0x86

	// Vocab is a word of the vocabulary, in profile pb only.
	//
	//	header = index of the word, a Symbol | 0x87
	Vocab Kind = 0x87
)

// floatSize is the size of a float's body in bytes.
const floatSize = 8

// String returns the kind's name in lower case, or its number if there is no such kind.
func (k Kind) String() string {
	switch k {
	case List:
		return "list"
	case Int:
		return "int"
	case String:
		return "string"
	case Neg:
		return "neg"
	case Float:
		return "float"
	case LongInt:
		return "longint"
	case LongNeg:
		return "longneg"
	case Vocab:
		return "vocab"
	}
	return "Kind(0x" + strconv.FormatUint(uint64(k), 16) + ")"
}

// Token is one element of an expression: an atom, or the head of a list whose elements follow as tokens of their own.
//
// Integers are normalised: one that fits an int64 has Kind Int, whatever kind it was sent as; any other has Kind
// LongInt or LongNeg. No token has Kind Neg.
type Token struct {
	// Kind determines which of the other fields are set.
	Kind Kind

	// Int is the value of an Int, the number of elements of a List, or the Symbol of a Vocab.
	Int int64

	// Float is the value of a Float.
	Float float64

	// Bytes is the body of a String, or the magnitude of a LongInt or LongNeg: digits in base 128, least
	// significant first. It is a part of the frame; copy it to keep it longer.
	Bytes []byte
}

// IsInt reports whether t is an integer of any size.
func (t Token) IsInt() bool { return t.Kind == Int || t.Kind == LongInt || t.Kind == LongNeg }

// IsText reports whether t is a string, spelled out or as a word.
func (t Token) IsText() bool { return t.Kind == String || t.Kind == Vocab }

// Symbol returns the word that t is, spelled out or not, and whether t is a word. Use it where the protocol expects a
// keyword.
func (t Token) Symbol() (Symbol, bool) {
	switch t.Kind {
	case Vocab:
		return Symbol(t.Int), true
	case String:
		return LookupSymbol(t.Bytes)
	}
	return 0, false
}

// Text returns the string that t is, spelled out or as a word, and "" if t is no string. It allocates for a String
// only.
func (t Token) Text() string {
	switch t.Kind {
	case Vocab:
		return Symbol(t.Int).String()
	case String:
		return string(t.Bytes)
	}
	return ""
}

// AppendText appends what Text returns to b.
func (t Token) AppendText(b []byte) []byte {
	switch t.Kind {
	case Vocab:
		return append(b, Symbol(t.Int).String()...)
	case String:
		return append(b, t.Bytes...)
	}
	return b
}

// TextIs reports whether t is the string s. It does not allocate.
func (t Token) TextIs(s string) bool {
	switch t.Kind {
	case Vocab:
		return Symbol(t.Int).String() == s
	case String:
		return string(t.Bytes) == s
	}
	return false
}

// Big returns the value of an integer of any size, and nil if t is no integer.
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

// bigOf returns the number with these digits in base 128. It takes linear time.
func bigOf(digits []byte) *big.Int {
	words := make([]big.Word, 0, len(digits)*7/bits.UintSize+1)
	var (
		word uint // the word being filled
		used uint // how many of its bits are set
	)
	for _, digit := range digits {
		word |= uint(digit) << used
		if used += 7; used >= bits.UintSize {
			used -= bits.UintSize
			words = append(words, big.Word(word))
			word = uint(digit) >> (7 - used)
		}
	}
	return new(big.Int).SetBits(append(words, big.Word(word)))
}
