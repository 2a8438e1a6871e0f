// Package contextkey finds the keys by which other packages ask a context for what they keep in it, where they do not
// export them.
package contextkey
