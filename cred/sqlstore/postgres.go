package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// idleTime is how long an idle connection to PostgreSQL is kept: servers and firewalls drop those that are older.
const idleTime = 5 * time.Minute

func postgres() dialect {
	return dialect{
		name: "PostgreSQL",
		// Whatever the collation of the database, names are compared byte by byte.
		create: `CREATE TABLE IF NOT EXISTS %s (
	name     text COLLATE "C" NOT NULL PRIMARY KEY CHECK (name <> ''),
	password text NOT NULL
)`,
		query:  `SELECT password, name FROM %s WHERE name = $1`,
		set:    `INSERT INTO %s (name, password) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET password = excluded.password`,
		remove: `DELETE FROM %s WHERE name = $1`,
	}
}

// OpenPostgres opens a PostgreSQL database by a URL ("postgres://pb@db.example/users?sslmode=verify-full") or a
// list of keywords ("host=/run/postgresql dbname=users"). What is not in it comes from the PG… variables of the
// environment.
func OpenPostgres(ctx context.Context, source string, opts ...Option) (*Store, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	parsed, err := pgx.ParseConfig(source)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot read where PostgreSQL is: %w", err)
	}
	db := stdlib.OpenDB(*parsed)
	db.SetConnMaxIdleTime(idleTime)
	return open(ctx, db, postgres(), c)
}
