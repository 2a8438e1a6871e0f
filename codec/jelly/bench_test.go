package jelly

import (
	"fmt"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
)

// benchValues are the values of the published figures.
func benchValues() []struct {
	name  string
	value any
} {
	ints := make([]any, 1000)
	for i := range ints {
		ints[i] = i * 7
	}
	return []struct {
		name  string
		value any
	}{
		{"two ints", Tuple{1, 2}},
		{"10 keys", tenKeys()},
		{"1000 ints", ints},
		{"64KiB", make([]byte, 64<<10)},
		{"10000 nodes", sharedGraph(10_000)},
	}
}

func tenKeys() map[string]any {
	m := map[string]any{}
	for i := range 10 {
		m[fmt.Sprintf("key%d", i)] = i * 1000
	}
	return m
}

// sharedGraph returns n lists, most of them with two mentions.
func sharedGraph(n int) []any {
	nodes := make([]any, n)
	for i := range nodes {
		nodes[i] = []any{i, nil, nil}
	}
	for i := range nodes {
		nodes[i].([]any)[1] = nodes[i/2]
	}
	return nodes
}

func BenchmarkEncode(b *testing.B) {
	for _, bench := range benchValues() {
		b.Run(bench.name, func(b *testing.B) {
			c := Context{Profile: banana.ProfilePB}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				f := NewFragment(c)
				if err := f.Jelly(bench.value); err != nil {
					b.Fatal(err)
				}
				dst, _ = f.Append(dst[:0], nil)
				f.Free()
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, bench := range benchValues() {
		b.Run(bench.name, func(b *testing.B) {
			frame := encodeOne(b, bench.value, banana.ProfilePB)
			var (
				d Decoder
				r banana.Reader
			)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			for b.Loop() {
				var v any
				r.Reset(frame, banana.ProfilePB)
				d.Reset()
				if err := d.Decode(&r, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMessage encodes and decodes the arguments of a call with two ints and no keywords.
func BenchmarkMessage(b *testing.B) {
	c := Context{Profile: banana.ProfilePB}
	args := []any{1, 2}
	var (
		d     Decoder
		r     banana.Reader
		frame []byte
	)
	b.ReportAllocs()
	for b.Loop() {
		f := NewFragment(c)
		if f.JellyTuple(args) != nil || f.JellyDict(nil) != nil {
			b.Fatal("it failed")
		}
		frame, _ = f.Append(frame[:0], nil)
		f.Free()
		var (
			tuple Tuple
			kw    any
		)
		r.Reset(frame, banana.ProfilePB)
		d.Reset()
		if d.DecodeTuple(&r, &tuple) != nil || d.Decode(&r, &kw) != nil {
			b.Fatal("it failed")
		}
	}
}

func BenchmarkAssign(b *testing.B) {
	b.Run("int", func(b *testing.B) {
		src := any(int64(5))
		b.ReportAllocs()
		for b.Loop() {
			var n int
			if Assign(&n, src) != nil {
				b.Fatal("it failed")
			}
		}
	})
	b.Run("1000 ints", func(b *testing.B) {
		src := make([]any, 1000)
		for i := range src {
			src[i] = int64(i)
		}
		b.ReportAllocs()
		for b.Loop() {
			var n []int
			if Assign(&n, src) != nil {
				b.Fatal("it failed")
			}
		}
	})
	b.Run("struct", func(b *testing.B) {
		type point struct {
			X    int    `pb:"x"`
			Y    int    `pb:"y"`
			Name string `pb:"name"`
		}
		src := NewDict(Entry{"x", int64(1)}, Entry{"y", int64(2)}, Entry{"name", "p"})
		b.ReportAllocs()
		for b.Loop() {
			var p point
			if Assign(&p, src) != nil {
				b.Fatal("it failed")
			}
		}
	})
}

// BenchmarkRelay copies values from one connection to another, undecoded as a relay does, and by way of decoding.
func BenchmarkRelay(b *testing.B) {
	for _, way := range []struct {
		name string
		copy func(d *Decoder, r *banana.Reader, f *Fragment) error
	}{
		{"undecoded", copyUndecoded},
		{"decoded", copyDecoded},
	} {
		for _, bench := range benchValues() {
			b.Run(way.name+"/"+bench.name, func(b *testing.B) {
				frame := encodeOne(b, bench.value, banana.ProfilePB)
				var d Decoder
				var r banana.Reader
				var dst []byte
				b.ReportAllocs()
				b.SetBytes(int64(len(frame)))
				for b.Loop() {
					r.Reset(frame, banana.ProfilePB)
					f := NewFragment(Context{Profile: banana.ProfilePB})
					if err := way.copy(&d, &r, f); err != nil {
						b.Fatal(err)
					}
					dst, _ = f.Append(dst[:0], nil)
					f.Free()
				}
			})
		}
	}
}

func copyUndecoded(d *Decoder, r *banana.Reader, f *Fragment) error {
	raw := NewRaw()
	defer raw.Free()
	if err := d.DecodeRaw(r, raw); err != nil {
		return err
	}
	return f.Raw(raw)
}

func copyDecoded(d *Decoder, r *banana.Reader, f *Fragment) error {
	var v any
	if err := d.Decode(r, &v); err != nil {
		return err
	}
	return f.Jelly(v)
}
