package banana

// Limits are the bounds within which input is accepted. A field that is zero
// or negative has the default of its name; values above 2^29 count as 2^29.
type Limits struct {
	// Prefix is the most bytes that a header may have. (Twisted: 64.)
	Prefix int

	// String is the most bytes that a string may have. (Twisted: 640 KiB.)
	String int

	// List is the most elements that a list may have, those of nested lists
	// not counted. (Twisted: 640 Ki.)
	List int

	// Depth is the most lists that may be open at one place: 1 allows a list,
	// but none inside it. A value of Jelly takes up to three lists, so users
	// think of another limit when they speak of nesting: jelly.DefaultNesting.
	// (Twisted has no such limit.)
	Depth int

	// Frame is the most bytes that a whole top-level expression may have.
	// (Twisted has no such limit.)
	Frame int
}

// The defaults of Limits. The first three are those of twisted.spread.banana,
// _PREFIX_LIMIT and SIZE_LIMIT, so that all that a stock peer may send is let in.
const (
	// DefaultPrefix allows integers of 448 bits.
	DefaultPrefix = 64

	// DefaultString is also the longest string that a stock peer accepts.
	DefaultString = 640 * 1024

	// DefaultList is also the longest list that a stock peer accepts.
	DefaultList = 640 * 1024

	// DefaultDepth is ours. It is so many that all values which are nested no
	// deeper than jelly.DefaultNesting fit.
	DefaultDepth = 2048

	// DefaultFrame is ours. It lets 25 strings of the longest kind through in
	// one message, or the longest list of short elements several times over,
	// and bounds what one connection can make us hold of a message that it
	// never finishes.
	DefaultFrame = 16 << 20
)

// maxLimit keeps sums of a few limits and offsets within an int of 32 bits.
const maxLimit = 1 << 29

// WithDefaults returns the limits as they take effect: with defaults in place
// of fields that are not set.
func (l Limits) WithDefaults() Limits {
	return Limits{
		Prefix: effective(l.Prefix, DefaultPrefix),
		String: effective(l.String, DefaultString),
		List:   effective(l.List, DefaultList),
		Depth:  effective(l.Depth, DefaultDepth),
		Frame:  effective(l.Frame, DefaultFrame),
	}
}

func effective(value, byDefault int) int {
	if value <= 0 {
		return byDefault
	}
	return min(value, maxLimit)
}

// CheckString returns an *EncodeError if a string of n bytes must not be sent
// to a peer that has these limits. The zero Limits are those of a stock peer.
func (l Limits) CheckString(n int) error {
	if limit := effective(l.String, DefaultString); n > limit {
		return &EncodeError{Limit: LimitString, Size: n, Max: limit}
	}
	return nil
}

// CheckList returns an *EncodeError if a list of n elements must not be sent.
func (l Limits) CheckList(n int) error {
	if limit := effective(l.List, DefaultList); n > limit {
		return &EncodeError{Limit: LimitList, Size: n, Max: limit}
	}
	return nil
}

// CheckDepth returns an *EncodeError if lists nested n deep must not be sent.
func (l Limits) CheckDepth(n int) error {
	if limit := effective(l.Depth, DefaultDepth); n > limit {
		return &EncodeError{Limit: LimitDepth, Size: n, Max: limit}
	}
	return nil
}

// CheckFrame returns an *EncodeError if an expression of n bytes must not be
// sent. A stock peer has no such limit; one of ours has.
func (l Limits) CheckFrame(n int) error {
	if limit := effective(l.Frame, DefaultFrame); n > limit {
		return &EncodeError{Limit: LimitFrame, Size: n, Max: limit}
	}
	return nil
}
