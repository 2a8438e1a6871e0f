package jelly

import (
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDictGet(t *testing.T) {
	p := &Instance{}
	long := make(Tuple, 10_000)
	entries := []Entry{
		{
			"a",
			1,
		}, {[]byte("a"), 2}, {int64(1), 3}, {nil, 4}, {Tuple{int64(1), Tuple{"x", nil}}, 5}, {p, 6}, {1.5, 7}, {huge(), 8},
		{
			Date{2000, 1, 1},
			9,
		}, {time.Unix(5, 0), 10}, {time.Second, 11}, {NewDecimal(1, 0), 12}, {Class("m.C"), 13}, {false, 14}, {long, 15},
		{[]any{}, 16},
	}
	for name, d := range map[string]*Dict{"large": NewDict(entries...), "small": NewDict(entries[:indexFrom]...)} {
		for _, c := range []struct {
			key  any
			want any
		}{
			{"a", 1}, {label("a"), 1}, {[]byte("a"), 2}, {1, 3}, {int64(1), 3}, {uint8(1), nil}, {colour(1), 3}, {1.0, 3},
			{true, 3}, {big.NewInt(1), 3}, {nil, 4}, {(*big.Int)(nil), 4},
			{Tuple{1, Tuple{"x", nil}}, 5}, {Tuple{1, Tuple{[]byte("x"), nil}}, nil}, {Tuple{p}, nil},
			{Tuple{Tuple{[]any{}}}, nil}, {p, 6}, {&Instance{}, nil}, {1.5, 7}, {huge(), 8},
			{new(big.Int).Neg(huge()), nil}, {"b", nil}, {[]any{}, nil}, {2.5, nil},
		} {
			got, ok := d.Get(c.key)
			if c.want != nil && c.want.(int) > d.Len() {
				continue
			}
			assert.Equal(t, c.want, got, "%s: %v", name, c.key)
			assert.Equal(t, c.want != nil, ok)
		}
	}
	d := NewDict(entries...)
	for key, want := range map[any]int{
		Date{2000, 1, 1}: 9, time.Unix(5, 0): 10, time.Second: 11, Class("m.C"): 13, 0: 14,
	} {
		got, _ := d.Get(key)
		assert.Equal(t, want, got)
	}
	_, ok := d.Get(long)
	assert.False(t, ok, "too long to be looked up")
	v, _ := d.GetName("a")
	assert.Equal(t, 1, v)
	v, _ = NewDict(Entry{[]byte("a"), 2}).GetName("a")
	assert.Equal(t, 2, v)
}

func TestNilDictIsEmpty(t *testing.T) {
	var d *Dict
	assert.Zero(t, d.Len())
	assert.Empty(t, d.Entries())
	_, ok := d.GetName("x")
	assert.False(t, ok)
	for range d.All() {
		t.Fatal("there is nothing to range over")
	}
}

// A Dict behaves like a map and a slice together.
func TestDictAgainstAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d, model := NewDict(), map[string]int{}
		var order []string
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			key := rapid.SampledFrom(strings.Split("abcdefghijklmnop", "")).Draw(rt, "key")
			if rapid.Bool().Draw(rt, "delete") {
				d.Delete(key)
				delete(model, key)
			} else {
				v := rapid.Int().Draw(rt, "value")
				if _, ok := model[key]; !ok {
					order = append(order, key)
				}
				d.Set(key, v)
				model[key] = v
			}
			require.Equal(rt, len(model), d.Len())
			for key, want := range model {
				got, ok := d.Get(key)
				require.True(rt, ok)
				require.Equal(rt, want, got)
			}
			for key := range d.All() {
				require.Contains(rt, model, key)
				break
			}
		}
		_ = order
	})
}

func TestLastOfEqualKeysWins(t *testing.T) {
	for _, more := range []int{0, 20} {
		d := NewDict(Entry{"a", 1}, Entry{"a", 2})
		for i := range more {
			d.Set(i, i)
		}
		v, _ := d.Get("a")
		assert.Equal(t, 2, v)
		d.Delete("a")
		assert.Equal(t, more, d.Len())
	}
}

func TestDictConcurrentReads(t *testing.T) {
	d := NewDict()
	for i := range 100 {
		d.Set(i, i)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 100 {
				v, ok := d.Get(i)
				assert.True(t, ok)
				assert.Equal(t, i, v)
			}
		})
	}
	wait.Wait()
}

func TestSets(t *testing.T) {
	s, f := NewSet(1, "a", []byte("b"), 1), NewFrozenSet(Tuple{1})
	assert.Equal(t, 4, s.Len())
	assert.Equal(t, []any{1, "a", []byte("b"), 1}, s.Members())
	for v, want := range map[any]bool{1: true, 1.0: true, "a": true, "b": false, 2: false} {
		assert.Equal(t, want, s.Has(v), v)
	}
	assert.True(t, f.Has(Tuple{true}))
	assert.False(t, f.Has([]any{}))
	n := 0
	for range s.All() {
		if n++; n == 2 {
			break
		}
	}
	assert.Equal(t, 2, n)
}

