package jelly_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// pricedClass is a registered class. The memory of the application's objects is not priced.
type pricedClass struct{}

// piece returns Banana of some kind that differs by a number.
type piece struct {
	name string
	make func(i int) []byte
}

func word(s banana.Symbol) []byte { return banana.AppendSymbol(nil, banana.ProfilePB, s) }

func text(s string) []byte { return banana.AppendString(nil, banana.ProfilePB, s) }

func number(i int) []byte { return banana.AppendInt(nil, int64(i)) }

// made returns a list of these elements.
func made(elements ...[]byte) []byte {
	b := banana.AppendList(nil, len(elements))
	for _, e := range elements {
		b = append(b, e...)
	}
	return b
}

// pieces are all kinds of values of a Decoder, the smallest of each kind first: those take the most memory for their
// size.
func pieces() []piece {
	always := func(b []byte) func(int) []byte { return func(int) []byte { return b } }
	tagged := func(name string, operand func(i int) []byte) piece {
		return piece{name, func(i int) []byte { return made(text(name), operand(i)) }}
	}
	var all []piece
	add := func(name string, f func(int) []byte) { all = append(all, piece{name, f}) }
	add("small int", always(number(1)))
	add("int of 300", func(i int) []byte { return number(300 + i) })
	add("int of 40 bits", func(i int) []byte { return number(i + 1<<40) })
	add("int of 64 bits", func(i int) []byte { return number(-1<<63 + i) })
	add("float", always(banana.AppendFloat(nil, 1.5)))
	for _, digits := range []int{9, 10, 20, 64} {
		add(
			fmt.Sprintf("long int of %d digits", digits),
			always(append([]byte(strings.Repeat("\x7f", digits)), byte(banana.LongInt))),
		)
	}
	for _, size := range []int{0, 1, 8, 9, 16, 17, 33, 49, 129, 513, 1025, 2049, 4097, 9000, 33000} {
		add(fmt.Sprintf("bytes of %d", size), always(text(strings.Repeat("x", size))))
		add(fmt.Sprintf("str of %d", size), always(made(text("unicode"), text(strings.Repeat("x", size)))))
	}
	for _, s := range []banana.Symbol{banana.SymNone, banana.SymNotLoggedIn, banana.SymUnpersistable} {
		add("word "+s.String(), always(word(s)))
	}
	for _, name := range []string{"list", "tuple", "dictionary", "set", "frozenset", "None"} {
		add("empty "+name, always(made(text(name))))
	}
	for n := 1; n <= 6; n++ {
		for _, name := range []string{"list", "tuple", "set", "frozenset"} {
			elements := [][]byte{text(name)}
			for range n {
				elements = append(elements, number(1))
			}
			add(fmt.Sprintf("%s of %d", name, n), always(made(elements...)))
		}
	}
	add("dictionary of 1", always(made(text("dictionary"), made(number(1), number(1)))))
	add("dictionary with a word as key", always(made(text("dictionary"), made(word(banana.SymUnpersistable), number(1)))))
	all = append(all,
		tagged("boolean", always(text("true"))),
		tagged("remote", number), tagged("local", number), tagged("cached", number), tagged("lcache", number),
		tagged("local", always(text("root"))),
		tagged("dereference", number),
		tagged("dereference", func(i int) []byte { return number(i << 33) }),
		tagged("datetime", always(text("2020 1 1 0 0 0 0"))), tagged("date", always(text("2020 1 1"))),
		tagged("time", always(text("1 2 3 4"))), tagged("timedelta", always(text("1 2 3"))),
		tagged("class", always(text("m.C"))), tagged("module", always(text("m"))), tagged("function", always(text("m.f"))),
		tagged("persistent", number), tagged("unpersistable", always(text("x"))),
		tagged("priced.Class", number), tagged("priced.Other", number),
	)
	add("decimal", func(i int) []byte { return made(text("decimal"), number(i), number(-2)) })
	add(
		"long decimal",
		always(made(text("decimal"), append([]byte(strings.Repeat("\x7f", 64)), byte(banana.LongInt)), number(0))),
	)
	add("reference", func(i int) []byte { return made(text("reference"), number(i), number(1)) })
	add("reference to a list", func(i int) []byte { return made(text("reference"), number(i), made(text("list"))) })
	add("reference backwards", func(i int) []byte { return made(text("reference"), number(1<<20-i), number(1)) })
	add("odd reference", func(i int) []byte { return made(text("reference"), number(i<<33), number(1)) })
	add("method", always(made(text("method"), text("f"), made(text("None")), made(text("class"), text("m.C")))))
	add("instance", always(made(text("instance"), made(text("class"), text("priced.Class")), number(1))))
	add("old instance", always(made(text("instance"), made(text("class"), text("priced.Other")), number(1))))
	return all
}

