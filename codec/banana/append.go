package banana

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/bits"
)

// The Append functions append one element to b and return the extended slice. They allocate only to grow b. AppendList,
// AppendBytes and AppendString do not check sizes: use Limits.CheckList and Limits.CheckString where a size may exceed
// the peer's limit, because a peer that receives more drops the connection.

// MaxIntBits is the size in bits of the largest integer that can be sent: 64 digits in base 128, as in stock Twisted.
const MaxIntBits = 7 * DefaultPrefix

// appendHeader appends n in base 128, least significant digit first. Zero is one digit, as in Twisted.
func appendHeader(b []byte, n uint64) []byte {
	for n >= 0x80 {
		b = append(b, byte(n&0x7f))
		n >>= 7
	}
	return append(b, byte(n))
}

// AppendList appends the head of a list of n elements; the caller appends the elements. A negative n counts as 0.
func AppendList(b []byte, n int) []byte {
	if uint(n) < 0x80 {
		return append(b, byte(n), byte(List))
	}
	return append(appendHeader(b, uint64(max(n, 0))), byte(List))
}

// AppendInt appends n as Int or Neg if it is within -2^31 and 2^31-1, and as LongInt or LongNeg otherwise.
func AppendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0 && n < 0x80:
		return append(b, byte(n), byte(Int))
	case n >= 0:
		return AppendUint(b, uint64(n))
	case n >= math.MinInt32:
		return append(appendHeader(b, uint64(-n)), byte(Neg))
	}
	// For the smallest int64, -uint64(n) is 2^63.
	return append(appendHeader(b, -uint64(n)), byte(LongNeg))
}

// AppendUint appends n as AppendInt does.
func AppendUint(b []byte, n uint64) []byte {
	kind := Int
	if n > math.MaxInt32 {
		kind = LongInt
	}
	return append(appendHeader(b, n), byte(kind))
}

var errNilInt = errors.New("banana: cannot send a nil *big.Int; send a number or None")

// AppendBig appends an integer of up to MaxIntBits bits. If n is larger it returns b unchanged and an [*EncodeError].
func AppendBig(b []byte, n *big.Int) ([]byte, error) {
	switch {
	case n == nil:
		return b, errNilInt
	case n.IsInt64():
		return AppendInt(b, n.Int64()), nil
	case n.BitLen() > MaxIntBits:
		return b, &EncodeError{Limit: LimitPrefix, Size: n.BitLen(), Max: MaxIntBits}
	}
	b = appendDigits(b, n.Bits())
	if n.Sign() < 0 {
		return append(b, byte(LongNeg)), nil
	}
	return append(b, byte(LongInt)), nil
}

// appendDigits appends in base 128 the number with these words, least significant first. It must not be zero.
func appendDigits(b []byte, words []big.Word) []byte {
	var (
		rest uint // bits taken from words but not yet appended
		have uint // how many of them; below 7 between words
	)
	for _, word := range words {
		w := uint(word)
		for left := uint(bits.UintSize); left > 0; {
			take := min(7-have, left)
			rest |= (w & (1<<take - 1)) << have
			w >>= take
			left -= take
			if have += take; have == 7 {
				b = append(b, byte(rest))
				rest, have = 0, 0
			}
		}
	}
	b = append(b, byte(rest))
	// The highest word rarely fills its last digits.
	for b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// AppendFloat appends f with all its bits, including the sign of zero and the payload of a NaN.
func AppendFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, byte(Float)), math.Float64bits(f))
}

// AppendBytes appends s as a string or, under a profile with a vocabulary, as a word if it is one.
func AppendBytes(b []byte, p Profile, s []byte) []byte {
	if p.HasVocabulary() {
		if sym, ok := LookupSymbol(s); ok {
			return append(b, byte(sym), byte(Vocab))
		}
	}
	return append(appendStringHead(b, len(s)), s...)
}

// AppendString is like [AppendBytes] for a string.
func AppendString(b []byte, p Profile, s string) []byte {
	if p.HasVocabulary() {
		if sym, ok := LookupSymbol(s); ok {
			return append(b, byte(sym), byte(Vocab))
		}
	}
	return append(appendStringHead(b, len(s)), s...)
}

// AppendBytesHead appends the head of a string of n bytes, which the caller appends. It never writes a word. A negative
// n counts as 0.
func AppendBytesHead(b []byte, n int) []byte { return appendStringHead(b, max(n, 0)) }

func appendStringHead(b []byte, n int) []byte {
	if n < 0x80 {
		return append(b, byte(n), byte(String))
	}
	return append(appendHeader(b, uint64(n)), byte(String))
}

// AppendSymbol appends a word of the vocabulary, spelled out under ProfileNone. An s that is not valid is written as
// the text of its String method.
func AppendSymbol(b []byte, p Profile, s Symbol) []byte {
	if p.HasVocabulary() && s.Valid() {
		return append(b, byte(s), byte(Vocab))
	}
	word := s.String()
	return append(append(b, byte(len(word)), byte(String)), word...)
}
