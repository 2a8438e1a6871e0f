package cred_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/perspectivebroker/pb/cred"
)

func TestSQL(t *testing.T) {
	h := weak()
	tb := &table{columns: []string{"password"}, rows: [][]driver.Value{
		{"alice", argon2id(t, h, "sesame").Encode()}, {"bob", []byte(bcryptEntry(t, h, "bread").Encode())},
		{"null", nil}, {"old", "KDQQAFXmOpOas"}, {"twice", "{CLEARTEXT}x"}, {"twice", "{CLEARTEXT}y"}, {"number", int64(7)},
	}}
	checker, err := cred.NewSQL(openTable(t, tb), "users", cred.WithHasher(h), nil)
	require.NoError(t, err)
	p := portal(t, checker)
	for _, c := range []struct {
		name     string
		password cred.Secret
		reason   cred.Reason
		log      string
	}{
		{"alice", "sesame", "", ""},
		{"bob", "bread", "", ""},
		{"alice", "bread", cred.ReasonWrong, ""},
		{"Alice", "sesame", cred.ReasonUnknown, ""},
		{"' OR ''='", "sesame", cred.ReasonUnknown, ""},
		{"null", "", cred.ReasonUnusable, "NULL"},
		{"old", "sesame d", cred.ReasonUnusable, "DES crypt"},
		{"number", "7", cred.ReasonUnusable, "unknown scheme"},
		{"twice", "x", cred.ReasonStore, "several rows"},
		{"\xff", "x", cred.ReasonMalformed, "UTF-8"},
		{"", "x", cred.ReasonMalformed, "empty"},
	} {
		session, err := p.Login(t.Context(), plain(c.name, c.password), "")
		if c.reason != "" {
			assert.Contains(t, wantRefused(t, err, c.reason).Log(), c.log, c.name)
			continue
		}
		require.NoError(t, err, c.name)
		assert.Equal(t, cred.ID(c.name), session.AvatarID())
		session.Logout()
	}
	asked := tb.asked
	_, err = p.Login(t.Context(), response("alice", "sesame"), "")
	wantRefused(t, err, cred.ReasonUnhandled)
	_, err = checker.Check(t.Context(), response("alice", "sesame"))
	wantRefused(t, err, cred.ReasonUnhandled)
	assert.Equal(t, asked, tb.asked, "hashes cannot answer challenges: the database is not asked")
}

func TestSQLColumns(t *testing.T) {
	tb := &table{columns: []string{"password", "id"}, rows: [][]driver.Value{
		{"ALICE", "sesame", "alice"}, {"empty", "sesame", ""}, {"null", "sesame", nil}, {"nothing", "", "nothing"},
	}}
	checker, err := cred.NewSQL(openTable(t, tb), "users", cred.WithColumn(cred.ColumnPlaintext), cred.WithLogger(nil))
	require.NoError(t, err)
	for _, c := range []cred.Credentials{plain("ALICE", "sesame"), response("ALICE", "sesame")} {
		id, err := checker.Check(t.Context(), c)
		require.NoError(t, err)
		assert.Equal(t, cred.ID("alice"), id, "the avatar id comes from the database")
	}
	for _, name := range []string{"empty", "null"} {
		_, err = checker.Check(t.Context(), plain(name, "sesame"))
		assert.Contains(t, wantRefused(t, err, cred.ReasonStore).Log(), "empty avatar id")
	}
	_, err = checker.Check(t.Context(), plain("nothing", ""))
	wantRefused(t, err, cred.ReasonUnusable)

	tb = &table{columns: []string{"password"}, rows: [][]driver.Value{{"alice", "7b8b965ad4bca0e41ab51de7b31363a1"}}}
	checker, err = cred.NewSQL(openTable(t, tb), "users", cred.WithColumn(cred.ColumnMD5Hex))
	require.NoError(t, err)
	_, err = checker.Check(t.Context(), response("alice", "n"))
	assert.NoError(t, err)
	_, err = checker.Check(t.Context(), response("nobody", "n"))
	wantRefused(t, err, cred.ReasonUnknown)
}

