package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBadArguments(t *testing.T) {
	good := []string{"-etcd", "http://x", "-ca", "x", "-cert", "x", "-key", "x", "-cred", "a=b"}
	_, err := parse(good)
	require.NoError(t, err)
	for want, args := range map[string][]string{
		"either -etcd URL or -embedded DIR": good[2:],
		"-ca, -cert and -key":               append([]string{"-ca", ""}, append(good[:2:2], good[4:]...)...),
		"at least one -cred":                good[:8],
		"USER=PASSWORD":                     append(good[:8:8], "-cred", "a"),
		`unexpected argument "more"`:        append(good[:10:10], "more"),
		"-nonsense":                         {"-nonsense"},
	} {
		_, err := parse(args)
		require.ErrorContains(t, err, want)
	}
	both := append(good[:10:10], "-embedded", "x")
	_, err = parse(both)
	require.ErrorContains(t, err, "either -etcd URL or -embedded DIR")
}

// TestBoardsAreBounded fills boards beyond their limits.
func TestBoardsAreBounded(t *testing.T) {
	var all boards
	b := &board{all: &all}
	for range maxItems + 5 {
		require.True(t, b.keep("x"))
	}
	require.Len(t, b.items, maxItems)
	require.Equal(t, maxItems*(1+itemBytes), all.bytes)

	large := strings.Repeat("x", maxBoardBytes/4)
	for range 10 {
		require.True(t, b.keep(large))
	}
	require.Len(t, b.items, 3)
	require.False(t, b.keep(strings.Repeat("x", maxBoardBytes)), "it is larger than any board")

	var others []*board
	for {
		other := &board{all: &all}
		if !other.keep(large) {
			break
		}
		others = append(others, other)
		require.LessOrEqual(t, all.bytes, maxBoards)
	}
	require.True(t, b.keep("new"), "a board makes room with its own items")
	for _, o := range append(others, b) {
		o.drop(len(o.items))
	}
	require.Zero(t, all.bytes)
	b.closed = true
	require.False(t, b.keep("x"))
}