func pricedDecoder(t testing.TB) *jelly.Decoder {
	registry := jelly.NewRegistry()
	require.NoError(t, registry.Register("priced.Class", jelly.ClassEntry{New: func() any { return new(pricedClass) }}))
	taster := jelly.NewSecurityOptions().
		AllowBasicTypes().
		AllowReferences().
		AllowModules("m", "priced").
		AllowInstancesOf("m.C", "priced.Class", "priced.Other").
		AllowTypes("class", "module", "function", "method", "instance", "persistent", "unpersistable")
	return &jelly.Decoder{Registry: registry, Taster: taster, Limits: banana.Limits{Depth: 1 << 16}}
}

// costOf returns the scanner's cost of a frame.
func costOf(t testing.TB, frame []byte) int {
	t.Helper()
	var s banana.Scanner
	s.Init(banana.ProfilePB, banana.Limits{Depth: 1 << 16, Frame: 1 << 28})
	s.SetPrices(jelly.Prices())
	n, err := s.Next(frame)
	require.NoError(t, err)
	require.Equal(t, len(frame), n)
	return s.Cost()
}

// allocatedBy returns the bytes allocated to decode a frame, and to find its mentions if decoding fails.
func allocatedBy(t testing.TB, frame []byte) (bytes int, err error) {
	t.Helper()
	d := pricedDecoder(t)
	var r banana.Reader
	r.Reset(nil, banana.ProfilePB)
	var v any
	_ = d.Decode(&r, &v) // The taster is asked once.
	d.Reset()
	r.Reset(frame, banana.ProfilePB)
	again := r
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err = d.Decode(&r, &v); err != nil {
		refused := jelly.CountMentions(again, 1)
		list := make([]jelly.Mention, 0, refused)
		jelly.Mentions(&again, 1, func(m jelly.Mention) { list = append(list, m) })
		runtime.KeepAlive(list)
	}
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(v)
	runtime.KeepAlive(d)
	return int(after.TotalAlloc - before.TotalAlloc), err
}

// priceSlack allows for memory that serves several values, and for the runtime.
const priceSlack = 8 << 10

// TestPricesBoundEachKind: a thousand values of each kind, decoded, take no more than their cost.
func TestPricesBoundEachKind(t *testing.T) {
	const n = 3000
	for _, p := range pieces() {
		t.Run(p.name, func(t *testing.T) {
			elements := [][]byte{text("list")}
			for i := range n {
				if e := p.make(i + 1); len(e) < 2000 || i < 100 {
					elements = append(elements, e)
				}
			}
			frame := made(elements...)
			cost := costOf(t, frame)
			took, err := allocatedBy(t, frame)
			assert.LessOrEqual(t, took, cost+priceSlack)
			t.Logf(
				"%.1f bytes on the wire, %.1f taken, cost %.1f, error %v",
				float64(len(frame))/n,
				float64(took)/n,
				float64(cost)/n,
				err,
			)
			// As keys and values of dictionaries.
			for i, e := range elements[1:] {
				elements[i+1] = made(text(fmt.Sprint(i)), e)
			}
			elements[0] = text("dictionary")
			frame = made(elements...)
			took, _ = allocatedBy(t, frame)
			assert.LessOrEqual(t, took, costOf(t, frame)+priceSlack, "in a dictionary")
		})
	}
}

