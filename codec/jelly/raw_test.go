package jelly

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
)

// rawOf reads a frame undecoded.
func rawOf(d *Decoder, frame []byte, p banana.Profile) (*Raw, error) {
	var r banana.Reader
	r.Reset(frame, p)
	d.Reset()
	raw := new(Raw)
	return raw, d.DecodeRaw(&r, raw)
}

// passed encodes a Raw as the only value of a fragment.
func passed(t require.TestingT, raw *Raw, p banana.Profile) []byte {
	f := NewFragment(Context{Profile: p})
	defer f.Free()
	require.NoError(t, f.Raw(raw))
	out, err := f.Append(nil, nil)
	require.NoError(t, err)
	return out
}

// What is passed on undecoded has the bytes that came.
func TestRawKeepsBytes(t *testing.T) {
	d := Decoder{Taster: trusting()}
	rapid.Check(t, func(rt *rapid.T) {
		profile := rapid.SampledFrom([]banana.Profile{banana.ProfilePB, banana.ProfileNone}).Draw(rt, "profile")
		sent := encodeOne(t, drawGraph(rt), profile)
		raw, err := rawOf(&d, sent, profile)
		require.NoError(rt, err)
		require.Equal(rt, sent, passed(rt, raw, profile))
		other := banana.ProfilePB + banana.ProfileNone - profile
		v, err := decodeAll(&d, passed(rt, raw, other), other)
		require.NoError(rt, err)
		require.Equal(rt, format(t, sent, profile), format(t, encodeOne(t, v, profile), profile))
		var again any
		require.NoError(rt, raw.Decode(&d, &again))
		require.Equal(rt, sent, encodeOne(t, again, profile))
	})
}

// A Decoder for a single value costs little: each call that was passed on undecoded gets one.
func TestRawDecodeWithNewDecoder(t *testing.T) {
	raw, err := rawOf(&Decoder{}, encodeOne(t, Tuple{1, 2}, banana.ProfilePB), banana.ProfilePB)
	require.NoError(t, err)
	allocs := testing.AllocsPerRun(100, func() {
		var v any
		err = raw.Decode(&Decoder{}, &v)
	})
	require.NoError(t, err)
	assert.LessOrEqual(t, allocs, 8.0)
}

// Values that were not decoded can stand in others: their references do not meet.
func TestRawInsideOthers(t *testing.T) {
	d := Decoder{Taster: trusting()}
	rapid.Check(t, func(rt *rapid.T) {
		a, b := drawGraph(rt), drawGraph(rt)
		shared := []any{"shared"}
		var raws [2]*Raw
		for i, v := range []any{a, b} {
			var err error
			raws[i], err = rawOf(&d, encodeOne(t, v, banana.ProfilePB), banana.ProfilePB)
			require.NoError(rt, err)
		}
		mixed := []any{shared, raws[0], shared, raws[1], raws[0], shared}
		v, err := decodeAll(&d, encodeOne(t, mixed, banana.ProfilePB), banana.ProfilePB)
		require.NoError(rt, err)
		list := v.([]any)
		require.Len(rt, list, len(mixed))
		for i, want := range map[int]any{1: a, 3: b, 4: a, 0: shared, 2: shared, 5: shared} {
			require.Equal(rt, encodeOne(t, want, banana.ProfilePB), encodeOne(t, list[i], banana.ProfilePB), i)
		}
	})
}

// A fragment with values that were not decoded can fill a hole: all its references get ids behind those of the message.
func TestRawRebased(t *testing.T) {
	d := Decoder{Taster: trusting()}
	shared := []any{"x"}
	sent := encodeOne(t, []any{shared, shared}, banana.ProfilePB)
	raw, err := rawOf(&d, sent, banana.ProfilePB)
	require.NoError(t, err)
	own := []any{"own"}
	for name, state := range map[string]any{"without wraps": raw, "with wraps": []any{own, raw, own, raw}} {
		t.Run(name, func(t *testing.T) {
			inner := NewFragment(Context{Profile: banana.ProfilePB})
			require.NoError(t, inner.Jelly(state))
			outer := NewFragment(Context{Profile: banana.ProfilePB})
			twice := []any{"twice"}
			require.NoError(t, outer.Jelly([]any{twice, holeOf{}, twice, holeOf{}}))
			base := outer.MaxRef()
			frame, err := outer.Append(nil, func(dst []byte, _ any) ([]byte, error) {
				from := base
				base += inner.MaxRef()
				return inner.AppendRebased(dst, from, nil)
			})
			require.NoError(t, err)
			v, err := decodeAll(&d, frame, banana.ProfilePB)
			require.NoError(t, err)
			list := v.([]any)
			want := encodeOne(t, state, banana.ProfilePB)
			require.Equal(t, format(t, want, banana.ProfilePB),
				format(t, encodeOne(t, list[1], banana.ProfilePB), banana.ProfilePB))
			require.Equal(t, want, encodeOne(t, list[3], banana.ProfilePB))
		})
	}
}

