package jelly

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/codec/banana"
)

// team has fields that must be converted.
type team struct {
	Members []string          `pb:"members"`
	Motto   upper             `pb:"motto"`
	Rooms   map[string]string `pb:"rooms"`
}

// unjellied decodes a list of objects and creates them.
func unjellied(t *testing.T, class ClassEntry, members ...banana.Expr) (any, error) {
	r := NewRegistry()
	require.NoError(t, r.Register("m.Team", class))
	var v any
	d := decodeWith(t, r, append(x("list"), members...), &v)
	err := Unjelly(d.Unbound(), nil, nil)
	return v, err
}

func teams() ClassEntry { return ClassEntry{New: func() any { return new(team) }} }

func teamWith(key string, v banana.Expr) banana.Expr {
	return x("m.Team", x("dictionary", x(key, v)))
}

// A small frame must not become gigabytes: what many copies mention is converted once.
func TestCopiesConvertSharedOnce(t *testing.T) {
	const copies, names = 20_000, 20_000
	people := append(x("list"), repeat(names, str("moe"))...)
	rooms := append(x("dictionary"), repeat(names, x(str("attic"), str("moe")))...)
	exprs := x(x("reference", 1, people), x("reference", 2, rooms))
	exprs = append(exprs, repeat(copies, x("m.Team", x("dictionary",
		x("members", x("dereference", 1)), x("rooms", x("dereference", 2)))))...)
	before := live()
	v, err := unjellied(t, teams(), exprs...)
	require.NoError(t, err)
	assert.Less(t, live()-before, uint64(128<<20), "each copy with a list of its own would be gigabytes")
	made := v.([]any)[2:]
	first, last := made[0].(*team), made[copies-1].(*team)
	require.Len(t, last.Members, names)
	assert.Same(t, &first.Members[0], &last.Members[0], "what was one list is one slice")
	assert.Equal(t, map[string]string{"attic": "moe"}, last.Rooms)
}

// Parsed text cannot be shared. Text of each copy is parsed without a limit; text that copies share is limited.
func TestCopiesParseBoundedText(t *testing.T) {
	long := strings.Repeat("x", 1<<10)
	many := maxUnmarshalText/len(long) + 10
	v, err := unjellied(t, teams(), repeat(many, teamWith("motto", str(long)))...)
	require.NoError(t, err)
	assert.Equal(t, upper(strings.ToUpper(long)), v.([]any)[many-1].(*team).Motto)

	shared := append(x(x("reference", 1, str(long))), repeat(many, teamWith("motto", x("dereference", 1)))...)
	_, err = unjellied(t, teams(), shared...)
	assert.ErrorContains(t, err, "bytes of text would have to be parsed")
	_, err = unjellied(t, teams(), shared[:many/2]...)
	assert.NoError(t, err)
}

// Caches have actors of their own and share nothing; repeated conversions are limited.
func TestCachesConvertBoundedSharing(t *testing.T) {
	const names = 10_000
	cache := teams()
	cache.Kind = RemoteCache
	frame := func(caches int) []banana.Expr {
		exprs := x(x("reference", 1, append(x("list"), repeat(names, str("moe"))...)))
		for i := range caches {
			exprs = append(exprs, x("m.Team", i+1, x("dictionary", x("members", x("dereference", 1)))))
		}
		return exprs
	}
	v, err := unjellied(t, cache, frame(2)...)
	require.NoError(t, err)
	a, b := v.([]any)[1].(*team), v.([]any)[2].(*team)
	require.Len(t, a.Members, names)
	require.Equal(t, a.Members, b.Members)
	assert.NotSame(t, &a.Members[0], &b.Members[0])

	_, err = unjellied(t, cache, frame(maxAssignBytes/16/names+3)...)
	assert.ErrorContains(t, err, "bytes would have to be made room for")
}
