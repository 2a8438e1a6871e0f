// Package sqlstore keeps users in a database: an embedded SQLite file, or PostgreSQL. It is a module of its own, so
// that only those carry the drivers who use them; with another driver, give cred.NewSQL a database and a query.
//
//	store, err := sqlstore.OpenSQLite(ctx, "users.db")
//	defer store.Close()
//	err = store.CreateSchema(ctx)
//	checker, err := store.Checker()
//	portal, err := cred.NewPortal(realm, checker)
//
// # What is stored
//
// One table, pb_users unless told otherwise, with the columns name and password. What the password column contains
// is fixed for a table: entries that cred.ParseEntry reads as a rule, which should be argon2id. Logins of stock
// Twisted can be checked against cred.ColumnMD5Hex or cred.ColumnPlaintext alone.
//
// Names are compared byte by byte, upper and lower case are different users.
//
// # Security
//
// A SQLite file is made so that only its owner may read it. The password of a PostgreSQL connection belongs into
// PGPASSFILE or PGPASSWORD rather than into a URL, and the connection into TLS: sslmode=verify-full. The table
// needs SELECT alone for logins.
package sqlstore
