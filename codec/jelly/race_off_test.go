//go:build !race

package jelly

// poolsForget says that a sync.Pool forgets some of what it is given.
const poolsForget = false
