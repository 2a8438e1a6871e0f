package fault

import "net"

// Listener accepts connections that fail as planned.
type Listener struct {
	net.Listener
	// Plan says what happens to the next one. It is called by one Accept at a time.
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
