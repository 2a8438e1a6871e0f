// Package gentest makes packages of Go for tests of pb gen.
package gentest
