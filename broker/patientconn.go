package broker

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/perspectivebroker/pb/broker/internal/patience"
	"github.com/perspectivebroker/pb/internal/usercode"
)

// patientConn is the socket below TLS. TLS cannot go on after a write that timed out, so the time in which this process
// did not run is taken out of write deadlines here.
type patientConn struct {
	net.Conn

	mu sync.Mutex
	// Guarded by mu.
	limit  time.Duration // of the deadline that was set
	step   time.Duration // that the deadline in force was set for
	since  time.Time     // when that was
	waited patience.Count
}

// SetDeadline implements net.Conn.
func (c *patientConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetWriteDeadline implements net.Conn.
func (c *patientConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited, c.limit = patience.Count{}, 0
	if limit := time.Until(t); !t.IsZero() && limit > 0 {
		c.limit = limit
		return c.arm()
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *patientConn) arm() error {
	c.step, c.since = c.waited.Step(c.limit), time.Now()
	return c.Conn.SetWriteDeadline(c.since.Add(c.step))
}

// Write implements net.Conn.
func (c *patientConn) Write(b []byte) (n int, err error) {
	for {
		var more int
		more, err = c.Conn.Write(b[n:])
		n += more
		if err == nil || !usercode.Is(err, os.ErrDeadlineExceeded) || !c.again() {
			return n, err
		}
	}
}

// again reports whether there is time left of the deadline that has just passed.
func (c *patientConn) again() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit == 0 {
		return false
	}
	c.waited.Add(c.step, time.Since(c.since))
	return c.waited.Step(c.limit) > 0 && c.arm() == nil
}

// patientListener gives out patientConns.
type patientListener struct{ net.Listener }

// Accept implements net.Listener.
func (l patientListener) Accept() (net.Conn, error) {
	sock, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &patientConn{Conn: sock}, nil
}
