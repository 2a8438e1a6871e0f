package seam

// Loan is a read buffer that a byte string is part of, while the string is lent.
type Loan interface {
	// GiveBack takes the buffer back: nothing uses the string any more.
	GiveBack()
	// Lost notes that the string was garbage collected. Slices of it may be in use.
	Lost()
}

// Lent is the returner of a byte string's Refcount.
type Lent interface {
	Returner
	IsLent()
}

// InitLent prepares the count of a byte string that is lent to a method, without a receipt: it is given back when the
// calls that may be answered with it have been answered, and the messages that mention it have been written.
func (c *Refcount) InitLent(l Lent) {
	c.returner, c.counted = l, 1
	c.released.Store(true)
}

// InitOwned is InitLent with one receipt, which [Refcount.GiveBack] gives back.
func (c *Refcount) InitOwned(l Lent) { c.returner, c.receipts, c.counted = l, 1, 1 }

// GiveBack gives back the receipt of a byte string. Further calls do nothing.
func (c *Refcount) GiveBack() { c.giveBackNow(oneReceipt) }

// Forfeit is called before [Refcount.Answered] if the method may still be running. A byte string that is lent to it is
// not given back then.
func (c *Refcount) Forfeit() {
	if _, ok := c.returner.(Lent); ok {
		c.Hold()
	}
}
