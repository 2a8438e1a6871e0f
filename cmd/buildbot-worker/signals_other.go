//go:build !linux

package main

// resetIgnored does nothing: this system does not list the ignored signals.
func resetIgnored() {}