// TestPricesBoundAnyMix: nested and malformed messages of all kinds of values, too.
func TestPricesBoundAnyMix(t *testing.T) {
	kinds := pieces()
	names := []string{
		"list",
		"tuple",
		"dictionary",
		"set",
		"frozenset",
		"unicode",
		"remote",
		"reference",
		"instance",
		"priced.Class",
		"nonsense",
	}
	rapid.Check(t, func(rt *rapid.T) {
		i := 0
		var value func(depth int) []byte
		value = func(depth int) []byte {
			i++
			if depth == 0 || rapid.IntRange(0, 3).Draw(rt, "leaf") > 0 {
				return rapid.SampledFrom(kinds).Draw(rt, "kind").make(i)
			}
			elements := [][]byte{text(rapid.SampledFrom(names).Draw(rt, "head"))}
			for range rapid.IntRange(0, 12).Draw(rt, "length") {
				elements = append(elements, value(depth-1))
			}
			return made(elements...)
		}
		values := [][]byte{text("list")}
		for range 20 {
			values = append(values, value(6))
		}
		frame := made(values...)
		took, _ := allocatedBy(t, frame)
		if cost := costOf(t, frame); took > cost+priceSlack {
			rt.Fatalf("%d bytes were taken, the cost is %d", took, cost)
		}
	})
}

// TestDenseReferencesAreBounded: an id that a peer makes up costs no table of its size.
func TestDenseReferencesAreBounded(t *testing.T) {
	frame := made(
		text("list"),
		made(text("reference"), number(200_000), number(1)),
		text(strings.Repeat("x", 500_000)),
		text(strings.Repeat("x", 600_000)),
	)
	took, err := allocatedBy(t, frame)
	require.NoError(t, err)
	assert.LessOrEqual(t, took, costOf(t, frame)+priceSlack)
}

// TestPricesBoundArrays decodes arrays and converts each to the widest type of numbers. The price does not depend on
// how the frame is cut.
func TestPricesBoundArrays(t *testing.T) {
	const n = 1000
	for code, size := range map[string]int{
		"i1": 1, "i2": 2, "i4": 4, "i8": 8, "u1": 1, "u2": 2, "u4": 4, "u8": 8, "f4": 4, "f8": 8,
	} {
		for _, length := range []int{0, 1, 3, 100, 5000} {
			t.Run(fmt.Sprintf("%d of %s", length, code), func(t *testing.T) {
				count := n
				if length > 100 {
					count = 20
				}
				elements := [][]byte{text("list")}
				for range count {
					elements = append(elements, made(text("array"), text(code), text(strings.Repeat("\x01", length*size))))
				}
				frame := made(elements...)
				cost := arraysCost(t, frame, len(frame))
				assert.Equal(t, cost, arraysCost(t, frame, 1))

				d := pricedDecoder(t)
				var r banana.Reader
				var v any
				var before, after runtime.MemStats
				r.Reset(frame, banana.ProfilePB1)
				runtime.ReadMemStats(&before)
				require.NoError(t, d.Decode(&r, &v))
				var ints []int64
				var floats []float64
				for _, x := range v.([]any) {
					switch code[0] {
					case 'f':
						require.NoError(t, jelly.Assign(&floats, x))
					default:
						if code != "u1" { // It is bytes.
							require.NoError(t, jelly.Assign(&ints, x))
						}
					}
				}
				runtime.ReadMemStats(&after)
				const each = 192 // what a conversion takes besides the numbers
				assert.LessOrEqual(t, int(after.TotalAlloc-before.TotalAlloc), cost+count*each+priceSlack)
			})
		}
	}
}

// arraysCost returns the cost of a frame that arrives in pieces of a size.
func arraysCost(t testing.TB, frame []byte, size int) int {
	t.Helper()
	var s banana.Scanner
	s.Init(banana.ProfilePB1, banana.Limits{Depth: 1 << 16, Frame: 1 << 28})
	s.SetPrices(jelly.PricesOf(banana.ProfilePB1))
	for end := size; ; end += size {
		n, err := s.Next(frame[:min(end, len(frame))])
		require.NoError(t, err)
		if n > 0 {
			require.Equal(t, len(frame), n)
			return s.Cost()
		}
	}
}
