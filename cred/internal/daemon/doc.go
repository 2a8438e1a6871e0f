// Package daemon runs real servers for tests: PostgreSQL and slapd. Each has its own directory and a free port. Nothing
// of it remains when the test has ended or its process was killed.
//
// If a program is missing, the test is skipped, and the message says what to install. If internal/stock requires
// everything to be installed (CI=true or PB_REQUIRE_STOCK=1), the test fails instead.
package daemon
