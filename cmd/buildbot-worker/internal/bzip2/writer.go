package bzip2

import (
	"io"
	"slices"
)

// blockSize is the length of a block in bytes, after run-length encoding: that of bzip2 -1, which needs the least
// memory and time. The format reserves 19 bytes.
const blockSize = 100_000 - 19

// maxRun is the longest run of equal bytes. The format has room for 259; bzip2 itself writes at most 255.
const maxRun = 255

// The magic numbers of the format: the digits of pi and of its square root.
const (
	blockMagic = 0x314159265359
	endMagic   = 0x177245385090
)

// writer compresses to a bzip2 file. It sorts a block by prefix doubling (bwt), applies move-to-front, and codes the
// result with one Huffman table made from the block's frequencies. The format wants at least two tables, so the table
// is written twice.
type writer struct {
	bits  bitWriter
	block []byte // run-length encoded
	run   int    // length of the current run
	last  int    // the last byte; -1 at the start of a block
	crc   uint32 // of the block
	total uint32 // of all blocks
	table [256]uint32
	begun bool
}

// NewWriter returns a writer that compresses to w. Close completes the file and does not close w.
func NewWriter(w io.Writer) io.WriteCloser {
	b := &writer{bits: bitWriter{w: w}, last: -1, crc: 0xffffffff}
	for i := range b.table {
		c := uint32(i) << 24
		for range 8 {
			if c&0x80000000 != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		b.table[i] = c
	}
	return b
}

// Write implements io.Writer.
func (b *writer) Write(p []byte) (int, error) {
	for _, c := range p {
		if int(c) != b.last || b.run == maxRun {
			b.endRun()
			if len(b.block) > blockSize-5 {
				b.flush()
			}
			b.last = int(c)
		}
		b.run++
		b.crc = b.crc<<8 ^ b.table[byte(b.crc>>24)^c]
	}
	return len(p), b.bits.err
}

// endRun writes the current run: up to three bytes as they are, more as four bytes and the count of the rest.
func (b *writer) endRun() {
	for range min(b.run, 4) {
		b.block = append(b.block, byte(b.last))
	}
	if b.run >= 4 {
		b.block = append(b.block, byte(b.run-4))
	}
	b.run = 0
}

// Close implements io.Closer.
func (b *writer) Close() error {
	b.endRun()
	b.flush()
	b.begin()
	b.bits.write(endMagic, 48)
	b.bits.write(uint64(b.total), 32)
	return b.bits.close()
}

func (b *writer) begin() {
	if !b.begun {
		b.begun = true
		b.bits.write('B'<<24|'Z'<<16|'h'<<8|'1', 32)
	}
}

// flush writes the block and begins a new one.
func (b *writer) flush() {
	if len(b.block) == 0 {
		return
	}
	b.begin()
	crc := ^b.crc
	b.total = (b.total<<1 | b.total>>31) ^ crc
	sorted, origin := bwt(b.block)
	b.bits.write(blockMagic, 48)
	b.bits.write(uint64(crc), 32)
	b.bits.write(0, 1) // not randomised
	b.bits.write(uint64(origin), 24)
	b.entropy(sorted)
	b.block, b.crc, b.last = b.block[:0], 0xffffffff, -1
}

// bwt returns the Burrows-Wheeler transform of block: the last column of its sorted rotations, and the row of the block
// itself. It sorts the rotations by their first 1, 2, 4… bytes, using the ranks of the previous step.
func bwt(block []byte) (column []byte, origin int) {
	n := len(block)
	order, rank, next := make([]int, n), make([]int, n), make([]int, n)
	for i, c := range block {
		order[i], rank[i] = i, int(c)
	}
	count := make([]int, max(n, 256)+1)
	for width := 0; ; width = max(1, 2*width) {
		shifted := func(i int) int { return (i + width) % n }
		if width > 0 {
			// order is sorted by the first width bytes. Shifted back by width it is sorted by the second half.
			for i, at := range order {
				next[i] = (at - width%n + n) % n
			}
		} else {
			copy(next, order)
		}
		clear(count)
		for _, at := range next {
			count[rank[at]+1]++
		}
		for i := 1; i < len(count); i++ {
			count[i] += count[i-1]
		}
		for _, at := range next {
			order[count[rank[at]]] = at
			count[rank[at]]++
		}
		next[order[0]] = 0
		for i := 1; i < n; i++ {
			a, b := order[i-1], order[i]
			next[b] = next[a]
			if rank[a] != rank[b] || rank[shifted(a)] != rank[shifted(b)] {
				next[b]++
			}
		}
		rank, next = next, rank
		if rank[order[n-1]] == n-1 || width >= n {
			break
		}
	}
	column = make([]byte, n)
	for i, at := range order {
		column[i] = block[(at+n-1)%n]
		if at == 0 {
			origin = i
		}
	}
	return column, origin
}

// entropy writes the transformed block: the set of bytes that occur, the tables, and the coded bytes.
func (b *writer) entropy(column []byte) {
	var used [256]bool
	for _, c := range column {
		used[c] = true
	}
	var front []byte
	groups := uint64(0)
	for i := range 256 {
		if used[i] {
			front = append(front, byte(i))
			groups |= 1 << (15 - i/16)
		}
	}
	b.bits.write(groups, 16)
	for g := range 16 {
		if groups&(1<<(15-g)) == 0 {
			continue
		}
		bits := uint64(0)
		for i := range 16 {
			if used[16*g+i] {
				bits |= 1 << (15 - i)
			}
		}
		b.bits.write(bits, 16)
	}
	alphabet := len(front) + 2
	symbols := moveToFront(column, front)
	lengths, codes := huffman(symbols, alphabet)
	selectors := (len(symbols) + 49) / 50
	b.bits.write(2, 3)
	b.bits.write(uint64(selectors), 15)
	for range selectors {
		b.bits.write(0, 1) // the first table
	}
	for range 2 {
		b.writeTable(lengths)
	}
	for _, s := range symbols {
		b.bits.write(codes[s], lengths[s])
	}
}

// writeTable writes the code lengths of a table, each as the difference from its predecessor.
func (b *writer) writeTable(lengths []uint) {
	at := lengths[0]
	b.bits.write(uint64(at), 5)
	for _, length := range lengths {
		for ; at < length; at++ {
			b.bits.write(2, 2)
		}
		for ; at > length; at-- {
			b.bits.write(3, 2)
		}
		b.bits.write(0, 1)
	}
}

// moveToFront replaces each byte by its position in the list of recently used bytes. It writes a run of zeros as a
// number in bijective base two, whose digits are the symbols 0 and 1. The last symbol marks the end.
func moveToFront(column, front []byte) []uint16 {
	end := uint16(len(front) + 1)
	symbols := make([]uint16, 0, len(column)+1)
	zeros := 0
	endZeros := func() {
		for ; zeros > 0; zeros = (zeros - 1) / 2 {
			symbols = append(symbols, uint16((zeros-1)%2))
		}
	}
	for _, c := range column {
		at := slices.Index(front, c)
		if at == 0 {
			zeros++
			continue
		}
		endZeros()
		symbols = append(symbols, uint16(at+1))
		copy(front[1:at+1], front[:at])
		front[0] = c
	}
	endZeros()
	return append(symbols, end)
}
