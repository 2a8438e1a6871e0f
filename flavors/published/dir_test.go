package published_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perspectivebroker/pb/flavors/published"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDirKeepsLast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	d, err := published.NewDir(dir)
	require.NoError(t, err)
	key := published.Key{Service: "None", Perspective: "None", ID: "front"}
	_, err = d.Load(key)
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, text := range []string{"one", "", "a longer one"} {
		require.NoError(t, d.Save(key, []byte(text)))
		data, err := d.Load(key)
		require.NoError(t, err)
		require.Equal(t, text, string(data))
	}
	info, err := os.Stat(filepath.Join(dir, "None-None-front.pub"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")
}

func TestDirLimits(t *testing.T) {
	dir := t.TempDir()
	d, err := published.NewDir(dir, published.WithMaxState(10), published.WithMaxFiles(3))
	require.NoError(t, err)
	key := func(id int) published.Key { return published.Key{ID: fmt.Sprint(id)} }
	require.ErrorContains(t, d.Save(key(0), make([]byte, 11)), "11 bytes")
	for id := range 5 {
		require.NoError(t, d.Save(key(id), []byte("x")))
		old := time.Now().Add(time.Duration(id-10) * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(dir, fmt.Sprintf("--%d.pub", id)), old, old))
	}
	for id := range 5 {
		_, err := d.Load(key(id))
		assert.Equal(t, id >= 2, err == nil, "file %d: %v", id, err)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "--4.pub"), make([]byte, 11), 0o600))
	_, err = d.Load(key(4))
	require.ErrorContains(t, err, "more than 10 bytes")
	for _, option := range []published.DirOption{published.WithMaxState(0), published.WithMaxFiles(-1)} {
		_, err := published.NewDir(dir, option)
		require.Error(t, err)
	}
}

func TestDirSweep(t *testing.T) {
	dir := t.TempDir()
	crashed, young, other := filepath.Join(
		dir,
		".pub-1.tmp",
	), filepath.Join(
		dir,
		".pub-2.tmp",
	), filepath.Join(
		dir,
		"notes.txt",
	)
	for _, path := range []string{crashed, young, other} {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	old := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(crashed, old, old))
	require.NoError(t, os.Chtimes(other, old, old))
	_, err := published.NewDir(dir)
	require.NoError(t, err)
	assert.NoFileExists(t, crashed)
	assert.FileExists(t, young, "another process may be writing it")
	assert.FileExists(t, other)
}

func TestDirErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := published.NewDir(file)
	require.ErrorContains(t, err, file)
	dir := t.TempDir()
	d, err := published.NewDir(dir)
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir))
	require.Error(t, d.Save(published.Key{ID: "x"}, nil))
}

// Each key, whatever the peer chose, has a file of its own in the directory.
func TestDirFileNames(t *testing.T) {
	part := rapid.OneOf(
		rapid.SampledFrom(
			[]string{
				"",
				".",
				"..",
				"../..",
				"/etc/passwd",
				"a/b",
				`a\b`,
				"a-b",
				"-",
				"%2D",
				"%",
				"None",
				".hidden",
				"nul\x00",
				"con:",
				"é",
				strings.Repeat("x", 300),
				strings.Repeat("x", 301),
			},
		),
		rapid.StringN(0, 5, 20),
	)
	rapid.Check(t, func(rt *rapid.T) {
		parent, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		dir := filepath.Join(parent, "kept")
		d, err := published.NewDir(dir)
		require.NoError(rt, err)
		saved := map[published.Key][]byte{}
		for i := range rapid.IntRange(1, 8).Draw(rt, "saves") {
			key := published.Key{
				Service: part.Draw(rt, "service"), Perspective: part.Draw(rt, "perspective"), ID: part.Draw(rt, "id"),
			}
			saved[key] = []byte(fmt.Sprint(i))
			require.NoError(rt, d.Save(key, saved[key]))
		}
		for key, want := range saved {
			got, err := d.Load(key)
			require.NoError(rt, err)
			require.True(rt, bytes.Equal(want, got), "%q", key)
		}
		entries, err := os.ReadDir(parent)
		require.NoError(rt, err)
		require.Len(rt, entries, 1)
		entries, err = os.ReadDir(dir)
		require.NoError(rt, err)
		require.Len(rt, entries, len(saved))
	})
}
