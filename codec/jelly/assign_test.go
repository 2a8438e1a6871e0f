package jelly

import (
	"errors"
	"io"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type yes bool

type upper string

func (u *upper) UnmarshalText(b []byte) error {
	switch string(b) {
	case "bad":
		return errors.New("it is bad")
	case "panic":
		panic("out of letters")
	}
	*u = upper(strings.ToUpper(string(b)))
	return nil
}

type tree struct {
	Left  *tree `pb:"left"`
	Right *tree `pb:"right"`
	N     int   `pb:"n"`
}

func huge() *big.Int { return new(big.Int).Lsh(big.NewInt(1), 70) }

func TestAssignConverts(t *testing.T) {
	dict := NewDict(Entry{"name", "Ada"}, Entry{[]byte("age"), int64(36)}, Entry{"unknown", 1.5})
	span := 36 * time.Hour
	moment := time.Date(2000, 1, 2, 3, 4, 5, 6000, time.UTC)
	inst := &Instance{Class: "m.C"}
	for name, c := range map[string]struct{ src, want any }{
		"int":                     {int64(5), 5},
		"int8":                    {int64(-128), int8(-128)},
		"named int":               {int64(5), colour(5)},
		"uint64":                  {new(big.Int).SetUint64(math.MaxUint64), uint64(math.MaxUint64)},
		"uint":                    {int64(5), uint(5)},
		"int from Go":             {int32(5), int64(5)},
		"int from Go uint":        {uint8(5), int64(5)},
		"uint from Go uint":       {uint8(5), uint32(5)},
		"float":                   {1.5, 1.5},
		"float32":                 {1.5, float32(1.5)},
		"float of int":            {int64(3), 3.0},
		"float of uint":           {uint8(3), 3.0},
		"float of big":            {huge(), math.Pow(2, 70)},
		"float of decimal":        {NewDecimal(125, -2), 1.25},
		"float of a huge decimal": {NewDecimal(1, 1e9), math.Inf(1)},
		"infinite float32":        {math.Inf(1), float32(math.Inf(1))},
		"bool":                    {true, true},
		"named bool of its own":   {yes(true), yes(true)},
		"named text of its own":   {upper("x"), upper("x")},
		"named int of its own":    {time.March, time.March},
		"string":                  {"s", "s"},
		"string of bytes":         {[]byte("s"), "s"},
		"long string of bytes":    {[]byte(strings.Repeat("s", 100)), strings.Repeat("s", 100)},
		"named string":            {"s", label("s")},
		"string of class":         {Class("m.C"), "m.C"},
		"string of a named one":   {label("s"), "s"},
		"bytes":                   {[]byte("b"), []byte("b")},
		"bytes of string":         {"b", []byte("b")},
		"named bytes":             {"b", blob("b")},
		"bytes of ints":           {[]any{int64(1), int64(255)}, []byte{1, 255}},
		"bytes of None":           {nil, []byte(nil)},
		"byte array":              {[]byte("ab"), [2]byte{'a', 'b'}},
		"byte array of str":       {"ab", [2]byte{'a', 'b'}},
		"any":                     {dict, any(dict)},
		"list":                    {[]any{int64(1)}, []any{int64(1)}},
		"ints":                    {[]any{int64(1), int64(2)}, []int{1, 2}},
		"int64s":                  {[]any{int64(1), int64(2)}, []int64{1, 2}},
		"ints, mixed":             {[]any{int64(1), int64(2)}, []float64{1, 2}},
		"bools":                   {[]any{true}, []bool{true}},
		"strings":                 {Tuple{"a", []byte("b")}, []string{"a", "b"}},
		"tuple as list":           {Tuple{int64(1)}, []any{int64(1)}},
		"list as tuple":           {[]any{int64(1)}, Tuple{int64(1)}},
		"array":                   {[]any{int64(1), int64(2)}, [2]int{1, 2}},
		"nested":                  {[]any{[]any{1.5}, nil}, [][]float32{{1.5}, nil}},
		"set as slice":            {NewSet(int64(1)), []int{1}},
		"frozenset as slice":      {NewFrozenSet("a"), []string{"a"}},
		"set as map":              {NewSet("a", []byte("b")), map[string]struct{}{"a": {}, "b": {}}},
		"frozenset as map":        {NewFrozenSet(int64(1)), map[int]struct{}{1: {}}},
		"map":                     {dict, map[string]any{"name": "Ada", "age": int64(36), "unknown": 1.5}},
		"map of any":              {dict, map[any]any{"name": "Ada", "age": int64(36), "unknown": 1.5}},
		"map of ints":             {NewDict(Entry{int64(1), "a"}, Entry{int64(1), "b"}), map[int]string{1: "b"}},
		"named map":               {NewDict(Entry{int64(1), "a"}), keyed{1: "a"}},
		"map of None":             {nil, map[string]int(nil)},
		"array keys":              {NewDict(Entry{Tuple{int64(1), int64(2)}, "a"}), map[[2]int]string{{1, 2}: "a"}},
		"struct":                  {dict, person{Name: "Ada", Age: 36}},
		"pointer to struct":       {dict, &person{Name: "Ada", Age: 36}},
		"embedded": {NewDict(Entry{"name", "E"}, Entry{"home", NewDict(Entry{"street", "H"})}),
			employee{person: person{Name: "E"}, Home: address{"H"}}},
		"pointer":               {int64(5), ptr(5)},
		"pointer to pointer":    {int64(5), ptr(ptr(5))},
		"pointer of None":       {nil, (*int)(nil)},
		"interface of None":     {nil, error(nil)},
		"slice of None":         {nil, []int(nil)},
		"datetime":              {moment, moment},
		"datetime of date":      {Date{2000, 1, 2}, time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)},
		"datetime of text":      {"2000-01-02T03:04:05.000006Z", moment},
		"date":                  {Date{2000, 1, 2}, Date{2000, 1, 2}},
		"duration":              {span, span},
		"duration of timedelta": {Timedelta{1, 43200, 0}, span},
		"timedelta of duration": {span, Timedelta{1, 43200, 0}},
		"big":                   {huge(), huge()},
		"big by value":          {huge(), *huge()},
		"big of int":            {int64(5), big.NewInt(5)},
		"big of uint":           {uint8(5), big.NewInt(5)},
		"decimal":               {NewDecimal(1, 2), NewDecimal(1, 2)},
		"decimal by value":      {NewDecimal(1, 2), *NewDecimal(1, 2)},
		"decimal of int":        {int64(5), NewDecimal(5, 0)},
		"decimal of big":        {huge(), NewBigDecimal(huge(), 0)},
		"text":                  {"ab", upper("AB")},
		"text of bytes":         {[]byte("ab"), upper("AB")},
		"pointer to text":       {"ab", ptr(upper("AB"))},
		"address":               {"10.0.0.1", netip.MustParseAddr("10.0.0.1")},
		"URL":                   {"pb://h/p", url.URL{Scheme: "pb", Host: "h", Path: "/p"}},
		"pointer to URL":        {[]byte("pb://h"), &url.URL{Scheme: "pb", Host: "h"}},
		"instance":              {inst, inst},
		"dict":                  {dict, dict},
		"what implements it":    {strings.NewReader("x"), io.Reader(strings.NewReader("x"))},
	} {
		t.Run(name, func(t *testing.T) {
			dst := reflect.New(reflect.TypeOf(&c.want).Elem())
			if c.want != nil {
				dst = reflect.New(reflect.TypeOf(c.want))
			}
			require.NoError(t, Assign(dst.Interface(), c.src))
			assert.Equal(t, c.want, dst.Elem().Interface())
			if c.want != nil {
				v, err := AssignerFor(reflect.TypeOf(c.want)).Value(c.src)
				require.NoError(t, err)
				assert.Equal(t, reflect.TypeOf(c.want), v.Type())
			}
		})
	}
}

