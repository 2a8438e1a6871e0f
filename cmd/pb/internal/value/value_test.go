package value_test

import (
	"encoding/json"
	"math"
	"os/exec"
	"strings"
	"testing"

	"github.com/perspectivebroker/pb/cmd/pb/internal/value"
	"github.com/perspectivebroker/pb/codec/jelly"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func printed(t testing.TB, v any) string {
	t.Helper()
	s, err := value.Print(v)
	require.NoError(t, err)
	return s
}

func TestParseWord(t *testing.T) {
	for word, want := range map[string]string{
		"1": "1", "-2.5": "-2.5", "0x1F": "31", "1_000": "1000", "007": "'007'", "-0": "0", "1e3": "1000.0", ".5": "0.5",
		"123456789012345678901234567890": "123456789012345678901234567890", "1.2.3": "'1.2.3'", "+1": "'+1'", "-": "'-'",
		"'text'": "'text'", `"it's"`: `"it's"`, `b'\x00a'`: `b'\x00a'`, `'a\nb\t\u20ac\x1b'`: `'a\nb\t€\x1b'`,
		`"\ud83d\ude00"`: "'😀'", `"a\/b"`: "'a/b'", "[1, 2]": "[1, 2]", "[1,2,]": "[1, 2]", "[]": "[]",
		"(1, 'a')": "(1, 'a')", "(1)": "1", "(1,)": "(1,)", "()": "()", "{'k': 1}": "{'k': 1}", "{}": "{}",
		"{1, 2}": "{1, 2}", "set()": "set()", "set([1])": "{1}", "frozenset()": "frozenset()",
		"frozenset([1, 2])": "frozenset({1, 2})", "None": "None", "null": "None", "True": "True", "true": "True",
		"false": "False", "nan": "nan", "inf": "inf", "-inf": "-inf", "[nan, -inf]": "[nan, -inf]",
		"datetime(2024,1,2,3,4,5)":      "datetime(2024, 1, 2, 3, 4, 5)",
		"datetime(2024,1,2)":            "datetime(2024, 1, 2, 0, 0)",
		"datetime(2024,1,2,second=5)":   "datetime(2024, 1, 2, 0, 0, 5)",
		"date(2024, 2, 29)":             "date(2024, 2, 29)",
		"time(3,4,5,6)":                 "time(3, 4, 5, 6)",
		"timedelta(1, 2, 3)":            "timedelta(days=1, seconds=2, microseconds=3)",
		"timedelta(hours=-1)":           "timedelta(days=-1, seconds=82800)",
		"timedelta(seconds=0.5)":        "timedelta(microseconds=500000)",
		"timedelta(days=999999999)":     "timedelta(days=999999999)",
		"timedelta()":                   "timedelta(0)",
		"Decimal('1.5')":                "Decimal('1.5')",
		"Decimal('1E+5')":               "Decimal('1E+5')",
		"Decimal(3)":                    "Decimal('3')",
		"Decimal('-0.00000012')":        "Decimal('-1.2E-7')",
		`{"a": [1, null, {"b": true}]}`: "{'a': [1, None, {'b': True}]}",
		"hello":                         "'hello'", "": "''", "datetime": "'datetime'", "a[1]": "'a[1]'",
		"True!": "'True!'", "settle(": "'settle('",
		"a'b": `"a'b"`, `{(1, 2): 'x'}`: "{(1, 2): 'x'}", " 1": "' 1'",
	} {
		v, err := value.ParseWord(word)
		if assert.NoError(t, err, word) {
			assert.Equal(t, want, printed(t, v), word)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for word, want := range map[string]string{
		"[1, 2":                         "at character 6, at the end",
		"[1 2]":                         "at character 4",
		"[1, x]":                        "at character 5",
		"{[1]: 2}":                      "at character 2",
		"{'a': 1, 2}":                   "at character 11",
		"(1, 2]":                        "at character 6",
		"'abc":                          "at character 5",
		`'é\q'`:                         "at character 3",
		"b'é'":                          "at character 3",
		"[1] 2":                         "at character 5",
		"date(2023, 2, 29)":             "no such date",
		"date(2023)":                    "required",
		"date(1, 2, 3, 4)":              "at most 3",
		"date(1, 2, 3, year=4)":         "given twice",
		"date(1, 2, 3, dow=4)":          "no argument dow",
		"Decimal('x')":                  "decimal",
		"timedelta(days=1e300)":         "timedelta",
		"set([[1]])":                    "member",
		`'\ud800'`:                      "number",
		`'\xg0'`:                        "hexadecimal",
		strings.Repeat("[", 600):        "nested",
		"1" + strings.Repeat("0", 200):  "448",
		"1" + strings.Repeat("0", 2000): "digits",
		"ab\xff":                        "UTF-8",
		"'ab\xff'":                      "UTF-8",
		"[1, 2e]":                       "malformed",
		"[":                             "end",
		"datetime(":                     "missing",
	} {
		_, err := value.ParseWord(word)
		var syntax *value.SyntaxError
		if assert.ErrorAs(t, err, &syntax, word) {
			assert.Contains(t, err.Error(), want, word)
		}
	}
}

func TestKeyword(t *testing.T) {
	for word, want := range map[string][2]string{"a=1": {"a", "1"}, "a=b=c": {"a", "b=c"}, "_x1=": {"_x1", ""}} {
		name, v, ok := value.Keyword(word)
		assert.True(t, ok, word)
		assert.Equal(t, want, [2]string{name, v})
	}
	for _, word := range []string{"=a", "1a=2", "a b=2", "'a=b'", "a", "a-b=1", "\xff=1"} {
		_, _, ok := value.Keyword(word)
		assert.False(t, ok, word)
	}
}

func TestJSON(t *testing.T) {
	for word, want := range map[string]string{
		"[1, 2.0, 'a', null, true]":  `[1, 2.0, "a", null, true]`,
		"b'hi'":                      `{"$bytes": "aGk="}`,
		"(1,)":                       `{"$tuple": [1]}`,
		"{1}":                        `{"$set": [1]}`,
		"frozenset([1])":             `{"$frozenset": [1]}`,
		"{'a': 1}":                   `{"a": 1}`,
		"{1: 2}":                     `{"$dict": [[1, 2]]}`,
		"{'$ref': 2}":                `{"$dict": [["$ref", 2]]}`,
		"{'a': 1, 'a': 2}":           `{"$dict": [["a", 1], ["a", 2]]}`,
		"9007199254740992":           "9007199254740992",
		"9007199254740993":           `{"$int": "9007199254740993"}`,
		"100000000000000000000":      `{"$int": "100000000000000000000"}`,
		"nan":                        `{"$float": "nan"}`,
		"-inf":                       `{"$float": "-inf"}`,
		"1e300":                      "1e+300",
		"datetime(2024,1,2,3,4,5)":   `{"$datetime": "2024-01-02T03:04:05"}`,
		"datetime(2024,1,2,3,4,5,6)": `{"$datetime": "2024-01-02T03:04:05.000006"}`,
		"date(2024,1,2)":             `{"$date": "2024-01-02"}`,
		"time(3,4,5)":                `{"$time": "03:04:05"}`,
		"timedelta(1,2,3)":           `{"$timedelta": 86402.000003}`,
		"timedelta(seconds=-1)":      `{"$timedelta": -1}`,
		"Decimal('1.5')":             `{"$decimal": "1.5"}`,
		`'<\x1b\x9b"'`:               `"<\u001b\u009b\""`,
	} {
		v, err := value.ParseWord(word)
		require.NoError(t, err, word)
		got, err := value.JSON(v)
		require.NoError(t, err)
		assert.Equal(t, want, got, word)
		assert.True(t, json.Valid([]byte(got)), got)
	}
}

func TestPeerValues(t *testing.T) {
	loop := []any{nil}
	loop[0] = loop
	copied := &value.Copy{Class: "a.B", State: jelly.NewDict(jelly.Entry{Key: "x", Value: &value.Ref{ID: 3}})}
	cache := &value.Cache{ID: 2, Class: "evil\x1b[2J", State: nil}
	for _, c := range []struct {
		v          any
		text, json string
	}{
		{loop, "[<cycle>]", `[{"$cycle": true}]`},
		{copied, "<copy a.B {'x': <ref 3>}>", `{"$copy": "a.B", "state": {"x": {"$ref": 3}}}`},
		{cache, `<cache 2 'evil\x1b[2J' None>`, `{"$cache": "evil\u001b[2J", "id": 2, "state": null}`},
		{value.Opaque{Kind: "module", Text: "os"}, "<module 'os'>", `{"$module": "os"}`},
	} {
		assert.Equal(t, c.text, printed(t, c.v))
		got, err := value.JSON(c.v)
		require.NoError(t, err)
		assert.Equal(t, c.json, got)
	}
}

// TestSharedParts prints a value of some hundred bytes that mentions its parts 2^60 times.
func TestSharedParts(t *testing.T) {
	var v any = "x"
	for range 60 {
		v = []any{v, v}
	}
	for _, f := range []func(any) (string, error){value.Print, value.Pretty, value.JSON} {
		_, err := f(v)
		assert.ErrorIs(t, err, value.ErrTooLong)
	}
}

func TestPretty(t *testing.T) {
	v, err := value.ParseWord("{'short': [1, 2], 'long': [" + strings.Repeat("'twelve chars', ", 8) + "], 'one': (1,)}")
	require.NoError(t, err)
	text, err := value.Pretty(v)
	require.NoError(t, err)
	assert.Contains(t, text, "\n  'short': [1, 2],\n  'long': [\n    'twelve chars',\n")
	again, err := value.ParseWord(text)
	require.NoError(t, err)
	assert.Equal(t, printed(t, v), printed(t, again))
}

func TestNameAndLines(t *testing.T) {
	assert.Equal(t, "a.b_1", value.Name("a.b_1"))
	assert.Equal(t, `'a\x1b'`, value.Name("a\x1b"))
	assert.Equal(t, "''", value.Name(""))
	assert.Equal(t, "a\n\tb\\x1b[2J\\xff\\x9b", value.Lines("a\n\tb\x1b[2J\xff\u009b"))
}

// values generates values of every type that has a literal.
func values(depth int) *rapid.Generator[any] {
	words := rapid.SampledFrom([]string{
		"None", "True", "0", "-1", "1e100", "nan", "9999999999999999999999", "b'\\xff'", "date(1,1,1)", "time(1,2)",
		"timedelta(-1,2,3)", "datetime(2024,1,2,3,4,5,6)", "Decimal('-1.50E-20')", "set()", "frozenset([1])",
	})
	scalars := rapid.OneOf(
		rapid.Map(words, func(w string) any { v, _ := value.ParseWord(w); return v }),
		rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "?") }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return b }),
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
	)
	if depth == 0 {
		return scalars
	}
	inner := rapid.SliceOfN(values(depth-1), 0, 4)
	keys := rapid.SliceOfN(scalars.Filter(func(v any) bool { _, set := v.(*jelly.Set); return !set }), 0, 4)
	return rapid.OneOf(scalars,
		rapid.Map(inner, func(v []any) any { return v }),
		rapid.Map(inner, func(v []any) any { return jelly.Tuple(v) }),
		rapid.Map(keys, func(v []any) any { return jelly.NewSet(v...) }),
		rapid.Custom(func(t *rapid.T) any {
			d := []jelly.Entry{}
			for _, k := range keys.Draw(t, "keys") {
				d = append(d, jelly.Entry{Key: k, Value: values(depth-1).Draw(t, "value")})
			}
			return jelly.NewDict(d...)
		}),
	)
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		v := values(3).Draw(r, "value")
		text, err := value.Print(v)
		require.NoError(r, err)
		again, err := value.Parse(text, nil)
		require.NoError(r, err, text)
		got, err := value.Print(again)
		require.NoError(r, err)
		assert.Equal(r, text, got)
		pretty, err := value.Pretty(v)
		require.NoError(r, err)
		again, err = value.Parse(pretty, nil)
		require.NoError(r, err, pretty)
		got, err = value.Print(again)
		require.NoError(r, err)
		assert.Equal(r, text, got)
		text, err = value.JSON(v)
		require.NoError(r, err)
		assert.True(r, json.Valid([]byte(text)), text)
	})
}

