//go:build unix

package main

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/codec/jelly"
)

func TestDecoder(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []string
		want   string
	}{
		"across pieces":           {[]string{"gr\xc3", "\xbc\xc3", "\x9fe"}, "grüße"},
		"four bytes, one by one":  {[]string{"\xf0", "\x9f", "\x98", "\x80"}, "😀"},
		"not UTF-8":               {[]string{"a\xffb"}, "a\uFFFDb"},
		"a beginning is one mark": {[]string{"\xe2\x82 x"}, "\uFFFD x"},
		"unfinished at the end":   {[]string{"x\xe2", "\x82"}, "x\uFFFD"},
		"a surrogate":             {[]string{"\xed\xa0\x80"}, "\uFFFD\uFFFD\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			var d decoder
			got := ""
			for _, p := range c.pieces {
				got += d.text([]byte(p))
			}
			assert.Equal(t, c.want, got+d.end())
		})
	}
}

// The text does not depend on how the stream is cut.
func TestDecoderPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.SliceOf(rapid.SampledFrom([]byte("a\x80\xbf\xc3\xe2\x82\xac\xf0\x9f\xff"))).Draw(t, "bytes")
		var one, many decoder
		want := one.text(whole) + one.end()
		got := ""
		for rest := whole; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			got += many.text(rest[:n])
			rest = rest[n:]
		}
		assert.Equal(t, want, got+many.end())
		assert.True(t, utf8.ValidString(want))
	})
}

func TestLines(t *testing.T) {
	long := strings.Repeat("ü", longLine) // more bytes than characters
	for name, c := range map[string]struct {
		pieces []string
		want   []string // what each piece completes, and the rest
	}{
		"held until the end": {[]string{"a", "b\nc"}, []string{"", "ab\n", "c\n"}},
		"carriage returns":   {[]string{"a\r\nb\rc\r", "\nd"}, []string{"a\nb\n", "c\n", "d\n"}},
		"nothing":            {[]string{""}, []string{"", ""}},
		"cursor movements":   {[]string{"a\x1b[2Jb\x1b[3;4Hc\x08\x08d\n"}, []string{"a\nb\nc\nd\n", ""}},
		"colours stay":       {[]string{"\x1b[31mred\x1b[0m\n"}, []string{"\x1b[31mred\x1b[0m\n", ""}},
		"just short enough":  {[]string{long, "\n"}, []string{"", long + "\n", ""}},
		"long with an end":   {[]string{long + "x\n"}, []string{long + "\nx\n", ""}},
		"long without":       {[]string{long + long + "x"}, []string{long + "\n" + long + "\n", "x\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			var l lines
			var got []string
			for _, p := range c.pieces {
				got = append(got, l.whole(p))
			}
			assert.Equal(t, c.want, append(got, l.rest()))
		})
	}
}

// Messages carry the output in order, and none is too large.
func TestOutbox(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o outbox
		o.open()
		want, got := map[string]string{}, map[string]string{}
		take := func() {
			for o.canSend() {
				size := 0
				for _, one := range o.first() {
					for key, value := range one.([]any)[0].(map[string]any) {
						switch value := value.(type) {
						case string:
							got[key] += value
							size += len(value)
						case jelly.Tuple:
							got[value[0].(string)] += value[1].(string)
							size += len(value[1].(string))
						}
					}
				}
				require.LessOrEqual(t, size, flushSize+2*chunk)
				o.sent()
				o.answered()
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "updates") {
			text := strings.Repeat(
				rapid.SampledFrom([]string{"line\n", "no end", "x"}).Draw(t, "text"),
				rapid.IntRange(1, 2000).Draw(t, "times"),
			)
			u := rapid.SampledFrom([]update{{key: "stdout"}, {key: "stderr"}, {key: "log", log: "extra"}}).Draw(t, "stream")
			u.text = text
			o.add(u)
			stream := u.key
			if u.log != "" {
				stream = u.log
			}
			want[stream] += text
			if rapid.Bool().Draw(t, "take") {
				take()
			}
		}
		o.breakLines()
		o.seal()
		take()
		require.True(t, o.empty())
		for stream, text := range want {
			// TestLines covers long lines.
			assert.Equal(t, strings.ReplaceAll(text, "\n", ""), strings.ReplaceAll(got[stream], "\n", ""))
		}
	})
}

func TestJoin(t *testing.T) {
	for want, parts := range map[string][]string{
		"/base/b/build": {"/base", "b", "build"},
		"/abs":          {"/base", "/abs"},
		"/base/b/":      {"/base", "b", ""},
		"/base/b/../c":  {"/base/", "b", "../c"},
	} {
		assert.Equal(t, want, join(parts...))
	}
	assert.Equal(t, "a", parent("a/b"))
	assert.Equal(t, "/", parent("/x"))
	t.Setenv("HOME", "/home/me")
	assert.Equal(t, "/home/me/x", home("~/x"))
	assert.Equal(t, "/home/me", home("~"))
	assert.Equal(t, "a~/x", home("a~/x"))
	assert.Equal(t, "~nobody-of-that-name/x", home("~nobody-of-that-name/x"))
}

func TestPython(t *testing.T) {
	for want, v := range map[string]any{
		`None`: nil, `True`: true, `20`: int64(20), `1.5`: 1.5, `2.0`: 2.0, `1234567.0`: 1234567.0, `1e+20`: 1e20,
		`1e-05`: 1e-5, `-0.0`: math.Copysign(0,
			-1), `inf`: math.Inf(1), `-inf`: math.Inf(-1), `nan`: math.NaN(), `'it'`: "it", `"it's"`: "it's",
		`'a\n\\ü'`:      "a\n\\ü",
		`b'gr\xc3\xbc'`: []byte("grü"), `['a', 1]`: []any{"a",
			int64(1)}, `('a',)`: jelly.Tuple{"a"}, `(1, 2)`: jelly.Tuple{int64(1), int64(2)},
		`{'a': 'b'}`: jelly.NewDict(jelly.Entry{Key: "a", Value: "b"}),
	} {
		assert.Equal(t, want, python(v))
	}
}
