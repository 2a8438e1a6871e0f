package jelly

import (
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/stock"
)

// withState is a flavor as an application may write one: its JellyTo method asks self for its state.
type withState struct{}

func (withState) JellyTo(e *Encoder, self any) error {
	if s, ok := self.(interface{ State() any }); ok {
		return e.Instance(self, "m.Account", s.State())
	}
	return e.Instance(self, "m.Leaked", func() error { return e.Fields(self) })
}

// account embeds it. Its state is told by a method of the pointer.
type account struct {
	withState
	Name   string `pb:"name"`
	Secret string `pb:"secret"`
}

func (a *account) State() any { return a.Name }

type (
	inTag struct {
		A account `pb:"a"`
	}
	inEmbed struct{ account }
	inAny   struct {
		A any `pb:"a"`
	}
	keyed2 map[account]account
)

// Ways to contain a value.
var shapes = []func(v account, inner any) any{
	func(v account, _ any) any { return v },
	func(v account, _ any) any { return &v },
	func(v account, _ any) any { p := &v; return &p },
	func(_ account, inner any) any { return &inner },
	func(v account, _ any) any { return []account{v, v} },
	func(v account, _ any) any { return [2]account{v, v} },
	func(v account, _ any) any { return &[1]account{v} },
	func(v account, _ any) any { return [][]account{{v}} },
	func(v account, _ any) any { return map[string]account{"k": v} },
	func(v account, _ any) any { return map[account]int{v: 1} },
	func(v account, _ any) any { return map[account]struct{}{v: {}} },
	func(v account, _ any) any { return keyed2{v: v} },
	func(v account, _ any) any { return inTag{v} },
	func(v account, _ any) any { return &inTag{v} },
	func(v account, _ any) any { return inEmbed{v} },
	func(v account, _ any) any { return []inEmbed{{v}} },
	func(v account, inner any) any { return inAny{inner} },
	func(v account, inner any) any { return []any{v, inner} },
	func(v account, inner any) any { return Tuple{inner, v} },
	func(v account, inner any) any { return map[string]any{"k": inner, "v": v} },
	func(v account, inner any) any { return NewDict(Entry{Tuple{v}, inner}) },
	func(v account, _ any) any { return NewSet(v) },
	func(v account, _ any) any { return *NewFrozenSet(v) },
	func(v account, inner any) any { return &Instance{Class: "m.Other", State: inner} },
	func(v account, inner any) any { return Method{Name: "f", Self: v, Class: inner} },
	func(v account, _ any) any { return []interface{ State() any }{&v} },
	func(v account, _ any) any { return []Jellyable{v, &v} },
}

// JellyTo always gets a value with the methods of its pointer.
func TestValuesHavePointerMethods(t *testing.T) {
	v := account{Name: "ada", Secret: "s3cret"}
	rapid.Check(t, func(rt *rapid.T) {
		value := any(v)
		for range rapid.IntRange(1, 5).Draw(rt, "depth") {
			value = rapid.SampledFrom(shapes).Draw(rt, "shape")(v, value)
		}
		b := format(t, encodeOne(t, value, banana.ProfilePB), banana.ProfilePB)
		assert.Contains(rt, b, `"m.Account" ["unicode" "ada"]`)
		assert.NotContains(rt, b, "s3cret")
		assert.NotContains(rt, b, "m.Leaked")
	})
	for i, shape := range shapes {
		b := format(t, encodeOne(t, shape(v, v), banana.ProfilePB), banana.ProfilePB)
		assert.Contains(t, b, `"m.Account" ["unicode" "ada"]`, i)
		assert.NotContains(t, b, "s3cret", i)
	}
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	require.NoError(t, f.JellyTuple([]any{v}))
	require.NoError(t, f.JellyKw([]string{"k"}, []any{v}))
	require.NoError(t, f.JellyDict(NewDict(Entry{"k", v})))
	assert.NotContains(t, string(f.e.buf), "s3cret")
	assert.Empty(t, f.e.copies)
}

