package bzip2

import (
	"cmp"
	"io"
	"slices"
)

// maxCodeLength is the longest code in bits. The format allows 20; bzip2 itself writes at most 17.
const maxCodeLength = 17

// huffman returns the length and the bits of each symbol's code. Every symbol of the alphabet gets a code, because the
// format has no way to leave one out of the table.
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
		if slices.Max(lengths) <= maxCodeLength {
			break
		}
		// Flattening the weights shortens the longest codes.
		for i := range weights {
			weights[i] = weights[i]/2 + 1
		}
	}
	codes = make([]uint64, alphabet)
	code := uint64(0)
	for length := uint(1); length <= maxCodeLength; length++ {
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

// node is a node of the Huffman tree. A leaf has left = -1.
type node struct{ weight, left, right int }

func codeLengths(weights []int) []uint {
	nodes := make([]node, 0, 2*len(weights))
	leaves := make([]int, len(weights))
	for i, w := range weights {
		nodes = append(nodes, node{weight: w, left: -1})
		leaves[i] = i
	}
	slices.SortStableFunc(leaves, func(a, b int) int { return cmp.Compare(weights[a], weights[b]) })
	// Both queues are sorted: inner nodes are created in the order of their weights.
	var inner []int
	lightest := func() int {
		from := &leaves
		if len(leaves) == 0 || len(inner) > 0 && nodes[inner[0]].weight < nodes[leaves[0]].weight {
			from = &inner
		}
		first := (*from)[0]
		*from = (*from)[1:]
		return first
	}
	for len(leaves)+len(inner) > 1 {
		left, right := lightest(), lightest()
		inner = append(inner, len(nodes))
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
	w       io.Writer
	buf     []byte
	pending uint64
	n       uint // number of pending bits
	err     error
}

func (b *bitWriter) write(value uint64, n uint) {
	if n > 32 { // pending holds up to 7 bits and 32 more
		b.write(value>>32, n-32)
		value, n = value&(1<<32-1), 32
	}
	b.pending = b.pending<<n | value
	for b.n += n; b.n >= 8; b.n -= 8 {
		b.buf = append(b.buf, byte(b.pending>>(b.n-8)))
	}
	b.pending &= 1<<b.n - 1
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
