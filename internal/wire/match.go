package wire

import (
	"bytes"
	"fmt"
	"math/big"

	"github.com/perspectivebroker/pb/codec/banana"
)

// match compares got with the pattern want and binds variables. The error describes the first difference.
func match(want, got banana.Expr, vars map[string]banana.Expr) error {
	switch want := want.(type) {
	case wildcard:
		return nil
	case variable:
		if bound, ok := vars[string(want)]; ok {
			return match(bound, got, vars)
		}
		vars[string(want)] = got
		return nil
	case []banana.Expr:
		return matchList(want, got, vars)
	case []byte:
		if b, ok := got.([]byte); ok && bytes.Equal(want, b) {
			return nil
		}
	case *big.Int:
		if n, ok := got.(*big.Int); ok && want.Cmp(n) == 0 {
			return nil
		}
	default:
		if want == got {
			return nil
		}
	}
	return fmt.Errorf("got %s, want %s", banana.Format(got), banana.Format(want))
}

func matchList(want []banana.Expr, got banana.Expr, vars map[string]banana.Expr) error {
	list, ok := got.([]banana.Expr)
	if !ok {
		return fmt.Errorf("got %s, want a list", banana.Format(got))
	}
	for i, w := range want {
		if _, ok := w.(rest); ok {
			return nil
		}
		if i >= len(list) {
			return fmt.Errorf("%s ends after %d of %d elements", banana.Format(got), len(list), len(want))
		}
		if err := match(w, list[i], vars); err != nil {
			return err
		}
	}
	if len(list) > len(want) {
		return fmt.Errorf("%s has %d elements, want %d", banana.Format(got), len(list), len(want))
	}
	return nil
}

// fill replaces the variables in e by the values bound to them.
func fill(e banana.Expr, vars map[string]banana.Expr) (banana.Expr, error) {
	switch e := e.(type) {
	case wildcard, rest:
		return nil, fmt.Errorf("wire: %v cannot be sent", e)
	case variable:
		bound, ok := vars[string(e)]
		if !ok {
			return nil, fmt.Errorf("wire: $%s is not bound", e)
		}
		return bound, nil
	case []banana.Expr:
		filled := make([]banana.Expr, len(e))
		for i, element := range e {
			var err error
			if filled[i], err = fill(element, vars); err != nil {
				return nil, err
			}
		}
		return filled, nil
	}
	return e, nil
}
