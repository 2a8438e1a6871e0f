package cred

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// SQL is a checker of users in a database. It accepts [KindUsernamePassword], and [KindChallengeResponse] if the
// password column is ColumnPlaintext or ColumnMD5Hex.
type SQL struct {
	db     *sql.DB
	query  string
	config sqlConfig
	decoy  atomic.Pointer[decoyEntry]
}

// decoyEntry is the entry that is checked for unknown users: the one read last, so that the work is that of the store's
// own scheme and parameters, without configuration.
type decoyEntry struct{ entry Entry }

// SQLOption configures SQL. Every CheckerOption is an SQLOption.
type SQLOption interface{ applySQL(*sqlConfig) }

type sqlConfig struct {
	checkerConfig
	column  Column
	timeout time.Duration
}

type sqlOption func(*sqlConfig)

func (o sqlOption) applySQL(c *sqlConfig) { o(c) }

// WithQueryTimeout sets the timeout of a login's query. Default: DefaultStoreTimeout.
func WithQueryTimeout(d time.Duration) SQLOption {
	return sqlOption(func(c *sqlConfig) { c.timeout = d })
}

// NewSQL returns a checker that queries a database. The query has one parameter, the username, in the placeholder
// syntax of its dialect (?, $1, @p1). It returns one row for a user and none for an unknown name. The first column is
// the password (see [WithColumn]). The optional second column is the avatar id, which is otherwise the username:
//
//	SELECT password FROM users WHERE name = $1
//	SELECT password, name FROM users WHERE lower(name) = lower(?) AND NOT locked
//
// If the database ignores case, the query must return the avatar id; otherwise one user has many. NewSQL does not close
// the database.
func NewSQL(db *sql.DB, query string, opts ...SQLOption) (*SQL, error) {
	if db == nil || query == "" {
		return nil, errors.New("cred: NewSQL needs a database and a query")
	}
	c := sqlConfig{checkerConfig: newCheckerConfig(), column: ColumnEntries, timeout: DefaultStoreTimeout}
	for _, o := range opts {
		if o != nil {
			o.applySQL(&c)
		}
	}
	if err := c.column.valid(); err != nil {
		return nil, err
	}
	c.complete()
	s := &SQL{db: db, query: query, config: c}
	s.decoy.Store(&decoyEntry{c.column.decoy(c.hasher)})
	return s, nil
}

// Accepts implements Checker.
func (s *SQL) Accepts(kind Kind) bool {
	return kind == KindUsernamePassword || kind == KindChallengeResponse && s.config.column != ColumnEntries
}

// Check implements Checker.
func (s *SQL) Check(ctx context.Context, credentials Credentials) (AvatarID, error) {
	switch {
	case s == nil || s.db == nil:
		return AvatarID{}, Fault(context.Background(), ReasonStore,
			errors.New("cred: the SQL checker is nil, or was not made by NewSQL"))
	case ctx == nil:
		return AvatarID{}, Fault(context.Background(), ReasonStore, errNoContext)
	case credentials == nil:
		return AvatarID{}, unhandled(credentials)
	}
	if !s.Accepts(credentials.Kind()) {
		return AvatarID{}, unhandled(credentials)
	}
	name, refused := claimed(credentials)
	if refused != nil {
		return AvatarID{}, refused
	}
	if !utf8.ValidString(name) {
		// A database reports this as a query error, which would look like a fault of the store.
		return AvatarID{}, Refuse(ReasonMalformed, "the username is not valid UTF-8")
	}
	entry, id, err := s.lookUp(ctx, name)
	if err != nil {
		return AvatarID{}, Fault(ctx, ReasonStore, err)
	}
	if refused := checkEntry(ctx, s.config.hasher, credentials, entry, s.decoy.Load().entry); refused != nil {
		return AvatarID{}, refused
	}
	return id, nil
}

// lookUp returns a nil entry for an unknown user.
func (s *SQL) lookUp(ctx context.Context, name string) (Entry, AvatarID, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.timeout)
	defer cancel()
	rows, err := s.db.QueryContext(ctx, s.query, name)
	if err != nil {
		return nil, AvatarID{}, fmt.Errorf("cred: asking the database for a user: %w", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil || len(columns) < 1 || len(columns) > 2 {
		return nil, AvatarID{}, fmt.Errorf(
			"cred: the query for a user returns %d columns: it must return the password and optionally the avatar id",
			len(columns))
	}
	if !rows.Next() {
		return nil, AvatarID{}, rows.Err()
	}
	var password sql.NullString
	avatar := sql.NullString{String: name, Valid: true}
	if err := rows.Scan([]any{&password, &avatar}[:len(columns)]...); err != nil {
		return nil, AvatarID{}, fmt.Errorf("cred: reading a user from the database: %w", err)
	}
	if rows.Next() {
		return nil, AvatarID{}, errors.New("cred: the query for a user yields several rows: names must be unique")
	}
	if err := rows.Err(); err != nil {
		return nil, AvatarID{}, fmt.Errorf("cred: reading a user from the database: %w", err)
	}
	if !avatar.Valid || avatar.String == "" {
		return nil, AvatarID{}, errors.New("cred: the query for a user yields an empty avatar id")
	}
	return s.read(password), ID(avatar.String), nil
}

// read parses a row's entry and stores it as the decoy for unknown users.
func (s *SQL) read(password sql.NullString) Entry {
	if !password.Valid {
		return unusable{errors.New("cred: the password is NULL")}
	}
	entry := s.config.column.entry(password.String, s.config.hasher)
	if _, bad := entry.(unusable); !bad {
		s.decoy.Store(&decoyEntry{entry})
	}
	return entry
}

// Format implements fmt.Formatter.
func (s *SQL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<users in a database>") }
