package jelly

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Decimal is a Python decimal.Decimal that is a number: an integer times a
// power of ten. It is never expanded, so an exponent of a billion costs no more
// than one of two.
//
// Jelly has no form for the decimals NaN and Infinity, and drops the sign of zero. What Python's Decimal cannot hold is
// not sent and not taken: see [Decimal.Valid].
type Decimal struct {
	coefficient big.Int
	exponent    int64
}

// The exponents of Python's decimals, as C libmpdec has them on 64 bits: MAX_EMAX, and MIN_ETINY.
const (
	maxDecimalExponent = 999_999_999_999_999_999
	minDecimalExponent = -1_999_999_999_999_999_997
)

// Valid reports whether a Python of 64 bits can hold d: its exponent is at least -1999999999999999997, and its first
// digit stands for at most 10^999999999999999999.
func (d *Decimal) Valid() bool {
	if d.exponent < minDecimalExponent || d.exponent > maxDecimalExponent {
		return false
	}
	room := maxDecimalExponent - d.exponent // for digits behind the first
	if room >= int64(d.coefficient.BitLen()) {
		return true // There are fewer digits than bits.
	}
	digits := len(d.coefficient.Text(10))
	if d.coefficient.Sign() < 0 {
		digits--
	}
	return int64(digits)-1 <= room
}

// NewDecimal returns coefficient * 10^exponent.
func NewDecimal(coefficient, exponent int64) *Decimal {
	d := &Decimal{exponent: exponent}
	d.coefficient.SetInt64(coefficient)
	return d
}

// NewBigDecimal returns coefficient * 10^exponent.
func NewBigDecimal(coefficient *big.Int, exponent int64) *Decimal {
	d := &Decimal{exponent: exponent}
	if coefficient != nil {
		d.coefficient.Set(coefficient)
	}
	return d
}

// ParseDecimal reads a decimal like "-12.50" or "1e400". The digits behind the
// point are kept: "12.50" has the coefficient 1250 and the exponent -2.
func ParseDecimal(s string) (*Decimal, error) {
	text, exponent := s, int64(0)
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.ParseInt(text[i+1:], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("jelly: %q is not a decimal: the exponent is not an integer of 64 bits", clip(s))
		}
		text, exponent = text[:i], n
	}
	digits := strings.TrimLeft(text, "+-")
	if whole, fraction, ok := strings.Cut(digits, "."); ok {
		if exponent < math.MinInt64+int64(len(fraction)) {
			return nil, fmt.Errorf("jelly: %q is not a decimal: the exponent is too small", clip(s))
		}
		digits, exponent = whole+fraction, exponent-int64(len(fraction))
	}
	d := &Decimal{exponent: exponent}
	if len(text)-len(strings.TrimLeft(text, "+-")) > 1 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, fmt.Errorf("jelly: %q is not a decimal: write digits, at most one point and an exponent", clip(s))
	}
	d.coefficient.SetString(digits, 10)
	if text[0] == '-' {
		d.coefficient.Neg(&d.coefficient)
	}
	return d, nil
}

// Coefficient returns a copy of the integer part of the pair.
func (d *Decimal) Coefficient() *big.Int { return new(big.Int).Set(&d.coefficient) }

// Exponent returns the power of ten.
func (d *Decimal) Exponent() int64 { return d.exponent }

// String writes the pair as in "1250e-2", or the integer alone if the exponent
// is zero. ParseDecimal reads it back.
func (d *Decimal) String() string {
	if d.exponent == 0 {
		return d.coefficient.String()
	}
	return d.coefficient.String() + "e" + strconv.FormatInt(d.exponent, 10)
}

// MarshalText writes what String returns.
func (d *Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Float64 returns the nearest float. It is an infinity where floats end.
func (d *Decimal) Float64() float64 {
	f, _ := strconv.ParseFloat(d.String(), 64) // The only possible error is the range, and then f is what we promise.
	return f
}

// Equal reports whether both are the same pair; 1.0 and 1.00 are not.
func (d *Decimal) Equal(other *Decimal) bool {
	if d == nil || other == nil {
		return d == other
	}
	return d.exponent == other.exponent && d.coefficient.Cmp(&other.coefficient) == 0
}
