package trace

import (
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/perspectivebroker/pb/codec/banana"
)

// The words of dialect pb+1 that are not in the vocabulary, and are shown without quotes where they begin a list: in a
// message, and a message itself.
var (
	extendedForms    = []string{"array", "promise", "address"}
	extendedCommands = []string{"cancel", "settled", "goaway"}
)

// openList is a list whose text is not complete.
type openList struct {
	left, read int64  // its elements
	form       string // the word of pb+1 that it begins with
	code       string // of an array
}

// extendedText returns a message of dialect pb+1 as banana.FormatFrame does, but the words of the dialect without
// quotes, and an array with its numbers: [array i4 1 2 3].
func extendedText(frame []byte) string {
	var (
		r    banana.Reader
		b    []byte
		open []openList
	)
	r.Reset(frame, banana.ProfilePB)
	for {
		for len(open) > 0 && open[len(open)-1].left == 0 {
			b = append(b, ']')
			open = open[:len(open)-1]
		}
		at := r.Offset()
		t, err := r.Next()
		if err == io.EOF && len(open) == 0 {
			return string(b)
		}
		if err != nil {
			return banana.FormatFrame(frame, banana.ProfilePB, 0) // It shows what is wrong.
		}
		if len(b) > 0 && b[len(b)-1] != '[' {
			b = append(b, ' ')
		}
		if n := len(open); n > 0 {
			in := &open[n-1]
			in.left--
			in.read++
			if text, ok := in.extended(t, n == 1); ok {
				if b = append(b, text...); text == "" {
					b = b[:len(b)-1] // an array without numbers
				}
				continue
			}
		}
		if t.Kind == banana.List {
			b = append(b, '[')
			open = append(open, openList{left: t.Int})
			continue
		}
		b = append(b, banana.FormatFrame(frame[at:r.Offset()], banana.ProfilePB, 0)...)
	}
}

// extended returns the text of an element of the list that the dialect gives a meaning.
func (l *openList) extended(t banana.Token, isMessage bool) (text string, ok bool) {
	if t.Kind != banana.String {
		l.code = ""
		return "", false
	}
	switch word := string(t.Bytes); {
	case l.read == 1:
		if slices.Contains(extendedForms, word) || isMessage && slices.Contains(extendedCommands, word) {
			l.form = word
			return word, true
		}
	case l.form == "array" && l.read == 2 && sizeOf(word) > 0:
		l.code = word
		return word, true
	case l.code != "" && l.read == 3 && len(t.Bytes)%sizeOf(l.code) == 0:
		return numbers(l.code, t.Bytes), true
	}
	return "", false
}

// sizeOf returns the size of the numbers of an array, 0 for an unknown code.
func sizeOf(code string) int {
	switch code {
	case "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8":
		return int(code[1] - '0')
	}
	return 0
}

// numbers returns the numbers of an array, separated by spaces.
func numbers(code string, data []byte) string {
	var b []byte
	size := sizeOf(code)
	for ; len(data) > 0; data = data[size:] {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		var word [8]byte
		copy(word[:], data[:size])
		bits, unused := binary.LittleEndian.Uint64(word[:]), 64-8*size
		switch {
		case code == "f4":
			b = strconv.AppendFloat(b, float64(math.Float32frombits(uint32(bits))), 'g', -1, 32)
		case code == "f8":
			b = strconv.AppendFloat(b, math.Float64frombits(bits), 'g', -1, 64)
		case code[0] == 'i':
			b = strconv.AppendInt(b, int64(bits<<unused)>>unused, 10)
		default:
			b = strconv.AppendUint(b, bits, 10)
		}
	}
	return string(b)
}
