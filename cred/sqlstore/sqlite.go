package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

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

// OpenSQLite opens a file of users, and makes it where there is none, readable by its owner alone. It waits up to
// five seconds for others who write to the file. The directory must be writable: SQLite's log lies beside the
// file.
func OpenSQLite(ctx context.Context, path string, opts ...Option) (*Store, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if path == "" || path == ":memory:" {
		return nil, errors.New("sqlstore: OpenSQLite needs the path of a file: for users in memory there is cred.NewInMemory")
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot find out where %q lies: %w", path, err)
	}
	// SQLite would let the umask say who may read the passwords.
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

// open makes sure that the database answers.
func open(ctx context.Context, db *sql.DB, d dialect, c config) (*Store, error) {
	db.SetMaxOpenConns(c.conns)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlstore: %s does not answer: %w", d.name, err), db.Close())
	}
	return &Store{db: db, dialect: d, config: c}, nil
}
