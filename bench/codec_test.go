package bench

import (
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/codecs"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
)

// call is what the codec's benchmarks encode and decode: the whole frame of root.add(1, 2).
var call = []any{1, 2}

// appendCall writes [message 1 root add 1 (1, 2) {}] as the broker does: head, then the stamped fragment.
func appendCall(dst []byte, args []any) ([]byte, error) {
	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
	defer f.Free()
	if err := f.JellyTuple(args); err != nil {
		return dst, err
	}
	if err := f.JellyDict(nil); err != nil {
		return dst, err
	}
	dst = banana.AppendList(dst, 7)
	dst = banana.AppendSymbol(dst, banana.ProfilePB, banana.SymMessage)
	dst = banana.AppendInt(dst, 1)
	dst = banana.AppendString(dst, banana.ProfilePB, "root")
	dst = banana.AppendString(dst, banana.ProfilePB, "add")
	dst = banana.AppendInt(dst, 1)
	return f.Append(dst, nil)
}

func BenchmarkEncodeCall(b *testing.B) {
	var frame []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if frame, err = appendCall(frame[:0], call); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(frame)))
}

// BenchmarkDecodeCall finds the frame, reads its head and decodes its arguments, as the decoder of a connection does.
func BenchmarkDecodeCall(b *testing.B) {
	frame, err := appendCall(nil, call)
	if err != nil {
		b.Fatal(err)
	}
	var (
		scanner banana.Scanner
		reader  banana.Reader
		decoder jelly.Decoder
	)
	scanner.Init(banana.ProfilePB, banana.Limits{}.WithDefaults())
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		size, err := scanner.Next(frame)
		if err != nil || size != len(frame) {
			b.Fatalf("the scanner found %d bytes: %v", size, err)
		}
		reader.Reset(frame[:size], banana.ProfilePB)
		for range 6 { // list, message, request, object, method, answerRequired
			if _, err := reader.Next(); err != nil {
				b.Fatal(err)
			}
		}
		var args, kw any
		decoder.Reset()
		if err := decoder.Decode(&reader, &args); err != nil {
			b.Fatal(err)
		}
		if err := decoder.Decode(&reader, &kw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCodec has ours, encoding/json, encoding/gob and msgpack side by side, on the values that compare uses.
func BenchmarkCodec(b *testing.B) {
	works, err := codecs.Works()
	if err != nil {
		b.Fatal(err)
	}
	for _, w := range works {
		b.Run(w.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
