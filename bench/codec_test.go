package bench

import (
	"testing"

	"github.com/perspectivebroker/pb/bench/internal/codecs"
	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/internal/command"
)

// callArgs are the arguments of root.add(1, 2), the call that the codec benchmarks encode and decode.
var callArgs = []any{1, 2}

// appendCall appends [message 1 root add 1 (1, 2) {}] as the broker does: the head, then the fragment.
func appendCall(dst []byte, args []any) ([]byte, error) {
	f := jelly.NewFragment(jelly.Context{Profile: banana.ProfilePB})
	defer f.Free()
	if err := f.JellyTuple(args); err != nil {
		return dst, err
	}
	if err := f.JellyDict(nil); err != nil {
		return dst, err
	}
	root := command.Object{Name: "root"}
	dst = command.AppendMessage(dst, banana.ProfilePB, command.Number{Int: 1}, root, "add", true)
	return f.Append(dst, nil)
}

func BenchmarkEncodeCall(b *testing.B) {
	var frame []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if frame, err = appendCall(frame[:0], callArgs); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(frame)))
}

// BenchmarkDecodeCall scans the frame, reads its head and decodes its arguments, as a connection does.
func BenchmarkDecodeCall(b *testing.B) {
	frame, err := appendCall(nil, callArgs)
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
			b.Fatalf("scanner returned %d bytes, error %v", size, err)
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

// BenchmarkCodec compares ours, encoding/json, encoding/gob and msgpack on the values that the command compare uses.
func BenchmarkCodec(b *testing.B) {
	benchmarks, err := codecs.Benchmarks()
	if err != nil {
		b.Fatal(err)
	}
	for _, bm := range benchmarks {
		b.Run(bm.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
