// Package authority provides a certificate authority for tests of TLS. It issues valid, expired and otherwise altered
// certificates at run time, so the repository holds no certificate that could expire.
package authority
