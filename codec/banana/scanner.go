package banana

import (
	"fmt"
)

// Scanner finds the ends of complete top-level expressions in a stream, builds
// nothing, and refuses what exceeds its Limits. It remembers where it stopped, so
// that its work is linear in the bytes however the stream is cut; it looks at the
// bodies of those strings only that lists begin with, and only to price them.
//
// The zero Scanner has ProfileNone and the default Limits. A Scanner must not be
// used by two goroutines at once.
type Scanner struct {
	limits  Limits // effective once the first byte has been looked at
	profile Profile
	prices  *Prices // nil: nothing costs anything

	// The place in the expression. Between two calls of Next:
	//
	//   - pos <= cur
	//   - cur+owed <= limits.Frame: what has been seen can still fit
	//   - open does not decrease, and each of it is below owed
	pos  int  // start of the next element, which is the end of the last one
	cur  int  // next byte of its header to look at
	owed int  // elements that are still to come in all, each one byte at least
	cost int  // of the expression, as far as it has been seen
	head bool // the next element is the first one of a list
	name int  // where the string starts that ends at pos and began a list, until it has been priced; or 0

	open []int // for each open list, what owed will be when it is complete

	err error // the first error: Next returns it until Init
}

// Init makes s ready for a new stream with that profile and these limits. Its
// memory is used again. Between two expressions it may also be called to change
// the limits of a stream, say once a peer has proved who it is.
func (s *Scanner) Init(p Profile, l Limits) {
	*s = Scanner{limits: l.WithDefaults(), profile: p, prices: s.prices, open: s.open[:0]}
}

// SetPrices sets what Cost counts by; nil, the default, prices everything at nothing. Call it between two
// expressions, and do not change the prices afterwards.
func (s *Scanner) SetPrices(p *Prices) { s.prices = p }

// Reset makes s ready for a new stream with the same profile and limits.
func (s *Scanner) Reset() { s.Init(s.profile, s.limits) }

// SetProfile changes the profile of all elements that come after those already
// seen. Call it between two expressions, when the profile has been agreed on.
func (s *Scanner) SetProfile(p Profile) { s.profile = p }

// Profile returns the profile in effect.
func (s *Scanner) Profile() Profile { return s.profile }

// Next returns the length of the first expression in buf, or 0 if more bytes
// are needed. buf must start where that expression starts and hold all of it
// that has been received, that is the bytes of the call before and perhaps more
// behind them. After a length has been returned, the next call is about the next
// expression.
//
// An error is a *SyntaxError or a *LimitError. It is final: the stream cannot be
// understood any further, and Next returns the same error until Init or Reset.
// What error it is does not depend on how the stream is cut.
func (s *Scanner) Next(buf []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.pos == 0 {
		s.owed, s.cost, s.head, s.name = 1, 0, false, 0
		if s.limits.Frame == 0 {
			s.limits = s.limits.WithDefaults()
		}
	}
	for s.owed > 0 {
		if s.pos > len(buf) {
			return 0, nil
		}
		if s.name > 0 {
			s.priceName(buf)
		}
		// The header may go on to where its own limit is, or to where the
		// elements still to come would no longer fit.
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
	if s.name > 0 {
		s.priceName(buf)
	}
	n := s.pos
	s.pos, s.cur = 0, 0
	return n, nil
}

// priceName adds what a list costs that begins with the string before pos, all of which has been received.
func (s *Scanner) priceName(buf []byte) {
	s.cost += s.prices.Named(buf[s.name:s.pos])
	s.name = 0
}

// Need returns the least length that the expression at hand can have, as far as it is known. It is of use when Next has
// returned 0: in the middle of a string that is where the string ends, and more if more elements must follow.
func (s *Scanner) Need() int { return s.cur + s.owed }

// Cost returns what the last expression whose length Next returned costs at the prices of SetPrices.
func (s *Scanner) Cost() int { return s.cost }

// element counts an element whose header and type byte have been seen and whose
// body, if it has one, starts at end. It opens lists and closes them, and moves
// on to the end of the body. On failure it sets err and returns false.
func (s *Scanner) element(kind Kind, header []byte, end int) bool {
	// With this element seen, s.owed is how many bytes the others need at
	// least, and room is what they leave for the body of this one. It is not
	// negative: Next saw to that when it read the header.
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
		if first && prices.Named != nil {
			s.name = end
		}
		end += n
		s.cost += prices.OfString(n)
	case Float:
		if floatSize > room {
			return s.failLimit(LimitFrame, s.limits.Frame)
		}
		end += floatSize
		s.cost += prices.Number
	case Vocab:
		if s.profile != ProfilePB || len(header) != 1 || !Symbol(header[0]).Valid() {
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

// closeLists takes all lists off s.open that are complete.
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

// failHeader is called when a header is longer than one of two limits allows.
// The lower of the two is the one that is certain to be exceeded first.
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

// smallNumber returns the number in a header if it fits 31 bits, which is more
// than any limit allows. Leading zeros do not matter.
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
	case p != ProfilePB:
		return fmt.Sprintf("a vocabulary element in profile %q, which has no vocabulary", p)
	case !ok:
		return "a vocabulary element with a huge index"
	case n > int(lastSymbol) || n == 0:
		return fmt.Sprintf("no vocabulary word has index %d (they are 1 to %d)", n, int(lastSymbol))
	}
	return ""
}

// badTypeByte describes a type byte that does not exist, at the offset of its
// element.
func badTypeByte(k Kind, offset int) string {
	what := fmt.Sprintf("unknown type byte 0x%02x", byte(k))
	if offset == 0 {
		what += " (" + anotherProtocol + ")"
	}
	return what
}

// Prices say what the elements of an expression cost: how much memory they take, at most, once they are decoded. What
// an element becomes is known to the next layer, which sets the prices; a Scanner adds them up while it looks for the
// end of an expression, so the cost is known before anything of it is decoded.
type Prices struct {
	// List is the price of a list, Slot that of each element's place in it.
	List, Slot int
	// Number is the price of an integer of at most 64 bits or a float, Big that of a longer integer, beside twice the
	// bytes of its header.
	Number, Big int
	// String is the price of a string that is not empty, beside its bytes, rounded up as an allocator does.
	String int
	// Word is the price of a word of the vocabulary that does not begin a list.
	Word int
	// Head is what a list costs in addition when it begins with the word of that number, Named when it begins with that
	// string; Named may be nil.
	Head  [SymUncache + 1]int
	Named func(name []byte) int
}

// free are the prices of a Scanner that was given none.
var free Prices

// shortHeader is the length of a header up to which an integer fits 64 bits.
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

// OfString is the price of a string of n bytes.
func (p *Prices) OfString(n int) int {
	if n == 0 || p == &free {
		return 0
	}
	return p.String + allocated(n)
}

// allocated is how much memory a piece of n bytes takes at most. The largest classes of small objects are up to a
// quarter larger than what is asked for, and large objects are rounded up to pages of 8 KiB.
func allocated(n int) int { return n + min(n/4, 8<<10) + 16 }

// word is the price of a word of the vocabulary by its header, which has been checked.
func (p *Prices) word(header []byte, first bool) int {
	if !first {
		return p.Word
	}
	sym, _ := smallNumber(header)
	return p.Head[sym]
}
