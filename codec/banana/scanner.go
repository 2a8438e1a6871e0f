package banana

import (
	"fmt"
)

// Scanner finds the ends of complete top-level expressions in a stream and refuses what exceeds its Limits. It
// remembers where it stopped, so its work is linear in the bytes however the stream is cut. It looks at the bodies of
// those strings only that begin a list, and only to price them.
//
// The zero Scanner has ProfileNone and the default Limits. A Scanner must not be used by two goroutines at once.
type Scanner struct {
	limits  Limits // with defaults in place once the first byte has been scanned
	profile Profile
	prices  *Prices // nil: everything is free

	// The position within the expression. Between two calls of Next:
	//
	//   - pos <= cur
	//   - cur+owed <= limits.Frame: what has been scanned can still fit
	//   - open does not decrease, and each of its elements is below owed
	pos  int  // start of the next element, the end of the last one
	cur  int  // next byte of its header to scan
	owed int  // total number of elements still to come, each at least one byte
	cost int  // of the expression as far as scanned
	head bool // the next element is the first of a list
	// name is the start of the string that ends at pos, is a name or a code, and is not priced yet; or 0; or intBefore.
	name int

	array arrayPart // the part of an array that the next string is
	wide  int       // the price of each byte of that array's numbers beside that of a string

	open []int // for each open list, the value of owed when it will be complete

	err error // the first error; Next returns it until Init

	forms  *[formCount]form // nil until one is learned
	missed [formCount]uint8 // how many short expressions did not have this form since the last one that had
}

// arrayPart is a part of [array code numbers]; see Prices.Array.
type arrayPart uint8

const (
	noArray      arrayPart = iota
	arrayCode              // the next string is the code
	arrayRead              // the code has been scanned, but not priced
	arrayNumbers           // the next string is the numbers
)

// arrayName is the name of the lists that Prices.Array is for.
const arrayName = "array"

// Init prepares s for a new stream with this profile and these limits. It keeps the prices and reuses memory. Between
// two expressions Init may be called to change the profile or the limits of the stream.
func (s *Scanner) Init(p Profile, l Limits) {
	*s = Scanner{limits: l.WithDefaults(), profile: p, prices: s.prices, open: s.open[:0]}
}

// SetPrices sets the prices that Cost adds up; nil, the default, makes everything free. Call it between two
// expressions, and do not change p afterwards.
func (s *Scanner) SetPrices(p *Prices) { s.prices, s.forms = p, nil }

// Profile returns the profile in effect.
func (s *Scanner) Profile() Profile { return s.profile }

// Next returns the length of the first expression in buf, or 0 if more bytes are needed. buf must begin with that
// expression: after 0, pass the same bytes and more behind them; after a length, pass what follows the expression.
//
// The error is a [*SyntaxError] or a [*LimitError], and does not depend on how the stream is cut. It is final: Next
// returns it until Init is called.
func (s *Scanner) Next(buf []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	whole := s.cur == 0 // Nothing of the expression has been scanned.
	if whole && s.forms != nil && len(buf) >= minForm {
		i := formOf(buf)
		if f := &s.forms[i]; f.has(buf) {
			s.owed, s.cost, s.missed[i] = 0, f.cost, 0
			return f.size, nil
		}
	}
	if s.pos == 0 {
		s.owed, s.cost, s.head, s.name, s.array = 1, 0, false, 0, noArray
		if s.limits.Frame == 0 {
			s.limits = s.limits.WithDefaults()
		}
	}
	for s.owed > 0 {
		if s.pos > len(buf) {
			return 0, nil
		}
		if s.name != 0 {
			s.look(buf)
		}
		if s.cur == s.pos {
			if s.usual(buf); s.owed == 0 || s.pos > len(buf) {
				continue
			}
		}
		// The header must end before its own limit, and before the elements still to come would no longer fit.
		cur, last := s.cur, min(s.pos+s.limits.Prefix, s.limits.Frame-s.owed)
		for {
			if cur >= len(buf) {
				s.cur = cur
				return 0, nil
			}
			if buf[cur] >= 0x80 {
				break
			}
			if cur++; cur > last {
				return 0, s.failHeader(buf)
			}
		}
		if !s.element(Kind(buf[cur]), buf[s.pos:cur], cur+1) {
			return 0, s.err
		}
	}
	if s.pos > len(buf) {
		return 0, nil
	}
	if s.name != 0 {
		s.look(buf)
	}
	n := s.pos
	s.pos, s.cur = 0, 0
	if whole && n >= minForm && n <= maxForm {
		s.missedForm(buf[:n])
	}
	return n, nil
}

