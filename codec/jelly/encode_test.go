package jelly

import (
	"errors"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// Types of an application.
type (
	colour   int
	label    string
	blob     []byte
	flags    [3]bool
	matrix   [][]float32
	keyed    map[colour]label
	pointers struct {
		Self *pointers `pb:"self"`
		N    *int      `pb:"n"`
		Any  any       `pb:"any"`
	}
	person struct {
		Name    string            `pb:"name"`
		Age     uint8             `pb:"age,omitempty"`
		Tags    map[string]string `pb:"tags,omitempty"`
		Born    time.Time         `pb:"born,omitempty"`
		Private string            // has no tag and is not sent
		Ignored string            `pb:"-"`
		Default string            `pb:",omitempty"`
	}
	employee struct {
		person
		*address
		Boss *employee `pb:"boss"`
		Home address   `pb:"home"`
	}
	address struct {
		Street string `pb:"street"`
	}
	temperature float64
	coordinates struct{ x, y int }
)

func (c coordinates) MarshalText() ([]byte, error) {
	if c.x < 0 {
		return nil, errors.New("off the map")
	}
	return []byte("here"), nil
}

type byPointer struct{ _ int }

func (*byPointer) MarshalText() ([]byte, error) { return []byte("by pointer"), nil }

func ptr[T any](v T) *T { return &v }

// Go types and their encodings.
func TestEncodeGoTypes(t *testing.T) {
	zone := time.FixedZone("CEST", 2*60*60)
	self := &pointers{}
	self.Self = self
	twice := ptr(person{Name: "twice"})
	aMap := map[string]int{"one": 1}
	strs := []string{"a", "b"}
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"nil":                  {nil, "[None]"},
		"nil pointer":          {(*int)(nil), "[None]"},
		"nil dict":             {(*Dict)(nil), "[None]"},
		"nil set":              {(*Set)(nil), "[None]"},
		"nil frozenset":        {(*FrozenSet)(nil), "[None]"},
		"nil big":              {(*big.Int)(nil), "[None]"},
		"nil decimal":          {(*Decimal)(nil), "[None]"},
		"nil instance":         {(*Instance)(nil), "[None]"},
		"nil URL":              {(*url.URL)(nil), "[None]"},
		"nil struct":           {(*person)(nil), "[None]"},
		"nil slice":            {[]any(nil), "[list]"},
		"nil slice of strings": {[]string(nil), "[list]"},
		"nil tuple":            {Tuple(nil), "[tuple]"},
		"nil bytes":            {[]byte(nil), `""`},
		"nil map":              {map[string]any(nil), "[dictionary]"},
		"nil map of ints":      {map[int]int(nil), "[dictionary]"},
		"ints": {[]any{int8(-1), int16(2), int32(3), int64(4), 5, uint(6), uint8(7), uint16(8), uint32(9),
			uint64(10)}, "[list -1 2 3 4 5 6 7 8 9 10]"},
		"largest uint": {uint64(math.MaxUint64), "18446744073709551615"},
		"big": {[]any{big.NewInt(5), *big.NewInt(6), new(big.Int).Lsh(big.NewInt(1), 70)},
			"[list 5 6 1180591620717411303424]"},
		"floats": {[]any{float32(0.5), 1.5, temperature(2.5)}, "[list 0.5 1.5 2.5]"},
		"named":  {[]any{colour(3), label("red"), blob("x"), time.March}, `[list 3 ["unicode" "red"] "x" 3]`},
		"bool": {[]any{true, flags{true}},
			`[list ["boolean" "true"] [list ["boolean" "true"] ["boolean" "false"] ["boolean" "false"]]]`},
		"slices": {[]any{[]int{1}, []string{"a"}, matrix{{1}, nil}},
			`[list [list 1] [list ["unicode" "a"]] [list [list 1.0] [list]]]`},
		"slices shared": {[]any{strs, strs, strs[:1]},
			`[list [reference 1 [list ["unicode" "a"] ["unicode" "b"]]] [dereference 1] [list ["unicode" "a"]]]`},
		"byte array":            {[2]byte{1, 2}, `"\x01\x02"`},
		"byte array in a slice": {[][2]byte{{65, 66}}, `[list "AB"]`},
		"array":                 {[2]int{1, 2}, "[list 1 2]"},
		"map":                   {map[string]int{"b": 2, "a": 1}, `[dictionary [["unicode" "a"] 1] [["unicode" "b"] 2]]`},
		"map of named":          {keyed{2: "two", 1: "one"}, `[dictionary [1 ["unicode" "one"]] [2 ["unicode" "two"]]]`},
		"map with array keys":   {map[[2]int]int{{1, 2}: 3, {0, 5}: 4}, "[dictionary [[tuple 0 5] 4] [[tuple 1 2] 3]]"},
		"map with any keys": {map[any]int{"s": 1, 5: 2, true: 3, nil: 4, 1.5: 5, uint8(3): 6},
			`[dictionary [[None] 4] [["boolean" "true"] 3] [5 2] [3 6] [1.5 5] [["unicode" "s"] 1]]`},
		"map with float keys": {map[float64]bool{2: true, 1: false},
			`[dictionary [1.0 ["boolean" "false"]] [2.0 ["boolean" "true"]]]`},
		"map with uint keys": {map[uint]int{2: 0, 1: 0}, "[dictionary [1 0] [2 0]]"},
		"map shared": {[]any{aMap, aMap},
			`[list [reference 1 [dictionary [["unicode" "one"] 1]]] [dereference 1]]`},
		"map with NaN keys": {map[float64]int{math.NaN(): 1, 1: 2}, "[dictionary [NaN 1] [1.0 2]]"},
		"map with bool keys": {map[bool]int{true: 1, false: 2},
			`[dictionary [["boolean" "false"] 2] [["boolean" "true"] 1]]`},
		"map with text keys":     {map[coordinates]int{{1, 2}: 1}, `[dictionary [["unicode" "here"] 1]]`},
		"map with pointers":      {map[*byPointer]int{{}: 1}, `[dictionary [["unicode" "by pointer"] 1]]`},
		"array of a nil pointer": {[1]*int{}, "[list [None]]"},
		"struct of a nil pointer": {struct {
			P *int `pb:"p"`
		}{}, `[dictionary [["unicode" "p"] [None]]]`},
		"set of structs": {[]any{map[string]struct{}{}, map[int]struct{}(nil), map[string]struct{}{"b": {}, "a": {}}},
			`[list ["set"] ["set"] ["set" ["unicode" "a"] ["unicode" "b"]]]`},
		"datetime": {time.Date(2024, 5, 6, 9, 8, 7, 123456789, zone), `["datetime" "2024 5 6 7 8 7 123456"]`},
		"timedelta": {[]any{-time.Microsecond, 36 * time.Hour, 1999 * time.Nanosecond},
			`[list ["timedelta" "-1 86399 999999"] ["timedelta" "1 43200 0"] ["timedelta" "0 0 1"]]`},
		"calendar": {[]any{Date{2000, 1, 2}, TimeOfDay{1, 2, 3, 4}, Timedelta{1, 2, 3}, ptr(Date{1, 1, 1})},
			`[list ["date" "2000 1 2"] ["time" "1 2 3 4"] ["timedelta" "1 2 3"] ["date" "1 1 1"]]`},
		"timedelta not normal": {Timedelta{0, 90000, -1}, `["timedelta" "1 3599 999999"]`},
		"decimal": {[]any{NewDecimal(-125, -2), *NewDecimal(1, 1e9)},
			`[list ["decimal" -125 -2] ["decimal" 1 1000000000]]`},
		"text": {[]any{netip.MustParseAddr("10.0.0.1"), coordinates{1, 2}, &coordinates{1, 2}, byPointer{},
			&byPointer{}}, `[list ["unicode" "10.0.0.1"] ["unicode" "here"] ["unicode" "here"] ["unicode" "by pointer"] ` +
			`["unicode" "by pointer"]]`},
		"URL": {[]any{url.URL{Scheme: "pb", Host: "h"}, &url.URL{Path: "/p"}},
			`[list ["unicode" "pb://h"] ["unicode" "/p"]]`},
		"sets": {[]any{NewSet(1, "a"), NewFrozenSet(NewFrozenSet())},
			`[list ["set" 1 ["unicode" "a"]] ["frozenset" ["frozenset"]]]`},
		"names": {[]any{Class("m.C"), Module("m"), Function("m.f")},
			`[list [class "m.C"] [module "m"] [function "m.f"]]`},
		"method": {Method{"f", nil, Class("m.C")}, `["method" "f" [None] [class "m.C"]]`},
		"persistent": {[]any{Persistent{"id"}, Persistent{[]byte("b")}, Persistent{5}, Persistent{int64(6)},
			Persistent{uint64(7)}, Persistent{1.5}, Persistent{big.NewInt(8)}},
			`[list [persistent "id"] [persistent "b"] [persistent 5] [persistent 6] [persistent 7] [persistent 1.5] ` +
				`[persistent 8]]`},
		"unpersistable": {Unpersistable{"no"}, `[unpersistable "no"]`},
		"instance":      {&Instance{Class: "m.C", State: NewDict()}, `["m.C" [dictionary]]`},
		"old instance": {&Instance{Class: "m.C", State: NewDict(), Old: true},
			`[instance [class "m.C"] [dictionary]]`},
		"struct": {person{Name: "Ada", Age: 36, Private: "p", Ignored: "i"},
			`[dictionary [["unicode" "name"] ["unicode" "Ada"]] [["unicode" "age"] 36]]`},
		"struct, all of it": {person{Tags: map[string]string{"k": "v"}, Born: time.Unix(0, 0), Default: "d"},
			`[dictionary [["unicode" "name"] ["unicode" ""]] [["unicode" "tags"] [dictionary [["unicode" "k"] ["unicode" ` +
				`"v"]]]] [["unicode" "born"] ["datetime" "1970 1 1 0 0 0 0"]] [["unicode" "Default"] ["unicode" "d"]]]`},
		"struct twice": {[]any{twice, twice, *twice},
			`[list [reference 1 [dictionary [["unicode" "name"] ["unicode" "twice"]]]] [dereference 1] [dictionary ` +
				`[["unicode" "name"] ["unicode" "twice"]]]]`},
		"embedded": {employee{person: person{Name: "E"}},
			`[dictionary [["unicode" "name"] ["unicode" "E"]] [["unicode" "boss"] [None]] [["unicode" "home"] [dictionary ` +
				`[["unicode" "street"] ["unicode" ""]]]]]`},
		"pointers": {self,
			`[reference 1 [dictionary [["unicode" "self"] [dereference 1]] [["unicode" "n"] [None]] [["unicode" "any"] ` +
				`[None]]]]`},
		"pointer to pointer":    {ptr(ptr(ptr(5))), "5"},
		"vocabulary in profile": {[]byte("remote"), "remote"},
		"interface in a slice":  {[]error{nil}, "[list [None]]"},
		"tuple as key":          {NewDict(Entry{Tuple{1, Tuple{2}}, 1}), "[dictionary [[tuple 1 [tuple 2]] 1]]"},
		"object as key": {NewDict(Entry{&Instance{Class: "m.C", State: []any{1}}, 1}),
			`[dictionary [["m.C" [list 1]] 1]]`},
		"without size": {[]any{ptr(struct{}{}) == nil, []struct{}{}, []struct{}{}},
			`[list ["boolean" "false"] [list] [list]]`},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, format(t, encodeOne(t, c.v, banana.ProfilePB), banana.ProfilePB))
			none := format(t, encodeOne(t, c.v, banana.ProfileNone), banana.ProfileNone)
			b := encodeOne(t, c.v, banana.ProfileNone)
			assert.Equal(t, none, format(t, b, banana.ProfileNone))
		})
	}
}

