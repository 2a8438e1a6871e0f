package jelly

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// bytesPerByte is the maximum memory of a decoded value for each byte of the frame, as in the package documentation.
const bytesPerByte = 40

// filled returns [list element element …] of about size bytes.
func filled(size int, element []byte) []byte {
	n := min(size/len(element), banana.DefaultList-1)
	frame := banana.AppendSymbol(banana.AppendList(nil, n+1), banana.ProfilePB, banana.SymList)
	return append(frame, bytes.Repeat(element, n)...)
}

// numbered returns a list of expressions that differ in a number.
func numbered(t testing.TB, size int, element func(i int) banana.Expr) []byte {
	var elements []banana.Expr
	for n := 0; n < size; {
		e := element(len(elements))
		elements = append(elements, e)
		n += len(bin(t, e))
	}
	return bin(t, append(x("list"), elements...))
}

// The frames with the most memory for each byte.
func greedyFrames(t testing.TB) map[string][]byte {
	const size = 256 << 10
	frames := map[string][]byte{}
	for name, e := range map[string]banana.Expr{
		"None": x("None"), "booleans": x("boolean", "true"), "tuples": x("tuple"), "lists": x("list"),
		"dictionaries": x("dictionary"),
		"sets":         x("set"), "frozensets": x("frozenset"), "words": []byte("None"), "bytes": []byte("x"), "floats": 1.5,
		"ints": int64(300), "large ints": int64(1 << 40), "strs": str("é"), "empty strs": str(""),
		"dates": x("date", "2000 1 1"), "datetimes": x("datetime", "2000 1 1"),
		"times": x("time", ""), "timedeltas": x("timedelta", "0 0 1"), "decimals": x("decimal", 1, 1),
		"remotes": x("remote", 1), "locals": x("local", "x"),
		"copies": x("C", 1), "caches": x("K", 1, 1), "persistent": x("persistent", 1),
		"unpersistable":    x("unpersistable", ""),
		"tuples of tuples": x("tuple", x("tuple")), "pairs": x("dictionary", x(1, 1)),
		"pairs of words": x("dictionary", x("None", "None")),
		"sets of one":    x("set", 1), "instances": x("I.I", 1),
	} {
		frames[name] = filled(size, bin(t, e))
	}
	frames["short ints"] = filled(size, []byte{0x81})
	frames["short strings"] = filled(size, []byte{0x82})
	frames["bigs"] = filled(size, append(bytes.Repeat([]byte{1}, 10), 0x81))
	frames["references"] = numbered(t, size, func(i int) banana.Expr { return x("reference", i+1, 0) })
	frames["references of tuples"] = numbered(t, size, func(i int) banana.Expr { return x("reference", i+1, x("tuple")) })
	frames["references from above"] = numbered(t, size, func(i int) banana.Expr { return x("reference", 40_000-i, 0) })
	frames["sparse references"] = numbered(t, size, func(i int) banana.Expr { return x("reference", -i, 0) })
	frames["dereferences"] = bin(
		t,
		append(x("list", x("reference", 1, x("remote", 1))), repeat(size/6, x("dereference", 1))...),
	)
	frames["dereferences before"] = bin(
		t,
		append(append(x("list"), repeat(size/6, x("dereference", 1))...), x("reference", 1, x("remote", 1))),
	)
	frames["one large id"] = bin(t, x("reference", 40_000, make([]byte, size)))
	frames["dictionary"] = bin(t, append(x("dictionary"), repeat(size/4, x(1, 1))...))
	return frames
}

func repeat(n int, e banana.Expr) []banana.Expr {
	list := make([]banana.Expr, n)
	for i := range list {
		list[i] = e
	}
	return list
}

func live() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The memory of a decoded value is a bounded multiple of the frame.
func TestDecodeMemoryIsBounded(t *testing.T) {
	registry := NewRegistry()
	require.NoError(t, registry.RegisterTree("", map[string]ClassEntry{
		"C": {New: func() any { return nil }}, "K": {Kind: RemoteCache, New: func() any { return nil }}}))
	taster := DefaultSecurity().AllowInstancesOf("I.I").AllowTypes("C", "K")
	for name, frame := range greedyFrames(t) {
		t.Run(name, func(t *testing.T) {
			d := Decoder{Registry: registry, Taster: taster}
			var r banana.Reader
			r.Reset(frame, banana.ProfilePB)
			var v any
			before := live()
			require.NoError(t, d.Decode(&r, &v))
			after := live()
			factor := float64(after-min(before, after)) / float64(len(frame))
			t.Logf("%5.1f bytes for each byte", factor)
			assert.LessOrEqual(t, factor, float64(bytesPerByte))
			runtime.KeepAlive(v)
			runtime.KeepAlive(d.Unbound())
		})
	}
}