func TestAssignRefuses(t *testing.T) {
	list := func(n int, v any) any {
		l := make([]any, n+1)
		for i := range l {
			l[i] = int64(i)
		}
		l[n] = v
		return l
	}
	names := make([]any, 3)
	for i := range names {
		names[i] = NewDict(Entry{"name", "x"})
	}
	names[2] = NewDict(Entry{"name", int64(5)})
	long := strings.Repeat("x", 1<<20)
	manyTexts := []any{long, long, long, long, long}
	for name, c := range map[string]struct {
		src, dst any
		want     string
	}{
		"str as int":            {"5", new(int), "cannot use str as int"},
		"bytes as int":          {[]byte("5"), new(int), "cannot use bytes as int"},
		"bool as int":           {true, new(int), "cannot use bool as int"},
		"float as int":          {1.0, new(int), "cannot use float as int"},
		"None as int":           {nil, new(int), "cannot use None as int"},
		"None as uint":          {nil, new(uint), "cannot use None as uint"},
		"None as float":         {nil, new(float64), "cannot use None as float64"},
		"None as string":        {nil, new(string), "cannot use None as string"},
		"None as struct":        {nil, new(person), "cannot use None as jelly.person"},
		"None as array":         {nil, new([2]int), "cannot use None as [2]int"},
		"None as bool":          {nil, new(bool), "cannot use None as bool"},
		"int as bool":           {int64(2), new(bool), "cannot use int as bool"},
		"int as string":         {int64(1), new(string), "cannot use int as string"},
		"int as bytes":          {int64(1), new([]byte), "cannot use int as []uint8"},
		"300 as uint8":          {int64(300), new(uint8), "cannot use int as uint8: it is out of range"},
		"-1 as uint":            {int64(-1), new(uint), "cannot use int as uint: it is out of range"},
		"big as int":            {huge(), new(int), "cannot use int as int: it is out of range"},
		"big as uint":           {huge(), new(uint64), "cannot use int as uint64: it is out of range"},
		"big uint as int":       {uint64(math.MaxUint64), new(int64), "it is out of range"},
		"str as uint":           {"x", new(uint), "cannot use str as uint"},
		"str as float":          {"x", new(float64), "cannot use str as float64"},
		"timedelta as float":    {time.Second, new(float64), "cannot use timedelta as float64"},
		"1e300 as float32":      {1e300, new(float32), "it is out of range"},
		"bad UTF-8":             {[]byte{0xff}, new(string), "cannot use bytes as string: it is not valid UTF-8"},
		"in a list":             {list(2, "x"), new([]int), "cannot use str as int at [2]"},
		"in a list of structs":  {names, new([]person), "cannot use int as string at [2].name"},
		"in a list of pointers": {names, new([]*person), "cannot use int as string at [2].name"},
		"in a map": {NewDict(Entry{"a", NewDict(Entry{[]byte("b"), "c"})}), new(map[string]map[string]int),
			`cannot use str as int at ["a"]["b"]`},
		"in a map of ints": {NewDict(Entry{int64(7), "c"}), new(map[int]int), `cannot use str as int at [7]`},
		"under an odd key": {NewDict(Entry{nil, "c"}), new(map[any]int), `cannot use str as int at <value 0>`},
		"key": {NewDict(Entry{int64(7), "c"}), new(map[string]string),
			`cannot use int as string at <key 0>`},
		"tuple as key": {NewDict(Entry{Tuple{}, "c"}), new(map[any]string),
			`cannot use tuple as interface {} at <key 0>: Go cannot use it as the key of a map`},
		"member":                   {NewSet("a"), new(map[int]struct{}), "cannot use str as int at [0]"},
		"set as map of ints":       {NewSet("a"), new(map[string]int), "cannot use set as map[string]int"},
		"list as map":              {[]any{}, new(map[string]int), "cannot use list as map[string]int"},
		"list as struct":           {[]any{}, new(person), "cannot use list as jelly.person"},
		"dict as plain struct":     {NewDict(), new(plain), "cannot use dict as jelly.plain: it has no fields with pb tags"},
		"two fields with one name": {NewDict(), new(twoNames), `two fields of jelly.twoNames have the name "x"`},
		"short list as array":      {[]any{}, new([2]int), "cannot use list as [2]int: its length is 0"},
		"long bytes as array":      {"abc", new([2]byte), "cannot use str as [2]uint8: its length is 3"},
		"int as array":             {int64(1), new([2]byte), "cannot use int as [2]uint8"},
		"dict as slice":            {NewDict(), new([]int), "cannot use dict as []int"},
		"pointer to int":           {"x", new(*int), "cannot use str as *int"},
		"channel":                  {int64(1), new(chan int), "cannot use int as chan int"},
		"interface":                {int64(1), new(io.Reader), "cannot use int as io.Reader: it does not have the methods"},
		"long timedelta": {Timedelta{Days: 200_000}, new(time.Duration),
			"cannot use timedelta as time.Duration: it is out of range"},
		"int as duration":  {int64(1), new(time.Duration), "cannot use int as time.Duration"},
		"int as timedelta": {int64(1), new(Timedelta), "cannot use int as jelly.Timedelta"},
		"int as datetime":  {int64(1), new(time.Time), "cannot use int as time.Time"},
		"str as datetime":  {"x", new(time.Time), "cannot use str as time.Time: parsing time"},
		"str as big":       {"5", new(*big.Int), "cannot use str as *big.Int"},
		"str as decimal":   {"5", new(*Decimal), "cannot use str as *jelly.Decimal"},
		"int as URL":       {int64(1), new(url.URL), "cannot use int as url.URL"},
		"bad URL":          {":", new(url.URL), "missing protocol scheme"},
		"bad text":         {"bad", new(upper), "cannot use str as jelly.upper: it is bad"},
		"text that panics": {"panic", new(upper), "cannot use str as jelly.upper: the code of this type panicked"},
		"int as text":      {int64(1), new(upper), "cannot use int as jelly.upper"},
		"too much text": {manyTexts, new([]upper),
			"cannot use str as jelly.upper at [4]: more than 4194304 bytes of text"},
		"instance":  {&Instance{Class: "m.C"}, new(int), "cannot use m.C as int"},
		"unbound":   {&Unbound{Tag: "remote"}, new(int), "cannot use remote as int"},
		"Go type":   {strings.NewReader(""), new(int), "cannot use *strings.Reader as int"},
		"date":      {Date{}, new(int), "cannot use date as int"},
		"time":      {TimeOfDay{}, new(int), "cannot use time as int"},
		"datetime":  {time.Time{}, new(int), "cannot use datetime as int"},
		"frozenset": {NewFrozenSet(), new(int), "cannot use frozenset as int"},
		"Decimal":   {NewDecimal(1, 0), new(int), "cannot use Decimal as int"},
		"embedded": {NewDict(Entry{"home", NewDict(Entry{"street", int64(1)})}), new(employee),
			"cannot use int as string at .home.street"},
		"None as dict":   {(*Dict)(nil), new(person), "as jelly.person"},
		"pointer circle": {int64(1), new(cyclicPointer), "it is nested too deeply"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Assign(c.dst, c.src)
			require.ErrorContains(t, err, c.want)
			var a *AssignError
			require.ErrorAs(t, err, &a)
		})
	}
	assert.ErrorContains(t, Assign(5, 5), "jelly: Assign needs a pointer to store to, not int")
	assert.ErrorContains(t, Assign((*int)(nil), "x"), "needs a pointer")
	assert.ErrorContains(t, Assign(nil, "x"), "needs a pointer")
	assert.ErrorContains(t, AssignFields(new(int), nil), "AssignFields needs a pointer to a struct, not *int")
	var a *AssignError
	require.ErrorAs(t, Assign(new(upper), "bad"), &a)
	assert.EqualError(t, errors.Unwrap(a), "it is bad")
}

