package banana

import (
	"strings"
	"testing"
)

// aCall appends the most frequent message: [message 1 "root" "add" 1 [tuple 1 2] [dictionary]].
func aCall(b []byte) []byte {
	b = AppendList(b, 7)
	b = AppendSymbol(b, ProfilePB, SymMessage)
	b = AppendInt(b, 1)
	b = AppendString(b, ProfilePB, "root")
	b = AppendString(b, ProfilePB, "add")
	b = AppendInt(b, 1)
	b = AppendList(b, 3)
	b = AppendSymbol(b, ProfilePB, SymTuple)
	b = AppendInt(b, 1)
	b = AppendInt(b, 2)
	b = AppendList(b, 1)
	return AppendSymbol(b, ProfilePB, SymDictionary)
}

func intList(n int) []byte {
	b := AppendList(nil, n)
	for i := range n {
		b = AppendInt(b, int64(i*7919))
	}
	return b
}

func benchmarkFrames() map[string][]byte {
	return map[string][]byte{
		"call":        aCall(nil),
		"ints-1000":   intList(1000),
		"string-512k": AppendString(nil, ProfilePB, strings.Repeat("x", 512<<10)),
		"strings-100": func() []byte {
			b := AppendList(nil, 100)
			for range 100 {
				b = AppendString(b, ProfilePB, "some_name")
			}
			return b
		}(),
	}
}

func BenchmarkEncodeCall(b *testing.B) {
	buf := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		buf = aCall(buf[:0])
	}
}

func BenchmarkScanner(b *testing.B) {
	for name, frame := range benchmarkFrames() {
		b.Run(name, func(b *testing.B) {
			var s Scanner
			s.Init(ProfilePB, Limits{})
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				if n, err := s.Next(frame); n != len(frame) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for name, frame := range benchmarkFrames() {
		b.Run(name, func(b *testing.B) {
			var r Reader
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				r.Reset(frame, ProfilePB)
				for {
					if _, err := r.Next(); err != nil {
						break
					}
				}
			}
		})
	}
}

func BenchmarkReaderRead(b *testing.B) {
	for name, frame := range benchmarkFrames() {
		b.Run(name, func(b *testing.B) {
			var (
				r Reader
				t Token
			)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				r.Reset(frame, ProfilePB)
				for r.Read(&t) == nil {
				}
			}
		})
	}
}

func BenchmarkSkip(b *testing.B) {
	frame := aCall(nil)
	var r Reader
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(frame, ProfilePB)
		if err := r.Skip(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookupSymbol(b *testing.B) {
	for _, word := range []string{"dictionary", "some_thing", "x"} {
		b.Run(word, func(b *testing.B) {
			s := []byte(word)
			b.ReportAllocs()
			for b.Loop() {
				LookupSymbol(s)
			}
		})
	}
}
