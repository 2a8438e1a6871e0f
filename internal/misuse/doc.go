// Package misuse tests that the public packages answer nil, zero and closed values with errors, and never with a panic
// or an endless wait.
package misuse
