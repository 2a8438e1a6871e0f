package banana

import "strconv"

// Kind is the type byte of an element. Below, header is a number in base 128,
// least significant digit first, each digit in a byte below 0x80.
type Kind byte

const (
	// List is a sequence of elements.
	//
	//	header = count | 0x80 | count elements
	List Kind = 0x80

	// Int is an integer that is not negative. Senders use it up to 2^31-1.
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

	// Float is an IEEE 754 binary64. Senders leave the header empty,
	// receivers ignore it.
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

	// Vocab is a string that is a word of the vocabulary, in profile pb only.
	//
	//	header = index of the word, a Symbol | 0x87
	Vocab Kind = 0x87
)

// floatSize is the length of a float's body.
const floatSize = 8

// String returns the kind's name in lower case, or its number if there is no
// such kind.
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
