package jelly

import (
	"bytes"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// allocated returns how many bytes f allocates. The runtime counts for the whole process, including a fuzzer's engine
// and the collector's workers, so allocated repeats a count above the expected one and returns the minimum.
func allocated(expected uint64, f func()) uint64 {
	least := ^uint64(0)
	for try := 0; try < 5 && least > expected; try++ {
		sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(sample)
		before := sample[0].Value.Uint64()
		f()
		metrics.Read(sample)
		least = min(least, sample[0].Value.Uint64()-before)
	}
	return least
}

// allocatedAtMost bounds what decoding a frame of that size may allocate: the result, and as much again for garbage.
func allocatedAtMost(size int) uint64 { return uint64(2*bytesPerByte*size) + 256<<10 }

// Malformed input is an error with a description and a position.
func TestBadInput(t *testing.T) {
	innermost := func(n int, head string, last string) string { return strings.Repeat(head, n) + last }
	for name, c := range map[string]struct {
		frame string
		want  string
		at    int // offset of the error, -1 if it depends on limits
	}{
		"100,000 lists deep":  {innermost(100_000, "\x02\x80\x08\x87", "\x01\x81"), "nested too deeply", -1},
		"100,000 tuples deep": {innermost(100_000, "\x02\x80\x0b\x87", "\x01\x81"), "nested too deeply", -1},
		"100,000 dictionaries deep": {innermost(100_000, "\x02\x80\x05\x87\x02\x80\x01\x81", "\x01\x81"),
			"nested too deeply", -1},
		"millions that never come":     {"\x00\x00\x40\x02\x80\x08\x87", "malformed frame", 0},
		"a string that never comes":    {"\x00\x00\x40\x02\x82abc", "malformed frame", 0},
		"a dictionary that never does": {"\x02\x80\x08\x87\x00\x00\x40\x02\x80\x05\x87", "malformed frame", 4},
		"dereference of an unknown id": {
			string(bin(t, x("list", x("dereference", 7)))),
			"reference 7 is mentioned but not defined", 10,
		},
		"two references with one id": {
			string(bin(t, x("list", x("reference", 1, x("list")), x("reference", 1, x("list"))))),
			"two references have the id 1", 14,
		},
		"a list as a key": {string(bin(t, x("dictionary", x(x("list"), 1)))),
			"the key of a dictionary is not hashable", 6},
		"a dictionary in a set": {string(bin(t, x("set", x("dictionary")))), "a member of a set is not hashable", 7},
		"a tuple with a list as a key": {string(bin(t, x("dictionary", x(x("tuple", x("list")), 1)))),
			"the key of a dictionary is not hashable", 6},
		"a pair of one": {
			string(bin(t, x("dictionary", x(1)))),
			"the elements of a dictionary must be pairs", 4,
		},
		"a pair of three": {
			string(bin(t, x("dictionary", x(1, 2, 3)))),
			"the elements of a dictionary must be pairs", 4,
		},
		"a number for a pair": {
			string(bin(t, x("dictionary", 1234567890))),
			"the elements of a dictionary must be pairs", 4,
		},
		"invalid UTF-8":      {string(bin(t, x("list", x("unicode", "ab\xff")))), "unicode is not valid UTF-8", 15},
		"a surrogate":        {string(bin(t, x("unicode", "\xed\xa0\x80"))), "unicode is not valid UTF-8", 11},
		"a thirteenth month": {string(bin(t, x("date", "2024 13 1"))), `"2024 13 1" is no date`, 0},
		"a 30th of February": {
			string(bin(t, x("datetime", "2024 2 30 0 0 0 0"))), `"2024 2 30 0 0 0 0" is no datetime`, 0,
		},
		"a date of letters":           {string(bin(t, x("date", "a b c"))), `"a b c" is no date`, 0},
		"a date without a day":        {string(bin(t, x("date", "2024 1"))), `"2024 1" is no date`, 0},
		"a 25th hour":                 {string(bin(t, x("time", "25 0 0 0"))), `"25 0 0 0" is no time`, 0},
		"a timedelta of one number":   {string(bin(t, x("timedelta", "1"))), `"1" is no timedelta`, 0},
		"a timedelta beyond Python's": {string(bin(t, x("timedelta", "1000000000 0 0"))), `is no timedelta`, 0},
		"a decimal of text": {
			string(bin(t, x("decimal", "1.5", 1))),
			"decimal needs an integer and an exponent of 64 bits", 0,
		},
		"a decimal without exponent": {string(bin(t, x("decimal", 1))), "decimal needs a value and an exponent", 0},
		"a float for an exponent": {
			string(bin(t, x("decimal", 1, 1.5))),
			"decimal needs an integer and an exponent of 64 bits", 0,
		},
		"an exponent of 70 bits": {
			"\x03\x80\x07\x82decimal\x01\x81" + strings.Repeat("\x7f", 10) + "\x85",
			"decimal needs an integer and an exponent of 64 bits", 0},
		"an unregistered class": {string(bin(t, x("list", x("os.system", 1)))), `class "os.system" is not registered`, 4},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				d   Decoder
				err error
			)
			spent := allocated(
				allocatedAtMost(len(c.frame)),
				func() { _, err = decodeAll(&d, []byte(c.frame), banana.ProfilePB) },
			)
			require.ErrorContains(t, err, c.want)
			assert.LessOrEqual(t, spent, allocatedAtMost(len(c.frame)))
			var (
				decode   *DecodeError
				insecure *InsecureJellyError
				at       int
			)
			switch {
			case strings.HasPrefix(err.Error(), "insecure"):
				require.ErrorAs(t, err, &insecure)
				at = insecure.Offset
			default:
				require.ErrorAs(t, err, &decode)
				at = decode.Offset
			}
			if c.at >= 0 {
				assert.Equal(t, c.at, at, err)
			} else {
				assert.Less(t, at, 20*DefaultNesting, "it gave up where the limit is")
			}
		})
	}
}

