package jelly

import (
	"encoding/hex"
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
)

type (
	directOrder struct {
		Customer string         `pb:"customer"`
		Number   int            `pb:"number"`
		Price    float64        `pb:"price"`
		Paid     bool           `pb:"paid"`
		Items    map[string]int `pb:"items"`
	}
	directNamed string
	directBase  struct {
		ID int16 `pb:"id"`
	}
	directWide struct {
		directBase
		Small int8             `pb:"small"`
		Count uint16           `pb:"count"`
		Ratio float32          `pb:"ratio"`
		Raw   []byte           `pb:"raw"`
		Any   any              `pb:"any"`
		When  time.Time        `pb:"when"`
		Span  time.Duration    `pb:"span"`
		Big   *big.Int         `pb:"big"`
		Name  directNamed      `pb:"name"`
		Order *directOrder     `pb:"order"`
		Kids  []directWide     `pb:"kids"`
		Next  *directWide      `pb:"next"`
		Pair  [2]int           `pb:"pair"`
		Set   map[int]struct{} `pb:"set"`
		Dict  *Dict            `pb:"dict"`
		Plain directOrder      `pb:"plain"`
		Class string           `pb:"class"`
	}
	directLoop []directLoop
	directText struct{ s string }
)

func (d *directText) UnmarshalText(b []byte) error { d.s = string(b); return nil }

var directTypes = []reflect.Type{
	reflect.TypeFor[directOrder](), reflect.TypeFor[*directOrder](), reflect.TypeFor[directWide](),
	reflect.TypeFor[*directWide](), reflect.TypeFor[[]directOrder](), reflect.TypeFor[[]*directWide](),
	reflect.TypeFor[[]int](), reflect.TypeFor[[]int64](), reflect.TypeFor[[]int8](), reflect.TypeFor[[]uint32](),
	reflect.TypeFor[[]string](), reflect.TypeFor[[]float64](), reflect.TypeFor[[]bool](), reflect.TypeFor[[][]byte](),
	reflect.TypeFor[[]time.Duration](), reflect.TypeFor[[]directNamed](), reflect.TypeFor[[][]int](),
	reflect.TypeFor[map[string]int](), reflect.TypeFor[map[string]int64](), reflect.TypeFor[map[string]string](),
	reflect.TypeFor[map[string]any](), reflect.TypeFor[map[string]float64](), reflect.TypeFor[map[directNamed]bool](),
	reflect.TypeFor[map[int]directOrder](), reflect.TypeFor[map[string][]directWide](),
	reflect.TypeFor[map[float64]string](), reflect.TypeFor[map[time.Duration]int](), reflect.TypeFor[directLoop](),
	reflect.TypeFor[int](), reflect.TypeFor[any](), reflect.TypeFor[directText](), reflect.TypeFor[[]directText](),
}

