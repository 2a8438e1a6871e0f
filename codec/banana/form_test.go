package banana

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// namePrices are prices that depend on names, words and the codes of arrays.
func namePrices() *Prices {
	p := &Prices{List: 100_000, Slot: 10_000, Number: 700, Big: 50, String: 3000, Word: 1}
	for i := range p.Head {
		p.Head[i] = 1_000_000 * i
	}
	sum := func(text []byte) (n int) {
		for i, c := range text {
			n += (i + 1) * int(c)
		}
		return n
	}
	p.Named = func(name []byte) (int, bool) { return 77 * sum(name), len(name)%2 == 0 }
	p.Array = func(code []byte) int { return 5 + sum(code) }
	return p
}

// TestScannerForms scans expressions that are like the one before, or nearly, and requires what a Scanner says that has
// seen none of them.
func TestScannerForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLimits(Limits{Prefix: 12, String: 20, List: 20, Depth: 5, Frame: 60}).Draw(t, "limits")
		p := anyProfile().Draw(t, "profile")
		prices := rapid.SampledFrom([]*Prices{nil, namePrices()}).Draw(t, "prices")
		names := []string{"array", "unicode", "boolean", "b"}
		wire := rapid.Custom(func(t *rapid.T) []byte {
			b := AppendList(nil, 2)
			b = AppendString(b, ProfileNone, rapid.SampledFrom(names).Draw(t, "name"))
			if rapid.Bool().Draw(t, "whole") {
				return AppendString(b, ProfileNone, string(rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "body")))
			}
			return append(b, anyWire().Draw(t, "element")...)
		})
		base := rapid.OneOf(wire, anyWire()).Draw(t, "base")
		var s Scanner
		s.Init(p, l)
		s.SetPrices(prices)
		for i := range learnFirst + rapid.IntRange(1, 8).Draw(t, "expressions") {
			e := slices.Clone(base)
			if i >= learnFirst {
				for range min(len(e), rapid.IntRange(0, 2).Draw(t, "changes")) {
					at := rapid.IntRange(0, len(e)-1).Draw(t, "at")
					e[at] = e[at]&rapid.SampledFrom([]byte{0, 0x80}).Draw(t, "high") | rapid.ByteMax(0x7f).Draw(t, "to")
				}
			}
			e = append(e, rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "behind")...)
			var fresh Scanner
			fresh.Init(p, l)
			fresh.SetPrices(prices)
			want, wantErr := fresh.Next(e)
			got, err := s.Next(e)
			require.Equal(t, wantErr, err, "%x", e)
			require.Equal(t, want, got, "%x", e)
			if got == 0 {
				return // The next expression would not be the rest of this one.
			}
			require.Equal(t, fresh.Cost(), s.Cost(), "%x", e)
			require.Equal(t, fresh.Need(), s.Need(), "%x", e)
		}
	})
}

// TestScannerFormPrices scans expressions one after the other that differ in one thing, and requires their sizes and
// costs.
func TestScannerFormPrices(t *testing.T) {
	for _, c := range []struct{ name, usual, other string }{
		{"digit", "\x02\x80\x01\x81\x05\x82later", "\x02\x80\x7f\x81\x05\x82later"},
		{"contents", "\x02\x80\x01\x81\x05\x82later", "\x02\x80\x01\x81\x05\x82\x80\x81\x82\x83\x00"},
		{"name", "\x02\x80\x05\x82class\x01\x81", "\x02\x80\x05\x82glass\x01\x81"},
		{"name as integers", "\x02\x80\x05\x82a\x01\x81bc\x01\x81", "\x02\x80\x05\x82a\x02\x81bc\x01\x81"},
		{"word", "\x03\x80\x0b\x87\x01\x81\x01\x81\x01\x81", "\x03\x80\x0a\x87\x01\x81\x01\x81\x01\x81"},
		{"array", "\x03\x80\x05\x82array\x01\x82a\x01\x82x", "\x03\x80\x05\x82array\x01\x82b\x01\x82x"},
		{"digit in place of a type", "\x02\x80\x01\x81\x05\x82later", "\x02\x80\x81\x81\x05\x82later"},
		{"kind", "\x02\x80\x01\x81\x05\x82later", "\x02\x80\x01\x87\x05\x82later"},
		{"kind at the end", "\x02\x80\x05\x82class\x01\x81", "\x02\x80\x05\x82class\x01\x87"},
		{"sign", "\x02\x80\x01\x81\x05\x82later", "\x02\x80\x01\x83\x05\x82later"},
	} {
		t.Run(c.name, func(t *testing.T) {
			scan := func(s *Scanner, e string) (size, cost int) {
				n, err := s.Next([]byte(e))
				require.NoError(t, err)
				require.NotZero(t, n)
				return n, s.Cost()
			}
			var s Scanner
			s.Init(ProfilePB, Limits{})
			s.SetPrices(namePrices())
			for range 2 * learnFirst {
				scan(&s, c.usual)
			}
			var fresh Scanner
			fresh.Init(ProfilePB, Limits{})
			fresh.SetPrices(namePrices())
			wantSize, wantCost := scan(&fresh, c.other)
			size, cost := scan(&s, c.other)
			require.Equal(t, wantSize, size)
			require.Equal(t, wantCost, cost)
		})
	}
}

// TestScannerForgetsForms changes limits and prices after a form was learned.
func TestScannerForgetsForms(t *testing.T) {
	e := []byte("\x02\x80\x01\x81\x05\x82later")
	var s Scanner
	scan := func() (int, error) { return s.Next(e) }
	learn := func() {
		for range 2 * learnFirst {
			_, err := scan()
			require.NoError(t, err)
		}
		require.True(t, s.forms[formOf(e)].has(e))
	}
	s.Init(ProfilePB, Limits{})
	learn()
	s.SetPrices(&Prices{List: 7})
	_, err := scan()
	require.NoError(t, err)
	var fresh Scanner
	fresh.Init(ProfilePB, Limits{})
	fresh.SetPrices(&Prices{List: 7})
	_, err = fresh.Next(e)
	require.NoError(t, err)
	require.Equal(t, fresh.Cost(), s.Cost())
	learn()
	s.Init(ProfilePB, Limits{String: 4})
	_, err = scan()
	require.Equal(t, "string", failureOf(err))
}
