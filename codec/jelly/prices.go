package jelly

import (
	"math/big"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Prices returns upper bounds on the memory that a Decoder allocates for the elements of a message, including
// garbage, for a banana.Scanner. They hold for any mix of elements, also malformed ones, and are up to four times
// what a value keeps: [unicode x], for example, has the price of a list.
func Prices() *banana.Prices { return &prices }

// PricesOf returns the prices for frames of a profile. In an extended one the numbers of an array are priced twice: as
// they are sent, and as what Assign makes of them for a parameter of a wider type of numbers.
func PricesOf(p banana.Profile) *banana.Prices {
	if p.IsExtended() {
		return &extendedPrices
	}
	return &prices
}

const (
	// grown is the factor for a slice that grows by append: its spare capacity and its previous arrays.
	grown = 3
	// box is the size of a word that is allocated on its own.
	box = 8

	slotPrice    = int(unsafe.Sizeof(any(nil))) * 5 / 4 // rounded up as an allocator does
	unboundPrice = int(unsafe.Sizeof(Unbound{}))*5/4 + grown*int(unsafe.Sizeof((*Unbound)(nil))) + mentionPrice
	mentionPrice = int(unsafe.Sizeof(Mention{})) * 5 / 4
	refPrice     = grown*2*int(unsafe.Sizeof(refEntry{})) + grown*box
	derefPrice   = refPrice + grown*(int(unsafe.Sizeof(forward{}))+box)
	decimalPrice = 48
	stringPrice  = 24 // its header
)

var prices = banana.Prices{
	List: 48, Slot: slotPrice,
	Number: box, Big: int(unsafe.Sizeof(big.Int{})) + 48,
	String: stringPrice,
	Word:   40,
	Head: [banana.SymUncache + 1]int{
		banana.SymReference: refPrice, banana.SymDereference: derefPrice,
		banana.SymRemote: unboundPrice, banana.SymLocal: unboundPrice, banana.SymCached: unboundPrice,
		banana.SymLCache:   unboundPrice,
		banana.SymInstance: unboundPrice,
	},
	Named: priceOfName,
}

var extendedPrices = func() banana.Prices {
	p := prices
	p.Array = priceOfArray
	p.Named = func(name []byte) (price int, kept bool) {
		if string(name) == arrayName {
			return 0, false
		}
		return priceOfName(name)
	}
	return p
}()

// widest is the size of the widest number.
const widest = 8

// priceOfArray returns the additional price of each byte of an array's numbers.
func priceOfArray(code []byte) int {
	if form := arrayForms[string(code)]; form != nil {
		return widest / form.size
	}
	return 0 // It is refused.
}

// tagPrices are the prices of expressions of Jelly's types in addition to their list.
var tagPrices = [tagCount]int{
	tagInstance: unboundPrice,
	tagRemote:   unboundPrice, tagLocal: unboundPrice, tagCached: unboundPrice, tagLCache: unboundPrice,
	tagReference: refPrice, tagDereference: derefPrice,
	tagDecimal: decimalPrice,
}

// priceOfName returns the additional price of an expression whose type is spelled out, a type of Jelly or a class,
// and whether the name is kept. A type of Jelly is kept only as a key in a pair of a dictionary, and the price of the
// pair, a list, covers that.
func priceOfName(name []byte) (price int, kept bool) {
	if string(name) == "unicode" {
		return 0, false
	}
	if t := tagOf(&banana.Token{Kind: banana.String, Bytes: name}); t != tagNone {
		return tagPrices[t], false
	}
	return unboundPrice, true
}
