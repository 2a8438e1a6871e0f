// Package sqlstore keeps users in a database: an SQLite file or PostgreSQL. It is a module of its own, so that other
// users do not depend on the drivers. With another driver, pass a database and a query to cred.NewSQL.
//
//	store, err := sqlstore.OpenSQLite(ctx, "users.db")
//	defer store.Close()
//	err = store.CreateSchema(ctx)
//	checker, err := store.Checker()
//	portal, err := cred.NewPortal(realm, checker)
//
// # What is stored
//
// One table, by default pb_users, has the columns name and password. The format of the password column is fixed for a
// table. By default it is that of cred.ParseEntry, and the entries should be argon2id. Logins of stock Twisted need
// cred.ColumnMD5Hex or cred.ColumnPlaintext.
//
// Names are compared byte by byte, so case matters.
//
// # Security
//
// Only the owner can read a new SQLite file. The password of a PostgreSQL connection belongs in PGPASSFILE or
// PGPASSWORD rather than in a URL, and the connection should use TLS: sslmode=verify-full. Logins need only SELECT on
// the table.
package sqlstore
