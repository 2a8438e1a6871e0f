package jelly

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
)

// arraysContext is for a peer that takes arrays.
var arraysContext = Context{Profile: banana.ProfilePB1}

func encodeIn(t require.TestingT, c Context, v any) []byte {
	f := NewFragment(c)
	defer f.Free()
	require.NoError(t, f.Jelly(v))
	b, err := f.Append(nil, nil)
	require.NoError(t, err)
	return b
}

// arrayOf returns an array on the wire.
func arrayOf(code string, numbers string) []byte {
	b := banana.AppendString(banana.AppendList(nil, 3), banana.ProfilePB, "array")
	b = banana.AppendString(b, banana.ProfilePB, code)
	return append(banana.AppendBytesHead(b, len(numbers)), numbers...)
}

type celsius float64

type textual int

func (n textual) MarshalText() ([]byte, error) { return []byte(fmt.Sprint("n", int(n))), nil }

// Each type of numbers has its own code (P-12.1).
func TestArrayBytes(t *testing.T) {
	for _, c := range []struct {
		sent any
		code string
		hex  string
		want any
	}{
		{[]int8{1, -1}, "i1", "01ff", nil},
		{[]int16{1, -2}, "i2", "0100feff", nil},
		{[]int32{1, -2}, "i4", "01000000feffffff", nil},
		{[]int64{1, math.MinInt64}, "i8", "01000000000000000000000000000080", nil},
		{[]uint16{1, 0xfffe}, "u2", "0100feff", nil},
		{[]uint32{1, 1 << 31}, "u4", "0100000000000080", nil},
		{[]uint64{1, 1 << 63}, "u8", "01000000000000000000000000000080", nil},
		{[]float32{1.5, -2}, "f4", "0000c03f000000c0", nil},
		{[]float64{1.5, -2}, "f8", "000000000000f83f00000000000000c0", nil},
		{[]int{1, -2}, "i8", "0100000000000000feffffffffffffff", []int64{1, -2}},
		{[]uint{1}, "u8", "0100000000000000", []uint64{1}},
		{[]celsius{1.5}, "f8", "000000000000f83f", []float64{1.5}},
		{[]time.Month{time.May}, "i8", "0500000000000000", []int64{5}},
		{[]int32{}, "i4", "", nil},
		{[]int32(nil), "i4", "", []int32{}},
		{[]int32{0x7473696c}, "i4", "6c697374", nil}, // "list", a word of the vocabulary
	} {
		t.Run(fmt.Sprintf("%T", c.sent), func(t *testing.T) {
			numbers, err := hex.DecodeString(c.hex)
			require.NoError(t, err)
			sent := encodeIn(t, arraysContext, c.sent)
			assert.Equal(t, hex.EncodeToString(arrayOf(c.code, string(numbers))), hex.EncodeToString(sent))
			v, err := decodeAll(&Decoder{}, sent, banana.ProfilePB1)
			require.NoError(t, err)
			want := c.want
			if want == nil {
				want = c.sent
			}
			assert.Equal(t, want, v)
			// A peer in dialect pb gets a list.
			list := encodeIn(t, Context{Profile: banana.ProfilePB}, c.sent)
			boxed := []any{}
			for i := range reflect.ValueOf(c.sent).Len() {
				boxed = append(boxed, boxNumber(reflect.ValueOf(c.sent).Index(i)))
			}
			assert.Equal(t, encodeIn(t, Context{Profile: banana.ProfilePB}, boxed), list)
		})
	}
}

// Slices that are no arrays are written alike in both dialects.
func TestNotAnArray(t *testing.T) {
	for _, v := range []any{
		[]byte{1, 2}, []bool{true}, []string{"a"}, []time.Duration{time.Second}, []textual{1}, [2]int{1, 2}, []any{1, 2},
		Tuple{1, 2.5}, []*int{new(int)}, map[[2]int]string{{1, 2}: "x"},
	} {
		plain := encodeIn(t, Context{Profile: banana.ProfilePB}, v)
		assert.Equal(t, plain, encodeIn(t, arraysContext, v), "%T", v)
	}
}