// Work is bounded too: these cases would time out if something were repeated for each mention.
func TestDecodeSharingOnce(t *testing.T) {
	var d Decoder
	for name, e := range map[string]banana.Expr{
		"tuples of tuples as keys": func() banana.Expr {
			e := x("tuple", 1)
			for i := range 60 {
				e = x("tuple", x("reference", i+1, e), x("dereference", i+1))
			}
			return x("dictionary", x(e, 1))
		}(),
		"dates that are long": x("date", bytes.Repeat([]byte("1 "), 300_000)),
		"long digits":         x("date", bytes.Repeat([]byte("1"), 600_000)),
	} {
		t.Run(name, func(t *testing.T) {
			v, err := decodeAll(&d, bin(t, e), banana.ProfilePB)
			if err == nil {
				encodeOne(t, v, banana.ProfilePB)
				_, ok := v.(*Dict).Get(Tuple{})
				assert.False(t, ok)
				_, ok = v.(*Dict).Get(v.(*Dict).Entries()[0].Key)
				assert.False(t, ok, "too long to be looked up")
			}
		})
	}
}

func TestDecodeDepth(t *testing.T) {
	nest := func(n int, wrap func(any) banana.Expr) banana.Expr {
		var e banana.Expr = int64(1)
		for range n {
			e = wrap(e)
		}
		return e
	}
	list := func(e any) banana.Expr { return x("list", e) }
	dict := func(e any) banana.Expr { return x("dictionary", x("k", e)) }
	ids := 0
	shared := func(wrap func(any) banana.Expr) func(any) banana.Expr {
		return func(e any) banana.Expr { ids++; return x("reference", ids, wrap(e)) }
	}
	for name, c := range map[string]struct {
		e  banana.Expr
		ok bool
	}{
		"as deep as can be":   {nest(DefaultNesting, list), true},
		"too deep":            {nest(DefaultNesting+1, list), false},
		"far too deep":        {nest(5000, list), false},
		"pairs":               {nest(DefaultNesting, dict), true},
		"pairs, too deep":     {nest(DefaultNesting+1, dict), false},
		"shared":              {nest(DefaultNesting, shared(dict)), true},
		"shared, too deep":    {nest(DefaultNesting+1, shared(dict)), false},
		"references":          {nest(5000, func(e any) banana.Expr { ids++; return x("reference", ids, e) }), false},
		"states":              {nest(DefaultNesting, func(e any) banana.Expr { return x("C", e) }), true},
		"states, too deep":    {nest(DefaultNesting+1, func(e any) banana.Expr { return x("C", e) }), false},
		"objects":             {nest(DefaultNesting/2, shared(func(e any) banana.Expr { return x("C", dict(e)) })), true},
		"objects, too deep":   {nest(DefaultNesting/2+1, func(e any) banana.Expr { return x("C", dict(e)) }), false},
		"keys":                {nest(5000, func(e any) banana.Expr { return x("dictionary", x(e, 1)) }), false},
		"nothing in too many": {nest(DefaultNesting, list), true},
		"text in as many as goes": {nest(DefaultNesting-1,
			func(e any) banana.Expr { return x("list", e, x("unicode", "text")) }), true},
	} {
		t.Run(name, func(t *testing.T) {
			registry := NewRegistry()
			require.NoError(t, registry.Register("C", ClassEntry{New: func() any { return nil }}))
			d := Decoder{Registry: registry}
			_, err := decodeAll(&d, bin(t, c.e), banana.ProfilePB)
			if c.ok {
				require.NoError(t, err)
				return
			}
			var decode *DecodeError
			require.ErrorAs(t, err, &decode)
			assert.Contains(t, err.Error(), "nested too deeply")
		})
	}
	// The innermost dictionary's pairs would be one too deep.
	d := Decoder{Limits: banana.Limits{Depth: 2}}
	_, err := decodeAll(&d, bin(t, x("dictionary", x(1, 1))), banana.ProfilePB)
	assert.ErrorContains(t, err, "nested too deeply")
	_, err = decodeAll(&d, bin(t, x("dictionary")), banana.ProfilePB)
	assert.NoError(t, err)
}

