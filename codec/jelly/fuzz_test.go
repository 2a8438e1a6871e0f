package jelly

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

func seed(f *testing.F) {
	for _, v := range readGolden(f).Values {
		if len(v.PB) < 300 {
			f.Add([]byte(v.PB))
		}
	}
	for _, in := range readGolden(f).Inputs {
		f.Add([]byte(in.Hex))
	}
}

// Any bytes give a value or an error. A value can be bound, walked, assigned and looked up in without a panic, and
// memory is bounded by the size of the frame.
func FuzzDecode(f *testing.F) {
	seed(f)
	registry := NewRegistry()
	require.NoError(f, registry.RegisterTree("", map[string]ClassEntry{
		"golden.Node": {
			New: func() any { return new(point) },
		}, "K": {Kind: RemoteCache, New: func() any { return new(point) }}}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		d := Decoder{
			Registry: registry,
			Taster:   trusting().AllowReferences().AllowTypes("method", "function", "K").AllowModules("m"),
		}
		var (
			r    banana.Reader
			v    any
			args Tuple
		)
		r.Reset(frame, banana.ProfilePB)
		Mentions(&r, 2, func(Mention) {})
		r.Reset(frame, banana.ProfilePB)
		_ = d.DecodeTuple(&r, &args)
		var err error
		spent := allocated(allocatedAtMost(len(frame)), func() {
			r.Reset(frame, banana.ProfilePB)
			d.Reset()
			err = d.Decode(&r, &v)
		})
		require.LessOrEqual(t, spent, allocatedAtMost(len(frame)))
		require.LessOrEqual(t, r.Offset(), len(frame))
		if err != nil {
			var (
				malformed *DecodeError
				insecure  *InsecureJellyError
			)
			require.True(t, errors.As(err, &malformed) || errors.As(err, &insecure), "%T: %v", err, err)
			return
		}
		_ = Unjelly(d.Unbound(), nil, func(u *Unbound) (any, error) { return nil, nil })
		var (
			typed map[string][]point
			tree  *tree
			text  []string
		)
		_, _, _ = Assign(&typed, v), Assign(&tree, v), Assign(&text, v)
		if dict, ok := v.(*Dict); ok {
			for key, value := range dict.All() {
				_, _ = dict.Get(key)
				_, _ = dict.Get(value)
			}
		}
	})
}

// Decoding and encoding reaches a fixed point after one round.
func FuzzRoundTrip(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, frame []byte) {
		d := Decoder{Taster: trusting().AllowTypes("method", "function").AllowModules("m")}
		first, err := decodeAll(&d, frame, banana.ProfilePB)
		if err != nil || len(d.Unbound()) > 0 {
			return
		}
		fragment := NewFragment(Context{Profile: banana.ProfilePB})
		defer fragment.Free()
		if fragment.Jelly(first) != nil {
			return // The value may be too deep to be encoded.
		}
		once, err := fragment.Append(nil, nil)
		require.NoError(t, err)
		second, err := decodeAll(&d, once, banana.ProfilePB)
		require.NoError(t, err)
		require.Equal(t, once, encodeOne(t, second, banana.ProfilePB))
	})
}
