package banana

import "encoding/binary"

// A peer often sends one expression after the other that differs from the last one only in the digits of integers and
// in the contents of strings: a call of the same method, or an answer. Such an expression has the same length and the
// same cost, so that a Scanner need not look at its elements again.

const (
	// formWords is how many words of loadSize bytes the longest expression has whose form is remembered.
	formWords = 6
	maxForm   = formWords * loadSize
	minForm   = loadSize
)

// form is the form of an expression: what its length and its cost depend on, under given limits and prices.
type form struct {
	size, cost int // size is 0 if there is no form.
	words      [formWords]formWord
}

// formWord is eight bytes of an expression, and the bits of them that belong to its form. The last one may overlap the
// one before it.
type formWord struct{ bits, mask uint64 }

// A Scanner remembers two forms, so that calls and answers have one each. Which of them an expression may have depends
// on its third byte: in a command of PB, that is the number of its name in the vocabulary.
const formCount = 2

func formOf(e []byte) int { return int(e[2]) % formCount }

// has reports whether the expression at the beginning of buf has this form.
func (f *form) has(buf []byte) bool {
	if f.size == 0 || f.size > len(buf) {
		return false
	}
	at, last := 0, f.size-loadSize
	for i := range f.words {
		w := &f.words[i]
		if (binary.LittleEndian.Uint64(buf[at:])^w.bits)&w.mask != 0 {
			return false
		}
		if at == last {
			return true
		}
		at = min(at+loadSize, last)
	}
	return false
}

// learn makes f the form of an expression with this cost. It does not if the expression contains an array, whose code
// prices its numbers.
func (f *form) learn(e []byte, cost int) {
	f.size = 0
	first := false // The next element may be the first of a list.
	var mask [maxForm]byte
	for at := 0; at < len(e); {
		end := at
		for e[end] < 0x80 {
			mask[end] = 0xff
			end++
		}
		kind := Kind(e[end])
		mask[end] = 0xff
		body := 0
		switch kind {
		case Int, Neg, LongInt, LongNeg:
			for i := at; i < end; i++ {
				mask[i] = 0x80 // It is a digit, whichever.
			}
		case Float:
			body = floatSize
		case String:
			body, _ = smallNumber(e[at:end])
			if first {
				if string(e[end+1:end+1+body]) == arrayName {
					return
				}
				for i := range body {
					mask[end+1+i] = 0xff // It may be the name of a type, which has a price.
				}
			}
		}
		first = kind == List
		at = end + 1 + body
	}
	for i := range f.words {
		at := min(i*loadSize, len(e)-loadSize)
		f.words[i] = formWord{binary.LittleEndian.Uint64(e[at:]), binary.LittleEndian.Uint64(mask[at:])}
	}
	f.size, f.cost = len(e), cost
}

// Of the expressions that do not have the form in their place, the form of the fourth is learned, and then that of each
// 64th: to learn a form takes as long as to scan the expression, and a peer may send many forms in turn.
const (
	learnFirst = 4
	learnEvery = 64
)

// missedForm is called with a short expression that has none of the forms, when it has been scanned.
func (s *Scanner) missedForm(e []byte) {
	i := formOf(e)
	if s.missed[i]++; s.missed[i]%learnEvery != learnFirst {
		return
	}
	if s.forms == nil {
		s.forms = new([formCount]form)
	}
	s.forms[i].learn(e, s.cost)
}