// (P-12.2)
func TestArrayOfBytes(t *testing.T) {
	v, err := decodeAll(&Decoder{}, arrayOf("u1", "ab"), banana.ProfilePB1)
	require.NoError(t, err)
	assert.Equal(t, []byte("ab"), v)
	word := banana.AppendString(banana.AppendList(nil, 3), banana.ProfilePB, "array")
	word = banana.AppendSymbol(banana.AppendString(word, banana.ProfilePB, "u1"), banana.ProfilePB, banana.SymList)
	v, err = decodeAll(&Decoder{}, word, banana.ProfilePB1)
	require.NoError(t, err)
	assert.Equal(t, []byte("list"), v)
}

// (P-12.3)
func TestBadArrays(t *testing.T) {
	raw := func(elements ...any) []byte {
		b, err := banana.EncodeExpr(banana.ProfilePB, elements)
		require.NoError(t, err)
		return b
	}
	codes := ": the codes are i1 i2 i4 i8 u1 u2 u4 u8 f4 f8 at byte 9"
	for _, c := range []struct {
		name  string
		frame []byte
		want  string
	}{
		{"no code", raw("array"), "jelly: array has too few elements at byte 9"},
		{"no numbers", raw("array", "i4"), "jelly: array has too few elements at byte 13"},
		{"bool", raw("array", "b1", "\x01"), `jelly: "b1" is no code of an array` + codes},
		{"spelled out", raw("array", "int32", "\x01"), `jelly: "int32" is no code of an array` + codes},
		{"empty code", raw("array", "", "\x01"), `jelly: "" is no code of an array` + codes},
		{"word as code", raw("array", "list", "\x01"), `jelly: "list" is no code of an array` + codes},
		{"number as code", raw("array", 4, "\x01"), "jelly: array needs a string, not int at byte 9"},
		{"list of numbers", raw("array", "i4", []any{1}), "jelly: array needs a string, not list at byte 13"},
		{"odd length", raw("array", "i4", "12345"),
			"jelly: an array of i4 has 5 bytes, which is no multiple of 4 at byte 13"},
		{"dialect pb", nil, `insecure jelly at byte 0: class "array" is not registered: use flavors.RegisterCopy and ` +
			`broker.WithRegistry`},
	} {
		t.Run(c.name, func(t *testing.T) {
			profile := banana.ProfilePB1
			if c.frame == nil {
				c.frame, profile = arrayOf("i1", "1"), banana.ProfilePB
			}
			_, err := decodeAll(&Decoder{}, c.frame, profile)
			assert.EqualError(t, err, c.want)
		})
	}
	v, err := decodeAll(&Decoder{}, raw("array", "i1", "\x01", 5, 6), banana.ProfilePB1)
	require.NoError(t, err)
	assert.Equal(t, []int8{1}, v, "further elements are skipped")
}

// (P-12.4)
func TestArrayTaster(t *testing.T) {
	frame := arrayOf("i1", "\x01")
	for name, c := range map[string]struct {
		taster *SecurityOptions
		ok     bool
	}{
		"default":      {nil, true},
		"numbers only": {NewSecurityOptions(), false},
		"lists":        {NewSecurityOptions().AllowTypes("list"), true},
		"arrays":       {NewSecurityOptions().AllowTypes("array"), true},
		"basic types":  {NewSecurityOptions().AllowBasicTypes(), true},
	} {
		_, err := decodeAll(&Decoder{Taster: c.taster}, frame, banana.ProfilePB1)
		if c.ok {
			assert.NoError(t, err, name)
			continue
		}
		var insecure *InsecureJellyError
		assert.ErrorAs(t, err, &insecure, name)
	}
}

// (P-12.2)
func TestSharedArrays(t *testing.T) {
	for _, x := range []any{[]int32{1, 2}, make([]float64, 0, 1)} {
		sent := encodeIn(t, arraysContext, []any{x, x})
		v, err := decodeAll(&Decoder{}, sent, banana.ProfilePB1)
		require.NoError(t, err)
		list := v.([]any)
		assert.Equal(t, list[0], list[1])
		assert.Equal(t, reflect.ValueOf(list[0]).UnsafePointer(), reflect.ValueOf(list[1]).UnsafePointer())
		assert.Equal(t, sent, encodeIn(t, arraysContext, v))
		var typed [][]int
		require.NoError(t, Assign(&typed, v))
		if len(typed[0]) > 0 {
			assert.Same(t, &typed[0][0], &typed[1][0], "converted once")
		}
	}
}

