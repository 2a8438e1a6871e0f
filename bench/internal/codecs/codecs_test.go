package codecs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/internal/stock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryCodecHandlesEveryValue(t *testing.T) {
	rows, err := Measure(t.Context(), t.Output(), 1, time.Millisecond)
	require.NoError(t, err)
	found := map[string]int{}
	for _, row := range rows {
		found[row.Name]++
		assert.Positive(t, row.NsPerOp, row.Workload)
		assert.Equal(t, row.Name == "twisted", row.Allocs == nil)
	}
	want := map[string]int{"ours": 10, "ours-typed": 8, "json": 10, "json-typed": 10, "gob": 10, "msgpack": 10, "msgpack-typed": 10}
	if _, err := stock.Version(); err == nil {
		want["twisted"] = 10
	}
	assert.Equal(t, want, found)
}

// Benchmarks run each step by itself, in any order: they find it by its name, and it needs none before it.
func TestEveryWorkStandsByItself(t *testing.T) {
	works, err := Works()
	require.NoError(t, err)
	found := map[string]bool{}
	for _, w := range works {
		assert.False(t, found[w.Name], "%s is there twice", w.Name)
		found[w.Name] = true
		assert.NoError(t, w.Do(), w.Name)
	}
	assert.Len(t, found, 68)
	assert.True(t, found["graph/decode/ours"])
	assert.False(t, found["graph/decode/ours-typed"])
}

// shell has a script in the place of stock Twisted; it answers requests, a line each.
func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

// small is the first value, of which a codec is soon done.
func small() []value { return values()[:1] }

// Most machines have no Twisted, many of them Python: ours is still measured there.
func TestStockIsLeftOutWhereItCannotBeHad(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		want    string
	}{
		"no Python":  {[]string{"/missing/python3"}, "codec: left out: starting stock Twisted: "},
		"no Twisted": {shell("echo no module named twisted >&2; exit 1"), "no module named twisted\ncodec: left out: stock Twisted: "},
		"nonsense":   {shell("read -r line; echo hello; cat >/dev/null"), "codec: left out: stock Twisted: invalid character 'h'"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			rows, err := measureAll(t.Context(), &log, c.command, small(), 1, time.Millisecond)
			require.NoError(t, err)
			assert.Contains(t, log.String(), c.want)
			assert.Len(t, rows, 14)
			for _, row := range rows {
				assert.NotEqual(t, "twisted", row.Name)
			}
		})
	}
}

// Times of encoding something else would be compared with ours.
func TestStockMustMakeOurBytes(t *testing.T) {
	_, err := measureAll(t.Context(), t.Output(), shell(`while read -r line; do echo '{"ns": 1, "size": 3, "crc": 7}'; done`), small(), 1, time.Millisecond)
	assert.ErrorContains(t, err, "encode of small: twisted: stock Twisted makes 3 bytes of small, we make ")
}

func TestStockThatDiesIsReported(t *testing.T) {
	_, err := measureAll(t.Context(), t.Output(), shell(`read -r line; echo '{}'; read -r line; exit 3`), small(), 1, time.Millisecond)
	assert.EqualError(t, err, "encode of small: twisted: stock Twisted: EOF")
}

// A value that some codec cannot handle is not measured without it.
func TestValuesThatCannotBeEncoded(t *testing.T) {
	ours, gob := small()[0], small()[0]
	ours.generic = make(chan int)
	gob.typed = make(chan int)
	_, err := measureAll(t.Context(), t.Output(), []string{"/missing/python3"}, []value{ours}, 1, time.Millisecond)
	assert.ErrorContains(t, err, "encode of small: ours: ")
	_, err = measureAll(t.Context(), t.Output(), []string{"/missing/python3"}, []value{gob}, 1, time.Millisecond)
	assert.ErrorContains(t, err, "gob")
}

// What had been measured when somebody pressed Ctrl-C is worth having.
func TestMeasuringCanBeInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, second := small()[0], small()[0]
	second.name = "interrupted"
	made := second.fresh
	second.fresh = func() any { // gob asks for one when it is prepared.
		cancel()
		return made()
	}
	rows, err := measureAll(ctx, t.Output(), []string{"/missing/python3"}, []value{first, second}, 1, time.Millisecond)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, rows, 14)
	assert.Equal(t, "codec-decode-small", rows[13].Workload)
}

func TestRepeatEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	for good := range 3 {
		_, _, err := repeat(func() error {
			if good--; good < 0 {
				return broken
			}
			return nil
		}, 0)
		assert.ErrorIs(t, err, broken)
	}
}
