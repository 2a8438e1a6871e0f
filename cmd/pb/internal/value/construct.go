package value

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
)

// maker makes the value of a constructor, such as date(2024, 1, 2).
type maker struct {
	params []string // that may be keywords
	make   func(args []any) (any, error)
}

// absent stands for an argument that is not given.
type absent struct{}

var makers = map[string]maker{
	"datetime":  {[]string{"year", "month", "day", "hour", "minute", "second", "microsecond"}, makeDatetime},
	"date":      {[]string{"year", "month", "day"}, makeDate},
	"time":      {[]string{"hour", "minute", "second", "microsecond"}, makeTime},
	"timedelta": {[]string{"days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks"}, makeTimedelta},
	"Decimal":   {[]string{"value"}, makeDecimal},
	"set":       {[]string{"members"}, makeSet},
	"frozenset": {[]string{"members"}, makeFrozenSet},
}

// construct reads the arguments of a constructor, behind its opening bracket.
func (p *Parser) construct(name string, start int, m maker) (any, error) {
	args := make([]any, len(m.params))
	for i := range args {
		args[i] = absent{}
	}
	next := 0
	for n := 0; !p.Accept(")"); n++ {
		if n > 0 && !p.Accept(",") {
			return nil, p.missing(")")
		}
		if n > 0 && p.Accept(")") {
			break
		}
		p.Space()
		at := p.At
		i := next
		if key := p.Name(); key != "" && p.Accept("=") {
			if i = slices.Index(m.params, key); i < 0 {
				return nil, p.Fail(at, "%s has no argument %s", name, key)
			}
		} else {
			p.At = at
			next++
		}
		if i >= len(args) {
			return nil, p.Fail(at, "%s has at most %d arguments", name, len(args))
		}
		if args[i] != (any)(absent{}) {
			return nil, p.Fail(at, "%s is given twice", m.params[i])
		}
		v, err := p.Value()
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	v, err := m.make(args)
	if err != nil {
		return nil, p.Fail(start, "%v", err)
	}
	return v, nil
}

// ints converts arguments to integers; the first ones are required.
func ints(args []any, required int) ([]int, error) {
	out := make([]int, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case absent:
			if i < required {
				return nil, fmt.Errorf("%d arguments are required", required)
			}
		case int64:
			if a < math.MinInt32 || a > math.MaxInt32 {
				return nil, fmt.Errorf("%d is out of range", a)
			}
			out[i] = int(a)
		default:
			return nil, fmt.Errorf("the arguments are integers, not %s", jelly.TypeName(a))
		}
	}
	return out, nil
}

func makeDatetime(args []any) (any, error) {
	n, err := ints(args, 3)
	if err != nil {
		return nil, err
	}
	d := jelly.Date{Year: n[0], Month: time.Month(n[1]), Day: n[2]}
	t := jelly.TimeOfDay{Hour: n[3], Minute: n[4], Second: n[5], Microsecond: n[6]}
	if !d.Valid() || !t.Valid() {
		return nil, errors.New("there is no such date and time")
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], n[6]*1000, time.UTC), nil
}

func makeDate(args []any) (any, error) {
	n, err := ints(args, 3)
	if err != nil {
		return nil, err
	}
	d := jelly.Date{Year: n[0], Month: time.Month(n[1]), Day: n[2]}
	if !d.Valid() {
		return nil, errors.New("there is no such date")
	}
	return d, nil
}

func makeTime(args []any) (any, error) {
	n, err := ints(args, 0)
	if err != nil {
		return nil, err
	}
	t := jelly.TimeOfDay{Hour: n[0], Minute: n[1], Second: n[2], Microsecond: n[3]}
	if !t.Valid() {
		return nil, errors.New("there is no such time")
	}
	return t, nil
}

// microseconds are the units of timedelta's arguments.
var microseconds = []int64{86_400_000_000, 1_000_000, 1, 1000, 60_000_000, 3_600_000_000, 604_800_000_000}

func makeTimedelta(args []any) (any, error) {
	sum := new(big.Int)
	for i, a := range args {
		unit := big.NewInt(microseconds[i])
		switch a := a.(type) {
		case absent:
		case int64:
			sum.Add(sum, unit.Mul(unit, big.NewInt(a)))
		case float64:
			if math.IsNaN(a) || math.Abs(a) > 1e15 {
				return nil, errors.New("there is no such timedelta")
			}
			f := new(big.Float).Mul(big.NewFloat(a), new(big.Float).SetInt(unit))
			whole, _ := f.Add(f, big.NewFloat(math.Copysign(0.5, a))).Int(nil)
			sum.Add(sum, whole)
		default:
			return nil, fmt.Errorf("the arguments are numbers, not %s", jelly.TypeName(a))
		}
	}
	perDay := big.NewInt(microseconds[0])
	days, rest := new(big.Int).DivMod(sum, perDay, new(big.Int))
	if !days.IsInt64() {
		return nil, errors.New("there is no such timedelta")
	}
	us := rest.Int64()
	d := jelly.Timedelta{Days: days.Int64(), Seconds: int(us / 1e6), Microseconds: int(us % 1e6)}
	if !d.Valid() {
		return nil, errors.New("there is no such timedelta")
	}
	if short, ok := d.Duration(); ok {
		return short, nil
	}
	return d, nil
}

func makeDecimal(args []any) (any, error) {
	switch a := args[0].(type) {
	case int64:
		return jelly.NewDecimal(a, 0), nil
	case *big.Int:
		return jelly.NewBigDecimal(a, 0), nil
	case string:
		d, err := jelly.ParseDecimal(strings.TrimSpace(a))
		if err != nil {
			return nil, fmt.Errorf("%s is no decimal number", quoteText(clip(a)))
		}
		if !d.Valid() {
			return nil, errors.New("the number is beyond what a Decimal can hold")
		}
		return d, checkInt(d.Coefficient())
	}
	return nil, errors.New("the argument is text, such as '1.5'")
}

func membersOf(v any) ([]any, error) {
	var members []any
	switch v := v.(type) {
	case absent:
	case []any:
		members = v
	case jelly.Tuple:
		members = v
	case *jelly.Set:
		members = v.Members()
	case *jelly.FrozenSet:
		members = v.Members()
	default:
		return nil, errors.New("the argument is a list, a tuple or a set")
	}
	for _, m := range members {
		if !hashable(m) {
			return nil, fmt.Errorf("a %s can be no member of a set", jelly.TypeName(m))
		}
	}
	return members, nil
}

func makeSet(args []any) (any, error) {
	members, err := membersOf(args[0])
	return jelly.NewSet(members...), err
}

func makeFrozenSet(args []any) (any, error) {
	members, err := membersOf(args[0])
	return jelly.NewFrozenSet(members...), err
}
