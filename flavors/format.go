package flavors

import (
	"fmt"
	"io"
)

// The Format methods print by String, whatever the verb, because other goroutines change what these types point to.

// Format implements fmt.Formatter by String.
func (r *RemoteReference) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// Format implements fmt.Formatter by String.
func (c *Cached[T]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// Format implements fmt.Formatter by String.
func (inv *Invocation) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, inv.String()) }

// Format implements fmt.Formatter by String.
func (v *ViewPoint) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, v.String()) }

// Format implements fmt.Formatter by String.
func (c *objectCore) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String names the observer in logs.
func (o *Observer) String() string {
	if o == nil || o.conn == nil || o.core == nil {
		return "<observer, nil>"
	}
	return "<observer of a " + o.core.String() + ">"
}

// Format implements fmt.Formatter by String.
func (o *Observer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.String()) }

// String names the forwarder in logs.
func (f *Forwarder) String() string {
	if f == nil || f.pid == nil {
		return "<forwarder, to nobody>"
	}
	return "<forwarder to " + f.pid.Id + ">"
}

// Format implements fmt.Formatter by String.
func (f *Forwarder) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, f.String()) }