func TestAssignKeepsOtherFields(t *testing.T) {
	p := person{Name: "Ada", Age: 1, Private: "kept"}
	require.NoError(t, AssignFields(&p, NewDict(Entry{"age", int64(2)})))
	assert.Equal(t, person{Name: "Ada", Age: 2, Private: "kept"}, p)
	require.NoError(t, AssignFields(&p, nil))
}

// A typed value is encoded, decoded and assigned to an equal value.
func TestTypedRoundTrip(t *testing.T) {
	type inner struct {
		S []string       `pb:"s"`
		M map[string]int `pb:"m"`
	}
	type typed struct {
		I  int64     `pb:"i"`
		U  uint64    `pb:"u"`
		F  float64   `pb:"f"`
		S  string    `pb:"s"`
		B  []byte    `pb:"b"`
		L  []inner   `pb:"l"`
		P  *inner    `pb:"p"`
		T  time.Time `pb:"t"`
		A  [3]int8   `pb:"a"`
		Ok bool      `pb:"ok"`
	}
	rapid.Check(t, func(rt *rapid.T) {
		drawInner := func() inner {
			return inner{
				rapid.SliceOfN(rapid.String(), 0, 3).Draw(rt, "s"),
				rapid.MapOfN(rapid.String(), rapid.Int(), 0, 3).Draw(rt, "m"),
			}
		}
		v := typed{
			I: rapid.Int64().Draw(rt, "i"), U: rapid.Uint64().Draw(rt, "u"), F: rapid.Float64().Draw(rt, "f"),
			S: rapid.String().Draw(rt, "str"), B: rapid.SliceOf(rapid.Byte()).Draw(rt, "b"), Ok: rapid.Bool().Draw(rt, "ok"),
			L: []inner{drawInner(), drawInner()}, T: time.UnixMicro(rapid.Int64Range(0, 1e15).Draw(rt, "t")).UTC(),
			A: [3]int8{rapid.Int8().Draw(rt, "a")},
		}
		if rapid.Bool().Draw(rt, "p") {
			p := drawInner()
			v.P = &p
		}
		var d Decoder
		decoded, err := decodeAll(&d, encodeOne(t, &v, 1), 1)
		require.NoError(rt, err)
		var back typed
		require.NoError(rt, Assign(&back, decoded))
		require.Equal(rt, v, back)
	})
}