// Addressable elements and fields are sent by their address, so pointers to them are the same object.
func TestElementsKeepTheirIdentity(t *testing.T) {
	list := []account{{Name: "ada"}}
	got := format(t, encodeOne(t, []any{list, &list[0], list[0]}, banana.ProfilePB), banana.ProfilePB)
	assert.Equal(
		t,
		`[list [list [reference 1 ["m.Account" ["unicode" "ada"]]]] [dereference 1] ["m.Account" ["unicode" "ada"]]]`,
		got,
	)
}

// holder has a field that can only be sent as a pointer.
type holder struct {
	withState
	Inner remote `pb:"inner"`
}

// Fields of a copy are not addressable.
func TestCopiesAreNotAddressable(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	h := holder{}
	require.NoError(t, f.Jelly(&h))
	assert.ErrorContains(t, f.Jelly(h), "value.Inner: jelly.remote is not transferable, but a pointer to it is")
	assert.ErrorContains(t, f.Jelly(map[int]holder{1: h}), "a pointer to it is")
	require.NoError(t, f.Jelly([]holder{h}))
}

// panics while its copy exists.
type breaking struct{ withState }

func (*breaking) State() any { panic("no state") }

func TestCopiesAreReleased(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	assert.Error(t, f.Jelly([]any{breaking{}}))
	assert.Empty(t, f.e.copies)
	f.Free()
}

// torn embeds two types with a JellyTo method, so it has neither.
type torn struct {
	account
	other
	X int `pb:"x"`
}

type other struct {
	withState
	Pin string `pb:"pin"`
}

func TestAmbiguousEmbeddingIsRefused(t *testing.T) {
	for _, v := range []any{torn{}, &torn{}, []torn{{}}, map[string]torn{"k": {}}, struct {
		T torn `pb:"t"`
	}{}} {
		f := NewFragment(Context{Profile: banana.ProfilePB})
		assert.ErrorContains(
			t,
			f.Jelly(v),
			"jelly.torn is not transferable: it embeds jelly.account, which says itself how it is sent",
		)
		f.Free()
	}
}

type spot struct {
	X int `pb:"x"`
	Y int `pb:"y"`
}

// pointed has a PostUnjelly method.
type pointed struct {
	X int `pb:"x"`
	n int
}

func (p *pointed) PostUnjelly() { p.n = p.X }

type (
	byValues struct {
		P     spot             `pb:"p"`
		List  []spot           `pb:"list"`
		Array [2]spot          `pb:"array"`
		Map   map[string]spot  `pb:"map"`
		Keys  map[spot]int     `pb:"keys"`
		Deep  []map[int][]spot `pb:"deep"`
		Ptr   *spot            `pb:"ptr"`
		Ptrs  **spot           `pb:"ptrs"`
	}
	nested struct {
		Kids []nested `pb:"kids"`
		N    int      `pb:"n"`
	}
	holdsPosted struct {
		P pointed `pb:"p"`
	}
)

// made returns what Unjelly creates for an object of a class.
func made(t testing.TB, r *Registry, v any) (any, error) {
	t.Helper()
	d := Decoder{Registry: r}
	got, err := decodeAll(&d, encodeOne(t, v, banana.ProfilePB), banana.ProfilePB)
	require.NoError(t, err)
	u := d.Unbound()
	root, isRoot := got.(*Unbound)
	if err := Unjelly(u, nil, nil); err != nil {
		return nil, err
	}
	if isRoot {
		return root.Value(), nil
	}
	return got, nil
}

func spotInstance(x, y int) *Instance {
	return &Instance{Class: "m.Point", State: map[string]int{"x": x, "y": y}}
}