// A decimal with an exponent of a billion is cheap because nothing expands it.
func TestDecimalsAreNotExpanded(t *testing.T) {
	for _, exponent := range []int{1_000_000_000, -1_000_000_000} {
		frame := bin(t, x("decimal", 123, exponent))
		var (
			d    Decoder
			text string
			f    float64
			s    string
			n    int
		)
		spent := allocated(1<<20-1, func() {
			v, err := decodeAll(&d, frame, banana.ProfilePB)
			require.NoError(t, err)
			text = v.(*Decimal).String()
			require.NoError(t, Assign(&f, v))
			_ = Assign(&s, v)
			require.Error(t, Assign(&n, v))
			assert.Equal(t, frame, encodeOne(t, v, banana.ProfilePB))
			_, found := NewDict(Entry{v, 1}).Get(v)
			assert.True(t, found)
		})
		assert.Less(t, spent, uint64(1<<20))
		assert.Contains(t, []string{"123e1000000000", "123e-1000000000"}, text)
	}
}

// A state of the wrong type is an UnjellyError.
func TestStateOfTheWrongType(t *testing.T) {
	registry := NewRegistry()
	require.NoError(t, registry.Register("P", ClassEntry{New: func() any { return new(point) }}))
	for name, c := range map[string]struct {
		state any
		want  string
	}{
		"a list":            {x("list", 1), "P"},
		"a number":          {5, "P"},
		"a field of text":   {x("dictionary", x(str("x"), str("one"))), "cannot use str as int at .x"},
		"a field too large": {x("dictionary", x(str("x"), bytes.Repeat([]byte{1}, 300))), "cannot use bytes as int at .x"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Decoder{Registry: registry}
			_, err := decodeAll(&d, bin(t, x("list", x("P", c.state))), banana.ProfilePB)
			require.NoError(t, err)
			err = Unjelly(d.Unbound(), nil, func(u *Unbound) (any, error) { return nil, nil })
			var unjelly *UnjellyError
			require.ErrorAs(t, err, &unjelly)
			assert.Equal(t, 4, unjelly.Offset)
			assert.ErrorContains(t, err, c.want)
		})
	}
}