type (
	cyclicPointer *cyclicPointer
	twoNames      struct {
		A int `pb:"x"`
		B int `pb:"x"`
	}
	hiddenField struct {
		a int `pb:"x"` //nolint:unused // The point is that it cannot be sent.
	}
	withFile struct {
		Owner struct {
			File *os.File `pb:"file"`
		} `pb:"owner"`
	}
	plain struct{ A int }
)

func TestEncodeRefuses(t *testing.T) {
	var circle cyclicPointer
	circle = &circle
	inItself := []any{nil}
	inItself[0] = inItself
	file := withFile{}
	file.Owner.File = os.Stdout
	long := strings.Repeat("x", banana.DefaultString+1)
	deep := any(nil)
	for range banana.DefaultDepth {
		deep = []any{deep}
	}
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"channel":                  {make(chan int), "value: chan int is not transferable"},
		"function":                 {func() {}, "value: func() is not transferable"},
		"nil function":             {(func())(nil), "value: a nil func() is not transferable"},
		"complex":                  {1i, "value: complex128 is not transferable"},
		"struct without tags":      {plain{}, "value: jelly.plain is not transferable: give it pb tags"},
		"pointer to the same":      {&plain{}, "value: *jelly.plain is not transferable: give it pb tags"},
		"error":                    {errors.New("x"), "value: *errors.errorString is not transferable"},
		"in a struct":              {[]any{1, file}, "value[1].Owner.File: *os.File is not transferable"},
		"in a map":                 {map[string][]any{"k": {nil, 1i}}, `value["k"][1]: complex128 is not transferable`},
		"in a map of any":          {map[any]any{"k": 1i}, `value["k"]: complex128`},
		"in a map of bools":        {map[bool]any{true: 1i}, `value[True]: complex128`},
		"panicking text":           {panicking{}, "value: the code of this type panicked"},
		"bad class of an instance": {&copied{class: long}, "is longer than 1024 bytes"},
		"in a map of ints":         {map[int]any{7: 1i}, `value[7]: complex128 is not transferable`},
		"in a dict":                {NewDict(Entry{[]byte("k"), 1i}), `value["k"]: complex128 is not transferable`},
		"under an odd key": {NewDict(Entry{Date{2000, 1, 1}, 1i}),
			`value[a jelly.Date]: complex128 is not transferable`},
		"in a set":       {NewSet(1, 1i), "value[1]: complex128 is not transferable"},
		"in an instance": {&Instance{Class: "m.C", State: 1i}, "value.State: complex128 is not transferable"},
		"in an old instance": {&Instance{Class: "m.C", State: 1i, Old: true},
			"value.State: complex128 is not transferable"},
		"in a method":          {Method{Self: 1i}, "value.Self: complex128 is not transferable"},
		"class of a method":    {Method{Class: 1i}, "value.Class: complex128 is not transferable"},
		"value of a pointer":   {struct{ remote }{}, "is not transferable, but a pointer to it is: send *"},
		"not UTF-8":            {"\xff", `value: the string "\xff" is not valid UTF-8: send text, or use []byte`},
		"key not UTF-8":        {map[string]any{"\xff": 1}, `value["\xff"]: the string`},
		"long string":          {long, "value: too long"},
		"long bytes":           {[]byte(long), "value: too long"},
		"long name":            {Class(long), "value: too long"},
		"long list":            {make([]any, banana.DefaultList), "value: too long"},
		"long list of ints":    {make([]int, banana.DefaultList), "value: too long"},
		"big int":              {new(big.Int).Lsh(big.NewInt(1), 448), "value: too large"},
		"big coefficient":      {NewBigDecimal(new(big.Int).Lsh(big.NewInt(1), 448), 0), "value: too large"},
		"deep":                 {deep, "nested too deeply"},
		"cycle of pointers":    {circle, "form a cycle"},
		"list as key":          {NewDict(Entry{[]any{1}, 1}), "value<key 0>: a list cannot be the key"},
		"list in a tuple key":  {NewDict(Entry{Tuple{[]any{}}, 1}), "value<key 0>[0]: a list cannot be the key"},
		"dict as key":          {NewDict(Entry{NewDict(), 1}), "a dictionary cannot be the key"},
		"map as key":           {NewDict(Entry{map[string]any{}, 1}), "a dictionary cannot be the key"},
		"map of ints as key":   {NewDict(Entry{map[int]int{}, 1}), "a dictionary cannot be the key"},
		"nil map as key":       {NewDict(Entry{map[int]int(nil), 1}), "a dictionary cannot be the key"},
		"slice as member":      {NewSet([]int{1}), "value[0]: a list cannot be the key"},
		"set as member":        {NewSet(NewSet()), "value[0]: a set cannot be the key"},
		"struct as key":        {map[person2]int{{}: 1}, "value<key 0>: a dictionary cannot be the key"},
		"pointer as key":       {map[*person]int{{}: 1}, "value<key 0>: a dictionary cannot be the key"},
		"year 10000":           {time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "value: the year 10000 is outside"},
		"year 0":               {time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), "value: the year 0 is outside"},
		"no date":              {Date{2001, 2, 29}, "value: 2001-02-29 is not a valid Python date"},
		"no time":              {TimeOfDay{Hour: 24}, "value: 24:00:00.000000 is not a valid time of day"},
		"long timedelta":       {Timedelta{Days: 1e9}, "value: 1000000000d0s0us is more than"},
		"persistent list":      {Persistent{[]any{}}, "value: []interface {} cannot be the id"},
		"failing text":         {coordinates{-1, 0}, "value: its MarshalText failed: off the map"},
		"two fields, one name": {twoNames{}, `two fields of jelly.twoNames have the name "x"`},
		"unknown option":       {oddOption{}, `field A of jelly.oddOption has the option "omitemtpy" in its pb tag`},
		"field not exported":   {hiddenField{}, "field a of jelly.hiddenField has a pb tag but is not exported"},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewFragment(Context{Profile: banana.ProfilePB})
			defer f.Free()
			err := f.Jelly(c.v)
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
			assert.Zero(t, f.Len())
			var (
				insecure *InsecureJellyError
				encode   *EncodeError
			)
			assert.True(t, errors.As(err, &insecure) || errors.As(err, &encode))
		})
	}
}

