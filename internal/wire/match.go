package wire

import (
	"bytes"
	"fmt"
	"math/big"

	"github.com/perspectivebroker/pb/codec/banana"
)

// match compares what arrived with what was wanted and remembers variables; the error says where they differ.
func match(want, got banana.Expr, vars map[string]banana.Expr) error {
	switch want := want.(type) {
	case anything:
		return nil
	case variable:
		if known, ok := vars[string(want)]; ok {
			return match(known, got, vars)
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
	return fmt.Errorf("%s instead of %s", banana.Format(got), banana.Format(want))
}

func matchList(want []banana.Expr, got banana.Expr, vars map[string]banana.Expr) error {
	list, ok := got.([]banana.Expr)
	if !ok {
		return fmt.Errorf("%s instead of a list", banana.Format(got))
	}
	for i, w := range want {
		if _, ok := w.(rest); ok {
			return nil
		}
		if i >= len(list) {
			return fmt.Errorf("%s ends after %d elements of %d", banana.Format(got), len(list), len(want))
		}
		if err := match(w, list[i], vars); err != nil {
			return err
		}
	}
	if len(list) > len(want) {
		return fmt.Errorf("%s has %d elements and should have %d", banana.Format(got), len(list), len(want))
	}
	return nil
}

// fill puts what was remembered in the place of variables.
func fill(e banana.Expr, vars map[string]banana.Expr) (banana.Expr, error) {
	switch e := e.(type) {
	case anything, rest:
		return nil, fmt.Errorf("wire: %v cannot be sent", e)
	case variable:
		known, ok := vars[string(e)]
		if !ok {
			return nil, fmt.Errorf("wire: nothing is known of $%s", e)
		}
		return known, nil
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
