package fault

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a connection that fails as planned. Deadlines and addresses are those of the connection below.
type Conn struct {
	net.Conn
	plan Plan

	passed  atomic.Int64 // bytes that were written and read
	failing sync.Once
	failed  atomic.Bool

	// One for each direction, since both are random and used at the same time.
	reading, writing pieces
}

// pieces says how what is read or written is cut up.
type pieces struct {
	mu     sync.Mutex
	r      *rand.Rand
	pauses int // so far
}

// mostPauses is how many pauses are made in one direction. A timer takes a millisecond at the least, so that a page that goes in pieces of
// one byte would take minutes.
const mostPauses = 500

// New puts a plan before a connection.
func New(sock net.Conn, plan Plan) *Conn {
	c := &Conn{Conn: sock, plan: plan}
	c.reading.r = rand.New(rand.NewPCG(plan.Seed, 1)) //nolint:gosec // it is to be repeatable, not secret
	c.writing.r = rand.New(rand.NewPCG(plan.Seed, 2)) //nolint:gosec // likewise
	return c
}

// next is how long the next piece is, of at most n bytes, after a pause.
func (c *Conn) next(p *pieces, n int) int {
	p.mu.Lock()
	var pause time.Duration
	if c.plan.Piece > 0 {
		n = min(n, 1+p.r.IntN(c.plan.Piece))
	}
	if c.plan.Delay > 0 && p.pauses < mostPauses {
		p.pauses++
		pause = time.Duration(p.r.Int64N(int64(c.plan.Delay)))
	}
	p.mu.Unlock()
	if pause > 0 {
		time.Sleep(pause)
	}
	return n
}

// left is how many bytes may still pass; negative when nothing will happen at all.
func (c *Conn) left() int64 {
	if c.plan.End == Whole {
		return -1
	}
	return max(0, c.plan.After-c.passed.Load())
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return c.Conn.Read(b)
	}
	n := c.next(&c.reading, len(b))
	if left := c.left(); left == 0 {
		c.fail()
		return c.readFailed(b[:n])
	} else if left > 0 {
		n = int(min(int64(n), left))
	}
	n, err := c.Conn.Read(b[:n])
	c.passed.Add(int64(n))
	return n, err
}

// readFailed reads from a connection that has failed.
func (c *Conn) readFailed(b []byte) (int, error) {
	if c.plan.End != Blackhole {
		return c.Conn.Read(b)
	}
	for { // What comes is lost, until somebody loses patience.
		if _, err := c.Conn.Read(b); err != nil {
			if err == io.EOF {
				// Whoever sits behind a hole in the network does not hear of the end either. Deadlines and Close still count.
				return c.silence()
			}
			return 0, err
		}
	}
}

// silence waits for a deadline or for Close, on a connection whose other end has gone.
func (c *Conn) silence() (int, error) {
	for {
		if _, err := c.Conn.Read(make([]byte, 1)); err != io.EOF {
			return 0, err
		}
		time.Sleep(lookAgain)
	}
}

// lookAgain is how often a connection that is silent looks whether it has been closed.
const lookAgain = 5 * time.Millisecond

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	written := 0
	for {
		if c.left() == 0 {
			c.fail()
			return c.writeFailed(b, written)
		}
		n := c.next(&c.writing, len(b)-written)
		if left := c.left(); left >= 0 {
			n = int(min(int64(n), left))
		}
		n, err := c.Conn.Write(b[written : written+n])
		c.passed.Add(int64(n))
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// writeFailed writes to a connection that has failed: where nobody is told, it seems to work.
func (c *Conn) writeFailed(b []byte, written int) (int, error) {
	switch c.plan.End {
	case Blackhole, HalfClose:
		return len(b), nil
	default:
		return written, &net.OpError{Op: "write", Net: "fault", Err: os.ErrClosed}
	}
}

// CloseWrite ends the sending, where the socket below can.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// fail happens once.
func (c *Conn) fail() {
	c.failing.Do(func() {
		c.failed.Store(true)
		switch c.plan.End {
		case Reset:
			if tcp, ok := c.Conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		case Drop:
			_ = c.Close()
		case HalfClose:
			_ = c.CloseWrite()
		}
	})
}

// Failed says whether what was planned has happened.
func (c *Conn) Failed() bool { return c.failed.Load() }
