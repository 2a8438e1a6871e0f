// Package banana turns Banana, the syntax underneath Perspective Broker, into
// tokens and back. It knows bytes, integers, floats, strings and lists; what
// they mean is codec/jelly's affair. It depends on the standard library only.
//
// The pieces, from the socket upwards:
//
//   - [Scanner] finds where the next complete expression in a growing buffer
//     ends. It enforces [Limits] and builds nothing.
//   - [Reader] hands out the tokens of such an expression without copying.
//   - The Append functions write tokens behind a byte slice, with exactly the
//     bytes that Twisted would write.
//   - [AppendOffer], [ChooseProfile], [AppendChoice] and [ParseChoice] are the
//     negotiation with which every connection begins.
//   - [Expr], [AppendExpr], [DecodeExpr] and [Format] are a generic form for
//     tools, logs and tests. They allocate; a broker does not need them.
//
// # Encoding details
//
// An element is a header, a type byte and, for strings and floats, a body. The
// header is a number in base 128, least significant digit first; its bytes are
// below 0x80. The type byte, a [Kind], is 0x80 or above, so it also ends the
// header. A list says how many elements follow and has no end mark.
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
// Integers from -2^31 to 2^31-1 are written as [Int] and [Neg], all others as
// [LongInt] and [LongNeg], up to 448 bits (64 digits). Under [ProfilePB] every
// string that equals one of the 31 words of the vocabulary is written as
// [Vocab], whether it is a keyword of the protocol or the user's data.
//
// The receiving side is as tolerant as Twisted's, no more and no less, and the
// tests compare the two:
//
//   - A header may have leading zeros (most significant digits that are 0) and
//     may be missing, which is 0: the single byte 0x81 is the integer 0.
//   - All four integer kinds may carry any number that the header holds. The
//     negative of zero is zero.
//   - The header in front of a float is ignored.
//   - A word may be spelled out in either profile. A [Vocab] element under
//     [ProfileNone], and a word that does not exist, are errors.
//
// # Limits
//
// Whatever size, count or depth a peer controls has a limit in [Limits]. A
// header, string or list that exceeds its limit is refused when its header has
// been seen, before its body arrives. A frame is refused as soon as it is
// certain that it cannot fit: a list of n elements needs n more bytes at least.
//
// # Security
//
// Nothing here allocates by a number that a peer declares. A Scanner holds a
// few words for each list that is open, at most Limits.Depth of them. A Reader
// allocates nothing and refuses a list that declares more elements than there
// are bytes left, so that its count may be used to size a slice. Both do work
// linear in the bytes they are given, however these are cut into pieces. Both
// return an error on any malformed input; neither panics.
//
// Errors may quote a few bytes of what a peer sent, escaped, and [FormatFrame]
// shows everything that is in a frame, login responses included: log it with
// that in mind.
//
// # Not done
//
// There is no extensible vocabulary (Twisted has a note that there might be
// one), and no profile besides "pb" and "none"; no known peer uses another.
package banana
