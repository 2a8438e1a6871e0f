// Package daemon runs real stores of users beside our tests: a PostgreSQL, a slapd. Each has a directory of its own
// and a free port, and nothing of it is left when the test has ended or its process was killed.
//
// Where a program is missing the test is skipped, and the message says what to install; it fails instead where
// internal/stock says that everything must be there (CI=true or PB_REQUIRE_STOCK=1).
package daemon
