package interop

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/jelly"
)

func valueChecks() []clientCheck {
	return []clientCheck{
		{"types", "every plain type", func(t *testing.T, m *meeting) {
			huge := new(big.Int).Lsh(big.NewInt(1), 400)
			for _, v := range []any{nil, true, false, int64(0), int64(-1 << 31), int64(1 << 40), huge, 1.5, "text",
				[]byte("\x00list")} {
				assert.Equal(t, v, call[any](t, m.conn, "echo", v))
			}
			assert.Equal(t, []any{int64(1), jelly.Tuple{"a"}}, call[any](t, m.conn, "echo", []any{1, jelly.Tuple{"a"}}))
			assert.Equal(t, map[string]int{"a": 1}, call[map[string]int](t, m.conn, "echo", map[string]int{"a": 1}))
		}},
		{"types", "sets and decimals", func(t *testing.T, m *meeting) {
			set := call[*jelly.Set](t, m.conn, "echo", jelly.NewSet(1, "two"))
			assert.Equal(t, 2, set.Len())
			assert.True(t, set.Has("two"))
			for _, text := range []string{"1E+1000000000", "-12.50", "1E-1000000000", "1234567890.123456789"} {
				d, err := jelly.ParseDecimal(text)
				require.NoError(t, err)
				assert.True(t, d.Equal(call[*jelly.Decimal](t, m.conn, "echo", d)), text)
			}
		}},
		{"types", "integers of any size are added", func(t *testing.T, m *meeting) {
			half := new(big.Int).Lsh(big.NewInt(1), 446)
			assert.Equal(t, new(big.Int).Lsh(big.NewInt(1), 447), call[*big.Int](t, m.conn, "add", half, half))
		}},
		{"types", "a string of 640 KiB", func(t *testing.T, m *meeting) {
			blob := bytes.Repeat([]byte("0123456789abcdef"), 40<<10)
			assert.True(t, bytes.Equal(blob, call[[]byte](t, m.conn, "echo", blob)))
		}},
		{"types", "copies both ways", func(t *testing.T, m *meeting) {
			p := call[*point](t, m.conn, "point", 1, []any{"two"})
			assert.Equal(t, &point{X: int64(1), Y: []any{"two"}}, &point{X: p.X, Y: p.Y})
			assert.Equal(t, []any{int64(3), "four"}, call[[]any](t, m.conn, "takePoint", &point{X: 3, Y: "four"}))
			both := call[[]any](t, m.conn, "echo", []any{p, p})
			assert.Same(t, both[0], both[1])
		}},
	}
}

func graphChecks() []clientCheck {
	return []clientCheck{
		{"graphs", "circles", func(t *testing.T, m *meeting) {
			ring := []any{1, nil}
			ring[1] = ring
			got := call[[]any](t, m.conn, "echo", ring)
			inner, ok := got[1].([]any)
			require.True(t, ok)
			assert.Same(t, &got[0], &inner[0])
		}},
		{"graphs", "shared structure of 2^60 leaves", func(t *testing.T, m *meeting) {
			x := []any{"leaf"}
			for range 60 {
				x = []any{x, x}
			}
			got := call[[]any](t, m.conn, "echo", x)
			for range 60 {
				left, right := got[0].([]any), got[1].([]any)
				require.Same(t, &left[0], &right[0])
				got = left
			}
			assert.Equal(t, []any{"leaf"}, got)
		}},
		{"graphs", "two hundred levels", func(t *testing.T, m *meeting) {
			x := []any{}
			for range 200 {
				x = []any{x}
			}
			got, depth := call[[]any](t, m.conn, "echo", x), 0
			for ; len(got) > 0; depth++ {
				got = got[0].([]any)
			}
			assert.Equal(t, 200, depth)
		}},
		{"graphs", "a copy in a circle", func(t *testing.T, m *meeting) {
			p := &point{X: 1}
			p.Y = []any{p}
			got := call[*point](t, m.conn, "echo", p)
			assert.Same(t, got, got.Y.([]any)[0])
		}},
	}
}
