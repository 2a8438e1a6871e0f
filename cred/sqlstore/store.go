package sqlstore

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/cred"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// Store is a table of users. It is safe for concurrent use.
type Store struct {
	db      *sql.DB
	dialect dialect
	config  config
}

// dialect has a database's statements, each with a placeholder for the table's name.
type dialect struct {
	name   string
	create string
	query  string
	set    string
	remove string
}

// DB returns the database. Close closes it.
func (s *Store) DB() *sql.DB { return s.db }

// Close closes the database. Later logins fail as faults of the store.
func (s *Store) Close() error { return s.db.Close() }

// CreateSchema creates the table if it does not exist.
func (s *Store) CreateSchema(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, s.statement(s.dialect.create)); err != nil {
		return fmt.Errorf("sqlstore: cannot create the table %s in %s: %w", s.config.table, s.dialect.name, err)
	}
	return nil
}

// Checker returns a checker of the users in the table. It sees all later changes of the table.
func (s *Store) Checker(opts ...cred.SQLOption) (*cred.SQL, error) {
	return cred.NewSQL(
		s.db,
		s.statement(s.dialect.query),
		append([]cred.SQLOption{cred.WithColumn(s.config.column)}, opts...)...)
}

// SetUser adds a user or replaces a user's password.
func (s *Store) SetUser(ctx context.Context, name string, entry cred.Entry) error {
	if refused := cred.CheckUsername(name); refused != nil {
		return fmt.Errorf("sqlstore: %.40q cannot be a user: %s", name, refused.Detail())
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("sqlstore: %.40q cannot be a user: the name is not valid UTF-8", name)
	}
	if entry == nil {
		return errors.New("sqlstore: a user needs a password entry: make one with a cred.Hasher")
	}
	text, err := column(s.config.column, entry)
	if err != nil {
		return err
	}
	if _, err := s.db.ExecContext(ctx, s.statement(s.dialect.set), name, text); err != nil {
		return fmt.Errorf("sqlstore: cannot store a user in %s: %w", s.dialect.name, err)
	}
	return nil
}

// RemoveUser removes a user and reports whether it existed. Its sessions continue.
func (s *Store) RemoveUser(ctx context.Context, name string) (bool, error) {
	result, err := s.db.ExecContext(ctx, s.statement(s.dialect.remove), name)
	if err != nil {
		return false, fmt.Errorf("sqlstore: cannot remove a user from %s: %w", s.dialect.name, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("sqlstore: %s does not report whether a user was removed: %w", s.dialect.name, err)
	}
	return n > 0, nil
}

// statement inserts the table's name, which was checked when the store was opened.
func (s *Store) statement(format string) string { return fmt.Sprintf(format, s.config.table) }

// Option configures a Store. The With functions of this package return options.
type Option interface{ apply(*config) }

type config struct {
	table  string
	column cred.Column
	conns  int
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

// DefaultTable is the default name of the table of users.
const DefaultTable = "pb_users"

// DefaultMaxConns is the default of WithMaxConns. Further logins wait.
const DefaultMaxConns = 8

// WithTable sets the table of users: lower case letters, digits and underscores, in PostgreSQL optionally with a schema
// and a dot. Default: DefaultTable, pb_users.
func WithTable(name string) Option { return option(func(c *config) { c.table = name }) }

// WithColumn sets the format of the password column. Default: cred.ColumnEntries.
func WithColumn(column cred.Column) Option { return option(func(c *config) { c.column = column }) }

// WithMaxConns sets the maximum number of connections to the database. Default: DefaultMaxConns, 8.
func WithMaxConns(n int) Option { return option(func(c *config) { c.conns = n }) }

// tableName matches names that need no quoting in any database.
var tableName = regexp.MustCompile(`^([a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}$`)

func newConfig(opts []Option) (config, error) {
	c := config{table: DefaultTable, column: cred.ColumnEntries, conns: DefaultMaxConns}
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	if !tableName.MatchString(c.table) {
		return config{}, fmt.Errorf("sqlstore: %q cannot be the name of the table: it must be of a-z, 0-9 and _", c.table)
	}
	if c.conns < 1 {
		return config{}, fmt.Errorf("sqlstore: WithMaxConns(%d): there must be at least one connection", c.conns)
	}
	switch c.column {
	case cred.ColumnEntries, cred.ColumnPlaintext, cred.ColumnMD5Hex:
		return c, nil
	}
	return config{}, fmt.Errorf("sqlstore: there is no cred.Column %d", c.column)
}

// column returns the text of the password column for an entry.
func column(column cred.Column, entry cred.Entry) (string, error) {
	text := entry.Encode()
	switch {
	case column == cred.ColumnEntries && text != "":
		return text, nil
	case column == cred.ColumnPlaintext && entry.Scheme() == cred.SchemePlaintext:
		return strings.TrimPrefix(text, "{CLEARTEXT}"), nil
	case column == cred.ColumnMD5Hex && entry.Scheme() == cred.SchemeMD5:
		digest, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "{MD5}"))
		if err != nil {
			return "", fmt.Errorf("sqlstore: invalid md5 entry: %w", err)
		}
		return hex.EncodeToString(digest), nil
	}
	return "", fmt.Errorf("sqlstore: the password column cannot hold %s entries: see WithColumn", entry.Scheme())
}

