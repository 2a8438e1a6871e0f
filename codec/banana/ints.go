package banana

import (
	"encoding/binary"
	"math/bits"
)

// Long lists are mostly integers, mostly of a similar size. This file reads them eight bytes at a time.

const (
	// highBits are set in type bytes and clear in digits.
	highBits = 0x8080808080808080
	// loadSize is how many bytes are loaded at once: an integer of up to seven digits and its type byte.
	loadSize = 8
)

// Ints reads integers into dst and returns how many. It stops before anything else and before an error, which Next will
// return. It is for long lists.
func (r *Reader) Ints(dst []int64) (count int) {
	frame, pos := r.frame, r.pos
	for count < len(dst) {
		var x, ends uint64
		if pos+loadSize <= len(frame) {
			x = binary.LittleEndian.Uint64(frame[pos:])
			ends = x & highBits
		}
		if ends == 0 {
			r.pos = pos
			t, err := r.Next()
			if err != nil || t.Kind != Int {
				r.pos = pos
				return count
			}
			dst[count], pos = t.Int, r.pos
			count++
			continue
		}
		shift := bits.TrailingZeros64(ends) &^ 7 // Where the type byte is.
		one := uint64(1) << (shift & 63)
		n := int64(packDigits(x & (one - 1)))
		kind, width := x>>(shift&63)&0xff, shift/8+1
		switch Kind(kind) {
		case Int, LongInt:
			dst[count] = n
		case Neg, LongNeg:
			dst[count] = -n
			count, pos = count+1, pos+width
			continue
		default:
			r.pos = pos
			return count
		}
		count, pos = count+1, pos+width
		// The next ones often have as many digits. The position is then known without waiting for the load.
		look, want := one*0xff|(one-1)&highBits, one*kind
		for count < len(dst) && pos+loadSize <= len(frame) {
			x := binary.LittleEndian.Uint64(frame[pos:])
			if x&look != want {
				break
			}
			dst[count] = int64(packDigits(x & (one - 1)))
			count++
			pos += width
		}
	}
	r.pos = pos
	return count
}

// packDigits returns the number with these digits in base 128, one in each byte.
func packDigits(x uint64) uint64 {
	x = x&0x007f007f007f007f | x&0x7f007f007f007f00>>1
	x = x&0x00003fff00003fff | x&0x3fff00003fff0000>>2
	return x&0x000000000fffffff | x&0x0fffffff00000000>>4
}

// ints counts integers that follow in the innermost list, but not the list's last element. They are those that Next
// would count one after the other: well within the limits, and complete in buf.
func (s *Scanner) ints(buf []byte) {
	if s.limits.Prefix < shortHeader {
		return
	}
	// The frame must have room for a load and for one byte of each element still to come.
	end := min(len(buf), s.limits.Frame-s.owed)
	left := s.owed - s.open[len(s.open)-1] - 1
	pos, first := s.pos, left
	digits := 0 // before pos, of an integer that is not complete
	for left >= loadSize && pos+loadSize <= end {
		x := binary.LittleEndian.Uint64(buf[pos:])
		ends := x & highBits
		kinds := ends >> 7
		// The lowest three bits of the type bytes of integers are 1, 3, 5 and 6.
		if ends == 0 || x&(ends-kinds<<3) != 0 || (x^x>>1&(x>>2))&kinds != kinds ||
			digits+bits.TrailingZeros64(ends)/8 > shortHeader {
			break
		}
		digits = bits.LeadingZeros64(ends) / 8
		left -= bits.OnesCount64(ends)
		pos += loadSize
	}
	n := first - left
	s.owed -= n
	if s.prices != nil {
		s.cost += n * s.prices.Number
	}
	s.pos, s.cur = pos-digits, pos-digits
}
