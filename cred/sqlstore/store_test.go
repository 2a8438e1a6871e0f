package sqlstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/perspectivebroker/pb/cred"
	"github.com/perspectivebroker/pb/cred/sqlstore"
)

// weak returns a cheap hasher for tests.
func weak(opts ...cred.HasherOption) *cred.Hasher {
	return cred.NewHasher(append([]cred.HasherOption{
		cred.WithArgon2id(cred.Argon2idParams{MemoryKiB: 64, Time: 1, Threads: 1}),
	}, opts...)...)
}

func wantRefused(t testing.TB, err error, reason cred.Reason) *cred.Refused {
	t.Helper()
	var refused *cred.Refused
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, reason, refused.Reason(), refused.Log())
	return refused
}

func plain(name string, password cred.Secret) cred.UsernamePassword {
	return cred.UsernamePassword{Username: name, Password: password}
}

// opened opens a database with a new table.
type opened func(t testing.TB, opts ...sqlstore.Option) *sqlstore.Store

func checker(t testing.TB, store *sqlstore.Store, opts ...cred.SQLOption) *cred.SQL {
	t.Helper()
	c, err := store.Checker(append([]cred.SQLOption{cred.WithQueryTimeout(time.Minute)}, opts...)...)
	require.NoError(t, err)
	return c
}

// testStore tests what holds for every database.
func testStore(t *testing.T, open opened) {
	t.Run("users", func(t *testing.T) { testUsers(t, open) })
	t.Run("model", func(t *testing.T) { testModel(t, open) })
	t.Run("challenges", func(t *testing.T) { testChallenges(t, open) })
	t.Run("concurrent", func(t *testing.T) { testConcurrent(t, open) })
	t.Run("failures", func(t *testing.T) { testFailures(t, open) })
}

func testUsers(t *testing.T, open opened) {
	ctx, h := t.Context(), weak()
	store := open(t, sqlstore.WithTable("some_users"), nil)
	require.NoError(t, store.CreateSchema(ctx), "may be called again")
	argon, err := h.Argon2id(ctx, "sesame")
	require.NoError(t, err)
	bcrypt, err := h.Bcrypt(ctx, "bread", 4)
	require.NoError(t, err)
	long := strings.Repeat("ü", cred.MaxUsernameBytes/2)
	for name, entry := range map[string]cred.Entry{
		"alice": argon, "bob": bcrypt, "o'brien; DROP TABLE some_users; --": cred.Plaintext("x"), long: cred.MD5("y"),
		"Größe %_": cred.MD5("z"),
	} {
		require.NoError(t, store.SetUser(ctx, name, entry), name)
	}
	c := checker(t, store, cred.WithHasher(h))
	for _, a := range []struct {
		name     string
		password cred.Secret
		reason   cred.Reason
	}{
		{"alice", "sesame", ""},
		{"bob", "bread", ""},
		{"o'brien; DROP TABLE some_users; --", "x", ""},
		{long, "y", ""},
		{"Größe %_", "z", ""},
		{"alice", "bread", cred.ReasonWrong},
		{"Alice", "sesame", cred.ReasonUnknown},
		{"ALICE", "sesame", cred.ReasonUnknown},
		{"alice ", "sesame", cred.ReasonUnknown},
		{"alic_", "sesame", cred.ReasonUnknown},
		{"%", "sesame", cred.ReasonUnknown},
		{"x' OR '1'='1", "sesame", cred.ReasonUnknown},
		{"\xff\xfe", "sesame", cred.ReasonMalformed},
		{"a\x00", "sesame", cred.ReasonMalformed},
	} {
		id, err := c.Check(ctx, plain(a.name, a.password))
		if a.reason != "" {
			wantRefused(t, err, a.reason)
			continue
		}
		require.NoError(t, err, a.name)
		assert.Equal(t, cred.ID(a.name), id)
	}
	for _, name := range []string{"", "\xff", "a\nb"} {
		assert.Error(t, store.SetUser(ctx, name, argon))
	}
	assert.ErrorContains(t, store.SetUser(ctx, "carol", nil), "password entry")
}

