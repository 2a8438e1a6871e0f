// Package terminal asks for passwords.
package terminal
