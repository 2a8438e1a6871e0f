package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/perspectivebroker/pb/cred"
)

// Store is a table of users. It is safe for concurrent use.
type Store struct {
	db      *sql.DB
	dialect dialect
	config  config
}

// dialect is what differs between the databases: the statements, each with the table's name to be put in.
type dialect struct {
	name   string
	create string
	query  string
	set    string
	remove string
}

// DB is the database itself. It is closed by Close.
func (s *Store) DB() *sql.DB { return s.db }

// Close closes the database. Logins fail from then on, as faults of the store.
func (s *Store) Close() error { return s.db.Close() }

// CreateSchema creates the table, if there is none of its name.
func (s *Store) CreateSchema(ctx context.Context) error {
	if _, err := s.db.ExecContext(ctx, s.statement(s.dialect.create)); err != nil {
		return fmt.Errorf("sqlstore: cannot create the table %s in %s: %w", s.config.table, s.dialect.name, err)
	}
	return nil
}

// Checker makes a checker of the users in the table, whoever changes it.
func (s *Store) Checker(opts ...cred.SQLOption) (*cred.SQL, error) {
	return cred.NewSQL(
		s.db,
		s.statement(s.dialect.query),
		append([]cred.SQLOption{cred.WithColumn(s.config.column)}, opts...)...)
}

// SetUser adds a user, or gives one another password.
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

// RemoveUser takes a user out and says whether there was one. Sessions go on.
func (s *Store) RemoveUser(ctx context.Context, name string) (bool, error) {
	result, err := s.db.ExecContext(ctx, s.statement(s.dialect.remove), name)
	if err != nil {
		return false, fmt.Errorf("sqlstore: cannot remove a user from %s: %w", s.dialect.name, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("sqlstore: %s does not say whether a user was removed: %w", s.dialect.name, err)
	}
	return n > 0, nil
}

// statement puts the table's name in, which was checked when the store was opened.
func (s *Store) statement(format string) string { return fmt.Sprintf(format, s.config.table) }
