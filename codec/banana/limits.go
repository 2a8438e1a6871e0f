package banana

// Limits bound the input that is accepted. A field that is zero or negative has its default; values above 2^29 count as
// 2^29.
type Limits struct {
	// Prefix is the maximum length of a header in bytes. (Twisted: 64.)
	Prefix int

	// String is the maximum length of a string in bytes. (Twisted: 640 KiB.)
	String int

	// List is the maximum number of elements of a list, not counting those of nested lists. (Twisted: 640 Ki.)
	List int

	// Depth is the maximum number of nested lists: 1 allows a list with no list inside. A value of Jelly takes up
	// to three lists; see jelly.DefaultNesting for the limit on nested values. (Twisted: none.)
	Depth int

	// Frame is the maximum length of a top-level expression in bytes. (Twisted: none.)
	Frame int
}

// The defaults of Limits. The first three are _PREFIX_LIMIT and SIZE_LIMIT of twisted.spread.banana, so that everything
// a stock peer can send is accepted.
const (
	// DefaultPrefix allows integers of 448 bits.
	DefaultPrefix = 64

	// DefaultString is also the longest string that a stock peer accepts.
	DefaultString = 640 * 1024

	// DefaultList is also the longest list that a stock peer accepts.
	DefaultList = 640 * 1024

	// DefaultDepth has no counterpart in Twisted. All values nested up to jelly.DefaultNesting fit.
	DefaultDepth = 2048

	// DefaultFrame has no counterpart in Twisted. It bounds what one connection can make us store of a message that
	// is never completed, and allows 25 strings of maximum length in one message.
	DefaultFrame = 16 << 20
)

// maxLimit keeps sums of a few limits and offsets within a 32-bit int.
const maxLimit = 1 << 29

// WithDefaults returns l with the defaults in place of fields that are not set.
func (l Limits) WithDefaults() Limits {
	return Limits{
		Prefix: effective(l.Prefix, DefaultPrefix),
		String: effective(l.String, DefaultString),
		List:   effective(l.List, DefaultList),
		Depth:  effective(l.Depth, DefaultDepth),
		Frame:  effective(l.Frame, DefaultFrame),
	}
}

// WithLongStrings returns l with the defaults, and with String as large as Frame if it is not set or has its default.
// It is for peers that accept strings longer than a stock peer does.
func (l Limits) WithLongStrings() Limits {
	l = l.WithDefaults()
	if l.String == DefaultString {
		l.String = l.Frame
	}
	return l
}

func effective(value, byDefault int) int {
	if value <= 0 {
		return byDefault
	}
	return min(value, maxLimit)
}

// CheckString returns an [*EncodeError] if a peer with these limits would refuse a string of n bytes. The zero Limits
// are those of a stock peer.
func (l Limits) CheckString(n int) error {
	return check(LimitString, n, effective(l.String, DefaultString))
}

// CheckList returns an [*EncodeError] if a peer with these limits would refuse a list of n elements.
func (l Limits) CheckList(n int) error { return check(LimitList, n, effective(l.List, DefaultList)) }

// CheckDepth returns an [*EncodeError] if a peer with these limits would refuse n nested lists.
func (l Limits) CheckDepth(n int) error {
	return check(LimitDepth, n, effective(l.Depth, DefaultDepth))
}

// CheckFrame returns an [*EncodeError] if a peer with these limits would refuse an expression of n bytes. Stock peers
// have no such limit.
func (l Limits) CheckFrame(n int) error {
	return check(LimitFrame, n, effective(l.Frame, DefaultFrame))
}

func check(limit Limit, n, most int) error {
	if n > most {
		return &EncodeError{Limit: limit, Size: n, Max: most}
	}
	return nil
}
