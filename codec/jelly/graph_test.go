package jelly

import (
	"fmt"
	"math"
	"math/big"
	"time"

	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/banana"
)

// graphs draws values with sharing and cycles, of all types that stock returns unchanged.
//
// It omits empty tuples and frozensets, which are singletons in Python, and sets with several members, whose order is
// not defined.
type graphs struct {
	t    *rapid.T
	pool []any
	left int
	// open are the objects being drawn. With forStock no tuple contains one of them, because stock cannot build such a
	// tuple if it has two mentions.
	open     map[any]bool
	forStock bool
	inTuple  bool
}

func drawGraph(t *rapid.T) any {
	g := &graphs{t: t, left: 60, open: map[any]bool{}}
	return g.value(6)
}

func drawGraphForStock(t *rapid.T) any {
	g := &graphs{t: t, left: 60, open: map[any]bool{}, forStock: true}
	return g.value(6)
}

// begin registers an object before it is complete.
func (g *graphs) begin(v any) (done func()) {
	id := v
	if list, ok := v.([]any); ok {
		id = sliceIDOf(list, false)
	}
	g.pool = append(g.pool, v)
	g.open[id] = true
	return func() { delete(g.open, id) }
}

func (g *graphs) isOpen(v any) bool {
	switch x := v.(type) {
	case []any:
		return g.open[sliceIDOf(x, false)]
	case *Dict, *Instance:
		return g.open[v]
	}
	return false
}

func (g *graphs) draw(label string, n int) int { return rapid.IntRange(0, n-1).Draw(g.t, label) }

func (g *graphs) value(depth int) any {
	g.left--
	inTuple := g.inTuple
	g.inTuple = false
	if len(g.pool) > 0 && g.draw("share", 4) == 0 {
		if v := g.pool[g.draw("which", len(g.pool))]; !inTuple || !g.isOpen(v) {
			return v
		}
	}
	if depth == 0 || g.left <= 0 {
		return g.leaf()
	}
	n := 1 + g.draw("size", 4)
	switch g.draw("kind", 9) {
	case 0, 1:
		list := make([]any, n)
		defer g.begin(list)()
		for i := range list {
			list[i] = g.value(depth - 1)
		}
		return list
	case 2, 3:
		d := NewDict()
		defer g.begin(d)()
		for range n {
			if key := g.key(1); !has(d, key) {
				d.entries = append(d.entries, Entry{key, nil})
				d.entries[len(d.entries)-1].Value = g.value(depth - 1)
			}
		}
		return d
	case 4:
		tuple := make(Tuple, n)
		for i := range tuple {
			g.inTuple = g.forStock
			tuple[i] = g.value(depth - 1)
		}
		g.pool = append(g.pool, tuple)
		return tuple
	case 5:
		set := NewSet(g.key(1))
		g.pool = append(g.pool, set)
		return set
	case 6:
		set := NewFrozenSet(g.key(1))
		g.pool = append(g.pool, set)
		return set
	case 7:
		x := &Instance{Class: "golden.Thing"}
		defer g.begin(x)()
		state := NewDict()
		for i := range n {
			state.Set(fmt.Sprint("a", i), g.value(depth-1))
		}
		x.State = state
		return x
	}
	return g.leaf()
}

func has(d *Dict, key any) bool {
	_, ok := d.Get(key)
	return ok
}

func (g *graphs) key(depth int) any {
	if depth > 0 && g.draw("tuple key", 5) == 0 {
		return Tuple{g.key(depth - 1), g.key(depth - 1)}
	}
	switch g.draw("key", 5) {
	case 0:
		return int64(g.draw("int key", 30))
	case 1:
		return []byte(rapid.SampledFrom([]string{"a", "b", "list", "None"}).Draw(g.t, "bytes key"))
	case 2:
		return Date{2000, time.Month(1 + g.draw("month", 12)), 1}
	}
	return rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "dictionary"}).Draw(g.t, "str key")
}

func (g *graphs) leaf() any {
	switch g.draw("leaf", 14) {
	case 0:
		return nil
	case 1:
		return g.draw("bool", 2) == 1
	case 2:
		return rapid.Int64().Draw(g.t, "int64")
	case 3:
		return int64(rapid.IntRange(-200, 200).Draw(g.t, "int"))
	case 4:
		n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 9, 56).Draw(g.t, "big"))
		n.SetBit(n, 63, 1)
		if g.draw("sign", 2) == 1 {
			n.Neg(n)
			if n.IsInt64() {
				return n.Int64()
			}
		} else if n.IsInt64() {
			return n.Int64()
		}
		return n
	case 5:
		return rapid.Float64().Draw(g.t, "float")
	case 6:
		return rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.Inf(1), math.NaN()}).Draw(g.t, "odd float")
	case 7, 8:
		return rapid.StringN(0, 8, -1).Draw(g.t, "str")
	case 9:
		return rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(g.t, "bytes")
	case 10:
		return []byte(banana.Symbol(1 + g.draw("word", int(banana.SymUncache))).String())
	case 11:
		micros := rapid.Int64Range(-62135596800_000000, 253402300799_999999).Draw(g.t, "datetime")
		return time.UnixMicro(micros).UTC()
	case 12:
		delta, _ := normalTimedelta(
			rapid.Int64Range(-999_999_999, 999_999_998).Draw(g.t, "days"),
			rapid.Int64Range(0, 86399).Draw(g.t, "seconds"),
			5,
		)
		if span, ok := delta.Duration(); ok {
			return span
		}
		return delta
	}
	return NewDecimal(rapid.Int64().Draw(g.t, "coefficient"), rapid.Int64Range(-1e9, 1e9).Draw(g.t, "exponent"))
}

