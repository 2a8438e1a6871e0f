package banana

import (
	"math"
	"math/big"

	"pgregory.net/rapid"
)

// Generators for the property tests.

func anyProfile() *rapid.Generator[Profile] {
	return rapid.SampledFrom(allProfiles)
}

// anyText draws strings of which many are words, nearly words, or short.
func anyText() *rapid.Generator[[]byte] {
	word := rapid.Custom(func(t *rapid.T) []byte {
		return []byte(Symbol(rapid.IntRange(1, int(lastSymbol)).Draw(t, "word")).String())
	})
	return rapid.OneOf(
		word,
		rapid.Custom(func(t *rapid.T) []byte {
			w := word.Draw(t, "near")
			w[rapid.IntRange(0, len(w)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "with")
			return w
		}),
		rapid.SliceOfN(rapid.Byte(), 0, 20),
		rapid.SliceOfN(rapid.Byte(), 120, 300),
	)
}

// anyFloat draws the bits of floats, NaNs of all kinds among them.
func anyFloat() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.Map(rapid.Uint64(), math.Float64frombits),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 1}),
	)
}

// anyBig draws integers of up to 448 bits, often close to a power of two.
func anyBig() *rapid.Generator[*big.Int] {
	return rapid.Custom(func(t *rapid.T) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), rapid.UintRange(0, MaxIntBits-1).Draw(t, "power"))
		n.Add(n, big.NewInt(rapid.Int64Range(-2, 2).Draw(t, "offset")))
		if rapid.Bool().Draw(t, "dense") {
			n.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, MaxIntBits/8).Draw(t, "bytes"))
		}
		if rapid.Bool().Draw(t, "negative") {
			n.Neg(n)
		}
		return n
	})
}

// anyExpr draws expressions as DecodeExpr returns them.
func anyExpr(depth int) *rapid.Generator[Expr] {
	atoms := rapid.OneOf(
		rapid.Map(rapid.Int64(), func(n int64) Expr { return n }),
		rapid.Map(rapid.Int64Range(-3, 300), func(n int64) Expr { return n }),
		rapid.Map(anyBig(), func(n *big.Int) Expr {
			if n.IsInt64() {
				return n.Int64()
			}
			return n
		}),
		rapid.Map(anyFloat(), func(f float64) Expr { return f }),
		rapid.Map(anyText(), func(b []byte) Expr { return b }),
	)
	if depth == 0 {
		return atoms
	}
	lists := rapid.Map(rapid.SliceOfN(anyExpr(depth-1), 0, 5), func(l []Expr) Expr { return l })
	return rapid.OneOf(lists, atoms, lists)
}

// anyWire draws streams that are mostly Banana: headers with leading zeros, every kind for every number, sometimes a
// wrong byte.
func anyWire() *rapid.Generator[[]byte] {
	element := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.IntRange(0, 60).Draw(t, "odd") == 0 {
			return rapid.SliceOfN(rapid.Byte(), 1, 4).Draw(t, "noise")
		}
		kind := rapid.SampledFrom([]Kind{
			List, List, List, Int, String, String, Neg, Float, LongInt, LongNeg, Vocab, Vocab,
		}).Draw(t, "kind")
		var b []byte
		n := 0
		switch kind {
		case List:
			n = rapid.IntRange(0, 4).Draw(t, "count")
		case String:
			n = rapid.IntRange(0, 9).Draw(t, "length")
		case Vocab:
			n = rapid.SampledFrom([]int{1, 5, 11, 26, 31, 31, 11, 26, 5, 1, 32, 261}).Draw(t, "word")
		default:
			b = rapid.SliceOfN(rapid.ByteMax(0x7f), 0, 11).Draw(t, "digits")
		}
		if b == nil && (n > 0 || rapid.Bool().Draw(t, "header")) {
			b = appendHeader(b, uint64(n))
		}
		if rapid.IntRange(0, 5).Draw(t, "zeros") == 0 {
			b = append(b, make([]byte, rapid.IntRange(1, 3).Draw(t, "how many"))...)
		}
		b = append(b, byte(kind))
		switch kind {
		case String:
			b = append(b, rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "body")...)
		case Float:
			b = append(b, rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "bits")...)
		}
		return b
	})
	return rapid.Map(rapid.SliceOfN(element, 0, 12), func(elements [][]byte) (all []byte) {
		for _, e := range elements {
			all = append(all, e...)
		}
		return all
	})
}

// anyLimits draws limits from 1 to most.
func anyLimits(most Limits) *rapid.Generator[Limits] {
	return rapid.Custom(func(t *rapid.T) Limits {
		return Limits{
			Prefix: rapid.IntRange(1, most.Prefix).Draw(t, "Prefix"),
			String: rapid.IntRange(1, most.String).Draw(t, "String"),
			List:   rapid.IntRange(1, most.List).Draw(t, "List"),
			Depth:  rapid.IntRange(1, most.Depth).Draw(t, "Depth"),
			Frame:  rapid.IntRange(1, most.Frame).Draw(t, "Frame"),
		}
	})
}

// chunksOf draws a way to cut a stream.
func chunksOf(t *rapid.T, stream []byte) (chunks [][]byte) {
	for len(stream) > 0 {
		n := rapid.IntRange(1, min(len(stream), 12)).Draw(t, "chunk")
		chunks = append(chunks, stream[:n])
		stream = stream[n:]
	}
	return chunks
}

// allProfiles are the profiles of this package, best first.
var allProfiles = []Profile{ProfilePB1, ProfilePB, ProfileNone}

// stockProfile draws a profile that Twisted knows.
func stockProfile() *rapid.Generator[Profile] { return rapid.SampledFrom(orStock(nil)) }
