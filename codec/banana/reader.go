package banana

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
)

// Reader returns the tokens of a frame: one or more complete expressions, as found by a [Scanner]. It does not allocate
// or copy.
//
// A Reader does not enforce [Limits]; the Scanner does. It is safe on any input: malformed input gives an error. The
// zero Reader has an empty frame.
type Reader struct {
	frame   []byte
	pos     int
	profile Profile
}

// Reset makes r read frame from the start.
func (r *Reader) Reset(frame []byte, p Profile) {
	*r = Reader{frame: frame, profile: p}
}

// Offset returns the number of bytes that have been read.
func (r *Reader) Offset() int { return r.pos }

// Rest returns the bytes that have not been read. They are part of the frame.
func (r *Reader) Rest() []byte { return r.frame[r.pos:] }

// Profile returns the profile of the frame.
func (r *Reader) Profile() Profile { return r.profile }

// Next returns the next token and advances past it. The error is io.EOF at the end of the frame, a [*TruncatedError] if
// an element is incomplete, and a [*SyntaxError] if it is malformed. After an error the position is unchanged.
//
// Next does not count the elements of lists: a frame that ends between two elements of a list gives io.EOF. A frame
// found by a Scanner never does.
//
// A list that declares more elements than bytes are left is a TruncatedError, so the count may be used to size a slice.
func (r *Reader) Next() (Token, error) {
	var t Token
	err := r.Read(&t)
	return t, err
}

// Read is like [Reader.Next] but stores the token in t, for tight loops. It sets only the fields that t.Kind
// determines. After an error t is undefined.
func (r *Reader) Read(t *Token) error {
	frame, end := r.frame, r.pos
	var (
		n    uint64 // the number in the header
		kind Kind
	)
	if rest := frame[end:]; len(rest) >= 2 && rest[0] < 0x80 && rest[1] >= 0x80 {
		// Most headers are one byte.
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

// Take advances past tokens, the bytes of whole tokens, if they come next, and reports whether they did. It is faster
// than Next for sequences that are frequent.
func (r *Reader) Take(tokens string) bool {
	end := r.pos + len(tokens)
	if end > len(r.frame) || string(r.frame[r.pos:end]) != tokens {
		return false
	}
	r.pos = end
	return true
}

// TakeBytes is Take for bytes.
func (r *Reader) TakeBytes(tokens []byte) bool {
	if !bytes.HasPrefix(r.frame[r.pos:], tokens) {
		return false
	}
	r.pos += len(tokens)
	return true
}

// TakeInt reads a non-negative integer of at most four digits in base 128 if one comes next, and reports whether it
// did.
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

// TakeHead advances past the head of a list that begins with a word of the vocabulary, and past the word, if they come
// next and the list has less than 128 elements. It returns how many elements come after the word, and reports whether
// it did.
func (r *Reader) TakeHead(word Symbol) (n int, ok bool) {
	rest := r.frame[r.pos:]
	if len(rest) < 4 || Kind(rest[1]) != List || rest[2] != byte(word) || Kind(rest[3]) != Vocab ||
		rest[0]-1 >= 0x7f || !r.profile.HasVocabulary() {
		return 0, false
	}
	n = int(rest[0]) - 1
	if n > len(rest)-4 {
		return 0, false
	}
	r.pos += 4
	return n, true
}

// ended returns the error for an element whose type byte is missing.
func (r *Reader) ended() error {
	if r.pos == len(r.frame) {
		return io.EOF
	}
	return &TruncatedError{Offset: r.pos}
}

// element reads an element whose header, n below 2^63, and type byte have been read. Its body starts at end.
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
		if !r.profile.HasVocabulary() || n-1 >= uint64(lastSymbol) {
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

// long reads an element whose header has more than nine digits, so it may be 2^63 or more.
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
		// It is longer than any frame.
		return &TruncatedError{Offset: r.pos}
	default:
		return r.syntaxError(badTypeByte(kind, r.pos))
	}
	r.pos = end + 1
	return nil
}

// firstDigits returns the number with the nine lowest digits.
func firstDigits(digits []byte) (n uint64) {
	for i, digit := range digits[:min(len(digits), 9)] {
		n |= uint64(digit) << (7 * i)
	}
	return n
}

func (r *Reader) syntaxError(what string) error {
	return &SyntaxError{Offset: r.pos, What: what}
}

// Peek returns the Kind of the token that Next will return, or 0 if Next will return an error.
func (r *Reader) Peek() Kind {
	pos := r.pos
	token, err := r.Next()
	r.pos = pos
	if err != nil {
		return 0
	}
	return token.Kind
}

// Skip advances past the next expression, including all elements of a list. It returns io.EOF at the end of the frame.
// After an error the position is unchanged.
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
