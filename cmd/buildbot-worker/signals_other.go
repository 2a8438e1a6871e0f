//go:build unix && !linux

package main

// resetIgnored does nothing where the system does not say which signals are ignored.
func resetIgnored() {}
