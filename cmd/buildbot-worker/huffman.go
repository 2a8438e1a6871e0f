//go:build unix

package main

import (
	"cmp"
	"io"
	"slices"
)

// longestCode is how many bits a code may have: bzip2 itself makes none longer, though 20 could be written.
const longestCode = 17

// huffman makes a code for symbols: for each its length and its bits, shorter for those that are frequent. Every symbol
// of the alphabet gets one, as the format has no other way to write the table.
func huffman(symbols []uint16, alphabet int) (lengths []uint, codes []uint64) {
	weights := make([]int, alphabet)
	for _, s := range symbols {
		weights[s]++
	}
	for i := range weights {
		weights[i] = max(1, weights[i])
	}
	for {
		lengths = codeLengths(weights)
		if slices.Max(lengths) <= longestCode {
			break
		}
		// Rare symbols are taken for less rare until no code is too long.
		for i := range weights {
			weights[i] = weights[i]/2 + 1
		}
	}
	codes = make([]uint64, alphabet)
	code := uint64(0)
	for length := uint(1); length <= longestCode; length++ {
		for s, l := range lengths {
			if l == length {
				codes[s] = code
				code++
			}
		}
		code <<= 1
	}
	return lengths, codes
}

// node is a part of the tree: a symbol, or two parts together.
type node struct{ weight, left, right int }

func codeLengths(weights []int) []uint {
	nodes := make([]node, 0, 2*len(weights))
	leaves := make([]int, len(weights))
	for i, w := range weights {
		nodes = append(nodes, node{weight: w, left: -1})
		leaves[i] = i
	}
	slices.SortStableFunc(leaves, func(a, b int) int { return cmp.Compare(weights[a], weights[b]) })
	// Two queues, both sorted: the symbols and what has been put together.
	var joined []int
	lightest := func() int {
		from := &leaves
		if len(leaves) == 0 || len(joined) > 0 && nodes[joined[0]].weight < nodes[leaves[0]].weight {
			from = &joined
		}
		first := (*from)[0]
		*from = (*from)[1:]
		return first
	}
	for len(leaves)+len(joined) > 1 {
		left, right := lightest(), lightest()
		joined = append(joined, len(nodes))
		nodes = append(nodes, node{nodes[left].weight + nodes[right].weight, left, right})
	}
	depths := make([]uint, len(nodes))
	for i := len(nodes) - 1; i >= len(weights); i-- {
		depths[nodes[i].left], depths[nodes[i].right] = depths[i]+1, depths[i]+1
	}
	return depths[:len(weights)]
}

// bitWriter writes bits, the most significant first.
type bitWriter struct {
	w    io.Writer
	buf  []byte
	held uint64
	n    uint // bits held
	err  error
}

func (b *bitWriter) write(value uint64, n uint) {
	if n > 32 { // so that there is room for what is held
		b.write(value>>32, n-32)
		value, n = value&(1<<32-1), 32
	}
	b.held = b.held<<n | value
	for b.n += n; b.n >= 8; b.n -= 8 {
		b.buf = append(b.buf, byte(b.held>>(b.n-8)))
	}
	b.held &= 1<<b.n - 1
	if len(b.buf) >= 4096 {
		b.flush()
	}
}

func (b *bitWriter) flush() {
	if b.err == nil {
		_, b.err = b.w.Write(b.buf)
	}
	b.buf = b.buf[:0]
}

func (b *bitWriter) close() error {
	if b.n > 0 {
		b.write(0, 8-b.n)
	}
	b.flush()
	return b.err
}
