package main

import (
	"strings"
	"time"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// arguments are a command's arguments. Masters may send more than this worker knows. None counts as absent.
type arguments struct{ dict *jelly.Dict }

func (a arguments) get(name string) (any, bool) {
	v, ok := a.dict.GetName(name)
	return v, ok && v != nil
}

// need returns an error that names the missing arguments.
func (a arguments) need(names ...string) error {
	var missing []string
	for _, name := range names {
		if _, ok := a.dict.GetName(name); !ok {
			missing = append(missing, name)
		}
	}
	if missing == nil {
		return nil
	}
	return flavors.ValueError.Errorf("the command is missing args: %s", strings.Join(missing, ", "))
}

// fill stores each argument in the variable that its pointer points to. It skips absent arguments.
func (a arguments) fill(into map[string]any) error {
	for name, dst := range into {
		v, ok := a.get(name)
		if !ok {
			continue
		}
		if err := jelly.Assign(dst, v); err != nil {
			return flavors.TypeError.Errorf("argument %s: %w", name, err)
		}
	}
	return nil
}

// truth returns an argument's truth value as Python has it: masters send 0 and 1 for some flags.
func (a arguments) truth(name string, otherwise bool) bool {
	v, ok := a.dict.GetName(name)
	if !ok {
		return otherwise
	}
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	}
	return true
}

// seconds is a duration. It keeps the master's number, because messages repeat it.
type seconds struct {
	number any // int64 or float64; nil if there is none
}

func (a arguments) seconds(name string) (seconds, error) {
	v, ok := a.get(name)
	if !ok {
		return seconds{}, nil
	}
	switch v.(type) {
	case int64, float64:
		return seconds{v}, nil
	}
	return seconds{}, flavors.TypeError.Errorf("argument %s is a number of seconds, not %s", name, jelly.TypeName(v))
}

func (s seconds) duration() time.Duration {
	var n float64
	switch v := s.number.(type) {
	case int64:
		n = float64(v)
	case float64:
		n = v
	}
	// 1e9 seconds is longer than any build and does not overflow.
	return time.Duration(max(0, min(n, 1e9)) * float64(time.Second))
}

// limits reports whether there is a limit; zero is none.
func (s seconds) limits() bool { return s.duration() > 0 }

func (s seconds) String() string { return python(s.number) }