func TestArrayAsKey(t *testing.T) {
	f := NewFragment(arraysContext)
	defer f.Free()
	require.Error(t, f.Jelly(NewFrozenSet([]int{1})))
	frame := banana.AppendString(banana.AppendList(nil, 2), banana.ProfilePB, "frozenset")
	_, err := decodeAll(&Decoder{}, append(frame, arrayOf("i1", "1")...), banana.ProfilePB1)
	assert.ErrorContains(t, err, "a member of a frozenset is not hashable")
}

// A class with the name of arrays can be sent to peers that do not know arrays.
func TestClassNamedArray(t *testing.T) {
	x := &Instance{Class: "array", State: 1}
	encodeIn(t, Context{Profile: banana.ProfilePB}, x)
	f := NewFragment(arraysContext)
	defer f.Free()
	assert.ErrorContains(t, f.Jelly(x), `"array" is the name of a type of Jelly, not of a class, in the dialect pb+1`)
}

func TestArrayLimits(t *testing.T) {
	long := make([]int64, banana.DefaultString/8+1)
	text := strings.Repeat("x", banana.DefaultString+1)
	for _, v := range []any{text, []byte(text), long} {
		f := NewFragment(arraysContext)
		assert.ErrorContains(t, f.Jelly(v), "too long", "the limits are a stock peer's until they are raised")
		f.Free()
		c := arraysContext
		c.Limits = c.Limits.WithLongStrings()
		sent := encodeIn(t, c, v)
		got, err := decodeAll(&Decoder{}, sent, banana.ProfilePB1)
		require.NoError(t, err)
		assert.Equal(t, v, got)
		c.Limits.Frame = 1 << 20
		c.Limits.String = 0
		c.Limits = c.Limits.WithLongStrings()
		f = NewFragment(c)
		assert.ErrorContains(t, f.Jelly([]any{v, append([]int64(nil), long...)}), "the message is too large")
		f.Free()
	}
	assert.Equal(t, 1000, banana.Limits{String: 1000}.WithLongStrings().String, "a limit that is set holds")
}

func TestArrayNesting(t *testing.T) {
	c := arraysContext
	c.Nesting = 2
	f := NewFragment(c)
	defer f.Free()
	require.NoError(t, f.Jelly([]any{[]int{1}}))
	require.ErrorContains(t, f.Jelly([]any{[]any{[]int{1}}}), "nested too deeply")
	b, err := f.Append(nil, nil)
	require.NoError(t, err)
	_, err = decodeAll(&Decoder{Nesting: 2}, b, banana.ProfilePB1)
	require.NoError(t, err)
	_, err = decodeAll(&Decoder{Nesting: 1}, b, banana.ProfilePB1)
	require.Error(t, err)
}

// drawNumbers draws a slice of numbers of any type.
func drawNumbers(t *rapid.T) any {
	sizes := rapid.SampledFrom([]int{0, 1, 2, 20})
	n := sizes.Draw(t, "length")
	switch rapid.IntRange(0, 9).Draw(t, "type") {
	case 0:
		return rapid.SliceOfN(rapid.Int8(), n, n).Draw(t, "int8")
	case 1:
		return rapid.SliceOfN(rapid.Int16(), n, n).Draw(t, "int16")
	case 2:
		return rapid.SliceOfN(rapid.Int32(), n, n).Draw(t, "int32")
	case 3:
		return rapid.SliceOfN(rapid.Int64(), n, n).Draw(t, "int64")
	case 4:
		return rapid.SliceOfN(rapid.Uint16(), n, n).Draw(t, "uint16")
	case 5:
		return rapid.SliceOfN(rapid.Uint32(), n, n).Draw(t, "uint32")
	case 6:
		return rapid.SliceOfN(rapid.Uint64(), n, n).Draw(t, "uint64")
	case 7:
		return rapid.SliceOfN(rapid.Float32(), n, n).Draw(t, "float32")
	case 8:
		return rapid.SliceOfN(rapid.Int64Range(0, 200), n, n).Draw(t, "small")
	}
	return rapid.SliceOfN(rapid.Float64(), n, n).Draw(t, "float64")
}

func TestArrayRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := map[string]any{"x": drawNumbers(rt), "y": []any{drawNumbers(rt), "text"}}
		sent := encodeIn(rt, arraysContext, v)
		got, err := decodeAll(&Decoder{}, sent, banana.ProfilePB1)
		require.NoError(rt, err)
		require.Equal(rt, sent, encodeIn(rt, arraysContext, got))
		x, ok := got.(*Dict).Get("x")
		require.True(rt, ok)
		require.Equal(rt, v["x"], x)
	})
}

// Whatever a list of numbers is converted to, an array is, with the same result or error.
func TestArrayAssignsLikeList(t *testing.T) {
	type pair struct {
		X int     `pb:"x"`
		Y float32 `pb:"y"`
	}
	type own []int16
	targets := []reflect.Type{
		reflect.TypeFor[[]int](), reflect.TypeFor[[]int8](), reflect.TypeFor[[]int32](), reflect.TypeFor[[]int64](),
		reflect.TypeFor[[]uint](), reflect.TypeFor[[]uint8](), reflect.TypeFor[[]uint16](), reflect.TypeFor[[]uint64](),
		reflect.TypeFor[[]float32](), reflect.TypeFor[[]float64](), reflect.TypeFor[[]celsius](), reflect.TypeFor[own](),
		reflect.TypeFor[[]any](), reflect.TypeFor[[]bool](), reflect.TypeFor[[]string](), reflect.TypeFor[[]big.Int](),
		reflect.TypeFor[[]*int](), reflect.TypeFor[[2]int](), reflect.TypeFor[[20]uint8](), reflect.TypeFor[*[]int](),
		reflect.TypeFor[pair](), reflect.TypeFor[map[string]int](), reflect.TypeFor[string](), reflect.TypeFor[int](),
		reflect.TypeFor[[]time.Duration](), reflect.TypeFor[[]textual](),
	}
	rapid.Check(t, func(rt *rapid.T) {
		v := drawNumbers(rt)
		target := rapid.SampledFrom(targets).Draw(rt, "target")
		list, err := decodeAll(&Decoder{}, encodeIn(rt, Context{Profile: banana.ProfilePB}, v), banana.ProfilePB)
		require.NoError(rt, err)
		array, err := decodeAll(&Decoder{}, encodeIn(rt, arraysContext, v), banana.ProfilePB1)
		require.NoError(rt, err)
		want, got := reflect.New(target), reflect.New(target)
		wantErr, gotErr := Assign(want.Interface(), list), Assign(got.Interface(), array)
		require.Equal(rt, wantErr == nil, gotErr == nil, "%v, %v", wantErr, gotErr)
		if wantErr != nil {
			message := strings.ReplaceAll(gotErr.Error(), "cannot use array as", "cannot use list as")
			require.Equal(rt, wantErr.Error(), message)
			return
		}
		require.Equal(rt, want.Elem().Interface(), got.Elem().Interface())
	})
}

func TestArrayText(t *testing.T) {
	d := NewDict(Entry{"x", []int32{1, -2}}, Entry{"y", []float64{1.5, math.Inf(1)}}, Entry{"z", []uint64{1 << 63}})
	assert.Equal(t, "[[1, -2], [1.5, +Inf], [9223372036854775808]]", Format(
		[]any{[]int32{1, -2}, []float64{1.5, math.Inf(1)}, []uint64{1 << 63}}))
	b, err := json.Marshal(d)
	require.NoError(t, err)
	assert.JSONEq(t, `{"x":[1,-2],"y":[1.5,"+Inf"],"z":[9223372036854775808]}`, string(b))
	assert.Equal(t, "array", TypeName([]int8{}))
}

func TestReverseEach(t *testing.T) {
	b := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	reverseEach(b, 4)
	assert.Equal(t, []byte{4, 3, 2, 1, 8, 7, 6, 5}, b)
}

// The numbers of an array are no mentions, whatever they look like.
func TestArrayMentions(t *testing.T) {
	frame, err := banana.EncodeExpr(banana.ProfilePB, []any{"list", []any{"array", 5, 7}, []any{"promise", 9},
		[]any{"remote", 3}})
	require.NoError(t, err)
	var got []Mention
	var r banana.Reader
	r.Reset(frame, banana.ProfilePB1)
	(&Decoder{}).Mentions(&r, 1, func(m Mention) { got = append(got, m) })
	assert.Equal(t, []Mention{{"remote", 3}}, got)
}

