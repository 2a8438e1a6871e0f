package jelly

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// What is passed on undecoded is exactly what the decoder accepts, and is the same value afterwards.
func FuzzRaw(f *testing.F) {
	seed(f)
	for _, e := range []any{
		x("tuple", x("remote", 1), x("list", x("local", "root")), x("reference", 1, x("cached", 2)),
			x("dereference", 1)),
		x("a.B", x("dictionary", []any{x("unicode", "k"), x("reference", 9, x("lcache", 3))})),
		x("m.Ref", "name", x("unicode", "t"), 7),
		x("m.Copy", x("list", x("dereference", 4), x("reference", 4, x("list")))),
		x("method", "m", x("a.B", x("list")), x("reference", 1, x("class", "golden.Node"))),
		x("instance", x("class", "golden.Node"), x("dictionary")),
		x("None", 1, x("remote", 5)), x("unicode", "a", x("list")), x("array", "i2", "\x01\x02", x("remote", 1)),
		x("list", x("promise", 4), x("array", "u1", "abc")),
		x("list", x("address", "room", "lobby"), x("address", "", "id")),
		x("m.Ref", x("address", "room", "lobby"), 7), x("address", x("list"), x("list")),
		x("address", "room", "lobby", 7),
		x("set", x("tuple", x("dereference", 1)), x("reference", 1, 5)),
	} {
		f.Add(bin(f, e))
	}
	registry := NewRegistry()
	blank := func() any { return new(point) }
	require.NoError(f, registry.RegisterTree("m", map[string]ClassEntry{
		"Cache": {Kind: RemoteCache, New: blank}, "Ref": {Kind: Reference}, "Copy": {New: blank},
	}))
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, p := range []banana.Profile{banana.ProfilePB, banana.ProfilePB1, banana.ProfileNone} {
			for _, addresses := range []bool{false, true} {
				compareRaw(t, Decoder{Registry: registry, Addresses: addresses}, frame, p)
			}
		}
	})
}

func compareRaw(t *testing.T, d Decoder, frame []byte, p banana.Profile) {
	taster := trusting().AllowReferences().AllowTypes("method", "function").AllowModules("m")
	d.Taster, d.Limits, d.Nesting, d.References = taster, banana.Limits{Depth: 40}, 20, 30
	registry := d.Registry
	plain := d
	plain.AcceptInstances = true
	var r banana.Reader
	r.Reset(frame, p)
	var v any
	wantErr := plain.Decode(&r, &v)
	end := r.Offset()
	raw, err := Raw{}, error(nil)
	spent := allocated(allocatedAtMost(len(frame)), func() {
		r.Reset(frame, p)
		err = d.DecodeRaw(&r, &raw)
	})
	require.LessOrEqual(t, spent, allocatedAtMost(len(frame)))
	if wantErr != nil {
		require.Error(t, err, "Decode: %v", wantErr)
		return
	}
	require.NoError(t, err)
	require.Equal(t, end, r.Offset())
	require.LessOrEqual(t, raw.Len(), 2*len(frame)+20)

	// References become text in the same places.
	place := func(u *Unbound) { u.Bind("object of " + u.Tag + " " + string(u.Name)) }
	var references []*Unbound
	for _, u := range plain.Unbound() {
		if u.IsInstance() {
			u.Bind(&Instance{Class: u.Tag, State: u.State})
			continue
		}
		references = append(references, u)
		place(u)
	}
	require.Len(t, d.Unbound(), len(references))
	for i, u := range d.Unbound() {
		require.Equal(t, [3]any{references[i].Tag, references[i].ID, string(references[i].Name)},
			[3]any{u.Tag, u.ID, string(u.Name)})
		place(u)
	}
	fragment := NewFragment(Context{Profile: p})
	defer fragment.Free()
	if fragment.Jelly(v) != nil {
		return // It may be too deep to be encoded.
	}
	want, err := fragment.Append(nil, nil)
	require.NoError(t, err)
	for _, to := range []banana.Profile{p, banana.ProfilePB, banana.ProfilePB1, banana.ProfileNone} {
		// The receiver accepts addresses. What is passed on has none: the peer's own were cut out.
		again := Decoder{Registry: nil, Taster: taster, AcceptInstances: true, Addresses: true}
		got, err := decodeAll(&again, passed(t, &raw, to), to)
		require.NoError(t, err)
		for _, u := range again.Unbound() {
			require.False(t, u.IsAddress())
		}
		if to != p && len(raw.arrays) > 0 {
			continue // They have become lists.
		}
		require.Equal(t, want, encodeOne(t, got, p))
	}
	var late any
	decoder := Decoder{Registry: registry, Taster: taster, AcceptInstances: true}
	require.NoError(t, raw.Decode(&decoder, &late))
	for _, u := range decoder.Unbound() {
		u.Bind(&Instance{Class: u.Tag, State: u.State})
	}
	require.Equal(t, want, encodeOne(t, late, p))
}
