package banana

import (
	"encoding/binary"
	"io"
	"math"
	"math/bits"
)

// Reader hands out the tokens of a frame, that is of one or more complete
// expressions as a Scanner finds them. It allocates nothing and copies nothing.
//
// A Reader does not enforce Limits; that is the Scanner's office. It is safe on
// any bytes all the same: what is malformed gives an error. The zero Reader has
// an empty frame.
type Reader struct {
	frame   []byte
	pos     int
	profile Profile
}

// Reset makes r read frame from its start.
func (r *Reader) Reset(frame []byte, p Profile) {
	*r = Reader{frame: frame, profile: p}
}

// Offset returns how many bytes of the frame have been read.
func (r *Reader) Offset() int { return r.pos }

// Rest returns the bytes that have not been read yet. They are part of the frame.
func (r *Reader) Rest() []byte { return r.frame[r.pos:] }

// Profile returns the profile in which the frame is read.
func (r *Reader) Profile() Profile { return r.profile }

// Next returns the next token and moves behind it. At the end of the frame the
// error is io.EOF; it is a *TruncatedError where an element is not complete and
// a *SyntaxError where there is none. After an error r stands where it stood.
//
// Next does not count the elements of lists: a frame that ends between two
// elements of a list ends with io.EOF. No frame that a Scanner found does.
//
// A list whose count is larger than the number of bytes left is truncated, so a
// count that Next returns may be used to size a slice.
func (r *Reader) Next() (Token, error) {
	var t Token
	err := r.Read(&t)
	return t, err
}

// Read is Next, for loops in which copying a Token counts. It sets only the
// fields of t that count for its Kind; after an error t is undefined.
func (r *Reader) Read(t *Token) error {
	frame, end := r.frame, r.pos
	var (
		n    uint64 // the number in the header
		kind Kind
	)
	if rest := frame[end:]; len(rest) >= 2 && rest[0] < 0x80 && rest[1] >= 0x80 {
		// Nine out of ten headers are one byte.
		n, kind, end = uint64(rest[0]), Kind(rest[1]), end+2
	} else {
		for shift := uint(0); ; shift += 7 {
			if end >= len(frame) {
				return r.ended()
			}
			c := frame[end]
			end++
			if c >= 0x80 {
				kind = Kind(c)
				break
			}
			if shift > 56 {
				return r.long(t)
			}
			n |= uint64(c) << shift
		}
	}
	return r.element(t, kind, n, end)
}

// Ints reads integers as long as there are any and dst has room, and returns how many. It stops in front of
// anything else, also of an integer with more than nine digits in base 128, and of an error, which Next will
// return. It is for long lists.
func (r *Reader) Ints(dst []int64) (count int) {
	frame, pos := r.frame, r.pos
	for ; count < len(dst); count++ {
		if pos+8 <= len(frame) {
			// All of a header and its type byte at once, if it has seven digits at most.
			x := binary.LittleEndian.Uint64(frame[pos:])
			if digits := bits.TrailingZeros64(x & highBits); digits < 64 {
				digits -= 7 // in bits: where the type byte is
				n := packDigits(x & (1<<digits - 1))
				switch Kind(x >> digits) {
				case Int, LongInt:
					dst[count] = int64(n)
				case Neg, LongNeg:
					dst[count] = -int64(n)
				default:
					r.pos = pos
					return count
				}
				pos += digits/8 + 1
				continue
			}
		}
		var n uint64
		at, shift := pos, uint(0)
		for ; at < len(frame) && frame[at] < 0x80 && shift < 63; shift += 7 {
			n |= uint64(frame[at]) << shift
			at++
		}
		if at == len(frame) {
			break
		}
		switch Kind(frame[at]) {
		case Int, LongInt:
			dst[count] = int64(n)
		case Neg, LongNeg:
			dst[count] = -int64(n)
		default:
			r.pos = pos
			return count
		}
		pos = at + 1
	}
	r.pos = pos
	return count
}

// highBits are those that type bytes have and digits have not.
const highBits = 0x8080808080808080

// packDigits returns the number of which these are the digits, one in each byte.
func packDigits(x uint64) uint64 {
	x = x&0x007f007f007f007f | x&0x7f007f007f007f00>>1
	x = x&0x00003fff00003fff | x&0x3fff00003fff0000>>2
	return x&0x000000000fffffff | x&0x0fffffff00000000>>4
}

// Take moves behind the bytes of tokens if they are what comes next, and says whether they were.
// It is for what comes often: tokens must be whole ones, with no body missing.
func (r *Reader) Take(tokens string) bool {
	end := r.pos + len(tokens)
	if end > len(r.frame) || string(r.frame[r.pos:end]) != tokens {
		return false
	}
	r.pos = end
	return true
}

