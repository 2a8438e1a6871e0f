package banana

// Most expressions are short and made of a few small elements. This file scans those with few instructions.

// usualPrefix is the number of digits in the longest header that usual scans.
const usualPrefix = 3

// usual scans elements as Next does, and stops before the first one that is not usual: one whose header is longer or
// not whole in buf, that exceeds a limit, is malformed, or has to be looked at for its price. The next element's header
// must not have been begun.
func (s *Scanner) usual(buf []byte) {
	if s.limits.Prefix < usualPrefix || s.array != noArray {
		return
	}
	prices := s.prices
	if prices == nil {
		prices = &free
	}
	words := s.profile.HasVocabulary()
	pos, owed, cost := s.pos, s.owed, s.cost
scan:
	for owed > 0 && pos < len(buf)-1 {
		n, kind, end := int(buf[pos]), Kind(buf[pos+1]), pos+2
		if n >= 0x80 {
			break
		}
		if kind < 0x80 {
			n, kind, end = longerHeader(buf, pos)
		}
		room := s.limits.Frame - end - (owed - 1)
		switch kind {
		case Int, Neg:
			if room < 0 || owed > loadSize {
				break scan
			}
			cost += prices.Number
		case Vocab:
			if room < 0 || end != pos+2 || !words || !Symbol(n).Valid() {
				break scan
			}
			if s.head {
				cost += prices.Head[n]
			} else {
				cost += prices.Word
			}
		case String:
			if n > room || n > s.limits.String || s.head && prices.Named != nil {
				break scan
			}
			cost += prices.text(n)
			end += n
		case List:
			if n > room || n > s.limits.List || len(s.open) >= s.limits.Depth {
				break scan
			}
			cost += prices.List
			if n > 0 {
				s.open = append(s.open, owed-1)
				owed += n - 1
				cost += n * prices.Slot
				s.head = true
				pos = end
				continue
			}
		default:
			break scan
		}
		owed--
		pos = end
		s.head = false
		if n := len(s.open); n > 0 && s.open[n-1] == owed {
			s.owed = owed
			s.closeLists()
		}
	}
	s.pos, s.cur, s.owed, s.cost = pos, pos, owed, cost
}

// longerHeader reads a header of two or three digits. The kind is none if there is none.
func longerHeader(buf []byte, pos int) (n int, kind Kind, end int) {
	if pos+usualPrefix >= len(buf) {
		return 0, 0, 0
	}
	n = int(buf[pos]) | int(buf[pos+1])<<7
	if kind = Kind(buf[pos+2]); kind >= 0x80 {
		return n, kind, pos + 3
	}
	return n | int(kind)<<14, Kind(buf[pos+3]), pos + 4
}