// TestSQLSameWork: an unknown user costs what the last known user cost.
func TestSQLSameWork(t *testing.T) {
	var hashes work
	h := weak(cred.WithHashObserver(hashes.add))
	tb := &table{
		columns: []string{"password"},
		rows:    [][]driver.Value{{"alice", bcryptEntry(t, h, "sesame").Encode()}, {"old", "KDQQAFXmOpOas"}},
	}
	checker, err := cred.NewSQL(openTable(t, tb), "users", cred.WithHasher(h))
	require.NoError(t, err)
	try := func(name string) map[cred.Scheme]int {
		_, err := checker.Check(t.Context(), plain(name, "wrong"))
		require.Error(t, err)
		return hashes.take()
	}
	assert.Equal(t, map[cred.Scheme]int{cred.SchemeArgon2id: 1}, try("nobody"), "before the first known user")
	assert.Equal(t, map[cred.Scheme]int{cred.SchemeBcrypt: 1}, try("alice"))
	assert.Equal(t, map[cred.Scheme]int{cred.SchemeBcrypt: 1}, try("nobody"))
	assert.Equal(t, map[cred.Scheme]int{cred.SchemeBcrypt: 1}, try("old"), "an unusable entry costs the same")

	// The decoy's password does not log in an unknown user.
	_, err = checker.Check(t.Context(), plain("nobody", "sesame"))
	wantRefused(t, err, cred.ReasonUnknown)
}

func TestSQLFailures(t *testing.T) {
	for name, c := range map[string]struct {
		table *table
		log   string
	}{
		"down":          {&table{fails: errors.New("connection refused")}, "connection refused"},
		"three columns": {&table{columns: []string{"a", "b", "c"}}, "3 columns"},
		"no columns":    {&table{}, "0 columns"},
		"late": {&table{columns: []string{"a"}, late: errors.New("reset"), rows: [][]driver.Value{{"alice", "x"}}},
			"reset"},
		"strange values": {&table{columns: []string{"a"}, rows: [][]driver.Value{{"alice", struct{}{}}}}, "reading a user"},
	} {
		t.Run(name, func(t *testing.T) {
			checker, err := cred.NewSQL(openTable(t, c.table), "users", cred.WithHasher(weak()))
			require.NoError(t, err)
			_, err = checker.Check(t.Context(), plain("alice", "x"))
			refused := wantRefused(t, err, cred.ReasonStore)
			assert.True(t, refused.Fault())
			assert.Contains(t, refused.Log(), c.log)
		})
	}
}

func TestSQLTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask := func(opts ...cred.SQLOption) (time.Duration, error) {
			tb := &table{hangs: make(chan struct{})}
			db := openTable(t, tb)
			checker, err := cred.NewSQL(db, "users", opts...)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			begun := time.Now()
			_, err = checker.Check(ctx, plain("alice", "x"))
			return time.Since(begun), err
		}
		took, err := ask()
		wantRefused(t, err, cred.ReasonStore)
		assert.Equal(t, cred.DefaultStoreTimeout, took)
		took, err = ask(cred.WithQueryTimeout(time.Minute))
		wantRefused(t, err, cred.ReasonEnded)
		assert.Equal(t, 10*time.Second, took)
	})
}

func TestNewSQLRefuses(t *testing.T) {
	db := openTable(t, &table{})
	_, err := cred.NewSQL(nil, "users")
	assert.ErrorContains(t, err, "a database and a query")
	_, err = cred.NewSQL(db, "")
	assert.ErrorContains(t, err, "a database and a query")
	_, err = cred.NewSQL(db, "users", cred.WithColumn(0))
	assert.ErrorContains(t, err, "no Column 0")
}
