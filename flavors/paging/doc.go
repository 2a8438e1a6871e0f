// Package paging sends large values in pages, as twisted.spread.util does.
package paging