// TestPythonReadsIt compares what is printed with what Python prints for the same text.
func TestPythonReadsIt(t *testing.T) {
	var texts []string
	for _, v := range []string{
		"[1, -2.5, 1e16, 1e-5, 123456789.0, 1e22, 0.0001]", `['it\'s', 'a"b', 'é\x9b\u200b', b'\x7f\'']`,
		"{'a': (1,), 'b': {1}, 'c': frozenset({2})}", "[None, True, ()]",
	} {
		parsed, err := value.ParseWord(v)
		require.NoError(t, err)
		texts = append(texts, printed(t, parsed))
	}
	out, err := exec.Command("/usr/bin/python3", append([]string{"-c",
		"import sys\nfor s in sys.argv[1:]: assert repr(eval(s)) == s, (repr(eval(s)), s)"}, texts...)...).CombinedOutput()
	if err != nil && out == nil {
		t.Skip("Python is missing")
	}
	require.NoError(t, err, "%s", out)
}

func TestFloatExtremes(t *testing.T) {
	for _, f := range []float64{math.MaxFloat64, math.SmallestNonzeroFloat64, math.Copysign(0, -1)} {
		again, err := value.ParseWord(printed(t, f))
		require.NoError(t, err)
		assert.Equal(t, math.Float64bits(f), math.Float64bits(again.(float64)))
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"[1, (2,), {'a': b'\\x00'}]", "date(2024,1,2)", "'\\ud83d\\ude00'", "{1,2}", "-inf"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := value.Parse(text, nil)
		if err != nil {
			var syntax *value.SyntaxError
			require.ErrorAs(t, err, &syntax)
			_ = err.Error()
			return
		}
		text = printed(t, v)
		again, err := value.Parse(text, nil)
		require.NoError(t, err, text)
		assert.Equal(t, text, printed(t, again))
	})
}
