package fault

import "net"

// Listener wraps each connection that it accepts in a [Conn].
type Listener struct {
	net.Listener
	// Plan returns the plan of the next connection. It is called by one Accept at a time.
	Plan func() Plan
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return New(sock, l.Plan()), nil
}
