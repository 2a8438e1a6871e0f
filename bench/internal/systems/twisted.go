package systems

import _ "embed"

//go:embed twisted.py
var twistedScript string

// twisted is stock Twisted at both ends, as Debian has it.
func twisted() System {
	return System{Name: "twisted", Script: twistedScript, Interpreter: "/usr/bin/python3", MostConns: 1000, Watches: true}
}
