package banana

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