// An object of a registered class is copied to a variable of its struct type, in states and in Assign.
func TestObjectsAssignedByValue(t *testing.T) {
	r := NewRegistry()
	require.NoError(t, r.Register("m.Point", ClassEntry{New: func() any { return new(spot) }}))
	require.NoError(t, r.Register("m.Values", ClassEntry{New: func() any { return new(byValues) }}))
	shared := spotInstance(5, 6)
	state := map[string]any{
		"p": spotInstance(1, 2), "list": []any{shared, shared, spotInstance(3, 4)}, "array": []any{shared, shared},
		"map": map[string]any{"k": shared}, "keys": NewDict(Entry{spotInstance(7, 8), 9}),
		"deep": []any{NewDict(Entry{1, []any{shared}})}, "ptr": shared, "ptrs": shared,
	}
	want := byValues{
		P: spot{
			1,
			2,
		}, List: []spot{{5, 6}, {5, 6}, {3, 4}}, Array: [2]spot{{5, 6}, {5, 6}}, Map: map[string]spot{"k": {5, 6}},
		Keys: map[spot]int{{7, 8}: 9}, Deep: []map[int][]spot{{1: {{5, 6}}}}, Ptr: &spot{5, 6},
	}
	want.Ptrs = &want.Ptr
	got, err := made(t, r, &Instance{Class: "m.Values", State: state})
	require.NoError(t, err)
	assert.Equal(t, &want, got)

	dict, err := made(t, r, state)
	require.NoError(t, err)
	var assigned byValues
	require.NoError(t, Assign(&assigned, dict))
	assert.Equal(t, want, assigned)
}

func TestObjectsNotAssignableByValue(t *testing.T) {
	r := NewRegistry()
	require.NoError(t, r.Register("m.Nested", ClassEntry{New: func() any { return new(nested) }}))
	require.NoError(t, r.Register("m.Posted", ClassEntry{New: func() any { return new(pointed) }}))
	require.NoError(t, r.Register("m.Holds", ClassEntry{New: func() any { return new(holdsPosted) }}))

	kid := &Instance{Class: "m.Nested", State: map[string]any{"n": 2, "kids": []any{}}}
	got, err := made(t, r, &Instance{Class: "m.Nested", State: map[string]any{"n": 1, "kids": []any{kid}}})
	require.NoError(t, err)
	assert.Equal(t, &nested{N: 1, Kids: []nested{{N: 2, Kids: []nested{}}}}, got)

	circle := &Instance{Class: "m.Nested"}
	circle.State = map[string]any{"n": 1, "kids": []any{circle}}
	_, err = made(t, r, circle)
	assert.ErrorContains(t, err, "at .kids[0]: it contains the object that it is to be copied to: use a pointer")

	posted := &Instance{Class: "m.Posted", State: map[string]any{"x": 1}}
	_, err = made(t, r, &Instance{Class: "m.Holds", State: map[string]any{"p": posted}})
	assert.ErrorContains(t, err, "at .p: its PostUnjelly method has not been called yet: use a pointer")
	object, err := made(t, r, posted)
	require.NoError(t, err)
	var p pointed
	require.NoError(t, Assign(&p, object), "by then it has been called")
	assert.Equal(t, pointed{X: 1, n: 1}, p)

	var o outer
	assert.ErrorContains(t, Assign(&o, &outer{}), "it must not be copied: use a pointer")
	var set Set
	require.NoError(t, Assign(&set, NewSet(1)))
	assert.Equal(t, *NewSet(1), set)
}

