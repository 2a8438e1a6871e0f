package jelly

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// The types in this file represent Python values that have no counterpart in Go. A Decoder returns them and an Encoder
// writes them back unchanged.

// Tuple is a Python tuple. It takes part in sharing, like a []any, and may be the key of a dictionary.
type Tuple []any

// Class names a Python class, as in "twisted.spread.pb.Root".
type Class string

// Module names a Python module.
type Module string

// Function names a Python function, with its module.
type Function string

// Method is a method bound to Self. Class is the class that defines it.
type Method struct {
	Name  string
	Self  any
	Class any
}

// Persistent stands for an object that both ends know by an identifier. ID is an integer, a string or []byte.
type Persistent struct{ ID any }

// Unpersistable replaces a value that the sender could not send. Reason is the sender's explanation.
type Unpersistable struct{ Reason string }

// Instance is an object of a class without a Go type: the class's dotted name and the object's state, usually a
// *Dict. A pointer to it takes part in sharing. A Decoder returns one only for classes given to
// SecurityOptions.AllowInstancesOf.
type Instance struct {
	Class string
	State any
	// Old selects the form [instance [class name] state], written by Twisted before version 15, instead of
	// [name state].
	Old bool
}

// Date is a Python datetime.date.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// TimeOfDay is a Python datetime.time without a time zone.
type TimeOfDay struct{ Hour, Minute, Second, Microsecond int }

// Timedelta is a Python datetime.timedelta in its normal form: Seconds in 0..86399, Microseconds in 0..999999, and Days
// of either sign up to 999,999,999. A Decoder returns it for spans beyond the 292 years of a time.Duration.
type Timedelta struct {
	Days         int64
	Seconds      int
	Microseconds int
}

// maxTimedeltaDays is the largest number of days, of either sign, in a Python timedelta.
const maxTimedeltaDays = 999_999_999

const (
	secondsPerDay  = 86_400
	microPerSecond = 1_000_000
)

// Valid reports whether Python's datetime.date accepts d: an existing day of the years 1 to 9999.
func (d Date) Valid() bool {
	return d.Year >= 1 && d.Year <= 9999 && d.Month >= 1 && d.Month <= 12 && d.Day >= 1 && d.Day <= daysIn(d.Year, d.Month)
}

// Time returns midnight UTC at the beginning of the day.
func (d Date) Time() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// String returns the date as in "2006-01-02".
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// Valid reports whether Python's datetime.time accepts t.
func (t TimeOfDay) Valid() bool {
	return t.Hour >= 0 && t.Hour <= 23 && t.Minute >= 0 && t.Minute <= 59 && t.Second >= 0 && t.Second <= 59 &&
		t.Microsecond >= 0 && t.Microsecond < microPerSecond
}

// String returns the time as in "15:04:05.000000".
func (t TimeOfDay) String() string {
	return fmt.Sprintf("%02d:%02d:%02d.%06d", t.Hour, t.Minute, t.Second, t.Microsecond)
}

// TimedeltaOf returns d in Python's form, truncated to microseconds.
func TimedeltaOf(d time.Duration) Timedelta {
	t, _ := normalTimedelta(0, 0, d.Microseconds())
	return t
}

// Duration returns t as a time.Duration, and false if t exceeds its 292 years.
func (t Timedelta) Duration() (time.Duration, bool) {
	const days = int64(1<<63-1) / int64(24*time.Hour)
	if t.Days > days || t.Days < -days {
		return 0, false
	}
	part := time.Duration(t.Seconds)*time.Second + time.Duration(t.Microseconds)*time.Microsecond
	whole := time.Duration(t.Days) * 24 * time.Hour
	sum := whole + part
	return sum, sum >= whole
}

// Valid reports whether t is in normal form and in Python's range.
func (t Timedelta) Valid() bool {
	return t.Days >= -maxTimedeltaDays && t.Days <= maxTimedeltaDays && t.Seconds >= 0 && t.Seconds < secondsPerDay &&
		t.Microseconds >= 0 && t.Microseconds < microPerSecond
}

// String returns the three numbers as in "1d2s3us".
func (t Timedelta) String() string {
	return strconv.FormatInt(t.Days, 10) + "d" + strconv.Itoa(t.Seconds) + "s" + strconv.Itoa(t.Microseconds) + "us"
}

// normalTimedelta returns the normal form of three numbers of any sign, and false if it is beyond Python's range.
func normalTimedelta(days, seconds, micros int64) (Timedelta, bool) {
	const bound = 1 << 61 // Far beyond the range; sums of two do not overflow.
	if max(days, seconds) > bound || min(days, seconds) < -bound {
		return Timedelta{}, false
	}
	carry, micros := floorDiv(micros, microPerSecond)
	seconds += carry
	carry, seconds = floorDiv(seconds, secondsPerDay)
	t := Timedelta{Days: days + carry, Seconds: int(seconds), Microseconds: int(micros)}
	return t, t.Valid()
}

// floorDiv divides as Python does: the remainder is never negative.
func floorDiv(a, b int64) (quotient, remainder int64) {
	quotient, remainder = a/b, a%b
	if remainder < 0 {
		quotient, remainder = quotient-1, remainder+b
	}
	return quotient, remainder
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// Decimal is a finite Python decimal.Decimal: an integer times a power of ten. It is never expanded, so large exponents
// cost nothing.
//
// Jelly has no form for NaN and Infinity and drops the sign of zero. A value that Python's Decimal cannot hold is
// neither sent nor accepted; see [Decimal.Valid].
type Decimal struct {
	coefficient big.Int
	exponent    int64
}

// The range of exponents in Python: MAX_EMAX and MIN_ETINY of libmpdec on 64 bits.
const (
	maxDecimalExponent = 999_999_999_999_999_999
	minDecimalExponent = -1_999_999_999_999_999_997
)

// Valid reports whether a 64-bit Python can hold d: its exponent is at least -1999999999999999997, and its first digit
// counts for at most 10^999999999999999999.
func (d *Decimal) Valid() bool {
	if d.exponent < minDecimalExponent || d.exponent > maxDecimalExponent {
		return false
	}
	room := maxDecimalExponent - d.exponent // for digits after the first
	if room >= int64(d.coefficient.BitLen()) {
		return true // A number has fewer digits than bits.
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

// ParseDecimal parses a decimal like "-12.50" or "1e400". It keeps trailing zeros: "12.50" has the coefficient 1250 and
// the exponent -2.
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

// Coefficient returns a copy of the coefficient.
func (d *Decimal) Coefficient() *big.Int { return new(big.Int).Set(&d.coefficient) }

// Exponent returns the power of ten.
func (d *Decimal) Exponent() int64 { return d.exponent }

// String returns d as in "1250e-2", or the coefficient alone if the exponent is zero. ParseDecimal parses it.
func (d *Decimal) String() string {
	if d.exponent == 0 {
		return d.coefficient.String()
	}
	return d.coefficient.String() + "e" + strconv.FormatInt(d.exponent, 10)
}

// MarshalText returns d.String().
func (d *Decimal) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Float64 returns the nearest float64, an infinity if d is out of range.
func (d *Decimal) Float64() float64 {
	f, _ := strconv.ParseFloat(d.String(), 64) // A range error returns an infinity.
	return f
}

// Equal reports whether both have the same coefficient and exponent: 1.0 and 1.00 are not equal.
func (d *Decimal) Equal(other *Decimal) bool {
	if d == nil || other == nil {
		return d == other
	}
	return d.exponent == other.exponent && d.coefficient.Cmp(&other.coefficient) == 0
}