// Arrays that are fuzzed take no more memory than their price, and round trips reach a fixed point.
func FuzzArrays(f *testing.F) {
	for code := range arrayForms {
		f.Add(arrayOf(code, strings.Repeat("\x01\x80", 8)))
	}
	f.Add(append(banana.AppendString(banana.AppendList(nil, 3), banana.ProfilePB, "list"),
		append(arrayOf("f8", strings.Repeat("\xff", 16)), arrayOf("i1", "")...)...))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var s banana.Scanner
		s.Init(banana.ProfilePB1, banana.Limits{})
		s.SetPrices(PricesOf(banana.ProfilePB1))
		n, err := s.Next(frame)
		if err != nil || n == 0 {
			return
		}
		d := Decoder{}
		var (
			r banana.Reader
			v any
		)
		var ints []int64
		bound := uint64(s.Cost()) + 64<<10
		spent := allocated(bound, func() {
			r.Reset(frame[:n], banana.ProfilePB1)
			d.Reset()
			if err = d.Decode(&r, &v); err == nil {
				if _, ok := numbersOf(v); ok {
					_ = Assign(&ints, v)
				}
			}
		})
		require.LessOrEqual(t, spent, bound)
		if err != nil || len(d.Unbound()) > 0 {
			return
		}
		fragment := NewFragment(arraysContext)
		defer fragment.Free()
		if fragment.Jelly(v) != nil {
			return
		}
		once, err := fragment.Append(nil, nil)
		require.NoError(t, err)
		again, err := decodeAll(&d, once, banana.ProfilePB1)
		require.NoError(t, err)
		require.Equal(t, once, encodeIn(t, arraysContext, again))
	})
}

// BenchmarkInts sends 1,000 integers into a []int, as a list and as an array.
func BenchmarkInts(b *testing.B) {
	ints := make([]int, 1000)
	for i := range ints {
		ints[i] = i * 7
	}
	for name, profile := range map[string]banana.Profile{"list": banana.ProfilePB, "array": banana.ProfilePB1} {
		c := Context{Profile: profile}
		d := Decoder{}
		b.Run(name, func(b *testing.B) {
			var (
				dst []byte
				r   banana.Reader
			)
			b.ReportAllocs()
			for b.Loop() {
				f := NewFragment(c)
				if err := f.Jelly(ints); err != nil {
					b.Fatal(err)
				}
				dst, _ = f.Append(dst[:0], nil)
				f.Free()
				r.Reset(dst, profile)
				var v any
				if err := d.Decode(&r, &v); err != nil {
					b.Fatal(err)
				}
				var typed []int
				if err := Assign(&typed, v); err != nil || len(typed) != len(ints) {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

func TestPromiseDecoded(t *testing.T) {
	raw := func(id any) []byte {
		b, err := banana.EncodeExpr(banana.ProfilePB1, []any{"promise", id})
		require.NoError(t, err)
		return b
	}
	d := Decoder{}
	v, err := decodeAll(&d, raw(-7), banana.ProfilePB1)
	require.NoError(t, err)
	require.Len(t, d.Unbound(), 1)
	assert.Same(t, d.Unbound()[0], v)
	assert.Equal(t, "promise", d.Unbound()[0].Tag)
	assert.Equal(t, int64(-7), d.Unbound()[0].ID)
	assert.False(t, d.Unbound()[0].IsReference())
	large := new(big.Int).Lsh(big.NewInt(1), 100)
	v, err = decodeAll(&d, raw(large), banana.ProfilePB1)
	require.NoError(t, err)
	assert.Equal(t, large.String(), string(v.(*Unbound).Name))
	_, err = decodeAll(&d, raw("root"), banana.ProfilePB1)
	require.EqualError(t, err, "jelly: promise needs an integer of 64 bits at byte 11")
	_, err = decodeAll(&d, raw(1), banana.ProfilePB)
	require.ErrorContains(t, err, `class "promise" is not registered`)
	_, err = decodeAll(&Decoder{Taster: NewSecurityOptions().AllowBasicTypes()}, raw(1), banana.ProfilePB1)
	require.ErrorContains(t, err, `type "promise" is not allowed`)
}
