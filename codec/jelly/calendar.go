package jelly

import (
	"fmt"
	"strconv"
	"time"
)

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
