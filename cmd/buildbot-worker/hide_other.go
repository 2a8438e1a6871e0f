//go:build unix && !linux

package main

// hidePassword does nothing where it is not known how to.
func hidePassword(string) {}