// testModel compares the table with a map.
func testModel(t *testing.T, open opened) {
	ctx := context.Background()
	store := open(t, sqlstore.WithTable("model_users"))
	c := checker(t, store)
	name := rapid.SampledFrom([]string{"alice", "Alice", "bob"})
	password := rapid.SampledFrom([]cred.Secret{"sesame", "bread"})
	rapid.Check(t, func(t *rapid.T) {
		model := map[string]cred.Secret{}
		if _, err := store.DB().ExecContext(ctx, "DELETE FROM model_users"); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				n, p := name.Draw(t, "name"), password.Draw(t, "password")
				if err := store.SetUser(ctx, n, cred.MD5(p)); err != nil {
					t.Fatal(err)
				}
				model[n] = p
			},
			"remove": func(t *rapid.T) {
				n := name.Draw(t, "name")
				_, there := model[n]
				if removed, err := store.RemoveUser(ctx, n); err != nil || removed != there {
					t.Fatalf("removed %s: %v, %v", n, removed, err)
				}
				delete(model, n)
			},
			"log in": func(t *rapid.T) {
				n, p := name.Draw(t, "name"), password.Draw(t, "password")
				want, there := model[n]
				if _, err := c.Check(ctx, plain(n, p)); (there && want == p) != (err == nil) {
					t.Fatalf("%s with %q: %v", n, string(p), err)
				}
			},
		})
	})
}

// testChallenges: a table for logins of stock Twisted.
func testChallenges(t *testing.T, open opened) {
	ctx := t.Context()
	for column, entry := range map[cred.Column]cred.Entry{
		cred.ColumnMD5Hex: cred.MD5("sesame"), cred.ColumnPlaintext: cred.Plaintext("sesame"),
	} {
		store := open(t, sqlstore.WithTable(fmt.Sprintf("column%d", column)), sqlstore.WithColumn(column))
		require.NoError(t, store.SetUser(ctx, "alice", entry))
		other := map[cred.Column]cred.Entry{cred.ColumnMD5Hex: cred.Plaintext("x"),
			cred.ColumnPlaintext: cred.MD5("x")}[column]
		assert.ErrorContains(t, store.SetUser(ctx, "bob", other), "see WithColumn")
		c := checker(t, store)
		challenge := cred.NewChallenge()
		id, err := c.Check(
			ctx,
			cred.ChallengeResponse{
				Username: "alice", Challenge: challenge, Response: cred.Respond(challenge, "sesame"),
			},
		)
		require.NoError(t, err)
		assert.Equal(t, cred.ID("alice"), id)
		_, err = c.Check(
			ctx,
			cred.ChallengeResponse{Username: "alice", Challenge: challenge, Response: cred.Respond(challenge, "bread")},
		)
		wantRefused(t, err, cred.ReasonWrong)
		_, err = c.Check(ctx, plain("alice", "sesame"))
		assert.NoError(t, err)
	}
	assert.False(t, checker(t, open(t, sqlstore.WithTable("column1"))).Accepts(cred.KindChallengeResponse))
}

// testConcurrent: more logins than connections, while passwords are being changed.
func testConcurrent(t *testing.T, open opened) {
	ctx := t.Context()
	store := open(t, sqlstore.WithTable("at_once"), sqlstore.WithMaxConns(2))
	require.NoError(t, store.SetUser(ctx, "alice", cred.MD5("sesame")))
	c := checker(t, store)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				_, err := c.Check(ctx, plain("alice", "sesame"))
				assert.NoError(t, err)
			}
		})
		all.Go(func() { assert.NoError(t, store.SetUser(ctx, "alice", cred.MD5("sesame"))) })
	}
	all.Wait()
}

func testFailures(t *testing.T, open opened) {
	store := open(t, sqlstore.WithTable("bad_days"))
	c := checker(t, store)
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := c.Check(ended, plain("alice", "x"))
	wantRefused(t, err, cred.ReasonEnded)
	assert.ErrorContains(t, store.SetUser(ended, "alice", cred.MD5("x")), "cannot store")
	_, err = store.RemoveUser(ended, "alice")
	assert.ErrorContains(t, err, "cannot remove")
	assert.ErrorContains(t, store.CreateSchema(ended), "cannot create")

	_, err = store.DB().ExecContext(t.Context(), "DROP TABLE bad_days")
	require.NoError(t, err)
	_, err = c.Check(t.Context(), plain("alice", "x"))
	refused := wantRefused(t, err, cred.ReasonStore)
	assert.True(t, refused.Fault())
	assert.Contains(t, refused.Log(), "bad_days")

	require.NoError(t, store.Close())
	_, err = c.Check(t.Context(), plain("alice", "x"))
	wantRefused(t, err, cred.ReasonStore)
}
