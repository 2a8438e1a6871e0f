package systems

import _ "embed"

//go:embed twisted.py
var twistedScript string

// twisted is Debian's stock Twisted as server and client.
func twisted() System {
	return System{
		Name: "twisted", Script: twistedScript, Interpreter: "/usr/bin/python3", MaxConns: 1000, Watches: true,
	}
}
