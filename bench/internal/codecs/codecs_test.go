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

func TestMeasure(t *testing.T) {
	rows, err := Measure(t.Context(), t.Output(), 1, time.Millisecond)
	require.NoError(t, err)
	found := map[string]int{}
	for _, row := range rows {
		found[row.Name]++
		assert.Positive(t, row.NsPerOp, row.Workload)
		assert.Equal(t, row.Name == "twisted", row.Allocs == nil)
	}
	want := map[string]int{
		"ours": 10, "ours-typed": 8, "json": 10, "json-typed": 10, "gob": 10, "msgpack": 10, "msgpack-typed": 10,
	}
	if _, err := stock.Version(); err == nil {
		want["twisted"] = 10
	}
	assert.Equal(t, want, found)
}

// Each benchmark has a unique name and can run without the others.
func TestBenchmarks(t *testing.T) {
	benchmarks, err := Benchmarks()
	require.NoError(t, err)
	found := map[string]bool{}
	for _, w := range benchmarks {
		assert.False(t, found[w.Name], "duplicate %s", w.Name)
		found[w.Name] = true
		assert.NoError(t, w.Run(), w.Name)
	}
	assert.Len(t, found, 68)
	assert.True(t, found["graph/decode/ours"])
	assert.False(t, found["graph/decode/ours-typed"])
}

// shell returns a command that runs a shell script in place of stock Twisted.
func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

// small returns only the first value, which is fast to encode.
func small() []value { return values()[:1] }

// Without a working Twisted the other codecs are still measured.
func TestWithoutTwisted(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		want    string
	}{
		"no Python": {[]string{"/missing/python3"}, "codec: skipped: starting stock Twisted: "},
		"no Twisted": {
			shell("echo no module named twisted >&2; exit 1"),
			"no module named twisted\ncodec: skipped: stock Twisted: ",
		},
		"invalid": {
			shell("read -r line; echo hello; cat >/dev/null"), "codec: skipped: stock Twisted: invalid character 'h'",
		},
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

func TestTwistedEncodesDifferently(t *testing.T) {
	command := shell(`while read -r line; do echo '{"ns": 1, "size": 3, "crc": 7}'; done`)
	_, err := measureAll(t.Context(), t.Output(), command, small(), 1, time.Millisecond)
	const want = "encode of small: twisted: stock Twisted encodes small in 3 bytes that differ from our "
	assert.ErrorContains(t, err, want)
}

func TestTwistedExits(t *testing.T) {
	command := shell(`read -r line; echo '{}'; read -r line; exit 3`)
	_, err := measureAll(t.Context(), t.Output(), command, small(), 1, time.Millisecond)
	assert.EqualError(t, err, "encode of small: twisted: stock Twisted: EOF")
}

// A value that one codec cannot encode is an error.
func TestUnsupportedValue(t *testing.T) {
	ours, gob := small()[0], small()[0]
	ours.generic = make(chan int)
	gob.typed = make(chan int)
	_, err := measureAll(t.Context(), t.Output(), []string{"/missing/python3"}, []value{ours}, 1, time.Millisecond)
	assert.ErrorContains(t, err, "encode of small: ours: ")
	_, err = measureAll(t.Context(), t.Output(), []string{"/missing/python3"}, []value{gob}, 1, time.Millisecond)
	assert.ErrorContains(t, err, "gob")
}

// After an interrupt, the rows measured so far are returned.
func TestMeasureInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, second := small()[0], small()[0]
	second.name = "interrupted"
	newTyped := second.newTyped
	second.newTyped = func() any { // gobTask calls it first.
		cancel()
		return newTyped()
	}
	rows, err := measureAll(ctx, t.Output(), []string{"/missing/python3"}, []value{first, second}, 1, time.Millisecond)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, rows, 14)
	assert.Equal(t, "codec-decode-small", rows[13].Workload)
}

func TestRepeatError(t *testing.T) {
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
