package sqlstore

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/perspectivebroker/pb/cred"
)

// Option configures a Store. The options are made by the With functions of this package.
type Option interface{ apply(*config) }

type config struct {
	table  string
	column cred.Column
	conns  int
}

type option func(*config)

func (o option) apply(c *config) { o(c) }

// DefaultTable is the table of the users.
const DefaultTable = "pb_users"

// DefaultMaxConns is how many connections a Store opens to its database: logins beyond it wait, and the database
// serves others too.
const DefaultMaxConns = 8

// WithTable sets the table of the users: lower case letters, digits and underscores, in PostgreSQL with its schema
// and a dot before it if need be. Default: DefaultTable, pb_users.
func WithTable(name string) Option { return option(func(c *config) { c.table = name }) }

// WithColumn sets what the password column contains. Default: cred.ColumnEntries.
func WithColumn(column cred.Column) Option { return option(func(c *config) { c.column = column }) }

// WithMaxConns sets how many connections to the database there may be at a time. Default: DefaultMaxConns, 8.
func WithMaxConns(n int) Option { return option(func(c *config) { c.conns = n }) }

// tableName needs no quoting in any database, so that it can be put into a statement.
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

// column returns what stands in the column for an entry.
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
			return "", fmt.Errorf("sqlstore: an md5 entry that is none: %w", err)
		}
		return hex.EncodeToString(digest), nil
	}
	return "", fmt.Errorf("sqlstore: the table's password column holds no %s entries: see WithColumn", entry.Scheme())
}
