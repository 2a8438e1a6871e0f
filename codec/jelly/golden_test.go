package jelly

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
	"github.com/perspectivebroker/pb/internal/stock"
)

// golden is testdata/golden.json, which stock Twisted made. Our code only reads it: to change it, change
// gen_golden.py and run it.
type golden struct {
	Provenance struct{ Script, Twisted, Python string }
	Values     []struct {
		Name, Group, Python string
		PB, None            hexBytes
	}
	Inputs []struct {
		Name  string
		Hex   hexBytes
		Stock struct {
			OK    *hexBytes
			Error string
		}
	}
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func readGolden(t testing.TB) (g golden) {
	text, err := os.ReadFile("testdata/golden.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &g))
	require.GreaterOrEqual(t, len(g.Values), 300)
	return g
}

// decodeAll decodes the only expression of a frame and binds nothing.
func decodeAll(d *Decoder, b []byte, p banana.Profile) (any, error) {
	var r banana.Reader
	r.Reset(b, p)
	d.Reset()
	var v any
	if err := d.Decode(&r, &v); err != nil {
		return nil, err
	}
	if len(r.Rest()) > 0 {
		return nil, assert.AnError
	}
	return v, nil
}

// encodeOne encodes one value without holes.
func encodeOne(t testing.TB, v any, p banana.Profile) []byte {
	t.Helper()
	f := NewFragment(Context{Profile: p})
	defer f.Free()
	require.NoError(t, f.Jelly(v))
	b, err := f.Append(nil, nil)
	require.NoError(t, err)
	require.Len(t, b, f.Len())
	return b
}

// format formats the expression in b, for comparison.
func format(t testing.TB, b []byte, p banana.Profile) string {
	t.Helper()
	expr, n, err := banana.DecodeExpr(b, p, banana.Limits{})
	require.NoError(t, err)
	require.Len(t, b, n)
	return banana.Format(expr)
}

// trusting accepts all classes of the golden vectors.
func trusting() *SecurityOptions {
	return NewSecurityOptions().AllowInstancesOf("golden.Thing", "golden.Other", "golden.Node", "builtins.ValueError")
}

// Stock's bytes are decoded and encoded to the same bytes, with the same order, sharing, cycles and reference ids.
func TestGoldenRoundTrip(t *testing.T) {
	d := Decoder{Taster: trusting()}
	for _, value := range readGolden(t).Values {
		t.Run(value.Name, func(t *testing.T) {
			for profile, want := range map[banana.Profile]hexBytes{banana.ProfilePB: value.PB, banana.ProfileNone: value.None} {
				v, err := decodeAll(&d, want, profile)
				require.NoError(t, err, value.Python)
				assert.Empty(t, d.Unbound())
				got := encodeOne(t, v, profile)
				if string(got) != string(want) {
					assert.Equal(t, format(t, want, profile), format(t, got, profile))
					t.Fatalf("the expressions are alike, the bytes are not: %x", got)
				}
			}
		})
	}
}

// Inputs are accepted and refused as by stock, except for the differences listed here.
func TestGoldenInputsMatchStock(t *testing.T) {
	differences := map[string]string{
		"persistent":                  "is a Persistent: Go programs can look at its id",
		"persistent without id":       "has no id to look at",
		"member twice":                "is kept as it was sent; the next peer removes it",
		"dictionary with a key twice": "is kept as it was sent; Get finds the last",
	}
	registry := NewRegistry()
	require.NoError(t, registry.Register("golden.Node", ClassEntry{New: func() any { return new(node) }}))
	d := Decoder{Registry: registry}
	for _, input := range readGolden(t).Inputs {
		t.Run(input.Name, func(t *testing.T) {
			v, err := decodeAll(&d, input.Hex, banana.ProfilePB)
			if why := differences[input.Name]; why != "" {
				t.Log("differs: it " + why)
				return
			}
			if input.Stock.OK == nil {
				require.Error(t, err, "stock says %s", input.Stock.Error)
				var insecure *InsecureJellyError
				assert.Equal(t, input.Stock.Error == "InsecureJelly", assert.ErrorAs(discard{}, err, &insecure), err.Error())
				return
			}
			require.NoError(t, err)
			if len(*input.Stock.OK) > 0 && !slices.ContainsFunc(d.Unbound(), (*Unbound).IsInstance) {
				assert.Equal(
					t,
					format(t, *input.Stock.OK, banana.ProfilePB),
					format(t, encodeOne(t, v, banana.ProfilePB), banana.ProfilePB),
				)
			}
		})
	}
}

type node struct {
	X int `pb:"x"`
}

// discard ignores the failure of an assertion.
type discard struct{}

func (discard) Errorf(string, ...any) {}

// The committed vectors are current.
func TestGoldenIsCurrent(t *testing.T) {
	stock.Require(t)
	out, err := exec.CommandContext(t.Context(), stock.Python, "testdata/gen_golden.py").Output()
	require.NoError(t, err)
	var fresh golden
	require.NoError(t, json.Unmarshal(out, &fresh))
	committed := readGolden(t)
	fresh.Provenance, committed.Provenance = struct{ Script, Twisted, Python string }{},
		struct{ Script, Twisted, Python string }{}
	assert.Equal(t, committed, fresh, "run: testdata/gen_golden.py > testdata/golden.json")
}