type holeOf struct{}

func (holeOf) JellyTo(e *Encoder, _ any) error { e.Hole("hole"); return nil }

// Peers may number references as they like. What is passed on is numbered from 1.
func TestRawNumbersReferences(t *testing.T) {
	var d Decoder
	for _, ids := range [][2]int64{{1, 2}, {2, 1}, {-5, 1 << 40}, {70, 3}, {0, 1}} {
		sent := bin(t, x("list",
			x("reference", ids[0], x("list", x("remote", 7), x("reference", ids[1], x("list")))),
			x("dereference", ids[1]), x("local", 8), x("dereference", ids[0])))
		raw, err := rawOf(&d, sent, banana.ProfilePB)
		require.NoError(t, err)
		for _, u := range d.Unbound() {
			u.Bind(u.ID)
		}
		v, err := decodeAll(&d, passed(t, raw, banana.ProfilePB), banana.ProfilePB)
		require.NoError(t, err)
		list := v.([]any)
		assert.Equal(t, []any{int64(7), []any{}}, list[0])
		assert.Equal(t, []any{}, list[1])
		assert.Equal(t, int64(8), list[2])
		assert.Equal(t, list[0], list[3])
	}
}

// Each reference is a hole, filled with what it was bound to.
func TestRawHoles(t *testing.T) {
	var d Decoder
	sent := bin(t, x("tuple", x("remote", 1), x("local", 2), x("dictionary",
		[]any{x("local", "root"), x("cached", 3)}), x("lcache", 4), 5))
	raw, err := rawOf(&d, sent, banana.ProfilePB)
	require.NoError(t, err)
	require.Equal(t, 5, raw.Holes())
	var tags []string
	for i, u := range d.Unbound() {
		tags = append(tags, u.Tag)
		u.Bind(i * 100)
	}
	assert.Equal(t, []string{"remote", "local", "local", "cached", "lcache"}, tags)
	want := bin(t, x("tuple", 0, 100, x("dictionary", []any{200, 300}), 400, 5))
	assert.Equal(t, want, passed(t, raw, banana.ProfilePB))
	parts, err := raw.Elements()
	require.NoError(t, err)
	require.Len(t, parts, 5)
	assert.Equal(t, bin(t, 100), passed(t, parts[1], banana.ProfilePB))
	assert.Equal(t, bin(t, x("dictionary", []any{200, 300})), passed(t, parts[2], banana.ProfilePB))
	assert.Equal(t, bin(t, 5), passed(t, parts[4], banana.ProfilePB))
	var v any
	require.NoError(t, raw.Decode(&d, &v))
	assert.Equal(t, 400, v.(Tuple)[3])
}

// Copies of classes that nobody knows pass. What may be a number of an object, or a Cacheable, does not.
func TestRawClasses(t *testing.T) {
	registry := NewRegistry()
	blank := func() any { return new(point) }
	require.NoError(t, registry.RegisterTree("m", map[string]ClassEntry{
		"Copy": {New: blank}, "Cache": {Kind: RemoteCache, New: blank}, "Ref": {Kind: Reference},
		"Elements": {Kind: Elements, New: blank},
	}))
	d := Decoder{Registry: registry}
	state := x("dictionary", []any{"k", x("remote", 5)})
	for name, c := range map[string]struct {
		in   any
		want string // part of the error; empty if it passes
	}{
		"unknown copy":            {x("a.B", state), ""},
		"copy":                    {x("m.Copy", state), ""},
		"copy in a copy":          {x("a.B", x("list", x("c.D", x("list")))), ""},
		"elements":                {x("m.Elements", x("list"), 1, x("list")), ""},
		"reference with a class":  {x("m.Ref", 5), ""},
		"reference with extras":   {x("m.Ref", "name", x("unicode", "text"), 5), ""},
		"reference with a list":   {x("m.Ref", x("list"), 5), "more than numbers and text"},
		"unknown with a number":   {x("a.B", 5), "its state is a number or a string"},
		"unknown with a big one":  {x("a.B", new(big.Int).Lsh(big.NewInt(1), 80)), "its state is a number or a string"},
		"unknown with a name":     {x("a.B", "root"), "its state is a number or a string"},
		"copy with a number":      {x("m.Copy", 5), "its state is a number or a string"},
		"unknown cache":           {x("a.B", 5, state), "the Cacheable of class"},
		"cache":                   {x("m.Cache", 5, state), "the Cacheable of class"},
		"unknown with more":       {x("a.B", state, 5), "no plain copy"},
		"elements with a number":  {x("m.Elements", x("list"), 1), "begins or ends with a number"},
		"elements after a number": {x("m.Elements", 1, x("list")), "begins or ends with a number"},
		"no state":                {x("a.B"), "needs a state"},
		"no dot":                  {x("B", state), "not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			sent := bin(t, c.in)
			raw, err := rawOf(&d, sent, banana.ProfilePB)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.LessOrEqual(t, raw.Len(), len(sent))
		})
	}
}