// model jellies like Twisted: it builds nested lists and changes them in place when an object is met again. It is the
// oracle for Fragment.
type model struct {
	met  map[any]*modelNode
	next int64
}

// modelNode is a list that can be wrapped later.
type modelNode struct {
	elems []any // banana.Expr or *modelNode
	ref   int64
}

type sliceID struct {
	first *any
	n     int
	tuple bool
}

func (m *model) jelly(v any) any {
	switch x := v.(type) {
	case []any:
		return m.object(sliceIDOf(x, false), "list", x)
	case Tuple:
		return m.object(sliceIDOf(x, true), "tuple", x)
	case *Set:
		return m.object(x, "set", x.list)
	case *FrozenSet:
		return m.object(x, "frozenset", x.list)
	case *Dict:
		if again := m.again(x); again != nil {
			return again
		}
		node := m.begin(x)
		node.elems = append(node.elems, []byte("dictionary"))
		for _, e := range x.entries {
			node.elems = append(node.elems, &modelNode{elems: []any{m.jelly(e.Key), m.jelly(e.Value)}})
		}
		return node
	case *Instance:
		if again := m.again(x); again != nil {
			return again
		}
		node := m.begin(x)
		node.elems = append(node.elems, []byte(x.Class), m.jelly(x.State))
		return node
	}
	return modelLeaf(v)
}

func sliceIDOf(s []any, tuple bool) any {
	if cap(s) == 0 {
		return nil
	}
	return sliceID{&s[:1][0], len(s), tuple}
}

func (m *model) object(id any, word string, elems []any) any {
	if again := m.again(id); again != nil {
		return again
	}
	node := m.begin(id)
	node.elems = append(node.elems, []byte(word))
	for _, e := range elems {
		node.elems = append(node.elems, m.jelly(e))
	}
	return node
}

func (m *model) again(id any) any {
	if id == nil || m.met[id] == nil {
		return nil
	}
	node := m.met[id]
	if node.ref == 0 {
		m.next++
		node.ref = m.next
	}
	return &modelNode{elems: []any{[]byte("dereference"), node.ref}}
}

func (m *model) begin(id any) *modelNode {
	node := &modelNode{}
	if id != nil {
		m.met[id] = node
	}
	return node
}

func modelLeaf(v any) any {
	list := func(e ...any) any { return &modelNode{elems: e} }
	switch x := v.(type) {
	case nil:
		return list([]byte("None"))
	case bool:
		return list([]byte("boolean"), []byte(fmt.Sprint(x)))
	case string:
		return list([]byte("unicode"), []byte(x))
	case time.Time:
		return list([]byte("datetime"),
			fmt.Appendf(nil, "%d %d %d %d %d %d %d", x.Year(), x.Month(), x.Day(), x.Hour(), x.Minute(), x.Second(),
				x.Nanosecond()/1000))
	case Date:
		return list([]byte("date"), fmt.Appendf(nil, "%d %d %d", x.Year, x.Month, x.Day))
	case time.Duration:
		return modelLeaf(TimedeltaOf(x))
	case Timedelta:
		return list([]byte("timedelta"), fmt.Appendf(nil, "%d %d %d", x.Days, x.Seconds, x.Microseconds))
	case *Decimal:
		if c := x.Coefficient(); !c.IsInt64() {
			return list([]byte("decimal"), c, x.Exponent())
		}
		return list([]byte("decimal"), x.Coefficient().Int64(), x.Exponent())
	}
	return v // It is an expression already.
}

// expr returns the finished expression.
func (n *modelNode) expr() banana.Expr {
	list := make([]banana.Expr, len(n.elems))
	for i, e := range n.elems {
		if node, ok := e.(*modelNode); ok {
			e = node.expr()
		}
		list[i] = e
	}
	if n.ref != 0 {
		return []banana.Expr{[]byte("reference"), n.ref, list}
	}
	return list
}

func modelEncode(v any, p banana.Profile) ([]byte, error) {
	m := &model{met: map[any]*modelNode{}}
	expr := m.jelly(v)
	if node, ok := expr.(*modelNode); ok {
		expr = node.expr()
	}
	return banana.AppendExpr(nil, p, expr, banana.Limits{})
}