// intBefore is a Scanner's name after an integer, if so many elements are to come that there may be a run of integers.
const intBefore = -1

// look looks at the bytes of a string that is a name or a code, or at those of the integers that follow.
func (s *Scanner) look(buf []byte) {
	if s.name == intBefore {
		s.name = 0
		s.ints(buf)
		return
	}
	s.priceName(buf)
}

// priceName adds the price of a list that begins with the string that ends at pos, or of an array with that code.
func (s *Scanner) priceName(buf []byte) {
	name := buf[s.name:s.pos]
	s.name = 0
	if s.array == arrayRead {
		s.array, s.wide = arrayNumbers, s.prices.Array(name)
		return
	}
	price, kept := s.prices.Named(name)
	if s.cost += price; kept {
		s.cost += s.prices.text(len(name))
	}
	if s.prices.Array != nil && string(name) == arrayName {
		s.array = arrayCode
	}
}

// arrayString prices the string of n bytes after end that is a part of an array.
func (s *Scanner) arrayString(n, end int) {
	s.cost += s.prices.text(n)
	if s.array == arrayCode {
		s.array, s.name = arrayRead, end
		return
	}
	s.cost += n * s.wide
	s.array = noArray
}

// Need returns the minimum length of the current expression as far as it is known. After Next has returned 0 in the
// middle of a string, that is at least the end of the string.
func (s *Scanner) Need() int { return s.cur + s.owed }

// Cost returns the cost, at the prices of SetPrices, of the last expression whose length Next returned.
func (s *Scanner) Cost() int { return s.cost }

// element counts an element whose header and type byte have been scanned and whose body, if any, starts at end. It
// opens and closes lists and moves to the end of the body. On failure it sets err and returns false.
func (s *Scanner) element(kind Kind, header []byte, end int) bool {
	// owed is now the least number of bytes that the elements after this one take, and room what they leave for
	// the body of this one. Next has ensured that room is not negative.
	s.owed--
	room := s.limits.Frame - end - s.owed
	first := s.head
	s.head = false
	prices := s.prices
	if prices == nil {
		prices = &free
	}
	switch kind {
	case Int, Neg, LongInt, LongNeg:
		s.cost += prices.number(len(header))
		if s.owed > loadSize {
			s.name = intBefore
		}
	case List:
		n, ok := smallNumber(header)
		switch {
		case !ok || n > s.limits.List:
			return s.failLimit(LimitList, s.limits.List)
		case len(s.open) >= s.limits.Depth:
			return s.failLimit(LimitDepth, s.limits.Depth)
		case n > room:
			return s.failLimit(LimitFrame, s.limits.Frame)
		case n > 0:
			s.open = append(s.open, s.owed)
			s.owed += n
			s.cost += prices.List + n*prices.Slot
			s.head = true
			s.pos, s.cur = end, end
			return true
		}
		s.cost += prices.List
	case String:
		n, ok := smallNumber(header)
		switch {
		case !ok || n > s.limits.String:
			return s.failLimit(LimitString, s.limits.String)
		case n > room:
			return s.failLimit(LimitFrame, s.limits.Frame)
		}
		switch {
		case first && prices.Named != nil:
			s.name = end
		case s.array != noArray:
			s.arrayString(n, end)
		default:
			s.cost += prices.text(n)
		}
		end += n
	case Float:
		if floatSize > room {
			return s.failLimit(LimitFrame, s.limits.Frame)
		}
		end += floatSize
		s.cost += prices.Number
	case Vocab:
		if !s.profile.HasVocabulary() || len(header) != 1 || !Symbol(header[0]).Valid() {
			if what := checkVocab(header, s.profile); what != "" {
				return s.failSyntax(what)
			}
		}
		s.cost += prices.word(header, first)
	default:
		return s.failSyntax(badTypeByte(kind, s.pos))
	}
	s.pos, s.cur = end, end
	if n := len(s.open); n > 0 && s.open[n-1] == s.owed {
		s.closeLists()
	}
	return true
}

// closeLists removes the complete lists from s.open.
func (s *Scanner) closeLists() {
	n := len(s.open)
	for n > 0 && s.open[n-1] == s.owed {
		n--
	}
	s.open = s.open[:n]
}

