package cred

import (
	"fmt"
	"io"
)

// What follows prints what is shared by logins as one word, whatever the verb: its tables change meanwhile, and are
// nobody's business.

// Format implements fmt.Formatter.
func (p *Portal[Mind, Avatar]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<portal>") }

// Format implements fmt.Formatter.
func (s *Session[Avatar]) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "<session of "+s.AvatarID().String()+">")
}

// Format implements fmt.Formatter.
func (b *Bearer[Mind, Avatar]) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "<identity "+b.Identity().String()+">")
}

// Format implements fmt.Formatter.
func (i *Identities[Mind, Avatar]) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "<identities>")
}

// Format implements fmt.Formatter.
func (t *Throttle) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<throttle>") }

// Format implements fmt.Formatter.
func (m *InMemory) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<users in memory>") }

// Format implements fmt.Formatter.
func (p *PasswordFile) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<password file>") }

// Format implements fmt.Formatter.
func (s *SQL) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "<users in a database>") }
