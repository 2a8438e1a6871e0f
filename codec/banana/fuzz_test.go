package banana

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// seed adds all golden streams to a fuzz target.
func seed(f *testing.F, add func(stream []byte, p Profile)) {
	g := loadGolden(f)
	for _, c := range g.Encode {
		add(c.PB.Hex, ProfilePB)
		add(c.None.Hex, ProfileNone)
	}
	for _, c := range g.Decode {
		add(c.Hex, ProfilePB)
	}
}

func profileOf(pb bool) Profile {
	if pb {
		return ProfilePB
	}
	return ProfileNone
}

// FuzzScanner checks that chunks do not matter, that no byte is read twice, and that a Reader ends at the end of each
// frame.
func FuzzScanner(f *testing.F) {
	seed(f, func(stream []byte, p Profile) { f.Add(stream, p == ProfilePB, uint16(3), uint16(0)) })
	f.Fuzz(func(t *testing.T, stream []byte, pb bool, cut, frame uint16) {
		if len(stream) > 1<<14 {
			return
		}
		p, l := profileOf(pb), Limits{Depth: 20, Frame: int(frame)}
		whole, wholeErr := scanAll(t, p, l, [][]byte{stream})
		at := min(int(cut), len(stream))
		halves, halvesErr := scanAll(t, p, l, [][]byte{stream[:at], stream[at:]})
		require.Equal(t, whole, halves)
		require.Equal(t, wholeErr, halvesErr)
		each, eachErr := scanAll(t, p, l, bytewise(stream))
		require.Equal(t, whole, each)
		require.Equal(t, wholeErr, eachErr)

		start := 0
		for _, end := range whole {
			var r Reader
			r.Reset(stream[start:end], p)
			require.NoError(t, r.Skip())
			require.Equal(t, end-start, r.Offset())
			start = end
		}
	})
}

// FuzzReader checks that a Reader accepts any bytes, keeps its position after an error, and that Next, Ints and Skip
// agree.
func FuzzReader(f *testing.F) {
	seed(f, func(stream []byte, p Profile) { f.Add(stream, p == ProfilePB) })
	f.Fuzz(func(t *testing.T, frame []byte, pb bool) {
		p := profileOf(pb)
		var r Reader
		r.Reset(frame, p)
		for {
			before := r.Offset()
			kind := r.Peek()
			token, err := r.Next()
			require.Equal(t, token.Kind, kind)
			if err != nil {
				require.Equal(t, before, r.Offset())
				require.Equal(t, before == len(frame), err == io.EOF)
				break
			}
			require.Greater(t, r.Offset(), before)
			require.NotEqual(t, Neg, token.Kind)
			if token.Kind == List {
				require.LessOrEqual(t, token.Int, int64(len(frame)))
			}
			if token.IsInt() {
				require.Equal(t, token.Kind == Int, token.Big().IsInt64())
			}
		}
		var (
			ints   [40]int64
			single Reader
		)
		r.Reset(frame, p)
		single.Reset(frame, p)
		for _, n := range ints[:r.Ints(ints[:])] {
			token, err := single.Next()
			require.NoError(t, err)
			require.Equal(t, n, token.Int)
		}
		require.Equal(t, single.Offset(), r.Offset())
		FormatFrame(frame, p, 100)
		r.Reset(frame, p)
		if r.Skip() == nil {
			require.Equal(t, frame[r.Offset():], r.Rest())
		}
	})
}

// FuzzExpr checks that a decoded expression is encoded to an equal expression.
func FuzzExpr(f *testing.F) {
	seed(f, func(stream []byte, p Profile) { f.Add(stream, p == ProfilePB) })
	f.Fuzz(func(t *testing.T, b []byte, pb bool) {
		p := profileOf(pb)
		e, n, err := DecodeExpr(b, p, Limits{})
		if err != nil {
			var syntax *SyntaxError
			var limit *LimitError
			require.True(t, errors.As(err, &syntax) || errors.As(err, &limit) || errors.Is(err, io.ErrUnexpectedEOF), "%v", err)
			return
		}
		once, err := EncodeExpr(p, e)
		require.NoError(t, err)
		require.LessOrEqual(t, len(once), 2*n, "only a header that is missing can grow, by one byte")
		again, m, err := DecodeExpr(once, p, Limits{})
		require.NoError(t, err)
		require.Equal(t, len(once), m)
		require.Equal(t, toJSONValue(e), toJSONValue(again))
		require.Equal(t, Format(e), FormatFrame(once, p, 0))
	})
}
