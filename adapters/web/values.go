package web

import (
	"fmt"

	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/perspectivebroker/pb/flavors"
)

// arg returns an argument of a call by position or by keyword; nil if there is none.
func arg(inv *flavors.Invocation, i int, name string) any {
	if i < len(inv.Args) {
		return inv.Args[i]
	}
	if inv.Kw != nil {
		v, _ := inv.Kw.GetName(name)
		return v
	}
	return nil
}

// textOf returns bytes or text. Peers send either.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case []byte:
		return string(v), true
	case string:
		return v, true
	}
	return "", false
}

// wantText is textOf for an argument that must be there.
func wantText(inv *flavors.Invocation, i int, name string) (string, error) {
	v := arg(inv, i, name)
	s, ok := textOf(v)
	if !ok {
		return "", flavors.TypeError.Errorf("%s() wants bytes for %s, not %s", inv.Method, name, jelly.TypeName(v))
	}
	return s, nil
}

// truthOf returns what Python takes for the truth of a bool, a number or None.
func truthOf(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case []byte:
		return len(v) != 0
	}
	return v != nil
}

// listOf returns the elements of a list or a tuple.
func listOf(v any) ([]any, error) {
	switch v := v.(type) {
	case []any:
		return v, nil
	case jelly.Tuple:
		return v, nil
	case nil:
		return nil, nil
	}
	return nil, fmt.Errorf("%s is no list", jelly.TypeName(v))
}
