package banana

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Together with the golden words, which have Twisted's numbers, this checks that the vocabulary and its perfect hash
// are complete.
func TestLookupWords(t *testing.T) {
	taken := 0
	for s := Symbol(1); s <= lastSymbol; s++ {
		require.True(t, s.Valid())
		got, ok := LookupSymbol(s.String())
		assert.True(t, ok, s)
		assert.Equal(t, s, got)
		got, ok = LookupSymbol([]byte(s.String()))
		assert.True(t, ok, s)
		assert.Equal(t, s, got)
		assert.LessOrEqual(t, shortestWord, len(s.String()))
		assert.GreaterOrEqual(t, longestWord, len(s.String()))
	}
	for _, s := range slots {
		if s != 0 {
			taken++
		}
	}
	assert.Equal(t, int(lastSymbol), taken)
	assert.Equal(t, 31, taken)
}

func TestLookupOtherStrings(t *testing.T) {
	known := map[string]Symbol{}
	for s := Symbol(1); s <= lastSymbol; s++ {
		known[s.String()] = s
	}
	rapid.Check(t, func(t *rapid.T) {
		text := anyText().Draw(t, "text")
		want, isWord := known[string(text)]
		got, ok := LookupSymbol(text)
		assert.Equal(t, isWord, ok)
		assert.Equal(t, want, got)
	})
	for _, s := range []Symbol{0, 32, 255} {
		assert.False(t, s.Valid())
	}
	assert.Equal(t, "Symbol(32)", Symbol(32).String())
}

func TestLookupDoesNotAllocate(t *testing.T) {
	texts := [][]byte{[]byte("tuple"), []byte("tuplf"), []byte("not_logged_in"), []byte("x"), make([]byte, 100)}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for _, text := range texts {
			LookupSymbol(text)
		}
	}))
}

func TestKindNames(t *testing.T) {
	names := map[Kind]string{
		List: "list", Int: "int", String: "string", Neg: "neg", Float: "float",
		LongInt: "longint", LongNeg: "longneg", Vocab: "vocab", 0x88: "Kind(0x88)", 0: "Kind(0x0)",
	}
	for k, name := range names {
		assert.Equal(t, name, k.String())
	}
}

func TestProfileNames(t *testing.T) {
	for _, p := range allProfiles {
		got, ok := parseProfile([]byte(p.String()))
		assert.True(t, ok)
		assert.Equal(t, p, got)
	}
	for _, name := range []string{"", "PB", "pb ", "none\x00", "Profile(7)"} {
		_, ok := parseProfile([]byte(name))
		assert.False(t, ok, name)
	}
	assert.Equal(t, "Profile(7)", Profile(7).String())
}