func TestDecodeBadBytes(t *testing.T) {
	for name, c := range map[string]struct{ frame, want string }{
		"nothing":          {"", "malformed frame at byte 0: unexpected EOF"},
		"cut list":         {"\x02\x80\x08\x87", "unexpected EOF"},
		"list of too many": {"\x7f\x80\x08\x87", "malformed frame"},
		"cut string":       {"\x05\x82ab", "malformed frame"},
		"bad type byte":    {"\x01\x99", "malformed frame"},
		"bad word":         {"\x7f\x87", "malformed frame"},
		"type is missing":  {"\x01\x80", "malformed frame"},
		"dictionary of too many": {
			"\x05\x80\x05\x87\x01\x81\x01\x81\x01\x81\x01\x81",
			"the elements of a dictionary must be pairs",
		},
		"reference of a string":   {"\x03\x80\x04\x87\x01\x82a\x01\x81", "reference needs an integer of 64 bits, not string"},
		"dereference of a string": {"\x02\x80\x03\x87\x01\x82a", "dereference needs an integer of 64 bits, not string"},
		"never comes":             {"\x02\x80\x03\x87\x05\x81", "reference 5 is mentioned but not defined"},
		"negative, never comes":   {"\x02\x80\x03\x87\x05\x83", "reference -5 is mentioned but not defined"},
		"itself": {
			"\x03\x80\x04\x87\x01\x81\x02\x80\x03\x87\x01\x81",
			"reference 1 is to a reference that has not been defined",
		},
		"cut decimal": {"\x03\x80\x07\x82decimal\x01\x81", "malformed frame"},
	} {
		t.Run(name, func(t *testing.T) {
			var d Decoder
			_, err := decodeAll(&d, []byte(c.frame), banana.ProfilePB)
			require.ErrorContains(t, err, c.want)
			var decode *DecodeError
			require.ErrorAs(t, err, &decode)
			assert.LessOrEqual(t, decode.Offset, len(c.frame))
			// The decoder is still usable.
			v, err := decodeAll(&d, bin(t, x("list", x("reference", 1, x("list")), x("dereference", 1))), banana.ProfilePB)
			require.NoError(t, err)
			assert.Len(t, v, 2)
		})
	}
}

func TestDecodeTuple(t *testing.T) {
	for name, c := range map[string]struct {
		e    banana.Expr
		want Tuple
		err  string
	}{
		"empty":           {x("tuple"), Tuple{}, ""},
		"two":             {x("tuple", 1, str("a")), Tuple{int64(1), "a"}, ""},
		"spelled out":     {x("tuple", []byte("tuple")), Tuple{[]byte("tuple")}, ""},
		"with a name":     {x("reference", 1, x("tuple", 5)), Tuple{int64(5)}, ""},
		"list":            {x("list"), nil, "expected a tuple, not a []interface {} at byte"},
		"int":             {int64(5), nil, "expected a tuple, not int"},
		"empty list":      {x(), nil, "an empty list has no type"},
		"class":           {x("m.C", 1), nil, `class "m.C" is not registered`},
		"with a bad part": {x("tuple", x("unicode", 5)), nil, "unicode needs a string"},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				d Decoder
				r banana.Reader
				v Tuple
			)
			r.Reset(bin(t, c.e), banana.ProfilePB)
			err := d.DecodeTuple(&r, &v)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, v)
		})
	}
	var (
		d Decoder
		r banana.Reader
		v Tuple
	)
	assert.Error(t, d.DecodeTuple(&r, &v))
	d.Taster = NewSecurityOptions()
	r.Reset(bin(t, x("tuple")), banana.ProfilePB)
	assert.ErrorContains(t, d.DecodeTuple(&r, &v), `type "tuple" is not allowed`)
}