// drawDirect draws a general value that nearly always fits the type.
func drawDirect(rt *rapid.T, t reflect.Type, depth int) any {
	if depth > 4 || rapid.IntRange(0, 150).Draw(rt, "odd") == 0 {
		return rapid.SampledFrom([]any{
			nil, int64(0), int64(1), int64(-200), int64(math.MaxInt64), int64(math.MinInt64), 2.5, math.Inf(1), "text", "list",
			[]byte("text"), []byte{0xff}, true, []any{}, []any{int64(1)}, Tuple{int64(1), int64(2)}, NewDict(), NewSet(int64(3)),
			new(big.Int).Lsh(big.NewInt(1), 70), time.Second, time.Unix(0, 0).UTC(), Date{2026, 1, 2}, []byte(nil),
			NewDict(Entry{[]byte("customer"), "bytes"}), NewDict(Entry{int64(1), "int"}), Tuple{"a", int64(1), 2.5, true, nil},
		}).Draw(rt, "value")
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return time.Unix(rapid.Int64Range(0, 1e9).Draw(rt, "seconds"), 0).UTC()
	case reflect.TypeFor[time.Duration]():
		return time.Duration(rapid.Int64Range(-1e6, 1e6).Draw(rt, "span")) * time.Microsecond
	case reflect.TypeFor[*big.Int](), reflect.TypeFor[big.Int]():
		return rapid.SampledFrom([]any{int64(7), new(big.Int).Lsh(big.NewInt(1), 90)}).Draw(rt, "big")
	case reflect.TypeFor[*Dict]():
		return NewDict(Entry{"k", int64(1)})
	}
	n := rapid.IntRange(0, 3).Draw(rt, "n")
	switch t.Kind() {
	case reflect.Pointer:
		return drawDirect(rt, t.Elem(), depth)
	case reflect.Struct:
		dict := NewDict()
		for _, f := range planOf(t).fields {
			if rapid.IntRange(0, 3).Draw(rt, "set") > 0 {
				dict.entries = append(dict.entries, Entry{f.name, drawDirect(rt, f.typ, depth+1)})
			}
		}
		for range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 1, 2}).Draw(rt, "more") {
			key := rapid.SampledFrom([]any{"unknown", "id", "customer", []byte("price"), int64(2)}).Draw(rt, "key")
			at := rapid.IntRange(0, len(dict.entries)).Draw(rt, "at")
			more := append([]Entry{{key, drawDirect(rt, reflect.TypeFor[string](), depth+1)}}, dict.entries[at:]...)
			dict.entries = append(dict.entries[:at:at], more...)
		}
		return dict
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(rt, "bytes")
		}
		list := make([]any, n)
		for i := range list {
			list[i] = drawDirect(rt, t.Elem(), depth+1)
		}
		if n == 3 && rapid.Bool().Draw(rt, "shared") {
			list[1] = list[0] // Containers are sent as a reference.
		}
		if n == 2 {
			return Tuple(list)
		}
		return list
	case reflect.Map:
		dict := NewDict()
		for range n {
			dict.entries = append(dict.entries, Entry{drawDirect(rt, t.Key(), 0), drawDirect(rt, t.Elem(), depth+1)})
		}
		return dict
	case reflect.Array:
		return []any{int64(1), int64(2)}
	case reflect.String:
		return rapid.SampledFrom([]any{
			"", "a", "list", "a text that is too long for the cache of short strings, größer", []byte("a"), "b",
		}).Draw(rt, "string")
	case reflect.Bool:
		return rapid.Bool().Draw(rt, "bool")
	case reflect.Float32, reflect.Float64:
		return rapid.SampledFrom([]any{1.5, int64(3), 1e300, math.Copysign(0, -1)}).Draw(rt, "float")
	case reflect.Interface, reflect.Chan, reflect.Func:
		return rapid.SampledFrom([]any{int64(5), "x", []any{"y"}, NewDict(Entry{"z", nil})}).Draw(rt, "any")
	}
	if rapid.IntRange(0, 30).Draw(rt, "small") > 0 {
		return rapid.Int64Range(0, 100).Draw(rt, "int")
	}
	return rapid.SampledFrom([]any{
		int64(300), int64(-3), int64(1 << 40), true, new(big.Int).SetUint64(math.MaxUint64),
	}).Draw(rt, "int")
}

// requireSame decodes in both ways and compares. It reports whether the direct way was taken.
func requireSame(t require.TestingT, d *Decoder, typ reflect.Type, frame []byte, profile banana.Profile) (direct bool) {
	var general any
	var r banana.Reader
	r.Reset(frame, profile)
	d.Reset()
	err := d.Decode(&r, &general)
	end := r.Offset()
	mentions := len(d.Unbound())
	want := reflect.New(typ)
	if err == nil && mentions == 0 {
		err = Assign(want.Interface(), general)
	}
	allowed := allowedTags(d.Taster)
	allowed[tagAddress] = d.Addresses && allowed[tagRemote]
	if p := DirectFor(typ); p != nil {
		d.Reset()
		r.Reset(frame, profile)
		v, ok := p.Value(d, &r, maxAssignBytes)
		if direct = ok; ok {
			require.NoError(t, err, "only the direct way takes it")
			require.Zero(t, mentions)
			require.Equal(t, end, r.Offset())
			requireEqual(t, want.Elem().Interface(), v)
		}
		require.Empty(t, d.Unbound())
		require.Equal(t, allowed, d.allowed)
	}
	d.Reset()
	r.Reset(frame, profile)
	got := reflect.New(typ)
	gotErr := d.DecodeInto(&r, got.Interface())
	if mentions > 0 {
		require.Error(t, gotErr)
		return direct
	}
	if err != nil {
		require.EqualError(t, gotErr, err.Error())
		return direct
	}
	require.NoError(t, gotErr)
	require.Equal(t, end, r.Offset())
	requireEqual(t, want.Elem().Interface(), got.Elem().Interface())
	return direct
}

// requireEqual also takes values with NaN, which equals nothing.
func requireEqual(t require.TestingT, want, got any) {
	if !assert.ObjectsAreEqual(want, got) && format0(want) != format0(got) {
		require.Equal(t, want, got)
	}
}

func format0(v any) string {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	if err := f.Jelly(v); err != nil {
		return "error: " + err.Error()
	}
	out, _ := f.Append(nil, nil)
	return hex.EncodeToString(out)
}

var directExample = map[string]any{
	"small": 1, "count": 2, "ratio": 0.5, "raw": []byte("x"), "any": "y", "name": "n", "pair": []any{1, 2},
	"kids": []any{map[string]any{"plain": map[string]any{"paid": true}}}, "next": map[string]any{"small": 3},
}