func TestDecimals(t *testing.T) {
	for text, want := range map[string]*Decimal{
		"0": NewDecimal(0, 0), "-12.50": NewDecimal(-1250, -2), "1e400": NewDecimal(1, 400), "+.5": NewDecimal(5, -1),
		"5.":                             NewDecimal(5, 0),
		"1E-1000000000":                  NewDecimal(1, -1e9),
		"123456789012345678901234567890": NewBigDecimal(mustBig("123456789012345678901234567890"), 0),
	} {
		d, err := ParseDecimal(text)
		require.NoError(t, err)
		assert.True(t, want.Equal(d), text)
		again, err := ParseDecimal(d.String())
		require.NoError(t, err)
		assert.True(t, d.Equal(again))
		marshalled, err := d.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, d.String(), string(marshalled))
	}
	for _, text := range []string{
		"", "x", "1x", "--1", "+", ".", "1e", "1ex", "1.2.3", "1e99999999999999999999", "0.1e-9223372036854775808", "1_0",
	} {
		_, err := ParseDecimal(text)
		assert.Error(t, err, text)
	}
	d := NewDecimal(-125, -2)
	assert.Equal(
		t,
		[]any{-1.25, int64(-2), "-125", "-125e-2"},
		[]any{d.Float64(), d.Exponent(), d.Coefficient().String(), d.String()},
	)
	assert.False(t, NewDecimal(10, -1).Equal(NewDecimal(1, 0)))
	assert.Equal(t, "0", NewBigDecimal(nil, 0).String())
}

func mustBig(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

func TestCalendar(t *testing.T) {
	assert.True(t, Date{2024, 2, 29}.Valid())
	for _, d := range []Date{
		{2023, 2, 29}, {0, 1, 1}, {10000, 1, 1}, {2000, 13, 1}, {2000, 0, 1}, {2000, 1, 0}, {2000, 1, 32},
	} {
		assert.False(t, d.Valid(), d)
	}
	assert.Equal(t, "2024-02-29", Date{2024, 2, 29}.String())
	assert.Equal(t, "01:02:03.000004", TimeOfDay{1, 2, 3, 4}.String())
	assert.Equal(t, "-1d5s6us", Timedelta{-1, 5, 6}.String())
	for _, c := range []TimeOfDay{{24, 0, 0, 0}, {0, 60, 0, 0}, {0, 0, 60, 0}, {0, 0, 0, 1e6}, {-1, 0, 0, 0}} {
		assert.False(t, c.Valid(), c)
	}
	rapid.Check(t, func(rt *rapid.T) {
		span := time.Duration(rapid.Int64().Draw(rt, "span")).Truncate(time.Microsecond)
		delta := TimedeltaOf(span)
		require.True(rt, delta.Valid())
		if back, ok := delta.Duration(); ok {
			require.Equal(rt, span, back)
		} else {
			require.Greater(rt, span.Abs(), time.Duration(1<<63-1-int64(48*time.Hour)), "only the ends of the range may be lost")
		}
	})
	_, ok := Timedelta{Days: 106751, Seconds: 86399}.Duration()
	assert.False(t, ok)
	_, ok = normalTimedelta(1<<62, 0, 0)
	assert.False(t, ok)
}

// Long keys that many dictionaries share take linear time.
func TestDictKeysAreLinear(t *testing.T) {
	long := strings.Repeat("x", 600_000)
	keys := []any{long, []byte(long), Tuple{long}, Tuple{Tuple{[]byte(long)}, int64(1)}}
	before := allocatedNow()
	for _, n := range []int{1, 8, 9, 40} {
		for range 2000 {
			entries := make([]Entry, n)
			for i := range entries {
				entries[i].Key = keys[i%len(keys)]
			}
			d := NewDict(append(entries, Entry{"name", 1})...)
			v, ok := d.GetName("name")
			require.True(t, ok)
			require.Equal(t, 1, v)
			_, ok = d.Get("nobody")
			require.False(t, ok)
			_, ok = NewSet(entries[0].Key).Has("x"), true
			require.True(t, ok)
		}
	}
	d := NewDict(Entry{long, 1}, Entry{[]byte(long), 2})
	for i := range 20 {
		d.Set(int64(i), i)
	}
	v, _ := d.Get(long)
	assert.Equal(t, 1, v)
	v, _ = d.Get([]byte(long))
	assert.Equal(t, 2, v)
	d = NewDict()
	for i := range 50_000 {
		d.Set(int64(i), i)
		d.Set(Tuple{int64(i)}, -i)
	}
	for i := range 50_000 {
		v, _ = d.Get(int64(i))
		require.Equal(t, i, v)
		v, _ = d.Get(Tuple{int64(i)})
		require.Equal(t, -i, v)
	}
	equal := make([]Entry, 300_000)
	for i := range equal {
		equal[i] = Entry{"k", i}
	}
	d = NewDict(append(equal, Entry{"l", 1})...)
	d.Delete("k")
	assert.Equal(t, 1, d.Len())
	assert.Less(t, allocatedNow()-before, uint64(512<<20))
}