// What Decode ignores is not passed on.
func TestRawLeavesOutWhatIsIgnored(t *testing.T) {
	d := Decoder{}
	forged := x("remote", 99)
	sent := bin(t, x("tuple",
		[]any{banana.SymNone.String(), forged}, x("unicode", "text", forged), x("boolean", "true", forged, forged),
		x("reference", 1, x("list"), forged), x("dereference", 1, forged), x("local", 7, forged)))
	raw, err := rawOf(&d, sent, banana.ProfilePB)
	require.NoError(t, err)
	require.Equal(t, 1, raw.Holes())
	d.Unbound()[0].Bind("home")
	want := bin(t, x("tuple", x("None"), x("unicode", "text"), x("boolean", "true"),
		x("reference", 1, x("list")), x("dereference", 1), x("unicode", "home")))
	assert.Equal(t, format(t, want, banana.ProfilePB), format(t, passed(t, raw, banana.ProfilePB), banana.ProfilePB))
}

// A part that shares something with another part cannot stand alone.
func TestRawSharedParts(t *testing.T) {
	var d Decoder
	raw, err := rawOf(&d, bin(t, x("tuple", x("reference", 1, x("list")), x("dereference", 1))), banana.ProfilePB)
	require.NoError(t, err)
	_, err = raw.Elements()
	require.ErrorIs(t, err, errSharedPart)
	raw, err = rawOf(&d, bin(t, x("tuple", x("list", x("reference", 1, x("list")), x("dereference", 1)), 5)),
		banana.ProfilePB)
	require.NoError(t, err)
	parts, err := raw.Elements()
	require.NoError(t, err)
	assert.Equal(t, bin(t, x("list", x("reference", 1, x("list")), x("dereference", 1))),
		passed(t, parts[0], banana.ProfilePB))
}

// The limits of the receiver hold for what is passed on.
func TestRawLimits(t *testing.T) {
	var d Decoder
	deep := any(x("list"))
	for range 9 {
		deep = x("list", deep)
	}
	raw, err := rawOf(&d, bin(t, x("list", deep, "0123456789")), banana.ProfilePB)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		ctx Context
		ok  bool
	}{
		"depth, enough":    {Context{Limits: banana.Limits{Depth: 12}}, true},
		"depth":            {Context{Limits: banana.Limits{Depth: 11}}, false},
		"nesting, enough":  {Context{Nesting: 11}, true},
		"nesting":          {Context{Nesting: 10}, false},
		"string, enough":   {Context{Limits: banana.Limits{String: 10}}, true},
		"string":           {Context{Limits: banana.Limits{String: 9}}, false},
		"list":             {Context{Limits: banana.Limits{List: 2}}, false},
		"frame":            {Context{Limits: banana.Limits{Frame: 20}}, false},
		"nesting, default": {Context{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.ctx.Profile = banana.ProfilePB
			f := NewFragment(c.ctx)
			defer f.Free()
			err := f.Raw(raw)
			assert.Equal(t, c.ok, err == nil, "%v", err)
		})
	}
}

// Arrays become lists for a peer that does not know them.
func TestRawArrays(t *testing.T) {
	d := Decoder{}
	shared := []int32{1, -2, 3}
	sent := encodeOne(t, []any{shared, shared, []float64{1.5}}, banana.ProfilePB1)
	raw, err := rawOf(&d, sent, banana.ProfilePB1)
	require.NoError(t, err)
	assert.Equal(t, sent, passed(t, raw, banana.ProfilePB1))
	for _, p := range []banana.Profile{banana.ProfilePB, banana.ProfileNone} {
		v, err := decodeAll(&d, passed(t, raw, p), p)
		require.NoError(t, err)
		want := []any{int64(1), int64(-2), int64(3)}
		assert.Equal(t, []any{want, want, []any{1.5}}, v)
	}
}
