package bzip2

import (
	"bytes"
	"compress/bzip2"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func compress(t require.TestingT, pieces ...[]byte) []byte {
	var out bytes.Buffer
	w := NewWriter(&out)
	for _, p := range pieces {
		n, err := w.Write(p)
		require.NoError(t, err)
		require.Equal(t, len(p), n)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestStandardLibraryReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pieces [][]byte
		for range rapid.IntRange(0, 5).Draw(t, "pieces") {
			piece := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "piece")
			pieces = append(pieces, bytes.Repeat(piece, rapid.IntRange(0, 900).Draw(t, "times")))
		}
		got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(compress(t, pieces...))))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(bytes.Join(pieces, nil), got))
	})
}

func TestBzip2Reads(t *testing.T) {
	program, err := exec.LookPath("bzip2")
	if err != nil {
		t.Skip("bzip2 is not installed")
	}
	for name, text := range map[string][]byte{
		"nothing":    nil,
		"one":        []byte("x"),
		"a long run": bytes.Repeat([]byte("z"), 1_500_000),
		"a period":   bytes.Repeat([]byte("ab"), 200_000),
		"sentences":  bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog.\n"), 10_000),
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(program, "-dc")
			cmd.Stdin = bytes.NewReader(compress(t, text))
			got, err := cmd.Output()
			require.NoError(t, err)
			assert.True(t, bytes.Equal(text, got))
		})
	}
}
