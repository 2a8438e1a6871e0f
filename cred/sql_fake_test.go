package cred_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// table is a database/sql driver with one query, "users": the rows whose first column is the argument. It records the
// checker's queries and can return errors that a real database rarely returns.
type table struct {
	mu      sync.Mutex
	rows    [][]driver.Value // name, then the columns of the result
	columns []string
	asked   int
	fails   error         // of the query
	late    error         // of the rows, after the first
	hangs   chan struct{} // closed when the query hangs
}

func openTable(t *testing.T, tb *table) *sql.DB {
	t.Helper()
	db := sql.OpenDB(tb)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

func (tb *table) Connect(context.Context) (driver.Conn, error) { return tb, nil }
func (tb *table) Driver() driver.Driver                        { return nil }
func (tb *table) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("not prepared") }
func (tb *table) Close() error                                 { return nil }
func (tb *table) Begin() (driver.Tx, error)                    { return nil, errors.New("no transactions") }

func (tb *table) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.asked++
	if tb.hangs != nil {
		close(tb.hangs)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if tb.fails != nil {
		return nil, tb.fails
	}
	if query != "users" || len(args) != 1 {
		return nil, errors.New("another query")
	}
	found := &rows{columns: tb.columns, late: tb.late}
	for _, row := range tb.rows {
		if row[0] == args[0].Value {
			found.rows = append(found.rows, row[1:])
		}
	}
	return found, nil
}

type rows struct {
	columns []string
	rows    [][]driver.Value
	late    error
	read    int
}

func (r *rows) Columns() []string { return r.columns }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if r.late != nil && r.read == 1 {
		return r.late
	}
	if r.read == len(r.rows) {
		return io.EOF
	}
	copy(dest, r.rows[r.read])
	r.read++
	return nil
}
