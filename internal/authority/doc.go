// Package authority is a certificate authority for tests: TLS is tried with certificates that are good, expired, for somebody else or
// from elsewhere, and none of them is kept in the repository, where it would run out.
package authority