// TestDecodeTupleOfInts requires what Decode decodes, which has no short way for such tuples.
func TestDecodeTupleOfInts(t *testing.T) {
	words := DefaultSecurity()
	none := NewSecurityOptions()
	frames := [][]byte{[]byte("\x04\x80\x0b\x87\x01\x81"), []byte("\x01\x80"), nil}
	for _, e := range []banana.Expr{
		x("tuple"), x("tuple", 1), x("tuple", 1, 2), x("tuple", -1, 2), x("tuple", 1, 2, 300, 1<<40),
		x("tuple", 1, 2, str("a")), x("tuple", 1, x("tuple", 2)), x("list", 1, 2), x("reference", 1, x("tuple", 5)),
		x("tuple", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17),
	} {
		frames = append(frames, bin(t, e))
	}
	for _, frame := range frames {
		for _, taster := range []*SecurityOptions{nil, words, none} {
			for _, depth := range []int{0, 1, 2, 3} {
				var d, general Decoder
				d.Limits.Depth, general.Limits.Depth = depth, depth
				for range 2 { // At first the Decoder does not know what is accepted.
					d.Taster, general.Taster = taster, taster
					var in, again banana.Reader
					in.Reset(frame, banana.ProfilePB)
					again.Reset(frame, banana.ProfilePB)
					var want any
					wantErr := general.Decode(&again, &want)
					got := make(Tuple, 0, 4)
					err := d.DecodeTuple(&in, &got)
					if tuple, ok := want.(Tuple); ok || wantErr != nil {
						require.Equal(t, wantErr, err, "% x", frame)
						if ok && err == nil {
							require.Equal(t, tuple, got, "% x", frame)
							require.Equal(t, again.Offset(), in.Offset())
						}
					} else {
						require.Error(t, err)
					}
				}
			}
		}
	}
	var d Decoder
	got := make(Tuple, 0, 4)
	for _, taster := range []*SecurityOptions{words, words, none} {
		d.Taster = taster
		var in banana.Reader
		in.Reset(bin(t, x("tuple", 1)), banana.ProfilePB)
		require.Equal(t, taster == none, d.DecodeTuple(&in, &got) != nil, "the options were changed")
	}
}

// Decoded values do not change when the frame's memory is reused, except with AliasFrom.
func TestValuesDoNotAliasTheFrame(t *testing.T) {
	frame := bin(
		t,
		x(
			"list",
			[]byte("abc"),
			str("def"),
			str("a string that is longer than those which are remembered"),
			x("local", "name"),
		),
	)
	var d Decoder
	v, err := decodeAll(&d, frame, banana.ProfilePB)
	require.NoError(t, err)
	clear(frame)
	list := v.([]any)
	assert.Equal(t, []any{[]byte("abc"), "def", "a string that is longer than those which are remembered"}, list[:3])
	assert.Equal(t, "name", string(d.Unbound()[0].Name))
	frame = bin(t, x("list", []byte("abc"), []byte("ab")))
	for from, want := range map[int]string{
		1: "[[120 121 122] [120 121]]", 3: "[[120 121 122] [97 98]]", 4: "[[97 98 99] [97 98]]",
	} {
		copy(frame[bytes.IndexByte(frame, 0x82)+1:], "abc")
		copy(frame[len(frame)-2:], "ab")
		d.Reset()
		d.AliasFrom = from
		v, err = decodeAll(&d, frame, banana.ProfilePB)
		require.NoError(t, err)
		assert.Equal(t, from < 4, d.Aliased())
		copy(frame[bytes.IndexByte(frame, 0x82)+1:], "xyz")
		copy(frame[len(frame)-2:], "xy")
		assert.Equal(t, want, fmt.Sprint(v))
		if from == 1 {
			assert.Equal(t, 3, cap(v.([]any)[0].([]byte)), "appending must not write into the frame")
		}
	}
	d.Reset()
	assert.False(t, d.Aliased())
}

// The numbers of long lists are in slabs.
func TestSlabs(t *testing.T) {
	var want, elements []any
	for i := range 500 {
		n := int64(i * 1000)
		elements = append(elements, n, float64(i), x("list", n, n))
		want = append(want, n, float64(i), []any{n, n})
	}
	var d Decoder
	v, err := decodeAll(&d, bin(t, append(x("list"), elements...)), banana.ProfilePB)
	require.NoError(t, err)
	runtime.GC()
	assert.Equal(t, want, v)
	m := map[any]bool{}
	for _, e := range v.([]any) {
		if _, ok := e.([]any); !ok {
			m[e] = true
		}
	}
	assert.Len(t, m, 1000)
	assert.Zero(t, d.slab)
}

func TestReferenceLimit(t *testing.T) {
	d := &Decoder{References: 3}
	decode := func(e banana.Expr) error {
		var r banana.Reader
		r.Reset(bin(t, e), banana.ProfilePB)
		var v any
		return d.Decode(&r, &v)
	}
	require.NoError(t, decode(x("list", x("remote", 1), x("remote", 1), x("cached", 2), x("cached", 2), x("cached", 2))))
	require.NoError(t, decode(x("remote", 2)), "the second value of the same message")
	err := decode(x("list", 1, x("remote", 3)))
	require.ErrorIs(t, err, ErrTooManyReferences)
	var failed *DecodeError
	require.ErrorAs(t, err, &failed)
	assert.EqualError(t, failed, "jelly: too many references at byte 6: the peer has sent too many references")
	d.Reset()
	require.NoError(t, decode(x("remote", 3)), "the next message")
}
