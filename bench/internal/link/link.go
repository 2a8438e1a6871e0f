// Package link is a TCP relay that delays what it passes on, as a network between two machines would.
package link

import (
	"errors"
	"net"
	"time"
)

// Relay accepts connections and passes each on to one address.
type Relay struct {
	ln    net.Listener
	to    string
	delay time.Duration
}

// Listen starts a relay on a free loopback port. Each byte arrives delay later, in both directions; bandwidth is not
// limited.
func Listen(to string, delay time.Duration) (*Relay, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{ln: ln, to: to, delay: delay}
	go r.accept()
	return r, nil
}

// Addr returns the address to connect to.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// Close stops accepting connections. Those that exist go on.
func (r *Relay) Close() error { return r.ln.Close() }

func (r *Relay) accept() {
	for {
		near, err := r.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = near.Close()
			continue
		}
		go pass(near, far, r.delay)
		go pass(far, near, r.delay)
	}
}

// chunk is what one read returned, and when it is due.
type chunk struct {
	bytes []byte
	due   time.Time
}

// underWay is the maximum number of chunks that are delayed in one direction.
const underWay = 1024

// pass copies from one connection to the other until the first ends, then closes both.
func pass(from, to net.Conn, delay time.Duration) {
	chunks := make(chan chunk, underWay)
	go func() {
		defer close(chunks)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			if n > 0 {
				chunks <- chunk{buf[:n], time.Now().Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range chunks {
		time.Sleep(time.Until(c.due))
		if _, err := to.Write(c.bytes); err != nil {
			break
		}
	}
	_ = errors.Join(from.Close(), to.Close())
	for range chunks { // lets the reader end
	}
}
