//go:build unix && !linux

package main

// hidePassword does nothing: this system's way is not implemented.
func hidePassword(string) {}
