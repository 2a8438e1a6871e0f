// Package bzip2 writes bzip2 files, which the standard library can only read. Its output is valid and a little larger
// than that of bzip2 -1.
package bzip2
