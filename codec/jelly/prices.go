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

// textPrices are those of strings alone.
var textPrices = banana.Prices{String: stringPrice}

// tagPrices are what expressions of Jelly's types cost beside the list that they are.
var tagPrices = [tagCount]int{
	tagInstance: unboundPrice,
	tagRemote:   unboundPrice, tagLocal: unboundPrice, tagCached: unboundPrice, tagLCache: unboundPrice,
	tagReference: refPrice, tagDereference: derefPrice,
	tagDecimal: decimalPrice,
}

// priceOfName is the price of an expression whose type is spelled out: one of Jelly's, or a class. A word of Jelly's is
// not kept, so what the string was counted for is taken off again. As the key of a pair in a dictionary it is kept:
// that is within what the pair, a list, was counted for.
func priceOfName(name []byte) int {
	t := tagUnicode
	if string(name) != "unicode" {
		if t = tagOf(&banana.Token{Kind: banana.String, Bytes: name}); t == tagNone {
			return unboundPrice
		}
	}
	return tagPrices[t] - textPrices.OfString(len(name))
}