// TakeInt moves behind an integer of at most four digits in base 128 that is not negative, if that is what comes next,
// and says whether it was. Like Take it is for what comes often.
func (r *Reader) TakeInt() (n int64, ok bool) {
	rest := r.frame[r.pos:]
	for i := 0; i < len(rest) && i <= 4; i++ {
		if c := rest[i]; c < 0x80 {
			n |= int64(c) << (7 * i)
			continue
		}
		if i == 0 || Kind(rest[i]) != Int {
			return 0, false
		}
		r.pos += i + 1
		return n, true
	}
	return 0, false
}

// ended returns the error of an element whose type byte is missing.
func (r *Reader) ended() error {
	if r.pos == len(r.frame) {
		return io.EOF
	}
	return &TruncatedError{Offset: r.pos}
}

// element reads an element of which the header, which is n and below 2^63, and
// the type byte have been seen. Its body starts at end.
func (r *Reader) element(t *Token, kind Kind, n uint64, end int) error {
	switch kind {
	case Int, LongInt:
		t.Kind, t.Int = Int, int64(n)
	case Neg, LongNeg:
		t.Kind, t.Int = Int, -int64(n)
	case String:
		body := r.frame[end:]
		if n > uint64(len(body)) {
			return &TruncatedError{Offset: r.pos}
		}
		end += int(n)
		t.Kind, t.Bytes = String, body[:n:n]
	case List:
		if n > uint64(len(r.frame)-end) {
			return &TruncatedError{Offset: r.pos}
		}
		t.Kind, t.Int = List, int64(n)
	case Vocab:
		if r.profile != ProfilePB || n-1 >= uint64(lastSymbol) {
			return r.syntaxError(checkVocab(r.frame[r.pos:end-1], r.profile))
		}
		t.Kind, t.Int = Vocab, int64(n)
	case Float:
		body := r.frame[end:]
		if len(body) < floatSize {
			return &TruncatedError{Offset: r.pos}
		}
		end += floatSize
		t.Kind, t.Float = Float, math.Float64frombits(binary.BigEndian.Uint64(body))
	default:
		return r.syntaxError(badTypeByte(kind, r.pos))
	}
	r.pos = end
	return nil
}

// long reads an element whose header has more than nine digits, so that it may
// be 2^63 or more.
func (r *Reader) long(t *Token) error {
	end := r.pos
	for end < len(r.frame) && r.frame[end] < 0x80 {
		end++
	}
	if end == len(r.frame) {
		return r.ended()
	}
	digits, kind := r.frame[r.pos:end:end], Kind(r.frame[end])
	for len(digits) > 0 && digits[len(digits)-1] == 0 {
		digits = digits[:len(digits)-1]
	}
	if len(digits) <= 9 || kind == Float {
		return r.element(t, kind, firstDigits(digits), end+1)
	}
	switch kind {
	case Int, LongInt:
		t.Kind, t.Bytes = LongInt, digits
	case Neg, LongNeg:
		if len(digits) == 10 && digits[9] == 1 && firstDigits(digits) == 0 {
			t.Kind, t.Int = Int, math.MinInt64
		} else {
			t.Kind, t.Bytes = LongNeg, digits
		}
	case Vocab:
		return r.syntaxError(checkVocab(digits, r.profile))
	case List, String:
		// It is longer than any frame can be.
		return &TruncatedError{Offset: r.pos}
	default:
		return r.syntaxError(badTypeByte(kind, r.pos))
	}
	r.pos = end + 1
	return nil
}

// firstDigits returns the number that the nine lowest digits make.
func firstDigits(digits []byte) (n uint64) {
	for i, digit := range digits[:min(len(digits), 9)] {
		n |= uint64(digit) << (7 * i)
	}
	return n
}

func (r *Reader) syntaxError(what string) error {
	return &SyntaxError{Offset: r.pos, What: what}
}

// Peek returns the Kind of the token that Next will return, or 0 if Next will
// return an error.
func (r *Reader) Peek() Kind {
	pos := r.pos
	token, err := r.Next()
	r.pos = pos
	if err != nil {
		return 0
	}
	return token.Kind
}

// Skip moves behind the next expression, with all that is in it if it is a
// list. It returns io.EOF at the end of the frame. After an error r stands where
// it stood.
func (r *Reader) Skip() error {
	var token Token
	start := r.pos
	for owed := int64(1); owed > 0; owed-- {
		at := r.pos
		err := r.Read(&token)
		if err == io.EOF && at > start {
			err = &TruncatedError{Offset: at}
		}
		if err == nil && token.Kind == List {
			owed += token.Int
			if owed-1 > int64(len(r.frame)-r.pos) {
				err = &TruncatedError{Offset: at}
			}
		}
		if err != nil {
			r.pos = start
			return err
		}
	}
	return nil
}

// Raw is Skip, and returns the bytes of the expression. They are part of the
// frame.
func (r *Reader) Raw() ([]byte, error) {
	start := r.pos
	if err := r.Skip(); err != nil {
		return nil, err
	}
	return r.frame[start:r.pos:r.pos], nil
}
