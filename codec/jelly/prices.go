package jelly

import (
	"math/big"
	"unsafe"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Prices are what a Decoder takes for the elements of a message, at most, garbage that it leaves behind included. A
// banana.Scanner that has them knows what a message costs before it is decoded. They are upper bounds for any mix of
// elements, also of malformed ones, and up to four times what a value keeps: [unicode x], say, pays for what it would
// take if it were a list.
func Prices() *banana.Prices { return &prices }

const (
	// grown is what a slice takes that grows by append, beside its elements: room for more, and what it was before.
	grown = 3
	// box is a word that is allocated by itself.
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
		banana.SymRemote: unboundPrice, banana.SymLocal: unboundPrice, banana.SymCached: unboundPrice, banana.SymLCache: unboundPrice,
		banana.SymInstance: unboundPrice,
	},
	Named: priceOfName,
}

// tagPrices are what expressions of Jelly's types cost beside the list that they are.
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