// borderValues are at the boundaries of Python's types. The sender refuses values beyond them.
var borderValues = map[string]struct {
	v  any
	ok bool
}{
	"largest exponent":            {NewDecimal(9, maxDecimalExponent), true},
	"zero, largest exponent":      {NewDecimal(0, maxDecimalExponent), true},
	"exponent too large":          {NewDecimal(1, maxDecimalExponent+1), false},
	"zero, exponent too large":    {NewDecimal(0, maxDecimalExponent+1), false},
	"two digits":                  {NewDecimal(-99, maxDecimalExponent-1), true},
	"two digits, too large":       {NewDecimal(-99, maxDecimalExponent), false},
	"ten, too large":              {NewDecimal(10, maxDecimalExponent), false},
	"most digits":                 {NewBigDecimal(power2(448), maxDecimalExponent-134), true},
	"most digits, negative":       {NewBigDecimal(power2(448).Neg(power2(448)), maxDecimalExponent-134), true},
	"most digits, too large":      {NewBigDecimal(power2(448), maxDecimalExponent-133), false},
	"smallest exponent":           {NewDecimal(1, minDecimalExponent), true},
	"zero, smallest exponent":     {NewDecimal(0, minDecimalExponent), true},
	"exponent too small":          {NewDecimal(12345, minDecimalExponent-1), false},
	"2^62":                        {NewDecimal(1, 1<<62), false},
	"-2^63":                       {NewDecimal(1, -1<<63), false},
	"a billion":                   {[]any{NewDecimal(-7, 1e9), NewDecimal(7, -1e9)}, true},
	"decimal key":                 {NewDict(Entry{NewDecimal(7, 1e9), 1}), true},
	"a class without a module":    {Class("int"), false},
	"no class":                    {Class(""), false},
	"a class with an empty part":  {Class("a..b"), false},
	"a class that ends in a dot":  {Class("a."), false},
	"a class that is not ASCII":   {Class("m.Ä"), false},
	"no module":                   {Module(""), false},
	"a module with a space":       {Module("a b"), false},
	"a function of nothing":       {Function(".f"), false},
	"an instance of no class":     {&Instance{State: NewDict()}, false},
	"an instance of a list":       {&Instance{Class: "list", State: NewDict()}, false},
	"an instance of unicode":      {&Instance{Class: "unicode", State: NewDict()}, false},
	"an old instance of no class": {&Instance{Old: true, State: NewDict()}, false},
	"a class":                     {Class("golden.Thing"), true},
	"first date":                  {Date{1, 1, 1}, true},
	"last date":                   {Date{9999, 12, 31}, true},
	"shortest timedelta":          {Timedelta{Days: -maxTimedeltaDays}, true},
	"longest timedelta":           {Timedelta{maxTimedeltaDays, secondsPerDay - 1, microPerSecond - 1}, true},
	"sets of maps": {
		[]any{map[string]struct{}{"a": {}}, map[int]struct{}(nil), map[[2]int]struct{}{{1, 2}: {}}},
		true,
	},
}

// Stock accepts and returns every boundary value that is sent.
func TestStockAcceptsWhatIsSent(t *testing.T) {
	peer := startEcho(t)
	stock.Require(t)
	for name, c := range borderValues {
		t.Run(name, func(t *testing.T) {
			f := NewFragment(Context{Profile: banana.ProfilePB})
			defer f.Free()
			err := f.Jelly(c.v)
			if !c.ok {
				var encode *EncodeError
				require.ErrorAs(t, err, &encode)
				if _, ok := c.v.(*Instance); ok {
					assert.ErrorContains(t, err, "value.Class: ")
				}
				return
			}
			require.NoError(t, err)
			sent := encodeOne(t, c.v, banana.ProfilePB)
			assert.Equal(t, format(t, sent, banana.ProfilePB), format(t, peer.echo(sent), banana.ProfilePB))
		})
	}
}

// Stock refuses the decimals that we do not send and accepts those that we do.
func TestDecimalsMatchStock(t *testing.T) {
	peer := startEcho(t)
	rapid.Check(t, func(rt *rapid.T) {
		digits := rapid.IntRange(0, 134).Draw(rt, "digits")
		edge := rapid.SampledFrom([]int64{maxDecimalExponent - int64(digits), minDecimalExponent, 0}).Draw(rt, "edge")
		exponent := edge + rapid.Int64Range(-3, 3).Draw(rt, "off")
		coefficient := power10(digits)
		if rapid.Bool().Draw(rt, "negative") {
			coefficient.Neg(coefficient)
		}
		d := NewBigDecimal(coefficient, exponent)
		raw := banana.AppendInt(
			appendBig(rt, banana.AppendString(banana.AppendList(nil, 3), banana.ProfilePB, "decimal"), coefficient),
			exponent,
		)
		back := format(t, peer.echo(raw), banana.ProfilePB)
		if d.Valid() {
			assert.Equal(rt, format(t, raw, banana.ProfilePB), back)
		} else {
			assert.Contains(rt, back, "refused")
		}
		_, err := decodeAll(&Decoder{}, raw, banana.ProfilePB)
		assert.Equal(rt, d.Valid(), err == nil, "%v", err)
	})
}

func power2(n uint) *big.Int {
	return new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), n), big.NewInt(1))
}

func power10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

func appendBig(t require.TestingT, dst []byte, n *big.Int) []byte {
	b, err := banana.AppendBig(dst, n)
	require.NoError(t, err)
	return b
}