func (s *Scanner) failSyntax(what string) bool {
	s.err = &SyntaxError{Offset: s.pos, What: what}
	return false
}

func (s *Scanner) failLimit(l Limit, limit int) bool {
	s.err = &LimitError{Limit: l, Max: limit, Offset: s.pos}
	return false
}

// seenBytes is how much of a bad expression an error quotes.
const seenBytes = 32

// failHeader fails because a header exceeds the lower of two limits: its own and that of the frame.
func (s *Scanner) failHeader(buf []byte) error {
	if s.limits.Frame-s.owed < s.pos+s.limits.Prefix {
		s.failLimit(LimitFrame, s.limits.Frame)
		return s.err
	}
	e := &LimitError{Limit: LimitPrefix, Max: s.limits.Prefix, Offset: s.pos}
	if s.pos == 0 {
		e.Seen = string(buf[:min(len(buf), s.limits.Prefix, seenBytes)])
	}
	s.err = e
	return e
}

// smallNumber returns the number in a header if it fits 31 bits, more than any limit allows. It ignores leading zeros.
func smallNumber(header []byte) (int, bool) {
	if len(header) == 1 {
		return int(header[0]), true
	}
	n := 0
	for i, digit := range header {
		if i < 4 {
			n |= int(digit) << (7 * i)
		} else if i == 4 && digit < 8 {
			n |= int(digit) << 28
		} else if digit != 0 {
			return 0, false
		}
	}
	return n, true
}

// checkVocab returns what is wrong with a vocabulary element, or "".
func checkVocab(header []byte, p Profile) string {
	n, ok := smallNumber(header)
	switch {
	case !p.HasVocabulary():
		return fmt.Sprintf("a vocabulary element in profile %q, which has no vocabulary", p)
	case !ok:
		return "a vocabulary element with a huge index"
	case n > int(lastSymbol) || n == 0:
		return fmt.Sprintf("no vocabulary word has index %d (they are 1 to %d)", n, int(lastSymbol))
	}
	return ""
}

// badTypeByte describes an unknown type byte of the element at offset.
func badTypeByte(k Kind, offset int) string {
	what := fmt.Sprintf("unknown type byte 0x%02x", byte(k))
	if offset == 0 {
		what += " (" + anotherProtocol + ")"
	}
	return what
}

// Prices are upper bounds, in bytes of memory, of what the elements of an expression take once they are decoded. The
// layer above sets them. A Scanner adds them up, so the cost of an expression is known before it is decoded.
type Prices struct {
	// List is the price of a list, Slot that of each element's place in it.
	List, Slot int
	// Number is the price of a float or an integer of at most 64 bits. Big is the price of a longer integer, to
	// which twice the length of its header is added.
	Number, Big int
	// String is the price of a string that is not empty, to which its length is added, rounded up as an allocator
	// does.
	String int
	// Word is the price of a word of the vocabulary that does not begin a list.
	Word int
	// Head is the additional price of a list that begins with the word with that number.
	Head [SymUncache + 1]int
	// Named returns the additional price of a list that begins with the string name, and whether the decoder keeps
	// that string, so that it is priced too. Without Named the additional price is 0 and the string is priced.
	Named func(name []byte) (price int, kept bool)
	// Array, if not nil, prices a list [array code numbers], whose elements are strings: it returns what each byte of
	// the numbers costs beside its price as a part of a string. It is used together with Named.
	Array func(code []byte) int
}

// free are the prices of a Scanner without prices.
var free Prices

// shortHeader is the maximum length of a header whose integer fits 64 bits.
const shortHeader = 9

func (p *Prices) number(header int) int {
	if header <= shortHeader {
		return p.Number
	}
	if p == &free {
		return 0
	}
	return p.Big + 2*header
}

// text returns the price of a string of n bytes.
func (p *Prices) text(n int) int {
	if n == 0 || p == &free {
		return 0
	}
	return p.String + allocated(n)
}

// allocated returns the most memory that an allocation of n bytes takes. Size classes are up to a quarter larger than
// the request, and large objects are rounded up to pages of 8 KiB.
func allocated(n int) int { return n + min(n/4, 8<<10) + 16 }

// word returns the price of a word of the vocabulary whose header has been checked.
func (p *Prices) word(header []byte, first bool) int {
	if !first {
		return p.Word
	}
	sym, _ := smallNumber(header)
	return p.Head[sym]
}
