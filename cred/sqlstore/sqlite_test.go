package sqlstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/cred/sqlstore"
)

func openSQLite(path string) opened {
	return func(t testing.TB, opts ...sqlstore.Option) *sqlstore.Store {
		t.Helper()
		store, err := sqlstore.OpenSQLite(t.Context(), path, opts...)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, store.Close()) })
		require.NoError(t, store.CreateSchema(t.Context()))
		return store
	}
}

func TestSQLite(t *testing.T) {
	testStore(t, openSQLite(filepath.Join(t.TempDir(), "users.db")))
}

// TestSQLiteFile: the file persists, whatever its name, and only its owner can read it.
func TestSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users ?#%20&.db")
	store := openSQLite(path)(t)
	require.NoError(t, store.SetUser(t.Context(), "alice", cred.MD5("sesame")))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	// A second store, like another process.
	second := openSQLite(path)(t)
	_, err = checker(t, second).Check(t.Context(), plain("alice", "sesame"))
	assert.NoError(t, err)
	require.NoError(t, second.SetUser(t.Context(), "alice", cred.MD5("bread")))
	_, err = checker(t, store).Check(t.Context(), plain("alice", "bread"))
	assert.NoError(t, err)
}

func TestSQLiteRefuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.db")
	require.NoError(
		t,
		os.WriteFile(broken, []byte("this is no database, though it is long enough to be taken for one at a glance"), 0o600),
	)
	good := filepath.Join(t.TempDir(), "users.db")
	for _, c := range []struct {
		path string
		opts []sqlstore.Option
		says string
	}{
		{"", nil, "the path of a file"},
		{":memory:", nil, "cred.NewInMemory"},
		{t.TempDir(), nil, "is a directory"},
		{filepath.Join(t.TempDir(), "no", "users.db"), nil, "no such file"},
		{broken, nil, "not a database"},
		{good, []sqlstore.Option{sqlstore.WithTable("users; --")}, "cannot be the name"},
		{good, []sqlstore.Option{sqlstore.WithTable("")}, "cannot be the name"},
		{good, []sqlstore.Option{sqlstore.WithMaxConns(0)}, "at least one"},
		{good, []sqlstore.Option{sqlstore.WithColumn(0)}, "no cred.Column 0"},
	} {
		_, err := sqlstore.OpenSQLite(t.Context(), c.path, c.opts...)
		assert.ErrorContains(t, err, c.says)
	}
}