func TestFields(t *testing.T) {
	fields, err := Fields(reflect.TypeFor[person]())
	require.NoError(t, err)
	names := []string{}
	for _, f := range fields {
		names = append(names, f.Name)
		assert.Equal(t, f.Type, reflect.TypeFor[person]().FieldByIndex(f.Index).Type)
	}
	assert.Equal(t, []string{"name", "age", "tags", "born", "Default"}, names)
	assert.Equal(t, []string{"omitempty"}, fields[1].Options)
	fields, err = Fields(reflect.TypeFor[int]())
	assert.NoError(t, err)
	assert.Empty(t, fields)
	_, err = Fields(reflect.TypeFor[twoNames]())
	assert.Error(t, err)
	type Loop struct {
		*tree
		N int `pb:"n"`
	}
	fields, err = Fields(reflect.TypeFor[Loop]())
	require.NoError(t, err)
	assert.Len(t, fields, 1, "an embedded pointer of an unexported type cannot be set")
	type Inner struct {
		N int `pb:"n"`
		M int `pb:"m"`
	}
	type Outer struct {
		*Inner
		N string `pb:"n"`
	}
	var o Outer
	require.NoError(t, AssignFields(&o, NewDict(Entry{"n", "own"}, Entry{"m", int64(5)})))
	assert.Equal(t, []any{"own", 5, 0}, []any{o.N, o.M, o.Inner.N})
	_, err = Fields(reflect.TypeFor[struct{ *Outer }]())
	assert.NoError(t, err)
	assert.Equal(t, `[dictionary [["unicode" "n"] ["unicode" ""]]]`, format(t, encodeOne(t, Outer{}, 1), 1))
}

