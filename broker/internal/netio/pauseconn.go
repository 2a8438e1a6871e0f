package netio

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// pauseConn is a socket whose write deadlines do not count pauses of the process. It is the socket below TLS, which
// cannot continue after a write that timed out.
type pauseConn struct {
	net.Conn

	mu sync.Mutex
	// Guarded by mu.
	limit  time.Duration // of the deadline that was set
	step   time.Duration // of the deadline in force
	since  time.Time     // when the step began
	waited patience.Count
}

// DiscountPauses returns a socket over sock whose write deadlines do not count pauses of the process.
func DiscountPauses(sock net.Conn) net.Conn { return &pauseConn{Conn: sock} }

// SetDeadline implements net.Conn.
func (c *pauseConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (c *pauseConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited, c.limit = patience.Count{}, 0
	if limit := time.Until(t); !t.IsZero() && limit > 0 {
		c.limit = limit
		return c.arm()
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *pauseConn) arm() error {
	c.step, c.since = c.waited.Step(c.limit), time.Now()
	return c.Conn.SetWriteDeadline(c.since.Add(c.step))
}

// Write implements net.Conn.
func (c *pauseConn) Write(b []byte) (n int, err error) {
	for {
		var more int
		more, err = c.Conn.Write(b[n:])
		n += more
		if err == nil || !usercode.Is(err, os.ErrDeadlineExceeded) || !c.extend() {
			return n, err
		}
	}
}

// extend sets the deadline of the next step, and reports whether there was one left.
func (c *pauseConn) extend() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit == 0 {
		return false
	}
	c.waited.Add(c.step, time.Since(c.since))
	return c.waited.Step(c.limit) > 0 && c.arm() == nil
}

// DiscountPausesOf returns a listener that applies [DiscountPauses] to the sockets that it accepts.
func DiscountPausesOf(l net.Listener) net.Listener { return pauseListener{l} }

type pauseListener struct{ net.Listener }

// Accept implements net.Listener.
func (l pauseListener) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return DiscountPauses(sock), nil
}
