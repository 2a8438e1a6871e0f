package jelly

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

func TestRegistry(t *testing.T) {
	r := NewRegistry()
	entry := ClassEntry{New: func() any { return new(point) }}
	_, ok := r.Lookup("m.C")
	assert.False(t, ok)
	require.NoError(t, r.Register("m.C", entry))
	require.NoError(t, r.Register("plainTag", entry))
	assert.ErrorContains(t, r.Register("m.C", entry), `class "m.C" is registered already`)
	assert.ErrorContains(t, r.Register("", entry), "needs a name")
	assert.ErrorContains(t, r.Register("list", entry), `"list" is the name of a type of Jelly`)
	assert.ErrorContains(t, r.Register("unicode", entry), `"unicode" is the name of a type of Jelly`)
	assert.ErrorContains(t, r.Register("m.D", ClassEntry{}), "has no New function")
	assert.ErrorContains(t, r.Register(string(make([]byte, 2000)), entry), "is longer than 1024 bytes")
	assert.Error(t, r.RegisterTree("t", map[string]ClassEntry{"A": entry, "B": {}}))
	_, ok = r.Lookup("t.A")
	assert.False(t, ok, "all or none")
	require.NoError(t, r.RegisterTree("t", map[string]ClassEntry{"A": entry, "B": entry}))
	for _, class := range []string{"m.C", "plainTag", "t.A", "t.B"} {
		_, ok = r.Lookup(class)
		assert.True(t, ok, class)
	}
	require.NoError(
		t,
		r.RegisterPrefix("game", func(class string) (ClassEntry, bool) { return entry, class != "game.Not" }),
	)
	require.NoError(
		t,
		r.RegisterPrefix(
			"game.items",
			func(class string) (ClassEntry, bool) { return ClassEntry{Kind: RemoteCache, New: entry.New}, true },
		),
	)
	assert.ErrorContains(
		t,
		r.RegisterPrefix("game", func(string) (ClassEntry, bool) { return entry, true }),
		"is registered already",
	)
	assert.Error(t, r.RegisterPrefix("", nil))
	for class, want := range map[string]bool{
		"game.Orc": true, "game.Not": false, "games.Orc": false, "game": false, "game.items.Sword": true,
	} {
		_, ok = r.Lookup(class)
		assert.Equal(t, want, ok, class)
	}
	e, _ := r.Lookup("game.items.Sword")
	assert.Equal(t, RemoteCache, e.Kind, "the longest prefix wins")
	var none *Registry
	_, ok = none.Lookup("m.C")
	assert.False(t, ok)
}

func TestMentions(t *testing.T) {
	deep := banana.Expr(x("remote", 99))
	for range 5000 {
		deep = x("list", deep)
	}
	for name, c := range map[string]struct {
		e    banana.Expr
		want []Mention
	}{
		"everywhere": {x("list", x("remote", 1), x("reference", 7, x("remote", 2)),
			x("dictionary", x(x("remote", 3), x("remote", 4))),
			x("no.such.Class", x("dictionary", x(str("x"), x("remote", 5)))), x("set", x("cached", 6)), x("remote", 1)),
			[]Mention{{"remote", 1}, {"remote", 2}, {"remote", 3}, {"remote", 4}, {"remote", 5}, {"cached", 6}, {"remote", 1}}},
		"first mention of a cache": {x("some.Cache", 5, x("list", x("remote", 6))), []Mention{{"cache", 5}, {"remote", 6}}},
		"not data that looks like it": {x("list", x("unicode", x("remote", 1)), x("dictionary", x("remote", 1)),
			x("local", 3), x("lcache", 4),
			x("unpersistable", x("remote", 1)), x(5, x("remote", 1)), x(), x("None", x("remote", 1))), nil},
		"behind a method": {x("method", "f", x("remote", 1), x("class", "m.C")), []Mention{{"remote", 1}}},
		"ids that are none": {x("list", x("remote"), x("remote", "name"), x("remote", x("remote", 1)), x("reference"),
			x("remote", 2, x("remote", 3))), []Mention{{"remote", 2}}},
		"deeper than any limit": {deep, []Mention{{"remote", 99}}},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				r   banana.Reader
				got []Mention
			)
			frame := bin(t, c.e)
			r.Reset(append(frame, frame...), banana.ProfilePB)
			Mentions(&r, 1, func(m Mention) { got = append(got, m) })
			assert.Equal(t, c.want, got)
			assert.Equal(t, len(frame), r.Offset())
			for cut := 0; cut < len(frame); cut += 1 + len(frame)/50 {
				r.Reset(frame[:cut], banana.ProfilePB)
				Mentions(&r, 1, func(Mention) {})
			}
		})
	}
}

func TestRegistryOver(t *testing.T) {
	base := NewRegistry()
	over := NewRegistryOver(base)
	require.NoError(t, over.Register("mine.only", ClassEntry{Kind: Reference}))
	require.NoError(t, base.Register("both.later", ClassEntry{Kind: Reference}))
	_, ok := over.Lookup("mine.only")
	assert.True(t, ok)
	_, ok = over.Lookup("both.later")
	assert.True(t, ok)
	_, ok = base.Lookup("mine.only")
	assert.False(t, ok)
	_, ok = NewRegistryOver(nil).Lookup("both.later")
	assert.False(t, ok)
}
