package jelly

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// BenchmarkDecodeTyped decodes to a Go type in both ways.
func BenchmarkDecodeTyped(b *testing.B) {
	order := directOrder{"Rosmerta", 7, 2.5, true, map[string]int{"mead": 3, "gillywater": 1}}
	ints := make([]int, 1000)
	for i := range ints {
		ints[i] = i * 7
	}
	for _, v := range []struct {
		name   string
		source any
		typed  func() any
	}{
		{"struct", &order, func() any { return new(directOrder) }},
		{"ints", ints, func() any { return new([]int) }},
		{"pair", Tuple{1, 2}, func() any { return new([]int) }},
	} {
		f := NewFragment(Context{Profile: banana.ProfilePB})
		require.NoError(b, f.Jelly(v.source))
		frame, err := f.Append(nil, nil)
		require.NoError(b, err)
		f.Free()
		var (
			d Decoder
			r banana.Reader
		)
		b.Run(v.name+"/general", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var general any
				r.Reset(frame, banana.ProfilePB)
				d.Reset()
				if err := d.Decode(&r, &general); err != nil {
					b.Fatal(err)
				}
				if err := Assign(v.typed(), general); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(v.name+"/direct", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(frame, banana.ProfilePB)
				d.Reset()
				if err := d.DecodeInto(&r, v.typed()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
