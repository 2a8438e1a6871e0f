package sqlstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/cred/internal/daemon"
	"github.com/perspectivebroker/pb/cred/sqlstore"
	"github.com/perspectivebroker/pb/internal/freeport"
)

const masterPassword = "only-of-this-test"

// cluster is a PostgreSQL server of the test's own.
type cluster struct {
	*daemon.Daemon
	source string
}

func startPostgres(t *testing.T) cluster {
	t.Helper()
	const debian = "/usr/lib/postgresql/*/bin/"
	initdb := daemon.Find(t, "postgresql", "initdb", debian+"initdb")
	postgres := daemon.Find(t, "postgresql", "postgres", debian+"postgres")
	as := daemon.Unprivileged(t, "postgres")
	dir := daemon.Dir(t, as)
	data := filepath.Join(dir, "data")
	// The directory is private, so the file may be readable for the server's user.
	password := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(password, []byte(masterPassword), 0o644))
	daemon.Run(t, as, "", initdb, "-D", data, "-U", "pb", "-A", "scram-sha-256", "--pwfile="+password,
		"-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	at := freeport.Port(t)
	c := cluster{
		source: fmt.Sprintf("postgres://pb:%s@127.0.0.1:%d/postgres?sslmode=disable&connect_timeout=60",
			masterPassword, at),
	}
	c.Daemon = daemon.Start(t, as, "INT", postgres, "-D", data, "-k", dir, "-h", "127.0.0.1", "-p", fmt.Sprint(at),
		"-c", "fsync=off", "-c", "max_connections=20")
	c.Until(func() error {
		store, err := sqlstore.OpenPostgres(t.Context(), c.source)
		if err != nil {
			return err
		}
		return store.Close()
	})
	return c
}

func (c cluster) open(t testing.TB, opts ...sqlstore.Option) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.OpenPostgres(t.Context(), c.source, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, store.Close()) })
	require.NoError(t, store.CreateSchema(t.Context()))
	return store
}

func TestPostgres(t *testing.T) {
	c := startPostgres(t)
	testStore(t, c.open)

	t.Run("a table in a schema", func(t *testing.T) {
		store := c.open(t, sqlstore.WithTable("public.others"))
		require.NoError(t, store.SetUser(t.Context(), "alice", cred.MD5("sesame")))
		_, err := checker(t, store).Check(t.Context(), plain("alice", "sesame"))
		assert.NoError(t, err)
	})

	t.Run("custom query", func(t *testing.T) {
		store := c.open(t)
		for _, statement := range []string{
			"CREATE TABLE people (nick text, hash bytea, locked boolean)",
			"INSERT INTO people VALUES ('Alice', '{CLEARTEXT}sesame', false), ('Bob', '{CLEARTEXT}sesame', true)",
		} {
			_, err := store.DB().ExecContext(t.Context(), statement)
			require.NoError(t, err)
		}
		own, err := cred.NewSQL(store.DB(),
			"SELECT hash, nick FROM people WHERE lower(nick) = lower($1) AND NOT locked")
		require.NoError(t, err)
		id, err := own.Check(t.Context(), plain("ALICE", "sesame"))
		require.NoError(t, err)
		assert.Equal(t, cred.ID("Alice"), id)
		_, err = own.Check(t.Context(), plain("bob", "sesame"))
		wantRefused(t, err, cred.ReasonUnknown)
	})

	t.Run("wrong master password", func(t *testing.T) {
		_, err := sqlstore.OpenPostgres(t.Context(), c.source+"&password=not-it-at-all")
		require.ErrorContains(t, err, "does not answer")
		assert.NotContains(t, err.Error(), masterPassword)
		assert.NotContains(t, err.Error(), "not-it-at-all")
	})

	// Must be last: it ends the server.
	t.Run("the server goes away", func(t *testing.T) {
		users := checker(t, c.open(t))
		_, err := users.Check(t.Context(), plain("alice", "sesame"))
		wantRefused(t, err, cred.ReasonUnknown)
		c.Stop()
		_, err = users.Check(t.Context(), plain("alice", "sesame"))
		refused := wantRefused(t, err, cred.ReasonStore)
		assert.True(t, refused.Fault())
		assert.NotContains(t, refused.Log(), masterPassword)
	})
}

func TestPostgresRefuses(t *testing.T) {
	_, err := sqlstore.OpenPostgres(t.Context(), "postgres://pb:secret-in-url@127.0.0.1:port/x")
	require.ErrorContains(t, err, "invalid address of PostgreSQL")
	assert.NotContains(t, err.Error(), "secret-in-url")
	_, err = sqlstore.OpenPostgres(t.Context(), "host=127.0.0.1", sqlstore.WithTable("a.b.c"))
	assert.ErrorContains(t, err, "cannot be the name")
	_, err = sqlstore.OpenPostgres(
		t.Context(),
		fmt.Sprintf("postgres://pb:secret-in-url@127.0.0.1:%d/x", freeport.Port(t)),
	)
	require.ErrorContains(t, err, "does not answer")
	assert.NotContains(t, err.Error(), "secret-in-url")
}