func sqlite() dialect {
	return dialect{
		name: "SQLite",
		create: `CREATE TABLE IF NOT EXISTS %s (
	name     TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
	password TEXT NOT NULL
)`,
		query:  `SELECT password, name FROM %s WHERE name = ?`,
		set:    `INSERT INTO %s (name, password) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET password = excluded.password`,
		remove: `DELETE FROM %s WHERE name = ?`,
	}
}

// OpenSQLite opens a file of users. It makes a missing file, readable by its owner only. A login waits up to five
// seconds for other writers of the file. The directory must be writable, because SQLite's log is next to the file.
func OpenSQLite(ctx context.Context, path string, opts ...Option) (*Store, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if path == "" || path == ":memory:" {
		return nil, errors.New("sqlstore: OpenSQLite needs the path of a file; for users in memory use cred.NewInMemory")
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot find the directory of %q: %w", path, err)
	}
	// SQLite would make the file with the permissions of the umask.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot open the file of users: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("sqlstore: cannot make the file of users: %w", err)
	}
	source := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"},
	}.Encode()}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot open SQLite: %w", err)
	}
	return open(ctx, db, sqlite(), c)
}

// open checks that the database answers.
func open(ctx context.Context, db *sql.DB, d dialect, c config) (*Store, error) {
	db.SetMaxOpenConns(c.conns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlstore: %s does not answer: %w", d.name, err), db.Close())
	}
	return &Store{db: db, dialect: d, config: c}, nil
}

// idleTime is how long an idle connection to PostgreSQL is kept, because servers and firewalls drop older ones.
const idleTime = 5 * time.Minute

func postgres() dialect {
	return dialect{
		name: "PostgreSQL",
		// Compare names byte by byte, whatever the collation of the database.
		create: `CREATE TABLE IF NOT EXISTS %s (
	name     text COLLATE "C" NOT NULL PRIMARY KEY CHECK (name <> ''),
	password text NOT NULL
)`,
		query: `SELECT password, name FROM %s WHERE name = $1`,
		set: `INSERT INTO %s (name, password) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET password = excluded.password`,
		remove: `DELETE FROM %s WHERE name = $1`,
	}
}

// OpenPostgres opens a PostgreSQL database by a URL ("postgres://pb@db.example/users?sslmode=verify-full") or a list of
// keywords ("host=/run/postgresql dbname=users"). Everything else comes from the PG… environment variables.
func OpenPostgres(ctx context.Context, source string, opts ...Option) (*Store, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	parsed, err := pgx.ParseConfig(source)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: invalid address of PostgreSQL: %w", err)
	}
	db := stdlib.OpenDB(*parsed)
	db.SetConnMaxIdleTime(idleTime)
	return open(ctx, db, postgres(), c)
}