type person2 struct {
	Name string `pb:"name"`
}

func TestErrorPathRoots(t *testing.T) {
	f := NewFragment(Context{Root: "result"})
	defer f.Free()
	assert.ErrorContains(t, f.Jelly(1i), "result: complex128")
	assert.ErrorContains(t, f.JellyTuple([]any{1, []any{1i}}), "args[1][0]: complex128")
	assert.ErrorContains(t, f.JellyKw([]string{"a"}, []any{1i}), `kw["a"]: complex128`)
	assert.ErrorContains(t, f.JellyKw([]string{"\xff"}, []any{1}), `kw<key 0>: the string`)
	assert.ErrorContains(t, f.JellyKw([]string{"a"}, nil), `kw: 1 names for 0 values`)
	assert.ErrorContains(t, f.JellyDict(NewDict(Entry{"a", 1i})), `kw["a"]: complex128`)
	assert.Zero(t, f.Len())
}

// The sender's limits at their boundaries.
func TestEncodeLimits(t *testing.T) {
	nest := func(n int, wrap func(any) any) any {
		v := any(1)
		for range n {
			v = wrap(v)
		}
		return v
	}
	list := func(v any) any { return []any{v} }
	dict := func(v any) any { return map[string]any{"k": v} }
	twice := func(v any) any { x := []any{v}; return []any{x, x} }
	limits := banana.Limits{Depth: 20, String: 10, List: 8, Frame: 200}
	for name, c := range map[string]struct {
		v  any
		ok bool
	}{
		"list of the longest kind":     {make([]any, 7), true},
		"list too long":                {make([]any, 8), false},
		"tuple too long":               {make(Tuple, 8), false},
		"set too long":                 {NewSet(make([]any, 8)...), false},
		"ints too long":                {make([]int, 8), false},
		"string of the longest kind":   {strings.Repeat("x", 10), true},
		"string too long":              {strings.Repeat("x", 11), false},
		"bytes too long":               {make([]byte, 11), false},
		"as deep as can be":            {nest(19, list), true},
		"too deep":                     {nest(20, list), false},
		"dictionaries, deep":           {nest(9, dict), true},
		"dictionaries, too deep":       {nest(10, dict), false},
		"with wrappers":                {nest(6, twice), true},
		"too deep because of wrappers": {nest(7, twice), false},
		"large frame": {[]any{"aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa",
			"aaaaaaaaaa", "aaaaaaaaaa"}, true},
		"frame too large": {[]any{[]any{"aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa"},
			[]any{"aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa", "aaaaaaaaaa"}}, false},
		"frame too large with headers": {[]any{nest(15, list), nest(15, list), nest(15, list), nest(15, list)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := NewFragment(Context{Profile: banana.ProfilePB, Limits: limits})
			defer f.Free()
			err := f.Jelly(c.v)
			if !c.ok {
				require.Error(t, err)
				var limit *banana.EncodeError
				assert.ErrorAs(t, err, &limit)
				return
			}
			require.NoError(t, err)
			// The receiver accepts what the sender allows.
			b, err := f.Append(banana.AppendList(nil, 1), nil)
			require.NoError(t, err)
			var s banana.Scanner
			s.Init(banana.ProfilePB, limits)
			n, err := s.Next(b)
			require.NoError(t, err)
			assert.Len(t, b, n)
			var d Decoder
			d.Limits = limits
			_, err = decodeAll(&d, b[2:], banana.ProfilePB)
			assert.NoError(t, err)
		})
	}
}

