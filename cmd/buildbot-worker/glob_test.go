//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Python 3.11 returns the wanted paths.
func TestGlob(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.txt", "b.txt", ".hidden.txt", "sub/c.txt", "sub/deep/d.txt", "other/e.log", "odd/[",
		"odd/]", `odd/\q`, "odd/q", "odd/^", "odd/-"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o666))
	}
	require.NoError(t, os.Symlink("../sub", filepath.Join(dir, "other", "link")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "other", "dangling")))
	for pattern, want := range map[string][]string{
		"*.txt":           {"a.txt", "b.txt"},
		".*.txt":          {".hidden.txt"},
		"[!a].txt":        {"b.txt"},
		"*/?.txt":         {"sub/c.txt"},
		"**/*.txt":        {"a.txt", "b.txt", "other/link/c.txt", "other/link/deep/d.txt", "sub/c.txt", "sub/deep/d.txt"},
		"sub/**":          {"sub/", "sub/c.txt", "sub/deep", "sub/deep/d.txt"},
		"a.txt":           {"a.txt"},
		"a.txt/":          nil,
		"a.txt/x":         nil,
		"nothing*":        nil,
		"nothing/**":      {"nothing/"},
		"other/e*.l":      nil,
		"*/":              {"odd/", "other/", "sub/"},
		"other/*/":        {"other/link/"},
		"other/d*":        {"other/dangling"},
		"sub/**/":         {"sub/", "sub/deep/"},
		"sub/":            {"sub/"},
		"sub//*":          {"sub/c.txt", "sub/deep"},
		"*//c.txt":        {"sub/c.txt"},
		"sub//c.txt":      {"sub//c.txt"},
		"sub/../[a]*":     {"sub/../a.txt"},
		"odd/[":           {"odd/["},
		"odd/[[]":         {"odd/["},
		"odd/[]]":         {"odd/]"},
		"odd/[^q]":        {"odd/^", "odd/q"},
		"odd/[+--]":       {"odd/-"},
		"odd/[a-]":        {"odd/-"},
		`odd/\q`:          {`odd/\q`},
		`odd/\?`:          {`odd/\q`},
		"odd/[Z-a]":       {"odd/[", "odd/]", "odd/^"},
		"odd/*[!q]":       {"odd/-", "odd/[", "odd/]", "odd/^"},
		"**/deep/**":      {"other/link/deep/", "other/link/deep/d.txt", "sub/deep/", "sub/deep/d.txt"},
		"sub/d**p":        {"sub/deep"},
		"s*b/*ee*/*.*x*t": {"sub/deep/d.txt"},
	} {
		var got []string
		for _, path := range globbed(t, dir+"/"+pattern) {
			got = append(got, strings.TrimPrefix(path, dir+"/"))
		}
		assert.ElementsMatch(t, want, got, pattern)
	}
}

func TestGlobCyclicLinks(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"one", "two"} {
		require.NoError(t, os.Symlink(".", filepath.Join(dir, name)))
	}
	assert.Equal(t, []string{dir + "/", dir + "/one", dir + "/two"}, globbed(t, dir+"/**"))
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := glob(t.Context(), pattern)
	require.NoError(t, err)
	return found
}
