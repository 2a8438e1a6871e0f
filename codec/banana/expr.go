package banana

import (
	"fmt"
	"math/big"
)

// Expr is an expression as a Go value, for tools and tests. [DecodeExpr] returns
//
//	int64, *big.Int   integers; *big.Int only beyond 64 bits
//	float64
//	[]byte            strings, spelled out or words
//	[]Expr            lists
//
// and [AppendExpr] also takes int, uint64, string and Symbol.
type Expr = any

// AppendExpr appends e to b, within the peer's limits l. On failure it returns b unchanged and an error that gives
// the path of the value that cannot be sent; the error wraps an [*EncodeError] if the value exceeds l.
func AppendExpr(b []byte, p Profile, e Expr, l Limits) ([]byte, error) {
	w := exprWriter{profile: p, limits: l.WithDefaults(), b: b}
	if err := w.write(e, 0); err != nil {
		return b, err
	}
	if err := w.limits.CheckFrame(len(w.b) - len(b)); err != nil {
		return b, err
	}
	return w.b, nil
}

// EncodeExpr returns the encoding of e within the default limits.
func EncodeExpr(p Profile, e Expr) ([]byte, error) {
	return AppendExpr(nil, p, e, Limits{})
}

type exprWriter struct {
	profile Profile
	limits  Limits
	b       []byte
}

// write recurses for lists, at most to the depth limit, so it terminates on a list that contains itself.
func (w *exprWriter) write(e Expr, depth int) error {
	switch v := e.(type) {
	case int:
		w.b = AppendInt(w.b, int64(v))
	case int64:
		w.b = AppendInt(w.b, v)
	case uint64:
		w.b = AppendUint(w.b, v)
	case *big.Int:
		var err error
		w.b, err = AppendBig(w.b, v)
		return err
	case float64:
		w.b = AppendFloat(w.b, v)
	case []byte:
		if err := w.limits.CheckString(len(v)); err != nil {
			return err
		}
		w.b = AppendBytes(w.b, w.profile, v)
	case string:
		if err := w.limits.CheckString(len(v)); err != nil {
			return err
		}
		w.b = AppendString(w.b, w.profile, v)
	case Symbol:
		if !v.Valid() {
			return fmt.Errorf("banana: cannot send %s: the vocabulary is 1 to %d", v, int(lastSymbol))
		}
		w.b = AppendSymbol(w.b, w.profile, v)
	case []Expr:
		if err := w.limits.CheckList(len(v)); err != nil {
			return err
		}
		if err := w.limits.CheckDepth(depth + 1); err != nil {
			return err
		}
		w.b = AppendList(w.b, len(v))
		for i, element := range v {
			if err := w.write(element, depth+1); err != nil {
				if depth >= maxPath {
					return err
				}
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
	default:
		return fmt.Errorf("banana: cannot send a %T: an Expr is an integer, a float64, a string, []byte, Symbol or []Expr", e)
	}
	return nil
}

// maxPath is the number of levels that an error names.
const maxPath = 8

// DecodeExpr returns the first expression in b and its length in bytes. It accepts what a [Scanner] with these limits
// accepts. If b ends before the expression does, the error is a [*TruncatedError]. The result shares no memory with b.
func DecodeExpr(b []byte, p Profile, l Limits) (Expr, int, error) {
	var s Scanner
	s.Init(p, l)
	n, err := s.Next(b)
	if err != nil {
		return nil, 0, err
	}
	if n == 0 {
		return nil, 0, &TruncatedError{Offset: min(s.pos, len(b))}
	}
	var r Reader
	r.Reset(b[:n], p)
	e, err := buildExpr(&r)
	if err != nil {
		return nil, 0, err
	}
	return e, n, nil
}

// openList is a list being built.
type openList struct {
	elements []Expr
	missing  int64
}

// modestCap bounds the capacity allocated for a list before its elements are read.
const modestCap = 1024

// buildExpr reads one expression. It does not recurse because only the caller's Limits bound the depth.
func buildExpr(r *Reader) (Expr, error) {
	var open []openList
	for {
		token, err := r.Next()
		if err != nil {
			return nil, withinExpression(err, r.Offset())
		}
		var e Expr
		if token.Kind == List {
			elements := make([]Expr, 0, min(token.Int, modestCap))
			if token.Int > 0 {
				open = append(open, openList{elements, token.Int})
				continue
			}
			e = elements
		} else {
			e = atomOf(token)
		}
		for {
			if len(open) == 0 {
				return e, nil
			}
			top := &open[len(open)-1]
			top.elements = append(top.elements, e)
			if top.missing--; top.missing > 0 {
				break
			}
			e = top.elements
			open = open[:len(open)-1]
		}
	}
}

// atomOf returns the value of a token that is not a list.
func atomOf(t Token) Expr {
	switch t.Kind {
	case Int:
		return t.Int
	case LongInt, LongNeg:
		return t.Big()
	case Float:
		return t.Float
	}
	return t.AppendText([]byte{})
}
