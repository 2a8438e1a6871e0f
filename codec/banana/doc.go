// Package banana implements Banana, the byte encoding underneath Perspective Broker. It handles bytes, integers,
// floats, strings and lists; package jelly gives them a meaning. It depends on the standard library only.
//
// From the socket upwards:
//
//   - [Scanner] finds the end of the next complete expression in a growing buffer and enforces [Limits].
//   - [Reader] returns the tokens of such an expression without copying.
//   - The Append functions append tokens to a byte slice, byte for byte as Twisted writes them.
//   - [AppendOffer], [ChooseProfile], [AppendChoice] and [ParseChoice] implement the negotiation that begins every
//     connection.
//   - [Expr], [AppendExpr], [DecodeExpr], [Format] and [FormatFrame] are for tools, logs and tests. They allocate.
//
// # Encoding details
//
// An element is a header, a type byte and, for strings and floats, a body. The header is a number in base 128, least
// significant digit first; its bytes are below 0x80. The type byte, a [Kind], is 0x80 or above and so ends the header.
// A list carries its number of elements in front and has no end mark.
//
//	[1, -2]          02 80  01 81  02 83
//	200              48 01 81                (72 + 1*128)
//	"hi"             02 82 68 69
//	1.5              84 3f f8 00 00 00 00 00 00
//	["tuple", 7]     02 80  0b 87  07 81     (profile pb: tuple is word 11)
//	["tuple", 7]     02 80  05 82 74 75 70 6c 65  07 81     (profile none)
//	-2147483648      00 00 00 00 08 83
//	-2147483649      01 00 00 00 08 86
//
// Integers from -2^31 to 2^31-1 are written as [Int] and [Neg], all others as [LongInt] and [LongNeg], up to 448 bits
// (64 digits). Under [ProfilePB] every string that equals one of the 31 words of the vocabulary is written as [Vocab],
// whether it is a keyword of the protocol or user data.
//
// The decoder is exactly as lenient as Twisted's; the tests compare the two:
//
//   - A header may have leading zeros (most significant digits that are 0). It may be missing, which means 0: the
//     single byte 0x81 is the integer 0.
//   - Each of the four integer kinds may carry any number that the header can hold. The negative of zero is zero.
//   - The header of a float is ignored.
//   - A word may be spelled out in either profile. A [Vocab] element under [ProfileNone] is an error, and so is the
//     index of a word that does not exist.
//
// # Limits
//
// Every size, count and depth that a peer controls has a limit in [Limits]. A header, string or list that exceeds its
// limit is refused as soon as its header has been read, before its body arrives. A frame is refused as soon as it
// cannot fit any more: a list of n elements needs at least n more bytes.
//
// # Security
//
// Nothing in this package allocates by a size that a peer declares. A Scanner keeps a few words for each open list, at
// most Limits.Depth of them. A Reader allocates nothing and refuses a list that declares more elements than bytes are
// left, so its count may be used to size a slice. Both do work linear in their input, however the input is cut into
// pieces. Both return an error for malformed input; neither panics.
//
// Errors may quote a few bytes of the input, escaped. [FormatFrame] shows everything in a frame, including login
// responses: be careful where you log it.
//
// # Not done
//
// The vocabulary cannot be extended, and there are no profiles besides "pb" and "none". No known peer uses others.
package banana
