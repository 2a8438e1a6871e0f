// Package dispatch has the part of flavors' method tables that depends on Go types and names only: how wire names are
// spelled in Go, which embedded type a method comes from, and the defaults of parameters.
package dispatch
