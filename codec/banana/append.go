package banana

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"math/bits"
)

// The Append functions write one element behind b and return the longer slice.
// They allocate nothing but what growing b takes. AppendList, AppendBytes and
// AppendString do not check sizes, because most callers know theirs to be
// small: Limits.CheckList and Limits.CheckString are there for the others. A
// longer one makes the peer drop the connection.

// MaxIntBits is the size of the largest integer that can be sent: 64 digits of
// base 128, which is what stock Twisted sends and accepts.
const MaxIntBits = 7 * DefaultPrefix

// appendHeader writes n in base 128, least significant digit first. Zero is one
// digit, as stock has it.
func appendHeader(b []byte, n uint64) []byte {
	for n >= 0x80 {
		b = append(b, byte(n&0x7f))
		n >>= 7
	}
	return append(b, byte(n))
}

// AppendList writes the head of a list of n elements, which the caller appends
// next. n must not be negative; a negative n is written as 0.
func AppendList(b []byte, n int) []byte {
	if uint(n) < 0x80 {
		return append(b, byte(n), byte(List))
	}
	return append(appendHeader(b, uint64(max(n, 0))), byte(List))
}

// AppendInt writes n as Int or Neg if it is within -2^31 and 2^31-1, and as
// LongInt or LongNeg otherwise.
func AppendInt(b []byte, n int64) []byte {
	switch {
	case n >= 0 && n < 0x80:
		return append(b, byte(n), byte(Int))
	case n >= 0:
		return AppendUint(b, uint64(n))
	case n >= math.MinInt32:
		return append(appendHeader(b, uint64(-n)), byte(Neg))
	}
	// Negating the smallest int64 in two's complement gives 2^63 as a uint64.
	return append(appendHeader(b, -uint64(n)), byte(LongNeg))
}

// AppendUint writes n as AppendInt does, for the numbers that need it.
func AppendUint(b []byte, n uint64) []byte {
	kind := Int
	if n > math.MaxInt32 {
		kind = LongInt
	}
	return append(appendHeader(b, n), byte(kind))
}

var errNilInt = errors.New("banana: cannot send a nil *big.Int; send a number or None")

// AppendBig writes an integer of any size that Banana can carry. If n has more
// than MaxIntBits bits it returns b as it was and an *EncodeError.
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

// appendDigits writes a number given as words, least significant first, in base
// 128. The number must not be zero.
func appendDigits(b []byte, number []big.Word) []byte {
	var (
		rest uint // bits taken from the words but not yet written
		have uint // how many these are, below 7 between words
	)
	for _, word := range number {
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
	// The highest word seldom fills its last digits.
	for b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// AppendFloat writes f with all its bits: the sign of zero and the payload of a
// NaN are kept.
func AppendFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, byte(Float)), math.Float64bits(f))
}

// AppendBytes writes s as a string, or under ProfilePB as a word if it is one.
func AppendBytes(b []byte, p Profile, s []byte) []byte {
	if p == ProfilePB {
		if sym, ok := LookupSymbol(s); ok {
			return append(b, byte(sym), byte(Vocab))
		}
	}
	return append(appendStringHead(b, len(s)), s...)
}

// AppendString is AppendBytes for a string.
func AppendString(b []byte, p Profile, s string) []byte {
	if p == ProfilePB {
		if sym, ok := LookupSymbol(s); ok {
			return append(b, byte(sym), byte(Vocab))
		}
	}
	return append(appendStringHead(b, len(s)), s...)
}

func appendStringHead(b []byte, n int) []byte {
	if n < 0x80 {
		return append(b, byte(n), byte(String))
	}
	return append(appendHeader(b, uint64(n)), byte(String))
}

// AppendSymbol writes a word of the vocabulary, spelled out under ProfileNone.
// What is no word is spelled out as its String, which no peer will mistake for
// one.
func AppendSymbol(b []byte, p Profile, s Symbol) []byte {
	if p == ProfilePB && s.Valid() {
		return append(b, byte(s), byte(Vocab))
	}
	word := s.String()
	return append(append(b, byte(len(word)), byte(String)), word...)
}