// A string with many mentions is written each time, up to the frame limit.
func TestRepeatedStringsAreBounded(t *testing.T) {
	big := strings.Repeat("x", banana.DefaultString)
	list := make([]any, 100_000)
	for i := range list {
		list[i] = big
	}
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	err := f.Jelly(list)
	assert.ErrorContains(t, err, "the message is too large")
	assert.LessOrEqual(t, cap(f.e.buf), 2*banana.DefaultFrame+2*banana.DefaultString)
}

func TestPersistentStore(t *testing.T) {
	known := &plain{A: 7}
	f := NewFragment(Context{Profile: banana.ProfilePB, PersistentStore: func(v any) (any, bool) {
		p, ok := v.(*plain)
		if !ok {
			return nil, false
		}
		return p.A, true
	}})
	defer f.Free()
	require.NoError(t, f.Jelly([]any{known, known, &person{Name: "x"}}))
	assert.Equal(
		t,
		`[list [reference 1 [persistent 7]] [dereference 1] [dictionary [["unicode" "name"] ["unicode" "x"]]]]`,
		copyOut(t, f, nil),
	)
}

func TestEncoderFields(t *testing.T) {
	f := NewFragment(Context{Profile: banana.ProfilePB})
	defer f.Free()
	var got error
	write := func(v any) error {
		return f.Jelly(&curious{func(e *Encoder) { got = e.Fields(v) }})
	}
	_ = write(&person{Name: "Ada"})
	require.NoError(t, got)
	_ = write(5)
	assert.ErrorContains(t, got, "int is not a struct")
	_ = write((*person)(nil))
	assert.ErrorContains(t, got, "*jelly.person is not a struct")
}

type panicking struct{}

func (panicking) MarshalText() ([]byte, error) { panic("ouch") }

type oddOption struct {
	A int `pb:"a,omitemtpy"`
}