// Python programs pass 0 and 1 for truth values, None for what is optional, and tuples for records.
func TestAssignLoosely(t *testing.T) {
	type build struct {
		Name   string  `pb:"name"`
		Number *int    `pb:"number"`
		Done   bool    `pb:"done"`
		Note   *string `pb:"note"`
	}
	var builds []build
	err := Assign(&builds, []any{
		Tuple{"all", int64(3), int64(1), nil}, []any{[]byte("docs"), nil, false, "x"},
		NewDict(Entry{"name", "map"}, Entry{"done", int64(0)}),
	})
	require.NoError(t, err)
	three, x := 3, "x"
	require.Equal(t, []build{{"all", &three, true, nil}, {"docs", nil, false, &x}, {"map", nil, false, nil}}, builds)
	var pairs map[string]build
	require.NoError(t, Assign(&pairs, NewDict(Entry{"a", Tuple{"all", nil, true, nil}})))
	require.Equal(t, map[string]build{"a": {Name: "all", Done: true}}, pairs)
	for name, c := range map[string]struct {
		dst  any
		src  any
		text string
	}{
		"too few": {&builds, []any{Tuple{"all"}},
			"cannot use tuple as jelly.build at [0]: it has 1 elements, for 4 fields with pb tags"},
		"no tags":       {new(struct{ A int }), Tuple{int64(1)}, "it has no fields with pb tags"},
		"element":       {&builds, []any{Tuple{int64(1), nil, true, nil}}, "cannot use int as string at [0][0]"},
		"2 is no bool":  {new(bool), int64(2), "cannot use int as bool: it is neither 0 nor 1"},
		"None as text":  {new(string), nil, "cannot use None as string: if None is allowed, use *string, which is nil then"},
		"None as int":   {new(int), nil, "use *int"},
		"set as struct": {new(build), NewSet("a"), "cannot use set as jelly.build"},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorContains(t, Assign(c.dst, c.src), c.text) })
	}
}
