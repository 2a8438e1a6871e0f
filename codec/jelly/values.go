package jelly

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// The types in this file stand for what Python has and Go has not. They are
// what a Decoder yields for it, and an Encoder writes them back unchanged.

// Tuple is a Python tuple. Like a slice of any it is shared when it is met
// twice in one value, and like a tuple it may be the key of a dictionary.
type Tuple []any

// Class names a Python class, as in "twisted.spread.pb.Root".
type Class string

// Module names a Python module.
type Module string

// Function names a Python function, with its module.
type Function string

// Method is a method bound to Self. Class is the class it was found in.
type Method struct {
	Name  string
	Self  any
	Class any
}

// Persistent stands for an object that both ends can find by an identifier of
// their own. ID is an integer, a string or []byte.
type Persistent struct{ ID any }

// Unpersistable is what the sender put in the place of something that it could
// not or would not send, with its reason.
type Unpersistable struct{ Reason string }

// Instance is an object of a class that has no Go type: the class's dotted name and the
// object's state, usually a *Dict. A pointer to it takes part in sharing.
// A Decoder yields one only for classes named in SecurityOptions.AllowInstancesOf.
type Instance struct {
	Class string
	State any
	// Old chooses the form [instance [class name] state] that Twisted wrote
	// before version 15, over [name state].
	Old bool
}

// Date is a Python datetime.date.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// TimeOfDay is a Python datetime.time without time zone.
type TimeOfDay struct{ Hour, Minute, Second, Microsecond int }

// Timedelta is a Python datetime.timedelta in its normal form: Seconds in
// 0..86399, Microseconds in 0..999999, and Days of any sign up to
// 999,999,999. It is used where a time.Duration, which ends at 292 years, is too short.
type Timedelta struct {
	Days         int64
	Seconds      int
	Microseconds int
}

// maxTimedeltaDays is the largest number of days, of either sign, that Python's
// timedelta holds.
const maxTimedeltaDays = 999_999_999

const (
	secondsPerDay  = 86_400
	microPerSecond = 1_000_000
	microPerDay    = secondsPerDay * microPerSecond
)

// Valid reports whether Python's datetime.date takes it: years 1 to 9999.
func (d Date) Valid() bool {
	return d.Year >= 1 && d.Year <= 9999 && d.Month >= 1 && d.Month <= 12 && d.Day >= 1 && d.Day <= daysIn(d.Year, d.Month)
}

// Time returns midnight UTC at the beginning of that day.
func (d Date) Time() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// String returns the date as in "2006-01-02".
func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, int(d.Month), d.Day) }

// Valid reports whether Python's datetime.time takes it.
func (t TimeOfDay) Valid() bool {
	return t.Hour >= 0 && t.Hour <= 23 && t.Minute >= 0 && t.Minute <= 59 && t.Second >= 0 && t.Second <= 59 &&
		t.Microsecond >= 0 && t.Microsecond < microPerSecond
}

// String returns the time as in "15:04:05.000000".
func (t TimeOfDay) String() string {
	return fmt.Sprintf("%02d:%02d:%02d.%06d", t.Hour, t.Minute, t.Second, t.Microsecond)
}

// TimedeltaOf returns d in Python's form. What is below a microsecond is cut
// off towards zero.
func TimedeltaOf(d time.Duration) Timedelta {
	t, _ := normalTimedelta(0, 0, d.Microseconds())
	return t
}

// Duration returns the same span, or false if it is beyond the 292 years of a time.Duration.
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

// normalTimedelta brings three numbers of any sign into normal form. It reports
// false if the result is beyond Python's range.
func normalTimedelta(days, seconds, micros int64) (Timedelta, bool) {
	const bound = 1 << 61 // Far beyond the range, and sums of two cannot overflow.
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
