package banana

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// golden is testdata/golden.json, which stock Twisted made. Our code only reads it: to change it, change
// gen_golden.py and run it.
type golden struct {
	Provenance struct{ Script, Twisted, Python string }
	Encode     []struct {
		Name     string
		Value    jsonValue
		PB, None stockEncoded
	}
	Decode []struct {
		Name     string
		Hex      hexBytes
		PB, None stockDecoded
	}
	Offers []struct {
		Name  string
		Hex   hexBytes
		Stock struct {
			Error, Profile string
			Sent           hexBytes
			Lost           bool
		}
	}
	Choices []struct {
		Name  string
		Hex   hexBytes
		Stock struct {
			Error, Profile string
			Offer          hexBytes
			Lost           bool
		}
	}
}

type stockEncoded struct {
	Hex   hexBytes
	Error string
}

type stockDecoded struct {
	Values     []jsonValue
	Incomplete bool
	Error      string
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// jsonValue is an expression in the notation of gen_golden.py. It can be compared: floats are their bits.
type jsonValue map[string]any

func toJSONValue(e Expr) jsonValue {
	switch v := e.(type) {
	case int64:
		return jsonValue{"int": strconv.FormatInt(v, 10)}
	case *big.Int:
		return jsonValue{"int": v.String()}
	case float64:
		return jsonValue{"float": hex.EncodeToString(AppendFloat(nil, v)[1:])}
	case []byte:
		return jsonValue{"bytes": hex.EncodeToString(v)}
	case []Expr:
		list := []any{}
		for _, element := range v {
			list = append(list, map[string]any(toJSONValue(element)))
		}
		return jsonValue{"list": list}
	}
	panic("no such value in a test")
}

func toJSONValues(exprs []Expr) []jsonValue {
	values := []jsonValue{}
	for _, e := range exprs {
		values = append(values, toJSONValue(e))
	}
	return values
}

func (v jsonValue) expr(t testing.TB) Expr {
	t.Helper()
	require.Len(t, v, 1)
	if text, ok := v["int"].(string); ok {
		n, ok := new(big.Int).SetString(text, 10)
		require.True(t, ok, text)
		if n.IsInt64() {
			return n.Int64()
		}
		return n
	}
	if text, ok := v["float"].(string); ok {
		bits, err := strconv.ParseUint(text, 16, 64)
		require.NoError(t, err)
		return math.Float64frombits(bits)
	}
	if text, ok := v["bytes"].(string); ok {
		b, err := hex.DecodeString(text)
		require.NoError(t, err)
		return b
	}
	elements := []Expr{}
	for _, element := range v["list"].([]any) {
		elements = append(elements, jsonValue(element.(map[string]any)).expr(t))
	}
	return elements
}

func parseGolden(t testing.TB, text []byte) (g golden) {
	t.Helper()
	require.NoError(t, json.Unmarshal(text, &g))
	return g
}

func loadGolden(t testing.TB) golden {
	t.Helper()
	text, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	g := parseGolden(t, text)
	require.NotEmpty(t, g.Provenance.Twisted)
	require.NotEmpty(t, g.Encode)
	require.NotEmpty(t, g.Decode)
	return g
}

// stockPython is the interpreter with Twisted.
const stockPython = "/usr/bin/python3"

// needStock skips the test if stock Twisted is not installed.
func needStock(t testing.TB) {
	t.Helper()
	if err := exec.Command(stockPython, "-c", "import twisted.spread.banana").Run(); err != nil {
		t.Skipf("SKIPPED: needs %s with Twisted (Debian: python3-twisted): %v", stockPython, err)
	}
}

func TestGoldenIsCurrent(t *testing.T) {
	needStock(t)
	text, err := exec.Command(stockPython, "testdata/gen_golden.py").Output()
	require.NoError(t, err)
	fresh, committed := parseGolden(t, text), loadGolden(t)
	t.Logf("committed: %+v, here: %+v", committed.Provenance, fresh.Provenance)
	fresh.Provenance = committed.Provenance
	assert.Equal(t, committed, fresh)
}

func TestEncodeMatchesStock(t *testing.T) {
	for _, c := range loadGolden(t).Encode {
		for p, want := range map[Profile]stockEncoded{ProfilePB: c.PB, ProfileNone: c.None} {
			t.Run(c.Name+"/"+p.String(), func(t *testing.T) {
				got, err := EncodeExpr(p, c.Value.expr(t))
				if want.Error != "" {
					var refused *EncodeError
					require.ErrorAs(t, err, &refused)
					assert.Empty(t, got)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, []byte(want.Hex), got)

				// The round trip keeps the value.
				e, n, err := DecodeExpr(got, p, Limits{})
				require.NoError(t, err)
				assert.Equal(t, len(got), n)
				assert.Equal(t, c.Value, toJSONValue(e))
			})
		}
	}
}

// decodeStream feeds a stream to a Scanner in chunks and builds what it finds.
func decodeStream(p Profile, l Limits, chunks ...[]byte) (values []Expr, rest int, err error) {
	var (
		s   Scanner
		buf []byte
	)
	s.Init(p, l)
	for _, chunk := range chunks {
		buf = append(buf, chunk...)
		for {
			n, err := s.Next(buf)
			if err != nil {
				return values, len(buf), err
			}
			if n == 0 {
				break
			}
			e, m, err := DecodeExpr(buf[:n], p, l)
			if err != nil {
				return values, len(buf), err
			}
			if m != n {
				panic("a frame holds one expression")
			}
			values = append(values, e)
			buf = buf[n:]
		}
	}
	return values, len(buf), nil
}

func bytewise(stream []byte) (chunks [][]byte) {
	for i := range stream {
		chunks = append(chunks, stream[i:i+1])
	}
	return chunks
}

// assertAsStock compares our result for a stream with stock's.
func assertAsStock(t testing.TB, want stockDecoded, values []Expr, rest int, err error) {
	t.Helper()
	if want.Values == nil {
		want.Values = []jsonValue{}
	}
	assert.Equal(t, want.Values, toJSONValues(values))
	if want.Error != "" {
		assert.Error(t, err, "stock: %s", want.Error)
		return
	}
	if assert.NoError(t, err) {
		assert.Equal(t, want.Incomplete, rest > 0, "incomplete")
	}
}

func TestDecodeMatchesStock(t *testing.T) {
	for _, c := range loadGolden(t).Decode {
		for p, want := range map[Profile]stockDecoded{ProfilePB: c.PB, ProfileNone: c.None} {
			t.Run(c.Name+"/"+p.String(), func(t *testing.T) {
				values, rest, err := decodeStream(p, Limits{}, c.Hex)
				assertAsStock(t, want, values, rest, err)

				values, rest, again := decodeStream(p, Limits{}, bytewise(c.Hex)...)
				assertAsStock(t, want, values, rest, again)
				assert.Equal(t, err, again, "the error depends on the chunks")
			})
		}
	}
}

func TestOffersMatchStock(t *testing.T) {
	for _, c := range loadGolden(t).Offers {
		t.Run(c.Name, func(t *testing.T) {
			p, err := ChooseProfile(c.Hex)
			if c.Stock.Lost || c.Stock.Error != "" {
				assert.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.Stock.Profile, p.String())
			assert.Equal(t, []byte(c.Stock.Sent), AppendChoice(nil, p))
		})
	}
}

func TestChoicesMatchStock(t *testing.T) {
	for _, c := range loadGolden(t).Choices {
		t.Run(c.Name, func(t *testing.T) {
			assert.Equal(t, []byte(c.Stock.Offer), AppendOffer(nil))
			p, err := ParseChoice(c.Hex)
			if c.Stock.Lost || c.Stock.Error != "" {
				assert.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.Stock.Profile, p.String())
		})
	}
}