// The direct way gives what the general way gives, for every type and any input.
func TestDirectEqualsGeneral(t *testing.T) {
	d := &Decoder{Taster: trusting().AllowReferences()}
	for _, typ := range directTypes {
		t.Run(typ.String(), func(t *testing.T) {
			direct := 0
			if typ == reflect.TypeFor[directWide]() || typ == reflect.TypeFor[*directWide]() {
				// One that is drawn nearly always has a field that takes the general way.
				if requireSame(t, d, typ, encodeOne(t, directExample, banana.ProfilePB), banana.ProfilePB) {
					direct++
				}
			}
			rapid.Check(t, func(rt *rapid.T) {
				profile := rapid.SampledFrom([]banana.Profile{
					banana.ProfilePB, banana.ProfileNone, banana.ProfilePB1,
				}).Draw(rt, "profile")
				v := drawDirect(rt, typ, 0)
				f := NewFragment(Context{Profile: profile})
				defer f.Free()
				if f.Jelly(v) != nil {
					rt.Skip("it cannot be encoded")
				}
				frame, err := f.Append(nil, nil)
				require.NoError(rt, err)
				if requireSame(rt, d, typ, frame, profile) {
					direct++
				}
				for range 5 {
					damaged := append([]byte(nil), frame...)
					damaged[rapid.IntRange(0, len(frame)-1).Draw(rt, "place")] = rapid.Byte().Draw(rt, "byte")
					requireSame(rt, d, typ, damaged, profile)
				}
				requireSame(rt, d, typ, frame[:rapid.IntRange(0, len(frame)-1).Draw(rt, "cut")], profile)
			})
			if DirectFor(typ) != nil {
				require.Positive(t, direct, "the direct way was never taken")
			}
		})
	}
}

// What the taster refuses, and what exceeds a limit, is refused in both ways.
func TestDirectLimits(t *testing.T) {
	typ := reflect.TypeFor[*directWide]()
	frame := encodeOne(t, map[string]any{
		"next": map[string]any{"kids": []any{map[string]any{"name": "x", "plain": map[string]any{"paid": true}}}},
	}, banana.ProfilePB)
	taken := 0
	for depth := range 20 {
		for nesting := range 12 {
			d := &Decoder{Nesting: nesting + 1}
			d.Limits.Depth = depth + 1
			if requireSame(t, d, typ, frame, banana.ProfilePB) {
				taken++
			}
		}
	}
	require.Positive(t, taken)
	for _, taster := range []*SecurityOptions{
		NewSecurityOptions(), NewSecurityOptions().AllowTypes("dictionary"),
		NewSecurityOptions().AllowTypes("dictionary", "list"),
		(&SecurityOptions{}).AllowTypes("dictionary", "list", "unicode"),
		(&SecurityOptions{}).AllowTypes("dictionary", "list", "boolean"),
		(&SecurityOptions{}).AllowTypes("unicode"), {},
	} {
		requireSame(t, &Decoder{Taster: taster}, typ, frame, banana.ProfilePB)
	}
}

// A small frame does not become a large value.
func TestDirectRoom(t *testing.T) {
	frame := encodeOne(t, []any{NewDict(), NewDict(), NewDict()}, banana.ProfilePB)
	for room, ok := range map[int]bool{
		3*int(reflect.TypeFor[directWide]().Size()) + 23: false,
		3*int(reflect.TypeFor[directWide]().Size()) + 24: true,
	} {
		var r banana.Reader
		r.Reset(frame, banana.ProfilePB)
		_, taken := DirectFor(reflect.TypeFor[[]directWide]()).Value(new(Decoder), &r, room)
		assert.Equal(t, ok, taken, room)
	}
}

func TestDirectFor(t *testing.T) {
	for _, typ := range []reflect.Type{
		nil, reflect.TypeFor[int](), reflect.TypeFor[string](), reflect.TypeFor[any](), reflect.TypeFor[[]byte](),
		reflect.TypeFor[directText](), reflect.TypeFor[[]directText](), reflect.TypeFor[map[string]*directText](),
		reflect.TypeFor[struct {
			X []directText `pb:"x"`
		}](), reflect.TypeFor[time.Time](), reflect.TypeFor[struct{ X int }](), reflect.TypeFor[*Dict](),
	} {
		assert.Nil(t, DirectFor(typ), typ)
	}
	assert.NotNil(t, DirectFor(reflect.TypeFor[directWide]()))
}

func FuzzDirect(f *testing.F) {
	seed(f)
	for _, v := range []any{
		map[string]any{"customer": "Rosmerta", "number": 7, "items": map[string]any{"mead": 3}}, []int{1, -2, 1 << 40},
	} {
		fragment := NewFragment(Context{Profile: banana.ProfilePB})
		require.NoError(f, fragment.Jelly(v))
		frame, err := fragment.Append(nil, nil)
		require.NoError(f, err)
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		d := &Decoder{Taster: trusting().AllowReferences()}
		for _, typ := range directTypes {
			requireSame(t, d, typ, frame, banana.ProfilePB)
		}
	})
}
