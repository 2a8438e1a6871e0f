// Package logins tries logins and transports with stock Twisted at the other end: the listings of twisted-doc that log
// in, its chat, and TLS. It has no code beside its tests and the Python scripts that they run.
package logins
